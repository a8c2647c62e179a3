package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Runs stores the executions of pipes.
type Runs interface {
	// SaveRun stores a new run, or updates a stored one as Run.Advance decides. A version
	// that does not exist is ErrNotFound.
	SaveRun(ctx context.Context, r Run) error
	// Run returns one run of a service.
	Run(ctx context.Context, service, id string) (Run, error)
	// Runs lists runs without definition and context, the newest first.
	Runs(ctx context.Context, q RunQuery) ([]Run, error)
}

// Run is one execution of a pipe, for one version. The events of the run describe its
// steps.
type Run struct {
	// ID is unique in the repository and sorts by time.
	ID      string `json:"id"`
	Service string `json:"service"`
	// Number is the number of the version; 0 until the run has one.
	Number int64 `json:"number,omitempty"`
	// Pipe is the pipe's name, and Definition the whole pipe as it ran, in the
	// encoding of package pipe.
	Pipe       string `json:"pipe"`
	Definition []byte `json:"definition"`
	// Context holds the values that the run began with, without secrets.
	Context map[string]string `json:"context,omitempty"`
	// To is the step to run to, and Only the only step to run. Both are empty for a run of
	// the whole pipe.
	To   string `json:"run_to,omitempty"`
	Only string `json:"run_task,omitempty"`
	// Revision is the SCM revision of the checkout. Untraceable says why the remote does
	// not have it; empty if the remote does.
	Revision    string `json:"revision,omitempty"`
	Untraceable string `json:"untraceable,omitempty"`
	// Holder identifies the process that runs it, for people: "ada@ci-7, delivery, process
	// 4711".
	Holder string `json:"holder"`

	Status Status `json:"status"`
	// Message says how it ended, in one line.
	Message string `json:"message,omitempty"`
	// The times are Timestamps by the clock of the machine that runs it. SeenAt is the time
	// of the last sign of life. EndedAt is zero until the run ends.
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// RunSignsOfLife is the interval at which a run in progress sends a sign of life. If it
// sends none for RunLostAfter, it counts as lost.
const (
	RunSignsOfLife = 20 * time.Second
	RunLostAfter   = 2 * time.Minute
)

// State returns the status of the run at the time now: a run in progress that has given no
// sign of life for RunLostAfter counts as Lost.
func (r Run) State(now time.Time) Status {
	if r.Status == Started && now.Sub(r.SeenAt) > RunLostAfter {
		return Lost
	}
	return r.Status
}

// Ended reports whether the run has ended.
func (r Run) Ended() bool { return r.Status != Started }

// AtRevisionOf reports whether the run's checkout was at the revision of the version. Another
// branch decides what its steps do.
func (r Run) AtRevisionOf(v Version) bool { return r.Revision != "" && r.Revision == v.SourceRevision }

// Advance returns the stored run r updated from a later record, and whether that differs
// from r. Only the number, status, message, SeenAt and EndedAt are updated; a known number
// is kept if the record has none. A run that has ended does not change.
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
	// Number, if not 0, selects only the runs of this version.
	Number int64
	// Open selects only runs that have not ended.
	Open bool
	// Before selects runs older than the one with this ID; none if that does not exist.
	Before string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// Validate returns an error for a run that no store accepts.
func (r Run) Validate() error {
	if err := ValidateService(r.Service); err != nil {
		return err
	}
	if err := ValidateRun(r.ID); err != nil {
		return err
	}
	switch {
	case r.Pipe == "" || len(r.Definition) == 0:
		return errors.New("a run needs a pipe and its definition")
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
