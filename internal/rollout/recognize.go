package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// checkAccount refuses to act on a record by the credentials of another
// account: there, nothing of the cluster would be found, and taken for gone.
func (m *Manager) checkAccount(ctx context.Context, id cluster.ID, r builddata.Rollout) error {
	plan, err := decodePlan(r)
	if err != nil {
		return err
	}
	account, err := m.Cloud.Account(ctx)
	if err != nil {
		return fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	if plan.Account != account {
		return fmt.Errorf("cluster %s in %s is on record in account %s, but the credentials are of account %s; nothing was changed: use those of the former", id, m.Region, plan.Account, account)
	}
	return nil
}

// recognize compares what the repository knows with what the caller knows and
// with what there is. A cluster that the caller does not know is another's,
// unless its creation was gone on with just now.
func (m *Manager) recognize(ctx context.Context, s cluster.Spec, known *Side, created bool, e *Estate) error {
	// What the caller saw is what there is, and the only record there is if
	// the repository has none.
	if known != nil && (e.Serving == nil || e.Serving.Name == known.Name) {
		e.Serving = known
	}
	unknown, err := m.unknown(ctx, s.ID, *e)
	if err != nil {
		return err
	}
	if known == nil && !created && e.Serving != nil {
		is, err := m.Cloud.Observe(ctx, e.Serving.generation(), e.Serving.Spec.ListenerARN())
		if err != nil {
			return fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
		}
		if !is.Gone() {
			unknown = e.Serving.Name
		}
	}
	switch {
	case unknown == "":
		return nil
	case known == nil:
		return fmt.Errorf("cluster %s exists already, with generation %s; nothing was changed: import it (terraform import ADDRESS %s), or choose another service or environment", s.ID, unknown, s.ID)
	}
	return m.foreign(s.ID, unknown)
}

// unknown names a generation of the cluster that is there and that the estate
// does not have; empty if there is none.
func (m *Manager) unknown(ctx context.Context, id cluster.ID, e Estate) (string, error) {
	generations, err := m.Cloud.Generations(ctx, id)
	if err != nil {
		return "", fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	has := func(name string) bool {
		return e.Serving != nil && e.Serving.Name == name || e.Kept != nil && e.Kept.Name == name ||
			slices.ContainsFunc(e.Left, func(l Side) bool { return l.Name == name })
	}
	for _, g := range generations {
		if !has(g.Name) {
			return g.Name, nil
		}
	}
	return "", nil
}

// foreign is the error for a generation that nobody here knows.
func (m *Manager) foreign(id cluster.ID, generation string) error {
	return fmt.Errorf("cluster %s has a generation %s that this build data repository does not know; nothing was changed: use the repository that it was made with, or remove its Auto Scaling group, target group and launch template by hand", id, generation)
}
