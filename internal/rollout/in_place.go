package rollout

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// inPlace brings sizes, tags and the place at the listener of a generation to
// what s says, and returns when the servers that a larger size asks for are
// healthy.
func (m *Manager) inPlace(ctx context.Context, lease *held, e Estate, s cluster.Spec, settings Settings) error {
	g := e.Serving.generation()
	is, err := m.Cloud.Observe(ctx, g, s.ListenerARN())
	if err != nil {
		return fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
	}
	once := func(do func(ctx context.Context) error) error {
		return m.repeat(ctx, lease, propagation, func(ctx context.Context, _ time.Duration) error { return do(ctx) })
	}
	if s.Listener != nil {
		if was := cmp.Or(is.Listener, e.Serving.Spec.Listener); e.Kept != nil && !samePlace(*was, *s.Listener) {
			// Where the cluster got its requests before, they would be left to
			// the generation that is kept.
			if err := once(func(ctx context.Context) error { return m.Cloud.Disconnect(ctx, e.Kept.generation(), *was) }); err != nil {
				return fmt.Errorf("cluster %s gets its requests where it did: %w", s.ID, err)
			}
		}
		if err := once(func(ctx context.Context) error { return m.Cloud.Serve(ctx, g, s) }); err != nil {
			return fmt.Errorf("cluster %s keeps its place at the listener, where it may not get all of its requests: %w", s.ID, err)
		}
	}
	if is.Size != s.Size {
		m.Progress(ctx, "%s: change its bounds from %s to %s servers", g.Name, is.Size, s.Size)
		if err := once(func(ctx context.Context) error { return m.Cloud.Resize(ctx, g, s.Size) }); err != nil {
			return fmt.Errorf("cluster %s keeps its %s servers: %w", s.ID, is.Size, err)
		}
	}
	if !maps.Equal(is.Tags, g.Tags(s.Tags)) {
		m.Progress(ctx, "%s: change its tags", g.Name)
		if err := once(func(ctx context.Context) error { return m.Cloud.Retag(ctx, g, s) }); err != nil {
			return fmt.Errorf("some of cluster %s may carry its former tags; apply again to go on: %w", s.ID, err)
		}
	}
	if s.Size.Min <= is.Size.Min {
		return nil
	}
	err = m.repeat(ctx, lease, settings.HealthyWithin, func(ctx context.Context, _ time.Duration) error {
		health, err := m.Cloud.Health(ctx, g)
		if err == nil && health[0].Healthy < health[0].Desired {
			err = &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", g.Name, health[0])}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cluster %s now has %s servers, but not all of them are healthy; those that are go on serving: %w", s.ID, s.Size, err)
	}
	return nil
}
