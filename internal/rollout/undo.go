package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// ErrNothing says that there is no rollout to do something with.
var ErrNothing = errors.New("no rollout of this cluster is in progress")

// Resume goes on with an interrupted rollout, in the direction it had.
func (m *Manager) Resume(ctx context.Context, id cluster.ID) (Estate, error) {
	lease, err := m.hold(ctx, id)
	if err != nil {
		return Estate{}, err
	}
	defer lease.release(ctx)
	p, w, err := m.look(ctx, lease, id)
	if err != nil {
		return p.Estate, err
	}
	if w == nil {
		return p.Estate, ErrNothing
	}
	err = w.run(ctx)
	p, lookErr := m.Look(context.WithoutCancel(ctx), id)
	return p.Estate, cmp.Or(err, lookErr)
}

// Undo takes an interrupted rollout back. If none is open, it goes back to the
// version before the one that serves: to the generation that was kept, or by a
// rollout of that version's image. It refuses while somebody else is at work.
func (m *Manager) Undo(ctx context.Context, id cluster.ID) (Estate, error) {
	lease, err := m.hold(ctx, id)
	if err != nil {
		return Estate{}, err
	}
	defer lease.release(ctx)
	p, w, err := m.look(ctx, lease, id)
	if err != nil {
		return p.Estate, err
	}
	if w == nil {
		return m.goBack(ctx, lease, id, p.Estate)
	}
	return m.takeBack(ctx, w)
}

// takeBack undoes an open rollout, if that is still possible.
func (m *Manager) takeBack(ctx context.Context, w *walk) (Estate, error) {
	if w.plan.destroys() {
		return w.estate(), fmt.Errorf("the removal of cluster %s cannot be taken back; apply to have the cluster whole again, or finish the removal with \"delivery rollout resume %s\"", w.cluster, w.cluster)
	}
	if w.settled() {
		return w.estate(), fmt.Errorf("rollout %s of cluster %s cannot be taken back: version %s serves, and the removal of what was before has begun; finish it with \"delivery rollout resume %s\", then go back with \"delivery rollout undo %s\"",
			w.id, w.cluster, version(w.serves()), w.cluster, w.cluster)
	}
	p, err := m.settle(ctx, w.lease, w.cluster, func(*walk) error { return fmt.Errorf("%s asked to take it back", m.Holder) })
	return p.Estate, err
}

// Abort has a rollout taken back, whoever is at work on it, and returns when
// it has come to an end. Without a rollout there is nothing to do. One that
// came to its own end first is an error.
func (m *Manager) Abort(ctx context.Context, id cluster.ID) (Estate, error) {
	p, err := m.Look(ctx, id)
	if err != nil || p.Open == nil {
		return p.Estate, err
	}
	rollout := p.Open.ID
	if err := m.Store.RequestAbort(ctx, id.Service, rollout, m.Holder); err != nil && !errors.Is(err, builddata.ErrConflict) {
		return p.Estate, err
	}
	for {
		lease, err := m.acquire(ctx, id)
		var busy *builddata.HeldError
		if err == nil {
			defer lease.release(ctx)
		} else if !errors.As(err, &busy) {
			return p.Estate, err
		}
		var w *walk
		if p, w, err = m.look(ctx, lease, id); err != nil {
			return p.Estate, err
		}
		if p.Open == nil || p.Open.ID != rollout {
			return p.Estate, m.tookBack(ctx, id, rollout)
		}
		if lease != nil {
			return m.takeBack(ctx, w)
		}
		m.Progress(ctx, "waiting for %s to take rollout %s back", busy.Lease.Holder, rollout)
		if err := m.Clock.Sleep(ctx, time.Second); err != nil {
			return p.Estate, fmt.Errorf("interrupted; the abortion of rollout %s stays asked for: %w", rollout, err)
		}
	}
}

// tookBack is the error if a rollout that is at its end was not taken back.
func (m *Manager) tookBack(ctx context.Context, id cluster.ID, rollout string) error {
	r, err := m.Store.Rollout(ctx, id.Service, rollout)
	if err == nil && r.Status == builddata.Succeeded && r.ToVersion != "" {
		err = fmt.Errorf("rollout %s of cluster %s came to its end before it could be taken back: version %s serves; go back with \"delivery rollout undo %s\"", rollout, id, r.ToVersion, id)
	}
	return err
}

// goBack rolls out the version before the one that serves.
func (m *Manager) goBack(ctx context.Context, lease *held, id cluster.ID, e Estate) (Estate, error) {
	if e.Serving == nil {
		return e, fmt.Errorf("cluster %s: %w, and nothing serves", id, ErrNothing)
	}
	arrival, previous, err := m.previous(ctx, id, e)
	if err != nil {
		return e, err
	}
	s := previous.Spec
	if e.Kept == nil || e.Kept.Name != previous.Name {
		if s.ImageID, err = m.image(ctx, s); err != nil {
			return e, err
		}
	}
	is, err := m.Cloud.Observe(ctx, e.Serving.generation(), e.Serving.Spec.ListenerARN())
	if err != nil {
		return e, fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	// Where requests come from and how many servers there may be is the
	// cluster's business, not the version's.
	now := asIs(*e.Serving, is)
	s.Listener, s.Size = now.Spec.Listener, now.Spec.Size
	if s.Listener == nil || s.Target == nil {
		s.Target = now.Spec.Target // both or neither
	}
	// An alarm that fires is a reason to go back, not one against it.
	settings := arrival.Settings
	settings.Alarms = nil
	m.Progress(ctx, "going back from version %s to %s", now.Spec.Version, s.Version)
	return m.roll(ctx, lease, s, settings, e, is)
}

// previous finds the generation before the one that serves, and the plan by
// which the latter came.
func (m *Manager) previous(ctx context.Context, id cluster.ID, e Estate) (Plan, Side, error) {
	q := builddata.RolloutQuery{Service: id.Service, Environment: id.Environment, Region: m.Region}
	for {
		page, err := m.Store.Rollouts(ctx, q)
		if err != nil {
			return Plan{}, Side{}, err
		}
		for _, r := range page {
			q.Before = r.ID
			if r.Status != builddata.Succeeded {
				continue
			}
			plan, err := decodePlan(r)
			if err != nil {
				return Plan{}, Side{}, err
			}
			if plan.to() == e.Serving.Name && plan.From != nil {
				return plan, *plan.From, nil
			}
			if plan.to() == e.Serving.Name {
				return Plan{}, Side{}, fmt.Errorf("cluster %s: version %s is its first, so there is none to go back to", id, e.Serving.Spec.Version)
			}
		}
		if len(page) < builddata.DefaultPage {
			return Plan{}, Side{}, fmt.Errorf("cluster %s: the repository does not know what was before version %s; apply a configuration with the version you want", id, e.Serving.Spec.Version)
		}
	}
}

// image is the image of a version by the repository: the one that the
// generation had if it is registered or nothing else is.
func (m *Manager) image(ctx context.Context, s cluster.Spec) (string, error) {
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
		return "", fmt.Errorf("cluster %s was not changed: version %s has %d images in %s and none of them is %s; apply a configuration that names one", s.ID, s.Version, len(images), m.Region, s.ImageID)
	}
	return images[0].ID, nil
}
