package main

import "github.com/clipperhouse/displaywidth"

// truncate shortens a text so that it takes fewer than the given columns of a terminal.
func truncate(text string, columns int) string {
	return displaywidth.TruncateString(text, columns-1, "…")
}
