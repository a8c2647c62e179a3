package pipe

import (
	"fmt"
	"strings"
)

// Diagnostic is a problem of a pipe, and its position.
type Diagnostic struct {
	At Position `json:"at"`
	// Problem says what is wrong, what was expected, and how to fix it.
	Problem string `json:"problem"`
}

func (d *Diagnostic) Error() string { return d.At.String() + ": " + d.Problem }

// Diagnostics are all problems of a pipe. It is an error if there are any.
type Diagnostics []*Diagnostic

func (d Diagnostics) Error() string {
	lines := make([]string, len(d))
	for i, diagnostic := range d {
		lines[i] = diagnostic.Error()
	}
	return strings.Join(lines, "\n")
}

// Add adds a diagnostic.
func (d *Diagnostics) Add(at Position, format string, args ...any) {
	*d = append(*d, &Diagnostic{At: at, Problem: fmt.Sprintf(format, args...)})
}

// Err returns the diagnostics as an error, nil if there are none.
func (d Diagnostics) Err() error {
	if len(d) == 0 {
		return nil
	}
	return d
}
