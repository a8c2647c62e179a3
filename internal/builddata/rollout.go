package builddata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Rollouts stores the journals of rollouts. Every step is recorded before it begins, so
// that another process can continue after a crash. Writes need the lease of the cluster,
// which belongs to the rollout's service; a write under a lost lease is a *LostError.
type Rollouts interface {
	// Begin stores a new rollout, as Rollout.Begin decides.
	Begin(ctx context.Context, l Lease, r Rollout) error
	// Record appends an entry to the journal of a rollout, as Rollout.Record
	// decides. A rollout that does not exist is ErrNotFound.
	Record(ctx context.Context, l Lease, id string, e Entry) error
	// End stores how the rollout ended, as Rollout.End decides.
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

// Rollout is the record of the move of a cluster from one generation to the next. A rollout
// without a FromVersion creates the cluster; a rollout without a ToVersion destroys it.
type Rollout struct {
	// ID is unique in the repository and sorts by time.
	ID string
	// Service, Environment and Region identify the cluster.
	Service     string
	Environment string
	Region      string
	// FromVersion is the old version and ToVersion the new one; either may be empty.
	FromVersion string
	ToVersion   string
	// Plan holds everything that is needed to continue the rollout or to roll it back, in
	// the encoding of package rollout. It never changes.
	Plan []byte

	// Status is Started until the rollout ends. The end sets Status, Result and Gone; see
	// Ending.
	Status Status
	Result []byte
	Gone   bool
	// AbortRequestedBy names the process that asked to roll it back; empty if none has.
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

// Begin decides whether the rollout may begin, and returns the rollout to store. The caller
// has checked that the lease is held. Existing is the stored rollout with the same ID, and
// open the rollout of the same cluster that has not ended; each is nil if there is none. If
// the same rollout has already begun, it returns false: there is nothing to store. A
// different rollout with the same ID, or an open one, is ErrConflict.
func (r Rollout) Begin(l Lease, existing, open *Rollout, now time.Time) (begun Rollout, changed bool, err error) {
	if l.Service != r.Service {
		return Rollout{}, false, fmt.Errorf("%w: a lease of service %s does not cover a rollout of service %s", ErrConflict, l.Service, r.Service)
	}
	if existing != nil {
		// The plan of a different rollout would not be stored.
		if !existing.sameAs(r) {
			return Rollout{}, false, fmt.Errorf("%w: the id already stands for a rollout of %s in %s in %s from version %q to version %q with "+
				"a plan of its own",
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

// Record returns the entry to append to the journal of r. If the rollout has ended, the
// error is ErrConflict.
func (r Rollout) Record(e Entry, now time.Time) (Entry, error) {
	if !r.Open() {
		return Entry{}, r.endedError()
	}
	e.At = Timestamp(now)
	return e, nil
}

// Ending describes how a rollout ended.
type Ending struct {
	// Status is Succeeded if ToVersion serves, Failed if it was rolled back.
	Status Status
	// Result describes the cluster after the rollout, in the encoding of package rollout.
	Result []byte
	// Gone says that nothing is left of the cluster.
	Gone bool
}

// Validate returns an error for an ending that no store accepts.
func (e Ending) Validate() error {
	if e.Status != Succeeded && e.Status != Failed {
		return fmt.Errorf("a rollout ends as %s or %s, not as %q", Succeeded, Failed, e.Status)
	}
	return nil
}

// End returns the ended rollout, and whether that differs from r. Ending a rollout again in
// the same way changes nothing; ending it in another way is ErrConflict.
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

// RequestAbort returns the rollout with the request to roll it back, and whether that
// differs from r: only the first request is stored. If the rollout has ended, the error is
// ErrConflict.
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

// endedError says that r has already ended.
func (r Rollout) endedError() error {
	return fmt.Errorf("%w: it ended at %s and %s", ErrConflict, r.EndedAt.Format(time.RFC3339), r.Status)
}

// Validate returns an error for a rollout that no store accepts.
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
	// Step is the code of the step.
	Step string
	// Undo says that the step is part of rolling back.
	Undo bool
	// Phase says whether the step began, is done, or failed.
	Phase Phase
	// Note is a fact that a later step needs, or why a step failed.
	Note string
	// At is a Timestamp, set by the store.
	At time.Time
}

// Phase is the phase of a step.
type Phase string

// The phases. If Began is the last entry of a step, the step may be done or not.
const (
	Began Phase = "began"
	Done  Phase = "done"
	Erred Phase = "failed"
)

// Validate returns an error for an entry that no store accepts.
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
	// Environment and Region, if not empty, select only the rollouts there.
	Environment string
	Region      string
	// Open selects only rollouts that have not ended.
	Open bool
	// Before selects rollouts older than the one with this ID; none if that does not exist.
	Before string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// ClusterQuery selects clusters of a service.
type ClusterQuery struct {
	Service string
	// Environment, if not empty, selects only the clusters there.
	Environment string
	// IncludeGone also selects clusters of which nothing is left; see Rollout.Gone.
	IncludeGone bool
}
