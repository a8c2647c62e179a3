package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// failure is the *Error for where the rollout stands.
func (w *walk) failure(ctx context.Context, step string, err error, outcome Outcome, undoErr error) error {
	if outcome == Stopped && w.settled() {
		outcome = Settled
	}
	return &Error{
		Cluster: w.cluster, ID: w.id, From: version(cmp.Or(w.plan.From, w.plan.Stays)), To: version(cmp.Or(w.plan.To, w.plan.Stays)),
		Cleanup: w.plan.Stays != nil, Step: step, Err: err, Outcome: outcome, UndoErr: undoErr, Serving: w.serving(ctx, outcome),
	}
}

// lookTime bounds the look at who serves that an error message takes.
const lookTime = 15 * time.Second

// serving says in words who gets the requests.
func (w *walk) serving(ctx context.Context, outcome Outcome) string {
	switch {
	case outcome == Undone && w.plan.From == nil:
		return "there is no cluster, as before"
	case w.plan.From == nil && w.plan.To != nil && !w.done[(Step{Do: Serve, Of: w.plan.To.Name}).String()]:
		return "nothing serves yet"
	}
	side := w.serves()
	if outcome == Undone {
		side = w.plan.From
	}
	if side == nil {
		return "no version is meant to serve"
	}
	if outcome == Stopped && w.plan.From != nil && w.shifted() {
		from, to := w.plan.From.Spec, w.plan.To.Spec
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Sprintf("versions %s and %s may share the requests", from.Version, to.Version)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
		defer cancel()
		is, err := w.Cloud.Observe(ctx, w.plan.To.generation(), to.ListenerARN())
		switch {
		case err != nil:
			return fmt.Sprintf("how versions %s and %s share the requests could not be read", from.Version, to.Version)
		case is.Share == 0:
			side = w.plan.From
		case is.Share == 100:
			side = w.plan.To
		default:
			return fmt.Sprintf("version %s gets %d%% of the requests and version %s the rest", to.Version, is.Share, from.Version)
		}
	}
	return w.Manager.serving(ctx, *side, w.plan.FromLives || side != w.plan.From)
}

// serving says that a side serves, and how its servers are, if it is whole.
func (m *Manager) serving(ctx context.Context, side Side, whole bool) string {
	s := fmt.Sprintf("version %s serves", side.Spec.Version)
	if errors.Is(ctx.Err(), context.Canceled) {
		return s // whoever asked to stop is not kept waiting
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	health, err := m.Cloud.Health(ctx, side.generation())
	switch {
	case !whole && err != nil:
		return fmt.Sprintf("parts of version %s are missing, as before", side.Spec.Version)
	case err != nil:
		return s + " (its health could not be read)"
	case !whole:
		return fmt.Sprintf("parts of version %s are missing, as before; it has %s", side.Spec.Version, health[0])
	case !health[0].Exists:
		return fmt.Sprintf("version %s should serve, but its Auto Scaling group is not there", side.Spec.Version)
	}
	return s + " with " + health[0].String()
}
