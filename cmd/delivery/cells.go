package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// cells is how many cells of a terminal a text takes.
func cells(text string) (n int) {
	for _, r := range text {
		n += cellsOf(r)
	}
	return n
}

// cellsOf is how many cells of a terminal a character takes. Where terminals
// differ, as with sequences of emoji, it is the larger number, so that what is
// taken to fit does.
func cellsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) && r != '\ufe0f' { // which makes an emoji of what is before it
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fitting is as much of a text as takes fewer cells than there are.
func fitting(text string, room int) string {
	if cells(text) < room {
		return text
	}
	n := 0
	for i, r := range text {
		if n += cellsOf(r); n > room-2 {
			return text[:i] + "…"
		}
	}
	return text
}

// flat is a text on one line, in which every character takes the cells that it
// is counted for: a tab would take more.
func flat(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
