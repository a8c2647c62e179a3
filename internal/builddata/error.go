package builddata

import (
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// The errors of a Store that callers distinguish.
var (
	// ErrNotFound: the repository does not have the version, run, rollout or service.
	ErrNotFound = errors.New("not found in the build data repository")
	// ErrConflict: the request contradicts what the repository holds.
	ErrConflict = errors.New("contradicts the build data repository")
	// ErrUnavailable: the repository cannot be reached or written at present.
	ErrUnavailable error = unavailableError{}
	// ErrCorrupt: the repository is damaged, or is not a build data repository.
	ErrCorrupt = errors.New("not a usable build data repository")
)

type unavailableError struct{}

func (unavailableError) Error() string { return "the build data repository cannot be reached" }

// ExitCode returns the exit code of the command line for this error.
func (unavailableError) ExitCode() int { return exitcode.Unavailable }

// ReplacedError says that the repository was removed, or another one took its place, while
// it was in use. It matches ErrUnavailable.
type ReplacedError struct {
	// Path is the repository's file, and State says what is there now: "it was removed".
	Path, State string
}

func (e *ReplacedError) Error() string {
	return fmt.Sprintf("the build data repository %s is gone: %s while it was in use; what was recorded in it is lost unless you put it back",
		e.Path, e.State)
}

// Unwrap makes the error match ErrUnavailable.
func (e *ReplacedError) Unwrap() error { return ErrUnavailable }

// KeyError says that an idempotency key already belongs to a different version. It matches
// ErrConflict.
type KeyError struct {
	Key    string
	Holder Version
	// Conflict is the difference: "it has scheme semver, not calver".
	Conflict string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("key %q already stands for version %s of service %s, but %s; "+
		"nothing was allocated: use another key, for example one that includes the run",
		e.Key, e.Holder.Name, e.Holder.Service, e.Conflict)
}

// Unwrap makes the error match ErrConflict.
func (e *KeyError) Unwrap() error { return ErrConflict }

// RevokedError says that a version was revoked.
type RevokedError struct{ Version Version }

func (e *RevokedError) Error() string {
	return fmt.Sprintf("version %s of service %s was revoked at %s: %s",
		e.Version.Name, e.Version.Service, e.Version.Revocation.At.Format(time.RFC3339), e.Version.Revocation.Reason)
}
