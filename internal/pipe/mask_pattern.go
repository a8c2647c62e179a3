package pipe

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// pattern is a secret, or an encoding of it, that is looked for in a text.
type pattern struct {
	want []byte
	// hex says that each byte is written as two hexadecimal digits. Otherwise it
	// may be escaped as in URLs, JSON, XML, shells and the like.
	hex bool
	// wrapped says that the text may be broken into lines, as base64 is.
	wrapped bool
}

// minWrapped is how much of a pattern comes before a line break in it: otherwise
// the ends of many lines would be held back. minBase64 is the length of a part of
// a text in base64 that does not occur by chance.
const minWrapped, minBase64 = 4, 6

// plainly are the patterns of a text that is not encoded as a whole.
func plainly(secret string) []pattern {
	all := []pattern{{want: []byte(secret)}}
	if clean := text.Clean(secret); clean != secret {
		all = append(all, pattern{want: []byte(clean)})
	}
	return all
}

// encodings are the patterns of a secret and of its usual encodings.
func encodings(secret string) []pattern {
	all := append(plainly(secret), pattern{want: []byte(secret), hex: true, wrapped: true})
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for _, whole := range []string{secret, secret + "\n"} {
			all = append(all, pattern{want: []byte(encoding.EncodeToString([]byte(whole))), wrapped: true})
		}
		for before := range 3 { // bytes of another text, modulo 3
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			part := encoded[(8*before+5)/6 : 8*(before+len(secret))/6]
			// A line may break where too little comes before it to be seen.
			for range minWrapped {
				if len(part) >= minBase64 {
					all = append(all, pattern{want: []byte(part), wrapped: true})
					part = part[1:]
				}
			}
		}
	}
	return all
}

// textsIn returns a secret and the texts in it: those in a list or an object in JSON,
// what is encoded in base64, and a key in the form of PEM whose lines are separated
// by \n as two characters; and the texts in these.
func textsIn(secret string) []string {
	all, seen := []string{secret}, map[string]bool{secret: true}
	for i := 0; i < len(all); i++ { // it grows, by ever shorter texts
		inside := append(textsInJSON(all[i]), textsInBase64(all[i])...)
		if strings.Contains(all[i], "-----BEGIN ") {
			inside = append(inside, strings.NewReplacer(`\r`, "", `\n`, "\n").Replace(all[i]))
		}
		for _, text := range inside {
			if !seen[text] {
				all, seen[text] = append(all, text), true
			}
		}
	}
	return all
}

// textsInBase64 returns what a text is if it is decoded, if that is a text.
func textsInBase64(encoded string) (all []string) {
	encoded = strings.Join(strings.Fields(encoded), "")
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		decoded, err := encoding.DecodeString(encoded)
		isControl := func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }
		if err == nil && utf8.Valid(decoded) && bytes.IndexFunc(decoded, isControl) < 0 {
			all = append(all, string(decoded))
		}
	}
	return all
}

// textsInJSON returns the texts in a list or an object, except for those whose key
// says that they are a name, a type or the like.
func textsInJSON(document string) (all []string) {
	var data any
	if json.Unmarshal([]byte(document), &data) != nil {
		return nil
	}
	var visit func(data any)
	visit = func(data any) {
		switch data := data.(type) {
		case string:
			all = append(all, data)
		case []any:
			for _, e := range data {
				visit(e)
			}
		case map[string]any:
			for key, e := range data {
				if _, isText := e.(string); !isText || !isAttribute(key) {
					visit(e)
				}
			}
		}
	}
	visit(data)
	return all
}

// patternIndex finds patterns by how they begin.
type patternIndex struct {
	all map[string]bool
	// pairs are the two bytes that a pattern can begin with, and firsts the first
	// of them.
	pairs  [1 << 16 / 64]uint64
	firsts [256]bool
	// literal are the patterns by the two bytes that they begin with if the first is
	// not escaped, and escaped those by their first byte, which may be.
	literal map[[2]byte][]*pattern
	escaped map[byte][]*pattern
}

func (x *patternIndex) add(patterns ...pattern) {
	if x.all == nil {
		x.all, x.literal, x.escaped = map[string]bool{}, map[[2]byte][]*pattern{}, map[byte][]*pattern{}
	}
	for _, p := range patterns {
		key := string(p.want) + strconv.FormatBool(p.hex) + strconv.FormatBool(p.wrapped)
		if x.all[key] || len(p.want) < 2 {
			continue
		}
		x.all[key] = true
		literal, escaped := p.beginnings()
		for _, pair := range literal {
			x.literal[pair] = append(x.literal[pair], &p)
		}
		if len(escaped) > 0 {
			x.escaped[p.want[0]] = append(x.escaped[p.want[0]], &p)
		}
		for _, pair := range slices.Concat(literal, escaped) {
			n := uint(pair[0])<<8 | uint(pair[1])
			x.pairs[n/64] |= 1 << (n % 64)
			x.firsts[pair[0]] = true
		}
	}
}

// beginnings are the two bytes that a text can begin with where the pattern does:
// its first byte and what may follow it, or an escape of its first byte.
func (p *pattern) beginnings() (literal, escaped [][2]byte) {
	first, second := p.want[0], p.want[1]
	digits := hex.EncodeToString(p.want[:1])
	upper := strings.ToUpper(digits)
	high := []byte{digits[0], upper[0]}
	if p.hex {
		for _, high := range high {
			for _, low := range []byte{digits[1], upper[1]} {
				literal = append(literal, [2]byte{high, low})
			}
		}
		return unique(literal), nil
	}
	literal = append(literal, [2]byte{first, second})
	if !isAlphanumeric(second) {
		for _, c := range []byte(`\%&='"+$`) {
			literal = append(literal, [2]byte{first, c})
		}
	}
	for _, c := range high {
		escaped = append(escaped, [2]byte{'%', c}, [2]byte{'=', c})
	}
	escaped = append(escaped, [2]byte{'%', '2'}, [2]byte{'&', '#'}) // %25 is a percent sign
	for _, c := range []byte(`uUx\0123`) {
		escaped = append(escaped, [2]byte{'\\', c})
	}
	if first == ' ' {
		escaped = append(escaped, [2]byte{'+', second})
	}
	if !isAlphanumeric(first) {
		escaped = append(escaped, [2]byte{'\\', first}, [2]byte{first, first}, [2]byte{first, '\\'}, [2]byte{first, '"'})
		for c := byte('a'); c <= 'z'; c++ { // names of entities
			escaped = append(escaped, [2]byte{'&', c}, [2]byte{'&', c - 'a' + 'A'})
		}
	}
	return unique(literal), unique(escaped)
}

func unique(pairs [][2]byte) [][2]byte {
	slices.SortFunc(pairs, func(a, b [2]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(pairs)
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// skip returns how many bytes no pattern begins at.
func (x *patternIndex) skip(text []byte) int {
	if len(x.all) == 0 {
		return len(text)
	}
	for i := range len(text) - 1 {
		n := uint(text[i])<<8 | uint(text[i+1])
		if x.pairs[n/64]&(1<<(n%64)) != 0 {
			return i
		}
	}
	if last := len(text) - 1; last >= 0 && x.firsts[text[last]] {
		return last
	}
	return len(text)
}

// match returns the length of the longest pattern that a text begins with, 0 if
// with none, and whether it may be the beginning of one.
func (x *patternIndex) match(text []byte) (length int, more bool) {
	if len(text) == 1 {
		return 0, x.firsts[text[0]]
	}
	try := func(patterns []*pattern) {
		for _, p := range patterns {
			n, undecided := p.match(text)
			length, more = max(length, n), more || undecided
		}
	}
	try(x.literal[[2]byte{text[0], text[1]}])
	if len(x.escaped) > 0 {
		spellings, undecided := spellingsOf(text)
		more = more || undecided
		for _, s := range spellings {
			if s.of != "" {
				try(x.escaped[s.of[0]])
			}
		}
	}
	return length, more
}

// match returns the length of the longest text that stands for the pattern at the
// beginning of a text, 0 if none does, and whether the text may end within one.
func (p *pattern) match(text []byte) (length int, more bool) {
	if p.hex {
		return p.matchHex(text)
	}
	// Where a text can be read in more than one way, all ways are followed.
	var space [4]reading
	readings := append(space[:0], reading{})
	for k := 0; k < len(readings); k++ {
		here := readings[k]
		for here.want < len(p.want) {
			if here.at == len(text) {
				more = true
				break
			}
			if c := text[here.at]; c == p.want[here.want] && !mayEscape[c] {
				here.want, here.at = here.want+1, here.at+1
				continue
			}
			ways, undecided := p.step(here, text)
			more = more || undecided
			if len(ways) == 0 {
				break
			}
			here = ways[0]
			for _, way := range ways[1:] {
				if len(readings) < maxReadings && !slices.Contains(readings, way) {
					readings = append(readings, way)
				}
			}
		}
		if here.want == len(p.want) {
			length = max(length, here.at)
		}
	}
	return length, more
}

// reading is a way to read a text: up to at, it stands for the first bytes that are
// wanted.
type reading struct{ want, at int }

// maxReadings is how many ways are followed: more than there are for a secret that does
// not consist of quotes and the like.
const maxReadings = 32

// step returns how a text can be read on, and whether that is undecided because the
// text ends.
func (p *pattern) step(here reading, text []byte) (ways []reading, more bool) {
	c := text[here.at]
	if c == p.want[here.want] {
		ways = append(ways, reading{here.want + 1, here.at + 1})
	}
	if mayEscape[c] {
		var spellings []spelling
		spellings, more = spellingsOf(text[here.at:])
		for _, s := range spellings {
			next := reading{here.want + len(s.of), here.at + s.length}
			switch {
			case text[next.at-1] == '\n' && here.want < minWrapped, s.of == "" && here.want == 0:
				continue
			case s.of == "" || s.of == "\n" && p.wrapped:
				next.want = here.want
			case !bytes.HasPrefix(p.want[here.want:], []byte(s.of)):
				continue
			}
			ways = append(ways, next)
		}
	}
	if len(ways) == 0 && p.wrapped && here.want >= minWrapped && isBreak(c) {
		ways = append(ways, reading{here.want, here.at + 1})
	}
	return ways, more
}

func isBreak(c byte) bool { return c == '\n' || c == ' ' || c == '\t' }

// matchHex is match for hexadecimal digits, as xxd, od and hexdump write them.
func (p *pattern) matchHex(text []byte) (length int, more bool) {
	at := 0
	for i, c := range p.want {
		if i > 0 {
			for at < len(text) && (strings.IndexByte(" \t:-,\\", text[at]) >= 0 || text[at] == '\n' && i >= minWrapped) {
				at++
			}
			for _, prefix := range []string{"0x", "x"} {
				if bytes.HasPrefix(text[at:], []byte(prefix)) {
					at += len(prefix)
				}
			}
		}
		digits := hex.EncodeToString([]byte{c})
		for j := range 2 {
			if at == len(text) {
				return 0, true
			}
			if text[at]|0x20 != digits[j]|0x20 {
				return 0, false
			}
			at++
		}
	}
	return at, false
}

// spelling is a way to write characters: the first length bytes of a text stand
// for other ones, or for none.
type spelling struct {
	of     string
	length int
}

// mayEscape are the bytes that a spelling can begin with.
var mayEscape = func() (may [256]bool) {
	for _, c := range []byte(`\%&='"+$`) {
		may[c] = true
	}
	return may
}()

// fixedSpellings are those of shells (quotes within quotes), SQL, CSV and YAML
// (doubled quotes), Terraform, make and printf (doubled signs), forms (a plus sign)
// and of lines that go on.
var fixedSpellings = []struct{ text, of string }{
	{`'\''`, `'`}, {`'"'"'`, `'`}, {`''`, `'`}, {`""`, `"`}, {`$$`, `$`}, {`%%`, `%`}, {`\\`, `\`}, {`\\\\`, `\`},
	{"+", " "}, {"%2B", " "}, {"%2b", " "}, {"=\n", ""}, {"\\\n", ""},
}

// spellingsOf returns what the beginning of a text may stand for, other than for
// itself, and whether that is undecided because the text ends.
func spellingsOf(text []byte) (all []spelling, more bool) {
	if !mayEscape[text[0]] {
		return nil, false
	}
	for _, f := range fixedSpellings {
		if bytes.HasPrefix(text, []byte(f.text)) {
			all = append(all, spelling{f.of, len(f.text)})
		} else if len(text) < len(f.text) && strings.HasPrefix(f.text, string(text)) {
			more = true
		}
	}
	var found []spelling
	var undecided bool
	switch text[0] {
	case '%', '=':
		found, undecided = percent(text)
	case '&':
		found, undecided = entity(text)
	case '\\':
		found = make([]spelling, 1)
		found[0], undecided = backslash(text)
	}
	for _, s := range found {
		if s.of == "\x1b" {
			s.length += len(color.Find(text[s.length:]))
		}
		if s.length > 0 {
			all = append(all, visible(s))
		}
	}
	return all, more || undecided
}

// color is what follows an escaped escape character, as in a log in JSON.
var color = regexp.MustCompile(`^\[[0-?]*[ -/]*[@-~]`)

// visible is a spelling of nothing if the character is removed where it is not
// escaped.
func visible(s spelling) spelling {
	if r, size := utf8.DecodeRuneInString(s.of); size == len(s.of) && r != utf8.RuneError && text.Invisible(r) {
		s.of = ""
	}
	return s
}

// percent reads %2F, as in URLs, and =2F, as in mails.
func percent(text []byte) (all []spelling, more bool) {
	for at := 1; ; at += 2 {
		s, undecided := code(text, at, 2, 2, 16)
		all, more = append(all, s), more || undecided
		if text[0] != '%' || at > 7 || !bytes.HasPrefix(text[at:], []byte("25")) { // or encoded again
			return all, more
		}
	}
}

// entity reads &amp; &#38; and &#x26;, as in XML.
func entity(text []byte) (all []spelling, more bool) {
	const longest = 12
	for at := 1; ; at += len("amp;") {
		name := text[at:min(len(text), at+longest)]
		end := bytes.IndexByte(name, ';')
		if end < 0 {
			return all, len(name) < longest && bytes.IndexFunc(name, func(r rune) bool { return r != '#' && !isAlphanumeric(byte(r)) }) < 0
		}
		written := "&" + string(name[:end+1])
		if of := html.UnescapeString(written); of != written {
			all = append(all, spelling{of, at + end + 1})
		}
		if at > 9 || string(name[:end]) != "amp" { // or encoded again
			return all, false
		}
	}
}

// backslash reads escapes as in JSON, programs and shells: \" \n \u0026 \x26 \046.
// JSON in JSON has several backslashes.
func backslash(text []byte) (s spelling, more bool) {
	at := 1
	for at < len(text) && at < 8 && text[at] == '\\' {
		at++
	}
	if at == len(text) {
		return s, true
	}
	switch c := text[at]; c {
	case 'u':
		return unicodeEscape(text, at+1)
	case 'U':
		return rune8(text, at+1)
	case 'x':
		return code(text, at+1, 2, 2, 16)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return code(text, at, 1, 3, 8)
	default:
		if i := strings.IndexByte("ntrbfvae", c); i >= 0 {
			return spelling{string("\n\t\r\b\f\v\a\x1b"[i]), at + 1}, false
		}
		return spelling{string(text[at : at+1]), at + 1}, false
	}
}

// unicodeEscape reads what follows \u: 00e4, d83d\ude00 or {1f600}.
func unicodeEscape(text []byte, at int) (s spelling, more bool) {
	if at < len(text) && text[at] == '{' {
		end := bytes.IndexByte(text[at:], '}')
		if end < 0 {
			return s, len(text) < at+9
		}
		n, err := strconv.ParseUint(string(text[at+1:at+end]), 16, 21)
		if err != nil {
			return s, false
		}
		return spelling{string(rune(n)), at + end + 1}, false
	}
	n, end, more := number(text, at, 4, 4, 16)
	if end == 0 || !utf16.IsSurrogate(rune(n)) {
		return spelling{string(rune(n)), end}, more
	}
	for end < len(text) && text[end] == '\\' {
		end++
	}
	if end == len(text) {
		return s, true
	}
	if text[end] != 'u' {
		return s, false
	}
	low, end, more := number(text, end+1, 4, 4, 16)
	return spelling{string(utf16.DecodeRune(rune(n), rune(low))), end}, more
}

// rune8 reads what follows \U.
func rune8(text []byte, at int) (s spelling, more bool) {
	n, end, more := number(text, at, 8, 8, 16)
	return spelling{string(rune(n)), end}, more
}

// code reads the digits of a byte.
func code(text []byte, at, least, most, base int) (s spelling, more bool) {
	n, end, more := number(text, at, least, most, base)
	return spelling{string([]byte{byte(n)}), end}, more
}

// number reads digits, and returns where they end; 0 if there are too few.
func number(text []byte, at, least, most, base int) (n uint64, end int, more bool) {
	end = at
	for end < len(text) && end < at+most {
		digit, err := strconv.ParseUint(string(text[end]), base, 8)
		if err != nil {
			break
		}
		n, end = n*uint64(base)+digit, end+1
	}
	more = end == len(text) && end < at+most
	if end < at+least {
		return 0, 0, more
	}
	return n, end, more
}
