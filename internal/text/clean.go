package text

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text of what a program printed: valid UTF-8 without escape
// sequences, without control characters but tabs and line feeds, and without
// characters that are not visible. What follows a carriage return replaces what was
// before it, and a backspace removes a character, as on a terminal.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	var c Cleaner
	lines := strings.Split(string(c.Append(nil, []byte(s), true)), "\n")
	for i, line := range lines {
		lines[i] = Overwrite(line)
	}
	return strings.Join(lines, "\n")
}

// isPlain reports whether nothing in s needs cleaning.
func isPlain(s string) bool {
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain are the bytes that need no cleaning.
var plain = func() (plain [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		plain[c] = true
	}
	plain['\t'], plain['\n'] = true, true
	return plain
}()

// Overwrite applies the carriage returns and backspaces in a line.
func Overwrite(line string) string {
	line = strings.TrimRight(line, "\r")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	for {
		at := strings.IndexByte(line, '\b')
		if at < 0 {
			return line
		}
		_, size := utf8.DecodeLastRuneInString(line[:at])
		line = line[:at-size] + line[at+1:]
	}
}

// Invisible reports whether a character is not seen where it is printed: control
// characters, but for tabs and line feeds, and those that format text or join it.
func Invisible(r rune) bool {
	return r != '\t' && r != '\n' &&
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Cleaner cleans a text that comes in pieces, except that it keeps carriage
// returns and backspaces, whose effect depends on the rest of the line.
type Cleaner struct {
	// held is the beginning of an escape sequence or of a character.
	held []byte
	// skipping says that the rest of an overlong escape sequence is left out.
	skipping bool
}

// maxEscape is how much of an escape sequence is held back; the rest of a longer
// one, such as an image, is left out up to its end or that of the line.
const maxEscape = 4 << 10

// Append appends a piece, cleaned. At the end of the text, nothing is held back.
func (c *Cleaner) Append(to, piece []byte, end bool) []byte {
	s := piece
	if len(c.held) > 0 {
		s = append(c.held, piece...)
		c.held = nil
	}
	for len(s) > 0 {
		if c.skipping {
			stop := bytes.IndexAny(s, "\a\x1b\n")
			if stop < 0 {
				return to
			}
			c.skipping = false
			if s = s[stop:]; s[0] == '\a' {
				s = s[1:]
			}
			continue
		}
		n := 0
		for n < len(s) && plain[s[n]] {
			n++
		}
		to, s = append(to, s[:n]...), s[n:]
		if len(s) == 0 {
			break
		}
		n, keep := 1, ""
		switch r, size := utf8.DecodeRune(s); {
		case s[0] == '\x1b':
			length, more := escape(s)
			if more && !end {
				c.skipping = len(s) > maxEscape
				if !c.skipping {
					c.held = bytes.Clone(s)
				}
				return to
			}
			n = max(1, length)
		case s[0] == '\r' || s[0] == '\b':
			keep = string(s[:1])
		case !utf8.FullRune(s) && !end:
			c.held = bytes.Clone(s)
			return to
		case r == utf8.RuneError && size == 1:
			keep = "\uFFFD"
		default:
			if n = size; !Invisible(r) {
				keep = string(s[:n])
			}
		}
		to, s = append(to, keep...), s[n:]
	}
	return to
}

// escape returns the length of the escape sequence of ECMA-48 that s begins
// with, by which programs color a terminal and move its cursor. It is 0 if there
// is none, as where a line ends before the sequence does: the text after it stays.
// More says that the sequence may go on.
func escape(s []byte) (length int, more bool) {
	i := 1
	in := func(from, to byte) bool { return i < len(s) && s[i] >= from && s[i] <= to }
	skip := func(from, to byte) {
		for in(from, to) || i < len(s) && s[i] != '\n' && s[i] != '\x1b' && (s[i] < ' ' || s[i] == 0x7f) { // terminals ignore those
			i++
		}
	}
	skip(1, 0)
	switch {
	case i == len(s):
		return 0, true
	case s[i] == '[': // control sequence: [31m
		i++
		skip('0', '?')
		skip(' ', '/')
		if in('@', '~') {
			return i + 1, false
		}
		return 0, i == len(s)
	case bytes.IndexByte([]byte("]PX^_"), s[i]) >= 0: // command with a text: a title, a link, an image
		stop := bytes.IndexAny(s[i:], "\a\x1b\n")
		switch at := i + stop; {
		case stop < 0 || at == len(s)-1 && s[at] == '\x1b':
			return 0, true
		case s[at] == '\a' && s[i] == ']':
			return at + 1, false
		case s[at] == '\x1b' && s[at+1] == '\\':
			return at + 2, false
		case s[i] != ']':
			return i + 1, false
		}
		return 0, false
	case in(' ', '/'): // character set: (B
		skip(' ', '/')
		if in('0', '~') {
			return i + 1, false
		}
		return 0, i == len(s)
	case in('0', '~'): // two characters: save the cursor, reset
		return i + 1, false
	}
	return 0, false
}
