package pipe

import "slices"

// Hint is advice that names an option of the program that people use. The
// errors here say what is wrong; each front end words the hints in them by its
// own options.
type Hint string

// The hints.
const (
	// HintVersion: run the pipe for an existing version.
	HintVersion Hint = "existing_version"
	// HintAllowUnpushed: run it from a checkout that cannot be traced.
	HintAllowUnpushed Hint = "allow_unpushed"
	// HintChoosePipe: choose another pipe than the project's.
	HintChoosePipe Hint = "choose_pipe"
	// HintLeaveOutRunTo: do not name a step to run to.
	HintLeaveOutRunTo Hint = "leave_out_run_to"
)

// Hinted is an error with a hint.
type Hinted interface {
	error
	Hint() Hint
}

// Hints returns the hints in an error and in all that it wraps, each once.
func Hints(err error) []Hint {
	var hints []Hint
	if hinted, ok := err.(Hinted); ok { //nolint:errorlint // what it wraps is visited below
		if hint := hinted.Hint(); hint != "" {
			hints = append(hints, hint)
		}
	}
	var wrapped []error
	switch e := err.(type) { //nolint:errorlint // what it wraps is visited below
	case interface{ Unwrap() error }:
		wrapped = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		wrapped = e.Unwrap()
	}
	for _, inner := range wrapped {
		for _, hint := range Hints(inner) {
			if !slices.Contains(hints, hint) {
				hints = append(hints, hint)
			}
		}
	}
	return hints
}
