package rollout

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Status holds what the repository knows of a cluster.
type Status struct {
	// Inventory is what exists according to the records. During a rollout, its
	// Serving is the generation that gets the requests.
	Inventory
	// Open is the unfinished rollout, with its entries; nil if there is none.
	Open *builddata.Rollout
	// Last is the latest rollout, finished or not; nil if there never was one.
	Last *builddata.Rollout
}

// ReadStatus reads what the repository knows of a cluster. It asks nothing of
// the cloud.
func ReadStatus(ctx context.Context, store builddata.Rollouts, id cluster.ID, region string) (Status, error) {
	s, _, err := readStatus(ctx, store, id, region)
	return s, err
}

// readStatus also returns the journal of the open rollout; nil if there is none.
func readStatus(ctx context.Context, store builddata.Rollouts, id cluster.ID, region string) (Status, *journal, error) {
	latest, err := store.Rollouts(ctx, builddata.RolloutQuery{Service: id.Service, Environment: id.Environment, Region: region, Limit: 1})
	if err != nil || len(latest) == 0 {
		return Status{}, nil, err
	}
	if !latest[0].Open() {
		inventory, err := decodeResult(latest[0])
		return Status{Inventory: inventory, Last: &latest[0]}, nil, err
	}
	open, err := store.Rollout(ctx, id.Service, latest[0].ID)
	if err != nil {
		return Status{Last: &latest[0]}, nil, err
	}
	j, err := readJournal(open)
	if err != nil {
		return Status{Last: &open}, nil, err
	}
	return Status{Inventory: j.inventory(), Open: &open, Last: &open}, j, nil
}

// ServedAt returns the generations that served at a time, by region: what the
// latest rollout that had ended by then left. Rollouts are those of a service in an
// environment, the newest first.
func ServedAt(rollouts []builddata.Rollout, at time.Time) (map[string]GenerationRecord, error) {
	serving, known := map[string]GenerationRecord{}, map[string]bool{}
	for _, r := range rollouts {
		if known[r.Region] || r.Open() || r.EndedAt.After(at) {
			continue
		}
		known[r.Region] = true
		inventory, err := decodeResult(r)
		if err != nil {
			return nil, err
		}
		if inventory.Serving != nil {
			serving[r.Region] = *inventory.Serving
		}
	}
	return serving, nil
}

// Untried reports whether the latest rollout of a cluster succeeded without starting a server,
// because the cluster is scaled to 0.
func Untried(ctx context.Context, store builddata.Rollouts, id cluster.ID, region string) (bool, error) {
	s, err := ReadStatus(ctx, store, id, region)
	if err != nil || s.Last == nil || s.Last.Status != builddata.Succeeded {
		return false, err
	}
	last, err := store.Rollout(ctx, id.Service, s.Last.ID)
	return slices.ContainsFunc(last.Entries, func(e builddata.Entry) bool { return e.Note == noServers }), err
}

// ReadLease returns the lease of a cluster, and whether a process holds it now.
func ReadLease(ctx context.Context, store builddata.Leases, c clock.Clock, id cluster.ID, region string) (builddata.Lease, bool, error) {
	lease, err := store.Lease(ctx, id.Service, leaseName(id, region))
	if errors.Is(err, builddata.ErrNotFound) {
		return lease, false, nil
	}
	return lease, err == nil && c.Now().Before(lease.ExpiresAt), err
}

// StepState is the progress of one step.
type StepState struct {
	// Step is the step's code, and Title describes it for people.
	Step, Title string
	// Phase is empty for a step that is still to come.
	Phase builddata.Phase
	// Undo says that the step belongs to the rollback.
	Undo bool
	// At is when the phase was reached.
	At time.Time
	// Note is the journal's note: why the step failed, or the code of what it left.
	// Detail is the same for people.
	Note, Detail string
}

// Steps lists the steps that a rollout has run, and those that are still to
// come.
func Steps(r builddata.Rollout) ([]StepState, error) {
	plan, err := decodePlan(r)
	if err != nil {
		return nil, err
	}
	type key struct {
		step string
		undo bool
	}
	var all []StepState
	seen := map[key]int{}
	rollingBack := false
	for _, e := range r.Entries {
		step, err := ParseStep(e.Step)
		if err != nil {
			return nil, err
		}
		state := StepState{Step: e.Step, Title: step.Title(), Phase: e.Phase, Undo: e.Undo, At: e.At, Note: e.Note, Detail: e.Note}
		if text, ok := noteTexts[e.Note]; ok {
			state.Detail = text
		}
		rollingBack = rollingBack || e.Undo
		k := key{e.Step, e.Undo}
		if i, ok := seen[k]; ok {
			all[i] = state
			continue
		}
		seen[k] = len(all)
		all = append(all, state)
	}
	if rollingBack || !r.Open() {
		return all, nil
	}
	for _, s := range plan.Steps {
		if _, ok := seen[key{s.Code(), false}]; !ok {
			all = append(all, StepState{Step: s.Code(), Title: s.Title()})
		}
	}
	return all, nil
}
