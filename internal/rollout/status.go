package rollout

import (
	"context"
	"errors"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// StepState is how far a step of a rollout is, for people and machines.
type StepState struct {
	Step string
	// Phase is empty for a step that is still to come.
	Phase builddata.Phase
	// Undo says that the step is one of taking the rollout back.
	Undo bool
	// At is when the phase was reached.
	At time.Time
	// Note is why a step failed.
	Note string
}

// Steps lists what a rollout has done and what it will do yet.
func Steps(r builddata.Rollout) ([]StepState, error) {
	plan, err := decodePlan(r)
	if err != nil {
		return nil, err
	}
	var all []StepState
	seen := map[string]int{}
	undoing := false
	for _, e := range r.Entries {
		state := StepState{Step: e.Step, Phase: e.Phase, Undo: e.Undo, At: e.At, Note: e.Note}
		undoing = undoing || e.Undo
		key := e.Step
		if e.Undo {
			key = "undo " + key
		}
		if i, ok := seen[key]; ok {
			all[i] = state
			continue
		}
		seen[key] = len(all)
		all = append(all, state)
	}
	if undoing || r.Status != builddata.Started {
		return all, nil
	}
	for _, s := range plan.Steps {
		if _, ok := seen[s.String()]; !ok {
			all = append(all, StepState{Step: s.String()})
		}
	}
	return all, nil
}

// AtWork returns the lease of a cluster, and whether somebody has it now.
func (m *Manager) AtWork(ctx context.Context, id cluster.ID) (builddata.Lease, bool, error) {
	lease, err := m.Store.Lease(ctx, id.Service, leaseName(id, m.Region))
	if errors.Is(err, builddata.ErrNotFound) {
		return lease, false, nil
	}
	return lease, err == nil && m.Clock.Now().Before(lease.ExpiresAt), err
}
