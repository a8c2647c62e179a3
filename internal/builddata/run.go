package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Runs remembers the executions of pipes.
type Runs interface {
	// SaveRun stores a run, or what has become of it, as Run.Advance decides. A
	// version that does not exist is ErrNotFound.
	SaveRun(ctx context.Context, r Run) error
	// Run returns one run of a service.
	Run(ctx context.Context, service, id string) (Run, error)
	// Runs lists runs without definition and context, the newest first.
	Runs(ctx context.Context, q RunQuery) ([]Run, error)
}

// Run is one execution of a pipe, for one version. What its steps did is in
// the events that name it.
type Run struct {
	// ID is unique in the repository and sorts by time.
	ID      string `json:"id"`
	Service string `json:"service"`
	// Number is the version's; 0 until the run has one.
	Number int64 `json:"number,omitempty"`
	// Pipe is the pipe's name, and Definition the whole pipe as it ran, in the
	// encoding of package pipe.
	Pipe       string `json:"pipe"`
	Definition []byte `json:"definition"`
	// Context is what the run began with, without secrets.
	Context map[string]string `json:"context,omitempty"`
	// To is the step that the run was to end at, Only the one step that was to
	// run. Both are empty for a run of the whole pipe.
	To   string `json:"run_to,omitempty"`
	Only string `json:"run_task,omitempty"`
	// Revision is the SCM revision. Untraceable says why the run is not tied to
	// a revision that the remote has; empty if it is.
	Revision    string `json:"revision,omitempty"`
	Untraceable string `json:"untraceable,omitempty"`
	// Holder says who runs it, for people: "ada@ci-7, delivery, process 4711".
	Holder string `json:"holder"`

	Status Status `json:"status"`
	// Message says how it ended, in one line.
	Message string `json:"message,omitempty"`
	// The times are Timestamps by the clock of the machine that runs it. SeenAt
	// is when it last showed that it is alive; EndedAt is zero until the end.
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// RunSignsOfLife is how often a run in progress shows that it is alive.
// RunLostAfter is how long after the last sign of life it counts as lost.
const (
	RunSignsOfLife = 20 * time.Second
	RunLostAfter   = 2 * time.Minute
)

// State is the run's status at the time now: a run in progress that has given
// no sign of life for RunLostAfter counts as Lost.
func (r Run) State(now time.Time) Status {
	if r.Status == Started && now.Sub(r.SeenAt) > RunLostAfter {
		return Lost
	}
	return r.Status
}

// Ended reports whether the run has ended.
func (r Run) Ended() bool { return r.Status != Started }

// Advance returns the stored run r with what later says has become of it, and
// whether that changes anything. The definition, the context and when it
// started are fixed; a version number stays, also if an older record arrives
// late; a run that has ended stays as it is.
func (r Run) Advance(later Run) (Run, bool) {
	if r.Ended() {
		return r, false
	}
	if later.Number != 0 {
		r.Number = later.Number
	}
	r.Status, r.Message, r.SeenAt, r.EndedAt = later.Status, later.Message, later.SeenAt, later.EndedAt
	return r, true
}

// RunQuery selects the runs of a service, the newest first.
type RunQuery struct {
	Service string
	// Number, when set, leaves out the runs of other versions.
	Number int64
	// Open leaves out those that have ended.
	Open bool
	// Before continues after the run with this ID. After an ID that does not
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
		return fmt.Errorf("run %s has status %s and end %v, which contradict each other", r.ID, r.Status, r.EndedAt)
	case r.To != "" && r.Only != "":
		return fmt.Errorf("run %s cannot both end at a step and be of one step only", r.ID)
	}
	_, err := parse("status", string(r.Status), Statuses)
	return err
}
