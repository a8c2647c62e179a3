package pipe

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Masked stands where a secret was.
const Masked = "***"

// Mask is the door through which every text leaves: it cleans the text, and then
// replaces the secrets in it, so that no escape sequence or invisible character
// hides one. Shorten a text only after it has passed. It is safe for
// concurrent use, and secrets may be added while it is in use.
type Mask struct {
	mu sync.RWMutex
	// public are texts that are not secret, in lower case.
	public map[string]bool
	known  map[string]bool
	index  patternIndex
	// warnings say which secrets cannot be masked.
	warnings []string
}

// NewMask returns a mask of the variables of an environment that are secret by
// their name, or that are listed, and of the credentials in those that are URLs.
// The public texts are not secret.
func NewMask(environ, listed []string, public ...string) *Mask {
	m := &Mask{public: map[string]bool{}}
	for _, text := range public {
		m.public[strings.ToLower(text)] = true
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains(listed, name) {
			m.Add(name, value)
		}
		m.AddValue(name, value)
	}
	return m
}

// AddValue has a value masked from now on if it is secret by its name, with the
// credentials in it if it is the header Authorization, and otherwise the
// credentials in it if it is a URL.
func (m *Mask) AddValue(name, value string) {
	if SecretName(name) {
		m.Add(name, value)
		if header := authorization.FindStringSubmatch(value); header != nil {
			m.Add(name, header[1])
		}
	}
	for _, credential := range credentials(value) {
		m.Add(name, credential)
	}
}

// Add has a secret masked from now on, also where it is encoded in the usual
// ways. So are the texts in it, see textsIn, and of each text with several lines
// each line. The name is for Warnings.
func (m *Mask) Add(name, secret string) {
	secret = strings.Trim(secret, "\r\n")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[secret] {
		return
	}
	if m.known == nil {
		m.known = map[string]bool{}
	}
	m.known[secret] = true
	if why := m.weakness(secret); why != "" {
		if !isSetting(secret) {
			m.warnings = append(m.warnings, "the secret "+name+" is not masked, since it is "+why)
		}
		return
	}
	for _, whole := range textsIn(secret) {
		if whole = strings.Trim(whole, "\r\n"); m.weakness(whole) != "" {
			continue
		}
		m.index.add(encodings(whole)...)
		for line := range strings.Lines(whole) {
			if line = strings.Trim(line, "\r\n"); m.weakness(line) == "" {
				m.index.add(plainly(line)...)
			}
		}
	}
}

// Warnings returns, once, which secrets cannot be masked, and why.
func (m *Mask) Warnings() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	warnings := m.warnings
	m.warnings = nil
	return warnings
}

// Text returns s, cleaned and with all secrets masked.
func (m *Mask) Text(s string) string {
	var masked bytes.Buffer
	w := &maskWriter{mask: m, to: &masked}
	_ = w.pass([]byte(s), true) // a buffer takes everything
	return masked.String()
}

// Holds reports whether there is a secret in a text.
func (m *Mask) Holds(s string) bool { return m.Text(s) != text.Clean(s) }

// JSON returns a document in JSON with all secrets in its strings masked, and
// with a string for a number that is a secret, so that what reads it goes on to
// understand it: keys that are plain words stay. A text that is not an object or a
// list is masked as a text.
func (m *Mask) JSON(document string) string {
	trimmed := strings.TrimSpace(document)
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' || !json.Valid([]byte(document)) {
		return m.Text(document)
	}
	var masked strings.Builder
	for rest := document; rest != ""; {
		n := literalLength(rest)
		if n == 0 {
			masked.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		literal := rest[:n]
		if rest = rest[n:]; !plainKey.MatchString(literal) || !strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), ":") {
			literal = m.literal(literal)
		}
		masked.WriteString(literal)
	}
	return masked.String()
}

var plainKey = regexp.MustCompile(`^"[a-z_]{1,16}"$`)

// literalLength is the length of the string or number that JSON begins with.
func literalLength(s string) int {
	if s[0] != '"' {
		n := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) })
		if n < 0 || strings.Trim(s[:n], "eE") == "" { // of true and false
			return 0
		}
		return n
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// literal masks a string or number in JSON.
func (m *Mask) literal(literal string) string {
	s := literal
	if isNumber := s[0] != '"'; isNumber && m.Text(s) != Masked || !isNumber && json.Unmarshal([]byte(literal), &s) != nil || !m.Holds(s) {
		return literal
	}
	encoded, err := json.Marshal(m.Text(s))
	if err != nil {
		return `"` + Masked + `"` // unreachable: it is a string
	}
	return string(encoded)
}

// mask masks the secrets in text. Unless it is the end, what may be the
// beginning of a secret is returned as rest.
func (m *Mask) mask(text []byte, end bool) (masked, rest []byte) {
	from := 0
	for i := 0; i < len(text); {
		if i += m.index.skip(text[i:]); i == len(text) {
			break
		}
		stop, more := i, false
		for at := i; at == i || at < stop; at++ { // secrets may overlap
			length, undecided := m.index.match(text[at:])
			if length > 0 {
				stop = max(stop, at+length)
			}
			more = more || undecided
		}
		switch {
		case more && !end:
			return append(masked, text[from:i]...), text[i:]
		case stop > i:
			masked = append(append(masked, text[from:i]...), Masked...)
			i, from = stop, stop
		default:
			i++
		}
	}
	if from == 0 {
		return text, nil
	}
	return append(masked, text[from:]...), nil
}

// Writer returns a writer that passes on to w what it gets as Text would, also
// where a secret comes in pieces. It passes on whole lines; Close passes on what
// was held back, and does not close w. The writer is safe for concurrent use.
func (m *Mask) Writer(w io.Writer) io.WriteCloser { return &maskWriter{mask: m, to: w} }

type maskWriter struct {
	mask *Mask
	to   io.Writer

	mu    sync.Mutex
	clean text.Cleaner
	// line is the line so far, cleaned, and held what may be the beginning of a
	// secret.
	line, held []byte
}

// maxHeldLine is how much of a line is held back. A carriage return in the rest of
// a longer one replaces the rest only.
const maxHeldLine = 64 << 10

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
	all := w.clean.Append(w.line, p, end)
	stop := bytes.LastIndexByte(all, '\n') + 1
	switch {
	case end:
		stop = len(all)
	case len(all)-stop > maxHeldLine:
		stop = len(bytes.TrimRight(all, "\r"))
	}
	lines := all[:stop]
	w.line = bytes.Clone(all[stop:])
	if len(lines) == 0 && !end {
		return nil
	}
	w.mask.mu.RLock()
	if bytes.ContainsAny(lines, "\r\b") {
		lines = w.mask.overwrite(lines)
	}
	if len(w.held) > 0 {
		lines = append(w.held, lines...)
	}
	masked, rest := w.mask.mask(lines, end)
	w.mask.mu.RUnlock()
	w.held = bytes.Clone(rest)
	if len(masked) == 0 {
		return nil
	}
	_, err := w.to.Write(masked)
	return err
}

// overwrite applies the carriage returns and backspaces in lines, except where
// one of them hides a secret.
func (m *Mask) overwrite(lines []byte) []byte {
	var all []byte
	for line := range bytes.Lines(lines) {
		line, ended := bytes.CutSuffix(line, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if bytes.ContainsAny(line, "\r\b") {
			whole := bytes.Map(func(r rune) rune {
				if r == '\r' || r == '\b' {
					return -1
				}
				return r
			}, line)
			if masked, _ := m.mask(whole, true); !bytes.Equal(masked, whole) {
				line = whole
			} else {
				line = []byte(text.Overwrite(string(line)))
			}
		}
		if all = append(all, line...); ended {
			all = append(all, '\n')
		}
	}
	return all
}
