package rollout

import (
	"context"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Destroy removes every generation of a cluster that the repository knows, and
// the generation that the caller knows. After an error it can be called again.
func (m *Manager) Destroy(ctx context.Context, id cluster.ID, known *GenerationRecord) error {
	_, err := m.withLease(ctx, id, func(lease *heldLease, s Status, open *runner) (Inventory, error) {
		if open != nil {
			var err error
			if s.Inventory, err = open.abandon(ctx); err != nil {
				return s.Inventory, err
			}
		}
		plan := Plan{From: s.Serving, Kept: s.Kept, Left: s.Left, Settings: Settings{Protected: Force}}
		if known != nil {
			if _, err := plan.generation(known.Name); err != nil {
				plan.Left = append(plan.Left, *known)
			}
		}
		var err error
		if plan.Settings.Drain, err = drainOf(s, known); err != nil {
			return s.Inventory, err
		}
		unknown, err := m.unknownGeneration(ctx, id, plan.before())
		switch {
		case err != nil:
			return s.Inventory, err
		case unknown != "":
			return s.Inventory, otherRepositoryError(id, unknown)
		case plan.From == nil && plan.Kept == nil && len(plan.Left) == 0:
			return s.Inventory, nil
		}
		return m.start(ctx, lease, id, plan)
	})
	return err
}

// drainOf is how long servers stay after their rule was removed, while the load balancer learns
// of it everywhere: something else may answer where the cluster served.
func drainOf(s Status, known *GenerationRecord) (time.Duration, error) {
	var drain time.Duration
	switch {
	case s.Last != nil:
		last, err := decodePlan(*s.Last)
		if err != nil {
			return 0, err
		}
		drain = last.Settings.Drain
	case known != nil:
		drain = Defaults(known.Spec).Drain
	}
	return min(openDelay, drain), nil
}

// abandon ends a rollout whose cluster is destroyed. Everything that it created
// or was to remove stays on record as left.
func (r *runner) abandon(ctx context.Context) (Inventory, error) {
	plan := r.journal.plan
	i := plan.before()
	// Nothing else knows what the tests of the new generation needed.
	if steps := plan.untestSteps(); len(steps) > 0 && !r.journal.irreversible() {
		if err := r.beginRollback(ctx, "the cluster is destroyed"); err != nil {
			return i, err
		}
		if _, err := r.runSteps(ctx, steps); err != nil {
			return i, err
		}
	}
	if plan.To != nil && !plan.Reused {
		i.Left = append(i.Left, *plan.To)
	}
	return i, r.end(ctx, builddata.Failed, i)
}
