package pipe

import (
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// Diagnostic is a problem in the file of a pipe, with its position.
type Diagnostic struct {
	At Position `json:"at"`
	// Problem says what is wrong, what is expected, and how to fix it.
	Problem string `json:"problem"`
	// Advice is a hint for front ends; empty if there is none.
	Advice Hint `json:"hint,omitempty"`
}

func (d *Diagnostic) Error() string { return d.At.String() + ": " + d.Problem }

// ExitCode returns the exit code of the command line for this error.
func (d *Diagnostic) ExitCode() int { return exitcode.Usage }

// Hint implements Hinted.
func (d *Diagnostic) Hint() Hint { return d.Advice }

// Diagnostics are the problems of a pipe. Use Err to return them as an error.
type Diagnostics []*Diagnostic

func (d Diagnostics) Error() string {
	lines := make([]string, len(d))
	for i, diagnostic := range d {
		lines[i] = diagnostic.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each diagnostic.
func (d Diagnostics) Unwrap() []error {
	all := make([]error, len(d))
	for i, diagnostic := range d {
		all[i] = diagnostic
	}
	return all
}

// Add adds a diagnostic.
func (d *Diagnostics) Add(at Position, format string, args ...any) {
	d.AddHinted("", at, format, args...)
}

// AddHinted adds a diagnostic with a hint.
func (d *Diagnostics) AddHinted(hint Hint, at Position, format string, args ...any) {
	*d = append(*d, &Diagnostic{At: at, Problem: fmt.Sprintf(format, args...), Advice: hint})
}

// Err returns the diagnostics as an error, nil if there are none.
func (d Diagnostics) Err() error {
	if len(d) == 0 {
		return nil
	}
	return d
}
