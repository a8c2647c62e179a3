package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// ErrNothing says that a cluster has no open rollout.
var ErrNothing = errors.New("no rollout of this cluster is in progress")

// Resume continues an interrupted rollout, in the direction that it had.
func (m *Manager) Resume(ctx context.Context, id cluster.ID) (Inventory, error) {
	return m.withLease(ctx, id, func(_ *heldLease, s Status, open *runner) (Inventory, error) {
		if open == nil {
			return s.Inventory, ErrNothing
		}
		return m.inventoryAfter(ctx, id, open.run(ctx))
	})
}

// Undo rolls an interrupted rollout back. If none is open, it goes back to the
// version before the one that serves: to the kept generation, or by a rollout of
// that version's image. It refuses while another process changes the cluster.
func (m *Manager) Undo(ctx context.Context, id cluster.ID) (Inventory, error) {
	return m.withLease(ctx, id, func(lease *heldLease, s Status, open *runner) (Inventory, error) {
		if open == nil {
			return m.rollOutPrevious(ctx, lease, id, s.Inventory)
		}
		return m.undoOpen(ctx, open)
	})
}

// undoOpen rolls an open rollout back, if that is still possible.
func (m *Manager) undoOpen(ctx context.Context, r *runner) (Inventory, error) {
	j := r.journal
	if j.plan.destroys() {
		return j.inventory(), fmt.Errorf("the removal of cluster %s cannot be rolled back; apply to make the cluster complete again, "+
			"or finish the removal with \"delivery rollout resume %s\"", r.cluster, r.cluster)
	}
	if j.irreversible() {
		return j.inventory(), fmt.Errorf("rollout %s of cluster %s cannot be rolled back: version %s serves, "+
			"and the removal of what was before has begun; finish it with \"delivery rollout resume %s\", "+
			"then go back with \"delivery rollout undo %s\"", r.rollout, r.cluster, versionOf(j.serving()), r.cluster, r.cluster)
	}
	return m.finish(ctx, r, fmt.Errorf("rollback requested by %s", m.Holder))
}

// Abort has a rollout rolled back by the process that runs it, or does so itself
// if that process is gone. It returns once the rollout has ended. It is an error
// if the rollout succeeds first, and not an error if none is open.
func (m *Manager) Abort(ctx context.Context, id cluster.ID) (Inventory, error) {
	s, err := ReadStatus(ctx, m.Store, id, m.Region)
	if err != nil || s.Open == nil {
		return s.Inventory, err
	}
	rollout := s.Open.ID
	if err := m.Store.RequestAbort(ctx, id.Service, rollout, m.Holder); err != nil && !errors.Is(err, builddata.ErrConflict) {
		return s.Inventory, err
	}
	for {
		i, err := m.tryAbort(ctx, id, rollout)
		var busy *builddata.HeldError
		if !errors.As(err, &busy) {
			return i, err
		}
		m.Progress(ctx, "waiting for %s to roll rollout %s back", busy.Lease.Holder, rollout)
		if err := m.Clock.Sleep(ctx, time.Second); err != nil {
			return i, fmt.Errorf("interrupted; the abort of rollout %s remains requested: %w", rollout, err)
		}
	}
}

// tryAbort rolls a rollout back if it is still open. If another process runs it,
// the error is a *builddata.HeldError.
func (m *Manager) tryAbort(ctx context.Context, id cluster.ID, rollout string) (Inventory, error) {
	lease, err := m.acquire(ctx, id)
	if errors.As(err, new(*builddata.HeldError)) {
		s, statusErr := ReadStatus(ctx, m.Store, id, m.Region)
		switch {
		case statusErr != nil:
			return s.Inventory, statusErr
		case s.Open == nil || s.Open.ID != rollout:
			return s.Inventory, m.checkAborted(ctx, id, rollout)
		}
		return s.Inventory, err
	}
	if err != nil {
		return Inventory{}, err
	}
	defer lease.release(ctx)
	s, open, err := m.openRollout(ctx, lease, id)
	switch {
	case err != nil:
		return s.Inventory, err
	case open == nil || open.rollout != rollout:
		return s.Inventory, m.checkAborted(ctx, id, rollout)
	}
	return m.undoOpen(ctx, open)
}

// checkAborted returns an error if a rollout has succeeded instead of being
// rolled back.
func (m *Manager) checkAborted(ctx context.Context, id cluster.ID, rollout string) error {
	r, err := m.Store.Rollout(ctx, id.Service, rollout)
	if err == nil && r.Status == builddata.Succeeded && r.ToVersion != "" {
		err = fmt.Errorf("rollout %s of cluster %s finished before it could be rolled back: version %s serves; "+
			"go back with \"delivery rollout undo %s\"", rollout, id, r.ToVersion, id)
	}
	return err
}

// rollOutPrevious rolls out the version before the one that serves.
func (m *Manager) rollOutPrevious(ctx context.Context, lease *heldLease, id cluster.ID, i Inventory) (Inventory, error) {
	if i.Serving == nil {
		return i, fmt.Errorf("cluster %s: %w, and nothing serves", id, ErrNothing)
	}
	arrival, previous, err := m.previous(ctx, id, i)
	if err != nil {
		return i, err
	}
	s := previous.Spec
	if i.Kept == nil || i.Kept.Name != previous.Name {
		if s.ImageID, err = m.imageOf(ctx, s); err != nil {
			return i, err
		}
	}
	is, err := m.Cloud.Observe(ctx, i.Serving.generation(), i.Serving.Spec.ListenerARN())
	if err != nil {
		return i, fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	// Listener, rules, size, ignored tags and attachments belong to the cluster, not to the version.
	now := asObserved(*i.Serving, is)
	s.Listener, s.Size, s.IgnoredTags, s.Attachments = now.Spec.Listener, now.Spec.Size, now.Spec.IgnoredTags, now.Spec.Attachments
	s.FurtherRules = now.Spec.FurtherRules
	if s.Listener == nil || s.Target == nil {
		s.Target = now.Spec.Target // both or neither
	}
	// A firing alarm is a reason to go back, not a reason against it, and no check holds up
	// what is done in an emergency.
	settings := arrival.Settings
	settings.Alarms, settings.TargetAlarms, settings.Preview, settings.Checks = nil, nil, nil, nil
	settings.CarryAlarmActions = true // nor is an alarm that would have to be changed
	m.Progress(ctx, "going back from version %s to %s", now.Spec.Version, s.Version)
	return m.rollOut(ctx, lease, s, settings, i, is)
}

// previous finds the generation before the serving one, and the plan that
// brought the latter.
func (m *Manager) previous(ctx context.Context, id cluster.ID, i Inventory) (Plan, GenerationRecord, error) {
	q := builddata.RolloutQuery{Service: id.Service, Environment: id.Environment, Region: m.Region}
	for r, err := range builddata.AllRollouts(ctx, m.Store, q) {
		if err != nil {
			return Plan{}, GenerationRecord{}, err
		}
		if r.Status != builddata.Succeeded {
			continue
		}
		plan, err := decodePlan(r)
		if err != nil {
			return Plan{}, GenerationRecord{}, err
		}
		if plan.toName() != i.Serving.Name {
			continue
		}
		if plan.From == nil {
			return Plan{}, GenerationRecord{}, fmt.Errorf("cluster %s: version %s is its first, so there is none to go back to", id, i.Serving.Spec.Version)
		}
		return plan, *plan.From, nil
	}
	return Plan{}, GenerationRecord{}, fmt.Errorf("cluster %s: the repository has no record of the version before %s; "+
		"apply a configuration with the version that you want", id, i.Serving.Spec.Version)
}

// imageOf returns the image of a version: the one that the generation had if
// that is registered or no image is, or else the registered one.
func (m *Manager) imageOf(ctx context.Context, s cluster.Spec) (string, error) {
	v, err := m.Store.Version(ctx, s.Service, s.Version)
	if errors.Is(err, builddata.ErrNotFound) {
		return s.ImageID, nil
	}
	if err != nil {
		return "", err
	}
	if _, err := builddata.Usable(v); err != nil {
		return "", fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
	}
	images, err := m.Store.Images(ctx, builddata.ImageQuery{Service: s.Service, Number: v.Number, Region: m.Region})
	if err != nil {
		return "", err
	}
	if len(images) == 0 || slices.ContainsFunc(images, func(i builddata.Image) bool { return i.ID == s.ImageID }) {
		return s.ImageID, nil
	}
	if len(images) > 1 {
		return "", fmt.Errorf("cluster %s was not changed: version %s has %d images in %s and none of them is %s; "+
			"apply a configuration that names one", s.ID, s.Version, len(images), m.Region, s.ImageID)
	}
	return images[0].ID, nil
}
