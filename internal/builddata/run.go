package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Runs remembers the executions of pipes.
type Runs interface {
	// SaveRun stores a run, or what has become of it since. The definition, the
	// context and when it started are fixed by the first call; a run that is at
	// its end stays as it is, and saving it again changes nothing. A version
	// that does not exist is ErrNotFound.
	SaveRun(ctx context.Context, r Run) error
	// Run returns one run.
	Run(ctx context.Context, id string) (Run, error)
	// Runs lists runs without definition and context, the newest first.
	Runs(ctx context.Context, q RunQuery) ([]Run, error)
}

// Run is one execution of a pipe, for one version. What its steps did is in
// the events that name it.
type Run struct {
	// ID is unique in the repository and sorts by time.
	ID      string
	Service string
	// Number is the version's; 0 until the run has one.
	Number int64
	// Pipe is the pipe's name, and Definition the whole pipe as it ran, in the
	// encoding of package pipe.
	Pipe       string
	Definition []byte
	// Context is what the run began with. Secrets are not in it.
	Context map[string]string
	// Only says that a part of the pipe was to run: "to bake", "task bake".
	// Empty is all of it.
	Only string
	// Revision is the SCM revision; Untraceable says why the run is not tied to
	// one that the remote has, and is empty if it is.
	Revision    string
	Untraceable string
	// Holder says who runs it, for people: "ada@ci-7, delivery, process 4711".
	Holder string

	Status Status
	// Message says how it ended, in one line.
	Message string
	// The times have microsecond precision and are in UTC, by the clock of the
	// machine that runs it. SeenAt is when it last showed that it is alive;
	// EndedAt is zero until the end.
	StartedAt, SeenAt, EndedAt time.Time
}

// RunSignsOfLife is how often a run that goes on shows that it is alive, and
// RunLostAfter is how long after the last sign it counts as lost.
const (
	RunSignsOfLife = 20 * time.Second
	RunLostAfter   = 2 * time.Minute
)

// State is the run's status at the time now: one that goes on, but has given
// no sign of life for long, counts as Lost.
func (r Run) State(now time.Time) Status {
	if r.Status == Started && now.Sub(r.SeenAt) > RunLostAfter {
		return Lost
	}
	return r.Status
}

// RunQuery selects runs, the newest first. Empty fields select all.
type RunQuery struct {
	Service string
	// Number is a version's; it needs the service.
	Number int64
	// Open leaves out those that are at their end.
	Open bool
	// Before continues behind the run with this ID; behind one that does not
	// exist there is nothing.
	Before string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// Validate reports what no store may accept.
func (r Run) Validate() error {
	if err := ValidateService(r.Service); err != nil {
		return err
	}
	switch {
	case r.ID == "" || r.Pipe == "" || len(r.Definition) == 0:
		return errors.New("a run needs an id, a pipe and its definition")
	case r.StartedAt.IsZero() || r.SeenAt.IsZero():
		return fmt.Errorf("run %s does not say when it started and was last seen", r.ID)
	case (r.Status == Started) != r.EndedAt.IsZero():
		return fmt.Errorf("run %s is %s and has %v as its end", r.ID, r.Status, r.EndedAt)
	}
	_, err := parse("status", string(r.Status), Statuses)
	return err
}
