package pipe

import "slices"

// Hint is advice that depends on the options of the front end. The errors of this package
// carry hints; each front end prints them with the names of its own options.
type Hint string

// The hints.
const (
	// HintVersion says to run the pipe for an existing version.
	HintVersion Hint = "existing_version"
	// HintAllowUnpushed says to allow a run from an untraceable checkout.
	HintAllowUnpushed Hint = "allow_unpushed"
	// HintAllowOtherRevision says to allow that the checkout is at another revision than the
	// version.
	HintAllowOtherRevision Hint = "allow_other_revision"
	// HintAllowOlder says to allow to deploy an older version.
	HintAllowOlder Hint = "allow_older"
	// HintChoosePipe says to name the pipe.
	HintChoosePipe Hint = "choose_pipe"
	// HintSetValue says to set the value for the run.
	HintSetValue Hint = "set_value"
	// HintOmitRunTo says to omit the step to run to.
	HintOmitRunTo Hint = "omit_run_to"
)

// Hinted is an error with a hint.
type Hinted interface {
	error
	Hint() Hint
}

// Hints returns the hints of an error and of all errors that it wraps, without duplicates.
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
