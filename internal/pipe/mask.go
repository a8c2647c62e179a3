package pipe

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Masked stands where a secret was.
const Masked = "***"

// minSecret is the shortest text that is masked: shorter ones occur by chance,
// and masking them would make everything else unreadable.
const minSecret = 4

// Mask replaces secrets in whatever is shown or stored. It is safe for
// concurrent use, and secrets may be added while it is in use.
type Mask struct {
	mu sync.RWMutex
	// secrets are by their first byte, the longest first, so that one that
	// begins with another is masked as a whole.
	secrets [256][][]byte
	any     bool
}

// secretName is what the names of environment variables that hold secrets
// look like.
var secretName = regexp.MustCompile(`(?i)(PASSWORD|PASSWD|PASSPHRASE|(^|_)(PWD|TOKEN|SECRETS?|CREDENTIALS?|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|SECRET_?KEY|WEBHOOK(_URL)?|AUTH))$`)

// notSecret are names that only look like it: the present and the last folder.
var notSecret = []string{"PWD", "OLDPWD"}

// NewMask returns a mask of the variables of an environment that are secret by
// their name, as in NEXUS_PASSWORD, or that are listed, and of the passwords in
// those that are URLs.
func NewMask(environ, listed []string) *Mask {
	m := &Mask{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if secretName.MatchString(name) && !slices.Contains(notSecret, name) || slices.Contains(listed, name) {
			m.Add(value)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			m.Add(password)
		}
	}
	return m
}

// Add has a secret masked from now on, also where it is encoded in the usual
// ways. Of one with several lines, each line is a secret; of one that is a list
// or an object in JSON, each text in it.
func (m *Mask) Add(secret string) {
	parts := append(strings.Split(secret, "\n"), secret)
	var data any
	if json.Unmarshal([]byte(secret), &data) == nil {
		parts = texts(parts, data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, part := range parts {
		part = strings.Trim(part, "\r\n")
		if len(strings.TrimSpace(part)) < minSecret {
			continue
		}
		for _, form := range forms(part) {
			m.add([]byte(form))
		}
	}
}

// texts adds the texts in a list or an object.
func texts(to []string, data any) []string {
	switch data := data.(type) {
	case string:
		return append(to, data)
	case []any:
		for _, e := range data {
			to = texts(to, e)
		}
	case map[string]any:
		for _, e := range data {
			to = texts(to, e)
		}
	}
	return to
}

// forms are the ways in which a secret is usually written.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))}
	if quoted, err := json.Marshal(secret); err == nil {
		all = append(all, string(quoted[1:len(quoted)-1]))
	}
	return all
}

func (m *Mask) add(form []byte) {
	same := &m.secrets[form[0]]
	if slices.ContainsFunc(*same, func(s []byte) bool { return bytes.Equal(s, form) }) {
		return
	}
	*same = append(*same, form)
	slices.SortStableFunc(*same, func(a, b []byte) int { return len(b) - len(a) })
	m.any = true
}

// Text returns s with all secrets masked.
func (m *Mask) Text(s string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.any {
		return s
	}
	masked, _ := m.mask([]byte(s), true)
	return string(masked)
}

// jsonText is a string in JSON; with the colon behind it, it is a key.
var jsonText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"\s*:?`)

// JSON returns valid JSON with all secrets in its strings masked, but for keys.
// Numbers stay what they are, so that what reads it goes on to understand it.
func (m *Mask) JSON(text []byte) []byte {
	if m.Text(string(text)) == string(text) {
		return text
	}
	return jsonText.ReplaceAllFunc(text, func(literal []byte) []byte {
		var s string
		if json.Unmarshal(literal, &s) != nil { // a key
			return literal
		}
		masked := m.Text(s)
		if masked == s {
			return literal
		}
		encoded, err := json.Marshal(masked)
		if err != nil {
			return []byte(`"` + Masked + `"`) // cannot be: it is a string
		}
		return encoded
	})
}

// Texts returns a copy of a map with all secrets in its values masked.
func (m *Mask) Texts(texts map[string]string) map[string]string {
	if texts == nil {
		return nil
	}
	masked := make(map[string]string, len(texts))
	for name, text := range texts {
		masked[name] = m.Text(text)
	}
	return masked
}

// mask masks the secrets in text. Unless it is the end, what may be the
// beginning of a secret is returned as rest.
func (m *Mask) mask(text []byte, end bool) (masked, rest []byte) {
	from := 0
	for i := 0; i < len(text); {
		length, more := m.at(text[i:])
		switch {
		case more && !end:
			return append(masked, text[from:i]...), text[i:]
		case length > 0:
			masked = append(append(masked, text[from:i]...), Masked...)
			i += length
			from = i
		default:
			i++
		}
	}
	return append(masked, text[from:]...), nil
}

// at returns the length of the secret that a text begins with, 0 if with none,
// and whether it may be the beginning of a longer one.
func (m *Mask) at(text []byte) (length int, more bool) {
	for _, secret := range m.secrets[text[0]] {
		switch {
		case bytes.HasPrefix(text, secret):
			return len(secret), more
		case bytes.HasPrefix(secret, text):
			more = true
		}
	}
	return 0, more
}

// Writer returns a writer that masks what passes to w, also where a secret
// comes in pieces. Close writes what was held back; it does not close w. The
// writer is safe for concurrent use.
func (m *Mask) Writer(w io.Writer) io.WriteCloser { return &maskWriter{mask: m, to: w} }

type maskWriter struct {
	mask *Mask
	mu   sync.Mutex
	held []byte
	to   io.Writer
}

func (w *maskWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.pass(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *maskWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(nil, true)
}

func (w *maskWriter) pass(p []byte, end bool) error {
	w.mask.mu.RLock()
	if !w.mask.any && len(w.held) == 0 {
		w.mask.mu.RUnlock()
		_, err := w.to.Write(p)
		return err
	}
	masked, rest := w.mask.mask(append(w.held, p...), end)
	w.mask.mu.RUnlock()
	w.held = bytes.Clone(rest)
	if len(masked) == 0 {
		return nil
	}
	_, err := w.to.Write(masked)
	return err
}
