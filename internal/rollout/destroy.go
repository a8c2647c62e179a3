package rollout

import (
	"context"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Destroy removes everything of a cluster that the repository knows, and the
// generation that the caller knows. After an error it can be called again.
func (m *Manager) Destroy(ctx context.Context, id cluster.ID, known *Side) error {
	lease, err := m.hold(ctx, id)
	if err != nil {
		return err
	}
	defer lease.release(ctx)
	p, w, err := m.look(ctx, lease, id)
	if err != nil {
		return err
	}
	if w != nil {
		if p.Estate, err = w.dissolve(ctx); err != nil {
			return err
		}
	}
	plan := Plan{From: p.Serving, Kept: p.Kept, Left: p.Left, Settings: Settings{Protected: Force}}
	if known != nil {
		if _, err := plan.side(known.Name); err != nil {
			plan.Left = append(plan.Left, *known)
		}
	}
	unknown, err := m.unknown(ctx, id, plan.before())
	switch {
	case err != nil:
		return err
	case unknown != "":
		return m.foreign(id, unknown)
	case plan.From == nil && plan.Kept == nil && len(plan.Left) == 0:
		return nil
	}
	_, err = m.begin(ctx, lease, id, plan)
	return err
}

// dissolve ends a rollout whose cluster is to go. Everything that it made or
// meant to remove stays on record as left.
func (w *walk) dissolve(ctx context.Context) (Estate, error) {
	e := w.plan.before()
	if w.plan.To != nil && !w.plan.Reused {
		e.Left = append(e.Left, *w.plan.To)
	}
	return e, w.end(ctx, builddata.Failed, e)
}
