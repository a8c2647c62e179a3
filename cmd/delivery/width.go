package main

import (
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// truncate shortens a text to fewer columns of a terminal than there are.
func truncate(text string, columns int) string {
	return displaywidth.TruncateString(text, columns-1, "…")
}

// oneLine is a text on one line, without characters whose width depends on
// where they stand, such as tabs.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
