package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// pollEvery is the longest pause between two looks. It is well above what AWS
// throttles and well below what a server takes to start.
const pollEvery = 5 * time.Second

// undoTime bounds taking a rollout back after a deadline ended it, beyond the
// time that requests may take to finish: a deadline must not end that, too.
const undoTime = time.Hour

// turned is the journal's entry from which on a rollout is taken back.
const turned = "turn back"

// noteLeft is the note of a removal that left protected servers.
const noteLeft = "left"

// walk is a rollout under way, on the lease of its cluster.
type walk struct {
	*Manager
	lease   *held
	id      string
	cluster cluster.ID
	plan    Plan

	// began and done are the steps in the journal. Taking the rollout back has
	// its own.
	began, done map[string]bool
	undoing     bool
	// doubt are the steps that had begun and were not done when the rollout
	// turned around.
	doubt map[string]bool
	// why is why the rollout is taken back, by the journal.
	why string
	// left are generations whose protected servers stay.
	left []Side
	// reached is the most servers that the present step saw healthy.
	reached int32
}

// unseen: the present step has not looked yet.
const unseen = -1

// walk picks up a rollout as its journal has it.
func (m *Manager) walk(lease *held, id cluster.ID, r builddata.Rollout) (*walk, error) {
	plan, err := decodePlan(r)
	if err != nil {
		return nil, err
	}
	w := &walk{Manager: m, lease: lease, id: r.ID, cluster: id, plan: plan, began: map[string]bool{}, done: map[string]bool{}}
	for _, e := range r.Entries {
		w.read(e)
	}
	return w, nil
}

// read takes over an entry of the journal.
func (w *walk) read(e builddata.Entry) {
	if e.Step == turned {
		w.undoing, w.why = true, e.Note
		w.doubt = maps.Clone(w.began)
		maps.DeleteFunc(w.doubt, func(step string, _ bool) bool { return w.done[step] })
		clear(w.done)
		return
	}
	w.began[e.Step] = true
	if !w.undoing && slices.ContainsFunc(w.plan.back(), func(s Step) bool { return s.String() == e.Step }) {
		// The requests are given back and the new generation is kept: going
		// on begins anew.
		clear(w.done)
		return
	}
	if e.Phase != builddata.Done {
		return
	}
	w.done[e.Step] = true
	for _, s := range w.plan.Steps {
		if e.Note == noteLeft && s.String() == e.Step {
			if side, err := w.side(s.Of); err == nil {
				w.left = append(w.left, side)
			}
		}
	}
}

// side finds a generation of the plan. One that was kept is going to be what
// it should be now, and on the way back what it was.
func (w *walk) side(name string) (Side, error) {
	if w.undoing && w.plan.Reused && name == w.plan.to() {
		return *w.plan.Kept, nil
	}
	return w.plan.side(name)
}

// shifted reports whether requests may have been sent to the new generation.
func (w *walk) shifted() bool {
	return slices.ContainsFunc(w.plan.Steps, func(s Step) bool {
		return (s.Do == Shift || s.Do == Serve) && w.began[s.String()]
	})
}

// settled reports whether there is no way back any more.
func (w *walk) settled() bool {
	return w.plan.To == nil || !w.undoing && slices.ContainsFunc(w.plan.Steps, func(s Step) bool {
		return w.plan.settles(s) && w.began[s.String()]
	})
}

// serves is the generation that the requests go to, by the journal.
func (w *walk) serves() *Side {
	if w.plan.To == nil {
		return w.plan.Stays
	}
	served := slices.ContainsFunc(w.plan.Steps, func(s Step) bool { return s.Do == Serve && w.done[s.String()] })
	if w.plan.From == nil || w.settled() || served && !w.undoing {
		return w.plan.To
	}
	return w.plan.From
}

// estate is what there is during the rollout, by the journal.
func (w *walk) estate() Estate {
	e := w.plan.before()
	e.Serving = w.serves()
	return e
}

// run takes the rollout to its end, whichever that is. The error is an *Error.
func (w *walk) run(ctx context.Context) error {
	if w.undoing {
		return w.back(ctx, "", nil)
	}
	step, err := w.take(ctx, w.plan.Steps)
	if err == nil {
		if err = w.end(ctx, builddata.Succeeded, w.plan.after()); err == nil {
			return nil
		}
		step = "record the end"
	}
	if w.stops(ctx, err) {
		return w.failure(ctx, step, err, Stopped, nil)
	}
	if w.settled() {
		return w.halt(ctx, step, err)
	}
	var abort *AbortError
	if w.plan.Settings.OnFailure == Keep && w.plan.From != nil && !errors.As(err, &abort) {
		return w.keep(ctx, step, err)
	}
	return w.back(ctx, step, err)
}

// stops reports whether an error leaves a rollout where it is: somebody asked
// to stop, or the repository cannot be used. A deadline has it taken back.
func (w *walk) stops(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return errors.Is(ctx.Err(), context.Canceled)
	}
	var repository *repositoryError
	return errors.As(err, &repository)
}

// patient returns a context that ends with ctx when that is canceled, but
// outlives its deadline: that must not end giving the requests back as well.
func (w *walk) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime+w.plan.Settings.Drain)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// halt leaves a rollout that there is no way back from where it failed. A
// destruction ends with it: all that it was to remove is still on record, to
// be destroyed again or to be mended.
func (w *walk) halt(ctx context.Context, step string, cause error) error {
	if w.plan.destroys() {
		if err := w.end(ctx, builddata.Failed, w.plan.before()); err != nil {
			return w.failure(ctx, step, cause, Stopped, err)
		}
	}
	return w.failure(ctx, step, cause, Settled, nil)
}

// back takes the rollout back because of cause, or of what the journal has if
// that was begun already. The error is never nil.
func (w *walk) back(ctx context.Context, step string, cause error) error {
	ctx, cancel := w.patient(ctx)
	defer cancel()
	if w.undoing {
		step, cause = "", errors.New(w.why)
	} else {
		why := cause.Error()
		if step != "" {
			why = step + ": " + why
		}
		w.Progress(ctx, "%s; taking it back", why)
		if err := w.turn(ctx, why); err != nil {
			return w.failure(ctx, step, cause, Stopped, err)
		}
	}
	if _, err := w.take(ctx, w.plan.backward(w.shifted())); err != nil {
		return w.failure(ctx, step, cause, Stopped, err)
	}
	if err := w.end(ctx, builddata.Failed, w.plan.before()); err != nil {
		return w.failure(ctx, step, cause, Stopped, err)
	}
	return w.failure(ctx, step, cause, Undone, nil)
}

// turn has the rollout be taken back from here on, whoever goes on with it.
func (w *walk) turn(ctx context.Context, why string) error {
	if w.undoing {
		return nil
	}
	return w.record(ctx, builddata.Entry{Step: turned, Undo: true, Phase: builddata.Began, Note: why})
}

// keep gives all requests back and leaves the new generation to be looked at.
func (w *walk) keep(ctx context.Context, step string, cause error) error {
	ctx, cancel := w.patient(ctx)
	defer cancel()
	if w.shifted() {
		if _, err := w.take(ctx, w.plan.back()); err != nil {
			return w.failure(ctx, step, cause, Stopped, err)
		}
	}
	return w.failure(ctx, step, cause, Stopped, nil)
}

// take takes those of the steps, in order, that are not done yet, up to the
// first that fails, and names it.
func (w *walk) take(ctx context.Context, steps []Step) (failed string, err error) {
	for _, s := range steps {
		name := s.String()
		if w.done[name] {
			continue
		}
		side, err := w.side(s.Of)
		if err != nil {
			return name, err
		}
		if slices.ContainsFunc(w.left, func(l Side) bool { return l.Name == s.Of }) {
			continue // its protected servers still need the rest of it
		}
		w.Progress(ctx, "%s", name)
		if err := w.record(ctx, builddata.Entry{Step: name, Undo: w.undoing, Phase: builddata.Began}); err != nil {
			return name, err
		}
		w.reached = unseen
		err = w.repeat(ctx, w.within(s, side), func(ctx context.Context, waited time.Duration) error {
			if err := w.aborted(ctx); err != nil {
				return err
			}
			return w.do(ctx, s, side, waited)
		})
		note := ""
		if errors.Is(err, errLeft) {
			note, err = noteLeft, nil
		}
		if err != nil {
			// Only for whoever reads the journal, so its own failure adds no
			// more than that somebody else has taken over.
			var lost *builddata.LostError
			if recordErr := w.record(ctx, builddata.Entry{Step: name, Undo: w.undoing, Phase: builddata.Erred, Note: err.Error()}); errors.As(recordErr, &lost) {
				err = recordErr
			}
			return name, err
		}
		if err := w.record(ctx, builddata.Entry{Step: name, Undo: w.undoing, Phase: builddata.Done, Note: note}); err != nil {
			return name, err
		}
	}
	return "", nil
}

// repeat does something under the lease until it needs no repetition. No
// attempt lasts longer than the lease: whoever takes that over is alone.
func (m *Manager) repeat(ctx context.Context, lease *held, within time.Duration, do func(ctx context.Context, waited time.Duration) error) error {
	return clock.Poll(ctx, m.Clock, pollEvery, within, func(ctx context.Context, waited time.Duration) (bool, string, error) {
		if err := lease.keep(ctx); err != nil {
			return false, "", &repositoryError{err}
		}
		attempt, cancel := context.WithTimeout(ctx, lease.attempt())
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

func (w *walk) repeat(ctx context.Context, within time.Duration, do func(ctx context.Context, waited time.Duration) error) error {
	return w.Manager.repeat(ctx, w.lease, within, do)
}

// aborted reports whether somebody asked to take the rollout back, as long as
// that is possible.
func (w *walk) aborted(ctx context.Context) error {
	if w.undoing || w.settled() {
		return nil
	}
	r, err := w.Store.Rollout(ctx, w.cluster.Service, w.id)
	if err != nil {
		return &repositoryError{err}
	}
	if r.AbortRequestedBy != "" {
		return &AbortError{By: r.AbortRequestedBy}
	}
	return nil
}

// repositoryError says that the journal could not be read or written, or that
// the lease could not be kept. Nothing may be done that the repository does
// not know, so the rollout stops.
type repositoryError struct{ err error }

func (e *repositoryError) Error() string { return "the build data repository: " + e.err.Error() }
func (e *repositoryError) Unwrap() error { return e.err }

// record writes a line of the journal.
func (w *walk) record(ctx context.Context, e builddata.Entry) error {
	if err := w.lease.keep(ctx); err != nil {
		return &repositoryError{err}
	}
	if err := w.Store.Record(ctx, w.lease.lease, w.id, e); err != nil {
		return &repositoryError{err}
	}
	w.read(e)
	return nil
}

// end writes how the rollout ended, and tells the version's history.
func (w *walk) end(ctx context.Context, status builddata.Status, estate Estate) error {
	if status == builddata.Succeeded {
		estate.Left = append(estate.Left, w.left...)
	}
	result, err := encode(estate)
	if err != nil {
		return &repositoryError{err}
	}
	if err := w.Store.End(ctx, w.lease.lease, w.id, builddata.Ending{Status: status, Result: result, Gone: estate.empty()}); err != nil {
		return &repositoryError{err}
	}
	w.tell(ctx, w.id, w.cluster, w.plan, status)
	return nil
}
