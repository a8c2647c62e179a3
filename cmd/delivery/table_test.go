package main

import (
	"strings"
	"testing"
)

// Each row takes one line, and its cells are aligned with the titles.
func TestPrintTable(t *testing.T) {
	var out strings.Builder
	if err := printTable(&out, [][]string{
		{"PIPE", "STATUS", ""},
		{"建造", "failed", "line one\nline two\ttab\r"},
		{"ci", "succeeded", ""},
	}); err != nil {
		t.Fatal(err)
	}
	want := `PIPE  STATUS
建造  failed     line one line two tab
ci    succeeded
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
