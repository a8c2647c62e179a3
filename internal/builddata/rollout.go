package builddata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Rollouts is the journal of rollouts: every step is recorded before it is
// done, so that a process that comes after a crash knows what there may be.
// Everything is written under the lease of the cluster, which belongs to the
// rollout's service; a write under a lost lease is a *LostError.
type Rollouts interface {
	// Begin stores a new rollout, as Rollout.Begin decides.
	Begin(ctx context.Context, l Lease, r Rollout) error
	// Record appends an entry to the journal of a rollout, as Rollout.Record
	// decides. A rollout that does not exist is ErrNotFound.
	Record(ctx context.Context, l Lease, id string, e Entry) error
	// End stores how the rollout ended and what that left, as Rollout.End decides.
	End(ctx context.Context, l Lease, id string, e Ending) error
	// RequestAbort asks the process that runs the rollout to roll it back, as
	// Rollout.RequestAbort decides. It needs no lease.
	RequestAbort(ctx context.Context, service, id, by string) error

	// Rollout returns one rollout of a service with all its entries.
	Rollout(ctx context.Context, service, id string) (Rollout, error)
	// Rollouts lists rollouts without their entries, the newest first.
	Rollouts(ctx context.Context, q RolloutQuery) ([]Rollout, error)
	// LatestRollouts lists the latest rollout of each cluster, by environment
	// and region, without plan, result and entries.
	LatestRollouts(ctx context.Context, q ClusterQuery) ([]Rollout, error)
}

// Rollout is the move of a cluster from one generation to the next, as the
// repository remembers it. A rollout from nothing is the cluster's creation; a
// rollout to nothing is its destruction.
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
	// Plan is all that is needed to continue the rollout or to roll it back, in
	// the encoding of package rollout. It never changes.
	Plan []byte

	// Status is Started until the end. With it, Result and Gone are what the
	// end set; see Ending.
	Status Status
	Result []byte
	Gone   bool
	// AbortRequestedBy names who asked to roll it back; empty if no one did.
	AbortRequestedBy string
	// StartedAt and EndedAt are Timestamps, set by the store. EndedAt is zero
	// until the end.
	StartedAt time.Time
	EndedAt   time.Time

	// Entries is the journal, in the order it was written.
	Entries []Entry
}

// Open reports whether the rollout has not ended.
func (r Rollout) Open() bool { return r.Status == Started }

// Begin decides whether the rollout may begin, under a lease that is still
// held. The existing rollout is the one with the same ID, the open one the
// rollout of the same cluster that has not ended; each is nil if there is none.
// It returns the rollout to store. Beginning the same rollout again returns
// false: there is nothing to store. A different rollout with the same ID, or one
// that is open, is ErrConflict.
func (r Rollout) Begin(l Lease, existing, open *Rollout, now time.Time) (begun Rollout, changed bool, err error) {
	if l.Service != r.Service {
		return Rollout{}, false, fmt.Errorf("%w: a lease of service %s does not cover a rollout of service %s", ErrConflict, l.Service, r.Service)
	}
	if existing != nil {
		// Accepting a different one would promise a plan that is not stored.
		if !existing.sameAs(r) {
			return Rollout{}, false, fmt.Errorf("%w: the id already stands for a rollout of %s in %s in %s from version %q to version %q with a plan of its own",
				ErrConflict, existing.Service, existing.Environment, existing.Region, existing.FromVersion, existing.ToVersion)
		}
		return *existing, false, nil
	}
	if open != nil {
		return Rollout{}, false, fmt.Errorf("%w: rollout %s of the same cluster, %s in %s in %s, began at %s and has not ended",
			ErrConflict, open.ID, r.Service, r.Environment, r.Region, open.StartedAt.Format(time.RFC3339))
	}
	return Rollout{
		ID: r.ID, Service: r.Service, Environment: r.Environment, Region: r.Region,
		FromVersion: r.FromVersion, ToVersion: r.ToVersion, Plan: r.Plan,
		Status: Started, StartedAt: Timestamp(now),
	}, true, nil
}

func (r Rollout) sameAs(other Rollout) bool {
	return r.Service == other.Service && r.Environment == other.Environment && r.Region == other.Region &&
		r.FromVersion == other.FromVersion && r.ToVersion == other.ToVersion && bytes.Equal(r.Plan, other.Plan)
}

// Record returns the entry to append to the journal of r. A rollout that has
// ended is ErrConflict.
func (r Rollout) Record(e Entry, now time.Time) (Entry, error) {
	if !r.Open() {
		return Entry{}, r.endedError()
	}
	e.At = Timestamp(now)
	return e, nil
}

// Ending is how a rollout ended.
type Ending struct {
	// Status is Succeeded if ToVersion serves, Failed if it was rolled back.
	Status Status
	// Result is what the rollout left, in the encoding of package rollout.
	Result []byte
	// Gone says that nothing is left of the cluster.
	Gone bool
}

// Validate reports what no store may accept.
func (e Ending) Validate() error {
	if e.Status != Succeeded && e.Status != Failed {
		return fmt.Errorf("a rollout ends as %s or %s, not as %q", Succeeded, Failed, e.Status)
	}
	return nil
}

// End returns the rollout as it is once it has ended, and whether that changes
// anything: ending it again in the same way does not. Ending it in another way
// is ErrConflict.
func (r Rollout) End(e Ending, now time.Time) (ended Rollout, changed bool, err error) {
	switch {
	case r.Open():
		r.Status, r.Result, r.Gone, r.EndedAt = e.Status, nil, e.Gone, Timestamp(now)
		if len(e.Result) > 0 {
			r.Result = e.Result
		}
		return r, true, nil
	case r.Status == e.Status && r.Gone == e.Gone && bytes.Equal(r.Result, e.Result):
		return r, false, nil
	case r.Status == e.Status:
		return r, false, fmt.Errorf("%w, with another result", r.endedError())
	}
	return r, false, r.endedError()
}

// RequestAbort returns the rollout with the request to roll it back, and
// whether that changes anything: only the first request counts. A rollout that
// has ended is ErrConflict.
func (r Rollout) RequestAbort(by string) (requested Rollout, changed bool, err error) {
	switch {
	case by == "":
		return r, false, errors.New("a request to abort does not say who makes it")
	case !r.Open():
		return r, false, r.endedError()
	case r.AbortRequestedBy != "":
		return r, false, nil
	}
	r.AbortRequestedBy = by
	return r, true, nil
}

// endedError says that r has ended, where that contradicts the request.
func (r Rollout) endedError() error {
	return fmt.Errorf("%w: it ended at %s and %s", ErrConflict, r.EndedAt.Format(time.RFC3339), r.Status)
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

// Entry is a line of a rollout's journal.
type Entry struct {
	// Step is the code of the step it is about.
	Step string
	// Undo says that the step is one of rolling back.
	Undo bool
	// Phase says whether the step is about to be done, or was done, or failed.
	Phase Phase
	// Note is a fact that a later step needs, or why a step failed.
	Note string
	// At is a Timestamp, set by the store.
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

// Validate reports what no store may accept.
func (e Entry) Validate() error {
	if e.Step == "" {
		return errors.New("a journal entry names no step")
	}
	_, err := parse("phase", string(e.Phase), []Phase{Began, Done, Erred})
	return err
}

// RolloutQuery selects the rollouts of a service, the newest first.
type RolloutQuery struct {
	Service string
	// Environment and Region, when set, leave out the others.
	Environment string
	Region      string
	// Open leaves out those that have ended.
	Open bool
	// Before continues after the rollout with this ID. After an ID that does
	// not exist there is nothing.
	Before string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// ClusterQuery selects clusters of a service.
type ClusterQuery struct {
	Service string
	// Environment, when set, leaves out the others.
	Environment string
	// IncludeGone adds clusters of which nothing is left; see Rollout.Gone.
	IncludeGone bool
}
