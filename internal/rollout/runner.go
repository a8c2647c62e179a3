package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// pollInterval is the longest pause between two attempts, and the pause while servers are observed. AWS throttles only
// much shorter ones, and a server takes much longer to start.
const pollInterval = 5 * time.Second

// rollbackTimeout bounds a rollback that began because a deadline passed, beyond
// the time that requests may take to finish.
const rollbackTimeout = time.Hour

// runner runs the steps of a rollout, under the lease of its cluster.
type runner struct {
	manager *Manager
	lease   *heldLease
	// rollout is the rollout's id.
	rollout string
	cluster cluster.ID
	journal *journal

	// mostHealthy is the most healthy servers that the present step has observed.
	mostHealthy int32
	// launches are those of the new generation in the present step.
	launches launches
	// checks is how far the present step has come with the checks.
	checks checkProgress
}

// notObserved: the present step has not observed anything yet.
const notObserved = -1

// run brings the rollout to its end, either forward or back. The error is an
// *Error.
func (r *runner) run(ctx context.Context) error {
	if r.journal.rollingBack {
		return r.rollBack(ctx, Step{}, nil)
	}
	plan := r.journal.plan
	step, err := r.runSteps(ctx, plan.Steps)
	if err == nil {
		if err = r.end(ctx, builddata.Succeeded, plan.after()); err == nil {
			return nil
		}
		step = Step{Kind: recordEnd}
	}
	if interrupted(ctx, err) {
		return r.failure(ctx, step, err, Stopped, nil)
	}
	if r.journal.irreversible() {
		return r.failRemoval(ctx, step, err)
	}
	if plan.Settings.OnFailure == Keep && plan.From != nil && !errors.As(err, new(*AbortError)) {
		return r.keepFailed(ctx, step, err)
	}
	return r.rollBack(ctx, step, err)
}

// interrupted reports whether an error leaves a rollout where it is: the user
// interrupted the process, or the repository cannot be used. After a deadline,
// in contrast, the rollout is rolled back.
func interrupted(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return errors.Is(ctx.Err(), context.Canceled)
	}
	return errors.As(err, new(*repositoryError))
}

// rollbackContext returns a context that ends when ctx is canceled, but outlives
// the deadline of ctx: that must not stop the rollback as well.
func (r *runner) rollbackContext(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout+r.journal.plan.Settings.Drain)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// failRemoval leaves an irreversible rollout at the step that failed, so that it
// can be resumed. A destruction ends there as failed: everything that it was to
// remove is still on record, and both another destruction and an apply find it.
func (r *runner) failRemoval(ctx context.Context, step Step, cause error) error {
	if r.journal.plan.destroys() {
		if err := r.end(ctx, builddata.Failed, r.journal.plan.before()); err != nil {
			return r.failure(ctx, step, cause, Stopped, err)
		}
	}
	return r.failure(ctx, step, cause, Irreversible, nil)
}

// rollBack rolls the rollout back because of cause, or continues a rollback that
// has begun already. The error is never nil.
func (r *runner) rollBack(ctx context.Context, step Step, cause error) error {
	ctx, cancel := r.rollbackContext(ctx)
	defer cancel()
	if r.journal.rollingBack {
		step, cause = Step{}, errors.New(r.journal.cause)
		if r.journal.unreachable {
			cause = &recordedUnreachable{cause}
		}
	} else {
		why := cause.Error()
		if step.Kind != "" {
			why = step.Title() + ": " + why
		}
		r.manager.Progress(ctx, "%s; rolling back", why)
		if err := r.beginRollback(ctx, why); err != nil {
			return r.failure(ctx, step, cause, Stopped, err)
		}
	}
	plan := r.journal.plan
	if _, err := r.runSteps(ctx, plan.rollbackSteps(r.journal.shifted())); err != nil {
		return r.failure(ctx, step, cause, Stopped, err)
	}
	if err := r.end(ctx, builddata.Failed, plan.before()); err != nil {
		return r.failure(ctx, step, cause, Stopped, err)
	}
	return r.failure(ctx, step, cause, RolledBack, nil)
}

// beginRollback records that the rollout is rolled back from here on, also by
// other processes.
func (r *runner) beginRollback(ctx context.Context, why string) error {
	if r.journal.rollingBack {
		return nil
	}
	return r.record(ctx, builddata.Entry{Step: string(beginRollback), Undo: true, Phase: builddata.Began, Note: why})
}

// keepFailed sends all requests back and leaves the new generation to be
// examined.
func (r *runner) keepFailed(ctx context.Context, step Step, cause error) error {
	ctx, cancel := r.rollbackContext(ctx)
	defer cancel()
	if r.journal.shifted() {
		if _, err := r.runSteps(ctx, r.journal.plan.restoreSteps()); err != nil {
			return r.failure(ctx, step, cause, Stopped, err)
		}
	}
	return r.failure(ctx, step, cause, Stopped, nil)
}

// adoptNew ends a rollout that cannot be rolled back because only its new
// servers are healthy: they serve from now on, and the old ones are left.
func (r *runner) adoptNew(ctx context.Context) (Inventory, error) {
	plan := r.journal.plan
	i := Inventory{Serving: plan.To, Kept: plan.Kept, Left: append(plan.Left, *plan.From)}
	if plan.Reused {
		i.Kept = nil
	}
	steps := append(plan.untestSteps(), Step{Kind: UnpinCapacity, Generation: plan.To.Name})
	if plan.attaches() {
		steps = append(steps, Step{Kind: Attach, Generation: plan.To.Name})
	}
	if joins(plan.To) {
		steps = append(steps, Step{Kind: JoinTargets, Generation: plan.To.Name})
	}
	if plan.moves() {
		steps = append(steps, Step{Kind: Disconnect, Generation: plan.From.Name})
	}
	if err := r.beginRollback(ctx, errLastHealthy.Error()); err != nil {
		return i, err
	}
	if _, err := r.runSteps(ctx, steps); err != nil {
		return i, err
	}
	return i, r.end(ctx, builddata.Failed, i)
}

// runSteps runs, in order, the steps that are not done yet. It stops at the
// first one that fails, and returns it.
func (r *runner) runSteps(ctx context.Context, steps []Step) (failed Step, err error) {
	for _, s := range steps {
		if r.journal.done[s.Code()] {
			continue
		}
		if slices.ContainsFunc(r.journal.left, func(g GenerationRecord) bool { return g.Name == s.Generation }) {
			continue // its protected servers still need the rest of it
		}
		if err := r.runStep(ctx, s); err != nil {
			return s, err
		}
	}
	return Step{}, nil
}

func (r *runner) runStep(ctx context.Context, s Step) error {
	of, err := r.journal.generation(s.Generation)
	if err != nil {
		return err
	}
	entry := func(phase builddata.Phase, note string) builddata.Entry {
		return builddata.Entry{Step: s.Code(), Undo: r.journal.rollingBack, Phase: phase, Note: note}
	}
	r.manager.Progress(ctx, "%s", s.Title())
	if err := r.record(ctx, entry(builddata.Began, "")); err != nil {
		return err
	}
	r.mostHealthy, r.launches, r.checks = notObserved, launches{}, checkProgress{}
	defer func() { r.checks.stop() }()
	err = r.manager.repeatPaced(ctx, r.lease, r.pace(s), r.timeout(s, of), func(ctx context.Context, waited time.Duration) error {
		if err := r.checkAbort(ctx); err != nil {
			return err
		}
		return r.attempt(ctx, s, of, waited)
	})
	switch {
	case err == nil:
		return r.record(ctx, entry(builddata.Done, ""))
	case errors.Is(err, errServersLeft):
		return r.record(ctx, entry(builddata.Done, serversLeft))
	case errors.Is(err, errNoServers):
		r.manager.Progress(ctx, "%s", err)
		return r.record(ctx, entry(builddata.Done, noServers))
	case errors.Is(err, errNotChecked):
		return r.record(ctx, entry(builddata.Done, notChecked))
	}
	note := err.Error()
	if errors.As(err, new(*UnreachableError)) {
		note = unreachable
	}
	// People read this entry, and nothing else does. So its own failure matters
	// only if it says that another process has taken over.
	if recordErr := r.record(ctx, entry(builddata.Erred, note)); errors.As(recordErr, new(*builddata.LostError)) {
		return recordErr
	}
	return err
}

// pace is how often a step is attempted: while it only watches for a given time, every
// pollInterval.
func (r *runner) pace(s Step) func(waited time.Duration) time.Duration {
	var long time.Duration
	switch settings := r.journal.plan.Settings; s.Kind {
	case Observe:
		long = settings.ObserveFor
	case WaitDrain, WaitStickyExpiry:
		long = settings.Drain
	}
	soon := clock.Growing(pollInterval)
	return func(waited time.Duration) time.Duration {
		if waited < long {
			return min(pollInterval, long-waited)
		}
		return soon(waited - long)
	}
}

// repeat calls do, under the lease, until it needs no repetition. No attempt
// lasts longer than the lease, so a process that takes the lease over is alone.
func (m *Manager) repeat(
	ctx context.Context, lease *heldLease, within time.Duration, do func(ctx context.Context, waited time.Duration) error,
) error {
	return m.repeatPaced(ctx, lease, clock.Growing(pollInterval), within, do)
}

// repeatPaced is repeat with pauses that pace decides.
func (m *Manager) repeatPaced(
	ctx context.Context, lease *heldLease, pace func(waited time.Duration) time.Duration, within time.Duration,
	do func(ctx context.Context, waited time.Duration) error,
) error {
	return clock.PollPaced(ctx, m.Clock, pace, within, func(ctx context.Context, waited time.Duration) (bool, string, error) {
		if err := lease.renew(ctx); err != nil {
			return false, "", &repositoryError{err}
		}
		attempt, cancel := context.WithTimeout(ctx, lease.attemptTimeout())
		defer cancel()
		err := do(attempt, waited)
		var again *cluster.NotYetError
		switch {
		case err == nil:
			return true, "", nil
		case errors.As(err, &again):
			m.Progress(ctx, "%s", again.Saw)
			return false, again.Saw, nil
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return false, err.Error(), nil // it may have been throttled
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			err = fmt.Errorf("interrupted: %w", err)
		}
		return false, "", err
	})
}

// checkAbort returns an *AbortError if an abort was requested and a rollback is
// still possible.
func (r *runner) checkAbort(ctx context.Context) error {
	if r.journal.rollingBack || r.journal.irreversible() {
		return nil
	}
	stored, err := r.manager.Store.Rollout(ctx, r.cluster.Service, r.rollout)
	if err != nil {
		return &repositoryError{err}
	}
	if stored.AbortRequestedBy != "" {
		return &AbortError{By: stored.AbortRequestedBy}
	}
	return nil
}

// repositoryError says that the journal could not be read or written, or that
// the lease could not be renewed. Nothing may be changed without a record, so
// the rollout stops.
type repositoryError struct{ err error }

func (e *repositoryError) Error() string { return "the build data repository: " + e.err.Error() }
func (e *repositoryError) Unwrap() error { return e.err }

// record appends an entry to the journal.
func (r *runner) record(ctx context.Context, e builddata.Entry) error {
	if err := r.lease.renew(ctx); err != nil {
		return &repositoryError{err}
	}
	if err := r.manager.Store.Record(ctx, r.lease.lease, r.rollout, e); err != nil {
		return &repositoryError{err}
	}
	r.journal.add(e)
	return nil
}

// end records how the rollout ended, also in the history of the version.
func (r *runner) end(ctx context.Context, status builddata.Status, i Inventory) error {
	if status == builddata.Succeeded {
		i.Left = append(i.Left, r.journal.left...)
	}
	result, err := encodeResult(i)
	if err != nil {
		return &repositoryError{err}
	}
	if err := r.manager.Store.End(ctx, r.lease.lease, r.rollout, builddata.Ending{Status: status, Result: result, Gone: i.empty()}); err != nil {
		return &repositoryError{err}
	}
	if status == builddata.Failed && r.journal.unreachable {
		status = builddata.Interrupted // nothing is known of the version
	}
	r.manager.recordEvent(ctx, r.rollout, r.cluster, r.journal.plan, status)
	return nil
}
