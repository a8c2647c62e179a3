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
	// secrets are sorted, the longest first, so that one that holds another is
	// masked as a whole.
	secrets [][]byte
	longest int
}

// secretName is what the names of environment variables that hold secrets
// look like.
var secretName = regexp.MustCompile(`(?i)(^|_)(TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|PRIVATE_?KEY|ACCESS_KEY|SESSION_TOKEN|WEBHOOK(_URL)?|AUTH)$`)

// NewMask returns a mask of the variables of an environment that are secret by
// their name, as in NEXUS_PASSWORD, or that are listed.
func NewMask(environ, listed []string) *Mask {
	m := &Mask{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if secretName.MatchString(name) || slices.Contains(listed, name) {
			m.Add(value)
		}
	}
	return m
}

// Add has a secret masked from now on, also where it is encoded in the usual
// ways. Of one with several lines, each line is a secret.
func (m *Mask) Add(secret string) {
	var forms []string
	for _, line := range append([]string{secret}, strings.Split(secret, "\n")...) {
		line = strings.Trim(line, "\r\n")
		if len(strings.TrimSpace(line)) < minSecret {
			continue
		}
		forms = append(forms, line, url.QueryEscape(line), url.PathEscape(line), base64.StdEncoding.EncodeToString([]byte(line)))
		if quoted, err := json.Marshal(line); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, form := range forms {
		if !slices.ContainsFunc(m.secrets, func(s []byte) bool { return string(s) == form }) {
			m.secrets = append(m.secrets, []byte(form))
		}
	}
	slices.SortStableFunc(m.secrets, func(a, b []byte) int { return len(b) - len(a) })
	if len(m.secrets) > 0 {
		m.longest = len(m.secrets[0])
	}
}

// Text returns s with all secrets masked.
func (m *Mask) Text(s string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.secrets) == 0 {
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
	for {
		at, length := -1, 0
		for _, secret := range m.secrets {
			within := text
			if at >= 0 {
				within = text[:min(len(text), at+len(secret))]
			}
			if i := bytes.Index(within, secret); i >= 0 && (at < 0 || i < at) {
				at, length = i, len(secret)
			}
		}
		if at < 0 {
			break
		}
		masked = append(append(masked, text[:at]...), Masked...)
		text = text[at+length:]
	}
	hold := 0
	if !end {
		hold = m.beginning(text)
	}
	return append(masked, text[:len(text)-hold]...), text[len(text)-hold:]
}

// beginning returns how many bytes at the end of text may be the beginning of
// a secret.
func (m *Mask) beginning(text []byte) int {
	for n := min(len(text), m.longest-1); n > 0; n-- {
		tail := text[len(text)-n:]
		for _, secret := range m.secrets {
			if len(secret) <= n {
				break // the others are shorter still
			}
			if bytes.HasPrefix(secret, tail) {
				return n
			}
		}
	}
	return 0
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
	if len(w.mask.secrets) == 0 && len(w.held) == 0 {
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
