package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// table prints rows in columns, the first row as their titles. Each row is one
// line, whatever is in its cells.
func table(out io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			// The width of a tab depends on where it stands.
			row[i] = text.NoControl(row[i])
			widths[i] = max(widths[i], displaywidth.String(row[i]))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-displaywidth.String(cell)+2))
		}
		if _, err := fmt.Fprintln(out, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// moment is a time in a list.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// brief is a revision in a list.
func brief(revision string) string { return revision[:min(len(revision), 12)] }
