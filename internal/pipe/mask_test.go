package pipe_test

import (
	"encoding/base64"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestMask(t *testing.T) {
	m := pipe.NewMask([]string{
		"NEXUS_PASSWORD=p4ss w0rd&", "GITHUB_TOKEN=ghp_1234", "API_KEY=abc", "AWS_SECRET_ACCESS_KEY=wJalrXUtn", "HOME=/home/ada", "LISTED=by-name", "KEYBOARD=qwerty",
		"SSH_PRIVATE_KEY=-----BEGIN-----\nMIIEpAIB\n-----END-----",
		"PGPASSWORD=pg-word", "SECRET_KEY=keyed", "PWD=/srv/here", "DATABASE_URL=postgres://ada:url-word@db/shop", "GCP_CREDENTIALS={\"key\": [\"json-word\", 12345], \"n\": null}",
	}, []string{"LISTED"})
	m.Add("ghp_1234_longer")
	for text, want := range map[string]string{
		"password p4ss w0rd& here":      "password *** here",
		"?q=p4ss+w0rd%26":               "?q=***",
		`{"p":"p4ss w0rd\u0026"}`:       `{"p":"***"}`,
		"ghp_1234":                      "***",
		"ghp_1234_longer":               "***",
		"ghp_1234ghp_1234":              "******",
		"abc is too short to be masked": "abc is too short to be masked",
		"/home/ada and qwerty":          "/home/ada and qwerty",
		"by-name":                       "***",
		"line MIIEpAIB of a key":        "line *** of a key",
		base64.StdEncoding.EncodeToString([]byte("wJalrXUtn")): "***",
		"pg-word, keyed, url-word, json-word":                  "***, ***, ***, ***",
		"in /srv/here, by ada, of 12345":                       "in /srv/here, by ada, of 12345",
		"":                                                     "",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// A secret may look like a key of what is stored, or like a number in it.
func TestMask_JSON(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	for _, secret := range []string{"name", "1000", `say "hi"`} {
		m.Add(secret)
	}
	text := `{"name": "the name", "at":{"line":1000},"args":{"a":["x\\","1000","say \"hi\": now","\u006eame"]}}`
	want := `{"name": "the ***", "at":{"line":1000},"args":{"a":["x\\","***","***: now","***"]}}`
	if got := string(m.JSON([]byte(text))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Whatever the pieces in which a text comes, the same is masked.
func TestMask_Writer(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	for _, secret := range []string{"aaab", "aabaab", "secret-1", "cret-1x", "secret-1-and-more"} {
		m.Add(secret)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var text strings.Builder
		for range 30 {
			text.WriteString([]string{"a", "b", "aa", "aaab", "secret-1", "secret-", "x", "cret-1x", "-and-more", "\n"}[random.IntN(10)])
		}
		var got strings.Builder
		w := m.Writer(&got)
		for rest := text.String(); rest != ""; {
			n := 1 + random.IntN(min(len(rest), 9))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := m.Text(text.String()); got.String() != want {
			t.Fatalf("%q: got %q, want %q", text.String(), got.String(), want)
		}
	}
}
