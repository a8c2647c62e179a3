package pipe_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"mime/quotedprintable"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// secret has what encodings care about.
const secret = `h0rse/bättery+"st'ap<le>&c$x%25\ 😀=end`

// each encodes a text character by character.
func each(s string, encode func(r rune) string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(encode(r))
	}
	return b.String()
}

// bytesAs encodes a text byte by byte.
func bytesAs(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func special(r rune) bool {
	return strings.ContainsRune(`/+"'<>&$%\ =`, r)
}

// wrap breaks a text into lines.
func wrap(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	return b.String() + s
}

// asciiJSON is what Python's json.dumps makes of a text.
func asciiJSON(s, format string) string {
	return each(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s), func(r rune) string {
		switch {
		case r < 0x80:
			return string(r)
		case r < 0x10000:
			return fmt.Sprintf(format, r)
		}
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(format, high) + fmt.Sprintf(format, low)
	})
}

// Whatever encodes a secret: it is masked, in one piece and in single bytes.
func TestMask_Encodings(t *testing.T) {
	long := secret + strings.Repeat("-long", 30)
	std, urlSafe, raw := base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding
	goJSON, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	var xmlText, printable bytes.Buffer
	if err := xml.EscapeText(&xmlText, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	w := quotedprintable.NewWriter(&printable)
	if _, err := io.WriteString(w, secret); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entities := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;", "ä", "&auml;")
	jsonText := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	slashes := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "/", `\/`)
	rfc3986 := each(secret, func(r rune) string {
		if r < 0x80 && !special(r) {
			return string(r)
		}
		return bytesAs(string(r), "%%%02X")
	})
	long64 := std.EncodeToString([]byte(long))
	for name, encoded := range map[string]string{
		"Plain":                    secret,
		"Base64":                   std.EncodeToString([]byte(secret)),
		"Base64OfEcho":             std.EncodeToString([]byte(secret + "\n")),
		"Base64Unpadded":           raw.EncodeToString([]byte(secret)),
		"Base64UnpaddedOfEcho":     raw.EncodeToString([]byte(secret + "\n")),
		"Base64URL":                urlSafe.EncodeToString([]byte(secret)),
		"Base64URLUnpadded":        base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"Base64At1":                std.EncodeToString([]byte("a" + secret + "z")),
		"Base64At2":                std.EncodeToString([]byte("ab" + secret + "yz")),
		"Base64At0":                std.EncodeToString([]byte("abc" + secret + "xyz")),
		"Base64URLAt1":             urlSafe.EncodeToString([]byte("user" + secret)),
		"Base64URLAt2":             urlSafe.EncodeToString([]byte("user:" + secret)),
		"Base64Wrapped76":          wrap(long64, 76),
		"Base64Wrapped64":          wrap(long64, 64),
		"Base64WrappedInYAML":      strings.ReplaceAll(wrap(long64, 76), "\n", "\n    "),
		"Base64WrappedInJSON":      strings.ReplaceAll(wrap(long64, 76), "\n", `\n`),
		"Base64WrappedCRLF":        strings.ReplaceAll(wrap(long64, 76), "\n", "\r\n"),
		"Base64InURL":              url.QueryEscape(std.EncodeToString([]byte(secret))),
		"Base64InPHPJSON":          strings.ReplaceAll(std.EncodeToString([]byte(secret)), "/", `\/`),
		"Hex":                      hex.EncodeToString([]byte(secret)),
		"HexUpper":                 bytesAs(secret, "%02X"),
		"HexOfXXDWrapped":          wrap(hex.EncodeToString([]byte(long)), 60),
		"HexOfOD":                  bytesAs(secret, " %02x"),
		"HexWithColons":            strings.TrimSuffix(bytesAs(secret, "%02x:"), ":"),
		"HexOfArray":               strings.TrimSuffix(bytesAs(secret, "0x%02x, "), ", "),
		"HexEscapes":               bytesAs(secret, `\x%02x`),
		"OctalEscapes":             bytesAs(secret, `\%03o`),
		"QueryEscape":              url.QueryEscape(secret),
		"PathEscape":               url.PathEscape(secret),
		"RFC3986":                  rfc3986,
		"RFC3986Lower":             strings.NewReplacer("%C3%A4", "%c3%a4", "%2F", "%2f", "%2B", "%2b", "%3D", "%3d", "%F0%9F", "%f0%9f").Replace(rfc3986),
		"PercentAll":               bytesAs(secret, "%%%02x"),
		"PercentTwice":             url.QueryEscape(url.QueryEscape(secret)),
		"FormWithPercentSpace":     strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		"JSONOfGo":                 string(goJSON[1 : len(goJSON)-1]),
		"JSONOfPython":             asciiJSON(secret, `\u%04x`),
		"JSONUpperCase":            asciiJSON(secret, `\u%04X`),
		"JSONOfPHP":                slashes.Replace(secret),
		"JSONOfJavaScript":         jsonText.Replace(secret),
		"JSONInJSON":               jsonText.Replace(jsonText.Replace(secret)),
		"JSONInJSONInJSON":         jsonText.Replace(jsonText.Replace(jsonText.Replace(secret))),
		"JSONAllEscaped":           each(secret[:20], func(r rune) string { return fmt.Sprintf(`\u%04x`, r) }) + jsonText.Replace(secret[20:]),
		"ES6":                      each(secret, func(r rune) string { return fmt.Sprintf(`\u{%x}`, r) }),
		"PythonUnicode":            each(secret, func(r rune) string { return fmt.Sprintf(`\U%08x`, r) }),
		"XML":                      xmlText.String(),
		"HTML":                     html.EscapeString(secret),
		"HTMLNamed":                entities.Replace(secret),
		"HTMLTwice":                html.EscapeString(html.EscapeString(secret)),
		"XMLDecimal":               each(secret, func(r rune) string { return fmt.Sprintf("&#%d;", r) }),
		"XMLHexadecimal":           each(secret, func(r rune) string { return fmt.Sprintf("&#x%X;", r) }),
		"ShellQuoted":              strings.ReplaceAll(secret, "'", `'\''`),
		"ShellQuotedByPython":      strings.ReplaceAll(secret, "'", `'"'"'`),
		"ShellDoubleQuoted":        strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(secret),
		"ShellBackslashes":         each(secret, func(r rune) string { return map[bool]string{true: `\`}[special(r)] + string(r) }),
		"SQL":                      strings.ReplaceAll(secret, "'", "''"),
		"CSV":                      strings.ReplaceAll(secret, `"`, `""`),
		"Terraform":                strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`).Replace(secret),
		"Printf":                   strings.ReplaceAll(secret, "%", "%%"),
		"QuotedPrintable":          printable.String(),
		"GoQuoted":                 strconv.Quote(secret)[1:],
		"InvisibleEscapesInJSON":   strings.ReplaceAll(jsonText.Replace(secret), "bätt", `b\u200bätt\u0000`),
		"ColorsInJSON":             strings.ReplaceAll(jsonText.Replace(secret), "bätt", `b\u001b[01;31mätt\x1b[K\033[m`),
		"ColorsInXML":              strings.ReplaceAll(html.EscapeString(secret), "bätt", `b&#27;[1mätt&#x1b;[K`),
		"Colors":                   strings.ReplaceAll(secret, "bätt", "\x1b[01;31m\x1b[Kbätt\x1b[m\x1b[K"),
		"EraseLine":                strings.ReplaceAll(secret, "bätt", "bä\x1b[Ktt"),
		"NUL":                      strings.ReplaceAll(secret, "bätt", "b\x00ätt"),
		"NULInAnEscape":            strings.ReplaceAll(secret, "bätt", "b\x1b\x00[3\x001mätt"),
		"CarriageReturn":           strings.ReplaceAll(secret, "bätt", "bä\rtt"),
		"Backspace":                strings.ReplaceAll(secret, "bätt", "bä\btt"),
		"Overstrike":               strings.ReplaceAll(secret, "bätt", "b\bbä\bätx\bt"),
		"Title":                    strings.ReplaceAll(secret, "bätt", "b\x1b]0;title\aätt"),
		"Link":                     strings.ReplaceAll(secret, "bätt", "b\x1b]8;;https://example.com\x1b\\ätt"),
		"ZeroWidth":                strings.ReplaceAll(secret, "bätt", "b\u200bä\u200d\ufefft\u2060t"),
		"SoftHyphen":               strings.ReplaceAll(secret, "bätt", "bä\u00adtt"),
		"Bidi":                     strings.ReplaceAll(secret, "bätt", "b\u202eä\u2066t\u200ft"),
		"OtherInvisible":           strings.ReplaceAll(secret, "bätt", "b\u034fä\u115ft\ufe0f\U000e0041t\u2028"),
		"C1":                       strings.ReplaceAll(secret, "bätt", "bä\u0085tt"),
		"FormFeedAndVerticalTab":   strings.ReplaceAll(secret, "bätt", "b\fä\vtt"),
		"DEL":                      strings.ReplaceAll(secret, "bätt", "bä\x7ftt"),
		"ColorsWithinAnEscape":     strings.ReplaceAll(url.QueryEscape(secret), "%2F", "%\x1b[1m2F"),
		"ColorsWithinBase64":       std.EncodeToString([]byte(secret))[:7] + "\x1b[31m" + std.EncodeToString([]byte(secret))[7:],
		"SurrogatesInSeveralCases": strings.ReplaceAll(jsonText.Replace(secret), "😀", `\uD83d\udE00`),
	} {
		t.Run(name, func(t *testing.T) {
			m := pipe.NewMask(nil, nil)
			m.Add("x", secret)
			m.Add("y", long)
			for _, around := range [][2]string{{"", ""}, {"before: [", "] after"}, {"x", "\n"}} {
				whole := around[0] + encoded + around[1]
				got := m.Text(whole)
				left := strings.TrimSuffix(strings.TrimPrefix(got, text.Clean(around[0])), text.Clean(around[1]))
				if !strings.Contains(got, pipe.Masked) || len(left) > len(pipe.Masked)+12 {
					t.Errorf("%q: got %q", whole, got)
				}
				var pieces strings.Builder
				w := m.Writer(&pieces)
				for i := range len(whole) {
					if _, err := io.WriteString(w, whole[i:i+1]); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if pieces.String() != got {
					t.Errorf("%q: got %q in pieces and %q as a whole", whole, pieces.String(), got)
				}
			}
		})
	}
}

// The lines of a key are masked, in whatever the key came.
func TestMask_KeysInSecrets(t *testing.T) {
	lines := []string{
		"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
		"Q3WvN2ib1w==",
	}
	pem := "-----BEGIN PRIVATE KEY-----\n" + strings.Join(lines, "\n") + "\n-----END PRIVATE KEY-----\n"
	encode := func(v any) string {
		document, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(document)
	}
	credentials := encode(map[string]any{"type": "service_account", "project_id": "acme", "private_key": pem})
	for name, value := range map[string]string{
		"PEM":               pem,
		"PEMWithBackslashN": strings.ReplaceAll(pem, "\n", `\n`),
		"PEMInBase64":       base64.StdEncoding.EncodeToString([]byte(pem)),
		"JSON":              credentials,
		"JSONWithCRLF":      strings.ReplaceAll(credentials, `\n`, `\r\n`),
		"JSONWithLines":     strings.ReplaceAll(credentials, `\n`, "\n"),
		"JSONInJSON":        encode(map[string]any{"gcp": credentials}),
		"JSONInLists":       encode([]any{1, []string{credentials}}),
		"JSONInBase64":      base64.StdEncoding.EncodeToString([]byte(credentials)),
		"Base64InJSON":      encode(map[string]any{"data": base64.RawURLEncoding.EncodeToString([]byte(credentials))}),
		"Base64Wrapped":     wrap(base64.StdEncoding.EncodeToString([]byte(credentials)), 76),
		"NotQuiteJSON":      credentials + ";",
	} {
		t.Run(name, func(t *testing.T) {
			m := pipe.NewMask([]string{"GOOGLE_CREDENTIALS=" + value}, nil)
			for _, line := range lines {
				for _, shown := range []string{line, "    " + line + "\n", "key: " + line + " # a line"} {
					if got, want := m.Text(shown), strings.ReplaceAll(shown, line, pipe.Masked); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
			}
			if got := m.Text(pem); strings.Contains(got, "MIIE") || strings.Contains(got, "Q3Wv") {
				t.Errorf("got %q", got)
			}
			if got := m.Text("the service_account of acme"); got != "the service_account of acme" {
				t.Errorf("got %q", got)
			}
		})
	}
}
