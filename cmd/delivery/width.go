package main

import "github.com/clipperhouse/displaywidth"

// truncate shortens a text to fewer columns of a terminal than there are.
func truncate(text string, columns int) string {
	return displaywidth.TruncateString(text, columns-1, "…")
}
