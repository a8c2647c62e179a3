package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// checkAccount refuses credentials of another account than the recorded one:
// there, the cluster would seem to be gone.
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
		return fmt.Errorf("cluster %s in %s is in account %s, but the credentials are of account %s; nothing was changed: "+
			"use credentials of account %s", id, m.Region, plan.Account, account, plan.Account)
	}
	return nil
}

// checkOwnership compares the records with the generation that the caller knows
// and with what exists. It refuses a cluster that the caller does not know,
// unless this call has just resumed its creation.
func (m *Manager) checkOwnership(ctx context.Context, s cluster.Spec, known *GenerationRecord, created bool, i *Inventory) error {
	// The caller has read what exists, and may have the only record of it.
	if known != nil && (i.Serving == nil || i.Serving.Name == known.Name) {
		serving := *known
		if i.Serving != nil {
			serving.Spec = known.Spec.WithTemplateOf(i.Serving.Spec)
		}
		i.Serving = &serving
	}
	unknown, err := m.unknownGeneration(ctx, s.ID, *i)
	if err != nil {
		return err
	}
	if known == nil && !created && i.Serving != nil {
		is, err := m.Cloud.Observe(ctx, i.Serving.generation(), i.Serving.Spec.ListenerARN())
		if err != nil {
			return fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
		}
		if !is.Gone() {
			unknown = i.Serving.Name
		}
	}
	switch {
	case unknown == "":
		return nil
	case known == nil:
		return fmt.Errorf("cluster %s exists already, with generation %s; nothing was changed: "+
			"import it (terraform import ADDRESS %s), or choose another service or environment", s.ID, unknown, s.ID)
	}
	return otherRepositoryError(s.ID, unknown)
}

// unknownGeneration names a generation that exists and is not in the inventory;
// empty if there is none.
func (m *Manager) unknownGeneration(ctx context.Context, id cluster.ID, i Inventory) (string, error) {
	generations, err := m.Cloud.Generations(ctx, id)
	if err != nil {
		return "", fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	has := func(name string) bool {
		return i.Serving != nil && i.Serving.Name == name || i.Kept != nil && i.Kept.Name == name ||
			slices.ContainsFunc(i.Left, func(left GenerationRecord) bool { return left.Name == name })
	}
	for _, g := range generations {
		if !has(g.Name) {
			return g.Name, nil
		}
	}
	return "", nil
}

// otherRepositoryError: the cluster has a generation that is on record nowhere
// here.
func otherRepositoryError(id cluster.ID, generation string) error {
	return fmt.Errorf("cluster %s has a generation %s that this build data repository does not know; nothing was changed: "+
		"use the repository that the cluster was created with, "+
		"or remove the generation's Auto Scaling group, target group and launch template by hand", id, generation)
}
