package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Manager makes, changes and removes clusters.
type Manager struct {
	Cloud Cloud
	Clock clock.Clock
	// Progress is told what is being done and waited for.
	Progress func(ctx context.Context, format string, args ...any)
}

// pollEvery is how often the health of servers is looked at. It is well above
// what AWS throttles and well below what a server takes to start.
const pollEvery = 5 * time.Second

// removalTime bounds the removal of what a failed creation made, beyond the
// time that servers may take to finish their requests.
const removalTime = 15 * time.Minute

// CreateError says that a cluster could not be made.
type CreateError struct {
	Cluster ID
	// Doing is the step that failed.
	Doing string
	Err   error
	// Left says that parts of the generation may exist, to be deleted as usual.
	Left bool
	// Interrupted says that somebody asked to stop.
	Interrupted bool
	// RemoveErr says why parts were left, where their removal was tried.
	RemoveErr error
}

func (e *CreateError) Error() string {
	s := fmt.Sprintf("cluster %s could not be made.\n\nWhat happened: to %s failed: %s.\n", e.Cluster, e.Doing, sentence(e.Err))
	switch {
	case !e.Left:
		s += "State now:     nothing of it is left; what was made has been removed again.\nWhat to do:    mend the cause and apply again."
	case e.Interrupted:
		s += "State now:     it is incomplete and recorded as such.\nWhat to do:    apply again to replace it, or destroy it."
	default:
		s += fmt.Sprintf("State now:     it is incomplete and recorded as such; its removal failed, too: %s.\nWhat to do:    mend the cause and apply again to replace it, or destroy it.", sentence(e.RemoveErr))
	}
	return s
}

// sentence is an error's text without the full stop that some end with.
func sentence(err error) string { return strings.TrimRight(err.Error(), ".") }

// Unwrap returns the cause.
func (e *CreateError) Unwrap() error { return e.Err }

// Create makes generation g as s says and returns when its servers are healthy
// and serve. Any error is a *CreateError: what was made is removed again,
// unless somebody asked to stop, which is then not kept waiting.
func (m *Manager) Create(ctx context.Context, g Generation, s Spec, within time.Duration) error {
	doing, err := m.create(ctx, g, s, within)
	if err == nil {
		return nil
	}
	failure := &CreateError{Cluster: s.ID, Doing: doing, Err: err}
	if errors.Is(ctx.Err(), context.Canceled) {
		failure.Left, failure.Interrupted = true, true
		return failure
	}
	m.Progress(ctx, "to %s failed (%s); removing what was made", doing, err)
	// A deadline that ended the creation must not end the removal, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalTime+s.drainTime())
	defer cancel()
	failure.RemoveErr = m.Delete(ctx, g, s.Listener)
	failure.Left = failure.RemoveErr != nil
	return failure
}

func (m *Manager) create(ctx context.Context, g Generation, s Spec, within time.Duration) (doing string, err error) {
	steps := []step{
		{"check what it is made of", func(ctx context.Context) error { return m.Cloud.Check(ctx, s) }},
		{"make the launch template", func(ctx context.Context) error { return m.Cloud.MakeTemplate(ctx, g, s) }},
	}
	if s.Listener != nil {
		// Before the servers: a target group that no listener uses never
		// finds a server healthy.
		steps = append(steps,
			step{"make the target group", func(ctx context.Context) error { return m.Cloud.MakeTargets(ctx, g, s) }},
			step{"connect it to the listener", func(ctx context.Context) error { return m.Cloud.Connect(ctx, g, s) }},
		)
	}
	steps = append(steps,
		step{"start the servers", func(ctx context.Context) error { return m.Cloud.MakeServers(ctx, g, s, s.Size.Min) }},
		step{"see the servers healthy", func(ctx context.Context) error { return m.awaitHealthy(ctx, g, within) }},
	)
	if s.Listener != nil {
		steps = append(steps, step{"send it the requests", func(ctx context.Context) error { return m.Cloud.Serve(ctx, g, s) }})
	}
	return m.walk(ctx, g, steps)
}

// step is one step of a procedure, named so that "to ... failed" reads well.
type step struct {
	name string
	do   func(ctx context.Context) error
}

// walk takes the steps in order up to the first that fails, and names it.
func (m *Manager) walk(ctx context.Context, g Generation, steps []step) (failed string, err error) {
	for _, step := range steps {
		m.Progress(ctx, "%s: %s", g.Name, step.name)
		if err := step.do(ctx); err != nil {
			return step.name, err
		}
	}
	return "", nil
}

func (m *Manager) awaitHealthy(ctx context.Context, g Generation, within time.Duration) error {
	return clock.Poll(ctx, m.Clock, pollEvery, within, func(ctx context.Context) (bool, string, error) {
		health, err := m.Cloud.Health(ctx, g)
		if err != nil {
			return false, "", err
		}
		m.Progress(ctx, "%s: %s", g.Name, health)
		return health.Healthy >= health.Desired, health.String(), nil
	})
}

// Delete removes generation g: first its place at the listener, then its
// servers, which finish their requests, then the rest. What is gone already is
// passed over. After an error it can be called again.
func (m *Manager) Delete(ctx context.Context, g Generation, l *Listener) error {
	var steps []step
	if l != nil {
		steps = append(steps, step{"take it from the listener", func(ctx context.Context) error { return m.Cloud.Disconnect(ctx, g, *l) }})
	}
	steps = append(steps,
		step{"remove the servers", func(ctx context.Context) error { return m.Cloud.RemoveServers(ctx, g) }},
		step{"remove the target group", func(ctx context.Context) error { return m.Cloud.RemoveTargets(ctx, g) }},
		step{"remove the launch template", func(ctx context.Context) error { return m.Cloud.RemoveTemplate(ctx, g) }},
	)
	if failed, err := m.walk(ctx, g, steps); err != nil {
		return fmt.Errorf("to %s failed: %w", failed, err)
	}
	return nil
}

// Update brings sizes and tags of generation g to what s says, and returns
// when the servers that a larger size asks for are healthy.
func (m *Manager) Update(ctx context.Context, g Generation, s Spec, within time.Duration) error {
	is, err := m.Cloud.Observe(ctx, g, s.listenerARN())
	if err != nil {
		return fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
	}
	if is.Size != s.Size {
		m.Progress(ctx, "%s: change its bounds from %s to %s servers", g.Name, is.Size, s.Size)
		if err := m.Cloud.Resize(ctx, g, s.Size); err != nil {
			return fmt.Errorf("cluster %s keeps its %s servers: %w", s.ID, is.Size, err)
		}
	}
	if !maps.Equal(is.Tags, g.Tags(s.Tags)) {
		m.Progress(ctx, "%s: change its tags", g.Name)
		if err := m.Cloud.Retag(ctx, g, s); err != nil {
			return fmt.Errorf("some of cluster %s may carry its former tags; apply again to go on: %w", s.ID, err)
		}
	}
	if s.Size.Min <= is.Size.Min {
		return nil
	}
	if err := m.awaitHealthy(ctx, g, within); err != nil {
		return fmt.Errorf("cluster %s now has %s servers, but not all of them are healthy; those that are go on serving: %w", s.ID, s.Size, err)
	}
	return nil
}
