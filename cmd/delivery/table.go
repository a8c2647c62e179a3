package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// printTable prints rows in columns. The first row holds the titles. Each row takes one
// line: line breaks and tabs in a cell become spaces.
func printTable(out io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			// The width of a tab would depend on its column.
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

// formatTime formats a time for a list, in UTC.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
