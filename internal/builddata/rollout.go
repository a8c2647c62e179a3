package builddata

import (
	"context"
	"errors"
	"time"
)

// Rollouts is the journal of rollouts: what was to be done is in it before it
// is done, so that whoever comes after a crash knows what there may be.
// Everything is written under the lease of the cluster, and refused with a
// *LostError if that was lost.
type Rollouts interface {
	// Begin stores a new rollout with Status Started. While the cluster has
	// another one that is not at its end, that is ErrConflict. Beginning the
	// same rollout again changes nothing; another one of the same ID is
	// ErrConflict.
	Begin(ctx context.Context, l Lease, r Rollout) error
	// Record appends to the journal of a rollout that is not at its end; one
	// that is, or that does not exist, is ErrConflict or ErrNotFound.
	Record(ctx context.Context, l Lease, id string, e Entry) error
	// End stores how the rollout ended, Succeeded or Failed, and what that
	// left. Ending it again in the same way changes nothing.
	End(ctx context.Context, l Lease, id string, status Status, result []byte) error
	// RequestAbort asks whoever walks the rollout to take it back. Only the
	// first request counts. It needs no lease. A rollout that is at its end is
	// ErrConflict.
	RequestAbort(ctx context.Context, id, by string) error

	// Rollout returns one rollout with all its entries.
	Rollout(ctx context.Context, id string) (Rollout, error)
	// Rollouts lists rollouts without their entries, the newest first.
	Rollouts(ctx context.Context, q RolloutQuery) ([]Rollout, error)
}

// Rollout is the move of a cluster from one generation to the next, as the
// repository remembers it. From nothing, it is the cluster's creation; to
// nothing, its end.
type Rollout struct {
	// ID is unique in the repository and sorts by time.
	ID string
	// Service, Environment and Region name the cluster.
	Service     string
	Environment string
	Region      string
	// FromVersion and ToVersion are empty where there is nothing.
	FromVersion string
	ToVersion   string
	// Plan is all that is needed to go on with the rollout or to take it
	// back, in the encoding of package rollout. It never changes.
	Plan []byte

	// Status is Started until the end, Succeeded if ToVersion serves, Failed
	// if it was taken back.
	Status Status
	// Result is what the end left, in the encoding of package rollout; nil
	// until then.
	Result []byte
	// AbortRequestedBy names who asked to take the rollout back; empty if nobody did.
	AbortRequestedBy string
	// StartedAt and EndedAt have microsecond precision and are in UTC; the
	// store sets them. EndedAt is zero until the end.
	StartedAt time.Time
	EndedAt   time.Time

	// Entries is the journal, in the order it was written.
	Entries []Entry
}

// Entry is a line of a rollout's journal.
type Entry struct {
	// Step names the step it is about.
	Step string
	// Undo says that the step is one of taking the rollout back.
	Undo bool
	// Phase says whether the step is about to be done, or was, or failed.
	Phase Phase
	// Note is a fact that a later step needs, or why a step failed.
	Note string
	// At has microsecond precision and is in UTC; the store sets it.
	At time.Time
}

// Phase is how far a step has come.
type Phase string

// The phases. A step that Began may have been done or not.
const (
	Began Phase = "began"
	Done  Phase = "done"
	Erred Phase = "failed"
)

// RolloutQuery selects rollouts, the newest first. Empty fields select all.
type RolloutQuery struct {
	Service     string
	Environment string
	Region      string
	// Open leaves out those that are at their end.
	Open bool
	// Before continues behind the rollout with this ID; behind one that does
	// not exist there is nothing.
	Before string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// Validate reports what no store may accept.
func (r Rollout) Validate() error {
	if err := ValidateService(r.Service); err != nil {
		return err
	}
	if r.ID == "" || r.Environment == "" || r.Region == "" || len(r.Plan) == 0 {
		return errors.New("a rollout needs an id, an environment, a region and a plan")
	}
	return nil
}

// Validate reports what no store may accept.
func (e Entry) Validate() error {
	if e.Step == "" {
		return errors.New("an entry of a journal names no step")
	}
	_, err := parse("phase", string(e.Phase), []Phase{Began, Done, Erred})
	return err
}
