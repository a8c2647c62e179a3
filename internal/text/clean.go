package text

import (
	"regexp"
	"strings"
)

// escapes are the sequences of ECMA-48, by which programs color a terminal and
// move its cursor. One that is cut off is not matched: the text after it stays.
var escapes = regexp.MustCompile(`\x1b(` + strings.Join([]string{
	`\[[0-?]*[ -/]*[@-~]`,         // control sequence: [31m
	`\][^\x07\x1b]*(\x07|\x1b\\)`, // operating system command: a title, a link
	`[PX^_][^\x07\x1b]*\x1b\\`,    // the other strings
	`[ -/]+[0-~]`,                 // character set: (B
	"[0-Z\\\\^_`-~]",              // two characters: save the cursor, reset
}, "|") + `)`)

// Clean makes text of what a program printed: no escape sequences, no control
// characters but tabs and line feeds, and valid UTF-8. What follows a carriage
// return replaces what was before it, as on a terminal.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	lines := strings.Split(escapes.ReplaceAllString(s, ""), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		lines[i] = strings.Map(func(r rune) rune {
			if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, "\uFFFD"))
	}
	return strings.Join(lines, "\n")
}

// isPlain reports whether nothing in s needs cleaning.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' || c >= 0x7f {
			return false
		}
	}
	return true
}
