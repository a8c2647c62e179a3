package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// failure returns the *Error for the present state of the rollout.
func (r *runner) failure(ctx context.Context, step Step, err error, outcome Outcome, rollbackErr error) error {
	if outcome == Stopped && r.journal.irreversible() {
		outcome = Irreversible
	}
	plan := r.journal.plan
	return &Error{
		Cluster: r.cluster, ID: r.rollout, From: plan.fromVersion(), To: plan.toVersion(), Cleanup: plan.Stays != nil,
		Step: step, Err: err, Outcome: outcome, RollbackErr: rollbackErr, Serving: r.describeServing(ctx, outcome),
	}
}

// describeTimeout bounds the calls that an error message makes to describe what
// serves.
const describeTimeout = 15 * time.Second

// describeServing says in words what gets the requests.
func (r *runner) describeServing(ctx context.Context, outcome Outcome) string {
	plan := r.journal.plan
	switch {
	case plan.takesOver() && (outcome == RolledBack || !r.journal.shifted()):
		return fmt.Sprintf("target group %s serves, as before", plan.To.Spec.TakeOver)
	case plan.takesOver() && (r.journal.rollingBack || !r.journal.served()):
		return fmt.Sprintf("version %s and target group %s may share the requests", plan.To.Spec.Version, plan.To.Spec.TakeOver)
	case outcome == RolledBack && plan.From == nil:
		return "there is no cluster, as before"
	case plan.From == nil && plan.To != nil && !r.journal.served():
		return "nothing serves yet"
	}
	g := r.journal.serving()
	if outcome == RolledBack {
		g = plan.From
	}
	if g == nil {
		return "no version is meant to serve"
	}
	if outcome == Stopped && plan.From != nil && r.journal.shifted() {
		from, to := plan.From.Spec, plan.To.Spec
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Sprintf("versions %s and %s may share the requests", from.Version, to.Version)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), describeTimeout)
		defer cancel()
		is, err := r.manager.Cloud.Observe(ctx, plan.To.generation(), to.ListenerARN())
		switch {
		case err != nil:
			return fmt.Sprintf("it could not be read how versions %s and %s share the requests", from.Version, to.Version)
		case is.Share == 0:
			g = plan.From
		case is.Share == 100:
			g = plan.To
		default:
			return fmt.Sprintf("version %s gets %d%% of the requests and version %s the rest", to.Version, is.Share, from.Version)
		}
	}
	return r.manager.describeServing(ctx, *g, plan.FromComplete || g != plan.From)
}

// describeServing says in words how the servers of a generation are.
func (m *Manager) describeServing(ctx context.Context, g GenerationRecord, complete bool) string {
	s := fmt.Sprintf("version %s serves", g.Spec.Version)
	if errors.Is(ctx.Err(), context.Canceled) {
		return s // an interrupted process ends soon
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), describeTimeout)
	defer cancel()
	health, err := m.Cloud.Health(ctx, g.generation())
	switch {
	case !complete && err != nil:
		return fmt.Sprintf("parts of version %s are missing, as before", g.Spec.Version)
	case err != nil:
		return s + " (its health could not be read)"
	case !complete:
		return fmt.Sprintf("parts of version %s are missing, as before; it has %s", g.Spec.Version, health[0])
	case !health[0].Exists:
		return fmt.Sprintf("version %s should serve, but its Auto Scaling group does not exist", g.Spec.Version)
	}
	return s + " with " + health[0].String()
}
