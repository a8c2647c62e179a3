package text_test

import (
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"plain\ttext\n":                                       "plain\ttext\n",
		"\x1b[31mred\x1b[0m":                                  "red",
		"\x1b[38:2::1:2:3mred\x1b[m":                          "red",
		"\x1b]0;title\x07after":                               "after",
		"\x1b(B\x1b[mafter tput sgr0":                         "after tput sgr0",
		"\x1b7saved\x1b8 \x1b=\x1b>":                          "saved ",
		"\x1bP1;2q#image\x1b\\after":                          "after",
		"\x1b_command\x1b\\after":                             "after",
		"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\": "link",
		"\x1b]0;never ended\nnext line":                       "]0;never ended\nnext line",
		"10%\r50%\r100%\r\n":                                  "100%\n",
		"bell\x07 null\x00":                                   "bell null",
		"caf\xc3\xa9 \xff":                                    "café \uFFFD",
		"\u009b31m C1 is control too":                         "31m C1 is control too",
	} {
		if got := text.Clean(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestList(t *testing.T) {
	all := []string{"a", "b", "c"}
	for _, tt := range []struct{ got, want string }{
		{text.List(nil), "none"},
		{text.List(all), "a, b, c"},
		{text.ListSome(nil, 2), "none"},
		{text.ListSome(all, 3), "a, b, c"},
		{text.ListSome(all, 1), "a and 2 more"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{text.Clip("short", 5), "short"},
		{text.Clip("caf\u00e9s", 4), "caf…"},
		{text.Line(" two\n\tlines\x1b[0m "), "two lines"},
		{text.NoControl("tab\tand \x1b[31m"), "tab and  [31m"},
		{text.Count(1, "file"), "1 file"},
		{text.Count(0, "file"), "0 files"},
		{text.Revision("0123456789abcdef"), "0123456789ab"},
		{text.Revision("v1"), "v1"},
		{text.Duration(400 * time.Millisecond), "0.4s"},
		{text.Duration(42 * time.Second), "42s"},
		{text.Duration(200*time.Second + 4*time.Millisecond), "3m20s"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestHide(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		secrets    []string
	}{
		{"a sesame2 and sesame", "a (hidden) and (hidden)", []string{"sesame", "sesame2"}},
		{"status 200", "status 200", []string{"us", "200", ""}},
		{"nothing", "nothing", nil},
	} {
		if got := text.Hide(tt.text, tt.secrets); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
