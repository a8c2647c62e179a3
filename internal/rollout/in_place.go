package rollout

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// changeInPlace gives the serving generation the sizes, the tags and the
// listener rule or default action of s. If that needs more servers, it returns
// once they are healthy.
func (m *Manager) changeInPlace(ctx context.Context, lease *heldLease, i Inventory, s cluster.Spec, settings Settings) error {
	g := i.Serving.generation()
	is, err := m.Cloud.Observe(ctx, g, s.ListenerARN())
	if err != nil {
		return fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
	}
	once := func(do func(ctx context.Context) error) error {
		return m.repeat(ctx, lease, propagationTimeout, func(ctx context.Context, _ time.Duration) error { return do(ctx) })
	}
	if s.Listener != nil {
		if was := cmp.Or(is.Listener, i.Serving.Spec.Listener); i.Kept != nil && !sameRoute(*was, *s.Listener) {
			// The kept generation would get the requests of the former rule.
			if err := once(func(ctx context.Context) error { return m.Cloud.Disconnect(ctx, i.Kept.generation(), *was) }); err != nil {
				return fmt.Errorf("cluster %s keeps its listener rule or default action: %w", s.ID, err)
			}
		}
		serve := func(ctx context.Context) error {
			if err := m.Cloud.Serve(ctx, g, s); err != nil {
				return err
			}
			return m.removeRules(ctx, i.Serving.Spec, s)
		}
		if err := once(serve); err != nil {
			return fmt.Errorf("cluster %s keeps its listener rule or default action, and may not get all of its requests: %w", s.ID, err)
		}
	}
	if is.Size != s.Size {
		m.Progress(ctx, "%s: change its bounds from %s to %s %s", g.Name, is.Size, s.Size, s.Units())
		if err := once(func(ctx context.Context) error { return m.Cloud.Resize(ctx, g, s.Size) }); err != nil {
			return fmt.Errorf("cluster %s keeps its %s %s: %w", s.ID, is.Size, s.Units(), err)
		}
	}
	if !maps.Equal(is.Tags.WithoutIgnored(s.IgnoredTags), g.Tags(s.Tags)) {
		m.Progress(ctx, "%s: change its tags", g.Name)
		if err := once(func(ctx context.Context) error { return m.Cloud.Retag(ctx, g, s) }); err != nil {
			return fmt.Errorf("some parts of cluster %s may have their former tags; apply again to continue: %w", s.ID, err)
		}
	}
	if err := once(func(ctx context.Context) error { return m.changeAttachments(ctx, *i.Serving, s) }); err != nil {
		return fmt.Errorf("some scaling policies, schedules and the like of cluster %s may be as before; apply again to continue: %w", s.ID, err)
	}
	if s.Size.Min <= is.Size.Min {
		return nil
	}
	var started launches
	err = m.repeat(ctx, lease, settings.HealthyWithin, func(ctx context.Context, _ time.Duration) error {
		all, err := m.Cloud.Health(ctx, g)
		if err != nil {
			return err
		}
		health := all[0]
		if err := started.check(m.Clock.Now(), g.Name, health); err != nil {
			return err
		}
		if health.Healthy < health.Desired {
			return &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", g.Name, health)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cluster %s now has %s %s, but not all of them are healthy; those that are continue to serve: %w",
			s.ID, s.Size, s.Units(), err)
	}
	return nil
}
