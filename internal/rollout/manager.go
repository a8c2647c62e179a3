package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Store is the part of the build data repository that rollouts use.
type Store interface {
	builddata.Leases
	builddata.Rollouts
	Append(ctx context.Context, events ...builddata.Event) error
	Version(ctx context.Context, service, name string) (builddata.Version, error)
	Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error)
}

// Manager makes, changes and removes clusters of one region.
type Manager struct {
	Cloud  cluster.Cloud
	Store  Store
	Clock  clock.Clock
	Region string
	// Holder says who is at work, for whoever meets a lease.
	Holder string
	// Entropy makes the names of generations unique.
	Entropy io.Reader
	// Progress is told what is being done and waited for.
	Progress func(ctx context.Context, format string, args ...any)
}

// Picture is what the repository knows of a cluster.
type Picture struct {
	// Estate is what there is by the record. During a rollout, its Serving is
	// the generation that gets the requests.
	Estate
	// Open is the rollout that is not at its end, with its entries.
	Open *builddata.Rollout
	// Last is the latest rollout, open or not; nil if there never was one.
	Last *builddata.Rollout
}

// Look reads what the repository knows of a cluster.
func (m *Manager) Look(ctx context.Context, id cluster.ID) (Picture, error) {
	p, _, err := m.look(ctx, nil, id)
	return p, err
}

// look reads what the repository knows of a cluster, and picks up the rollout
// that is open; nil if there is none.
func (m *Manager) look(ctx context.Context, lease *held, id cluster.ID) (p Picture, w *walk, err error) {
	all, err := m.Store.Rollouts(ctx, builddata.RolloutQuery{Service: id.Service, Environment: id.Environment, Region: m.Region, Limit: 1})
	if err != nil || len(all) == 0 {
		return p, nil, err
	}
	p.Last = &all[0]
	if lease != nil {
		if err := m.checkAccount(ctx, id, all[0]); err != nil {
			return p, nil, err
		}
	}
	if p.Last.Status != builddata.Started {
		p.Estate, err = decodeResult(*p.Last)
		return p, nil, err
	}
	open, err := m.Store.Rollout(ctx, id.Service, p.Last.ID)
	if err != nil {
		return p, nil, err
	}
	if w, err = m.walk(lease, id, open); err != nil {
		return p, nil, err
	}
	p.Open, p.Last, p.Estate = &open, &open, w.estate()
	return p, w, nil
}

// Inspect is Look for whoever is about to compare it with the cloud: it refuses
// if the cluster is on record in another account.
func (m *Manager) Inspect(ctx context.Context, id cluster.ID) (Picture, error) {
	p, err := m.Look(ctx, id)
	if err == nil && p.Last != nil {
		err = m.checkAccount(ctx, id, *p.Last)
	}
	return p, err
}

// Apply brings a cluster to what s says and returns what there is then: by a
// rollout where that takes other servers, in place where it does not. A
// rollout that was interrupted is gone on with if it leads there, and settled
// first if it does not. Known is the generation that the caller knows, as it
// is; nil in a creation. A failure of a rollout is an *Error.
func (m *Manager) Apply(ctx context.Context, s cluster.Spec, settings Settings, known *Side) (Estate, error) {
	lease, err := m.hold(ctx, s.ID)
	if err != nil {
		return Estate{}, err
	}
	defer lease.release(ctx)
	created := false
	p, err := m.settle(ctx, lease, s.ID, func(w *walk) error {
		w.plan.Settings.revise(settings)
		created = w.plan.From == nil && w.plan.To != nil
		if w.plan.To != nil && w.plan.To.Spec.SameServers(s) {
			return nil
		}
		return errors.New("the configuration asks for something else now")
	})
	if errors.Is(err, errLastHealthy) {
		p, err = m.stay(ctx, lease, s.ID)
	}
	if err != nil {
		return p.Estate, err
	}
	if err := m.recognize(ctx, s, known, created, &p.Estate); err != nil {
		return p.Estate, err
	}
	var is cluster.Observed
	if p.Serving != nil {
		is, err = m.Cloud.Observe(ctx, p.Serving.generation(), p.Serving.Spec.ListenerARN())
		if err != nil {
			return p.Estate, fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
		}
		if is.Gone() && known == nil {
			p.Serving = nil // somebody removed it; there is nothing to move from
		}
	}
	if p.Serving == nil || len(is.Missing) > 0 || !p.Serving.Spec.SameServers(s) {
		return m.roll(ctx, lease, s, settings, p.Estate, is)
	}
	if err := m.inPlace(ctx, lease, p.Estate, s, settings); err != nil {
		return p.Estate, err
	}
	p.Serving.Spec = s
	if p.Kept != nil && !settings.KeepPrevious {
		return m.begin(ctx, lease, s.ID, Plan{Stays: p.Serving, Kept: p.Kept, Left: p.Left, Settings: settings})
	}
	return p.Estate, nil
}

// settle brings an interrupted rollout to an end: the one it was meant to have
// if nothing is against it or there is no way back, else the one where all is
// as it was before.
func (m *Manager) settle(ctx context.Context, lease *held, id cluster.ID, against func(w *walk) error) (Picture, error) {
	p, w, err := m.look(ctx, lease, id)
	if w == nil {
		return p, err
	}
	if w.plan.destroys() {
		// Somebody wants the cluster after all. Everything that may be left of
		// it stays on record.
		if err := w.end(ctx, builddata.Failed, w.plan.before()); err != nil {
			return p, err
		}
		return m.Look(ctx, id)
	}
	m.Progress(ctx, "rollout %s, from version %q to %q, was interrupted", w.id, version(w.plan.From), version(w.plan.To))
	if why := against(w); w.undoing || why != nil && !w.settled() {
		err = w.back(ctx, "", why)
		var failure *Error
		if errors.As(err, &failure) && failure.Outcome == Undone {
			err = nil
		}
	} else {
		err = w.run(ctx)
	}
	p, lookErr := m.Look(context.WithoutCancel(ctx), id)
	return p, cmp.Or(err, lookErr)
}

// whole reports whether a generation has all of its parts, and requests a way
// to it.
func whole(is cluster.Observed, s cluster.Spec) bool {
	return len(is.Missing) == 0 && (s.Listener == nil || is.Listener != nil)
}

// stay ends a rollout that cannot be taken back because only its new servers
// are healthy: those serve from now on, and the old ones are left.
func (m *Manager) stay(ctx context.Context, lease *held, id cluster.ID) (Picture, error) {
	p, w, err := m.look(ctx, lease, id)
	if w == nil {
		return p, err
	}
	e := Estate{Serving: w.plan.To, Kept: w.plan.Kept, Left: append(w.plan.Left, *w.plan.From)}
	if w.plan.Reused {
		e.Kept = nil
	}
	steps := []Step{{Do: Release, Of: w.plan.To.Name}}
	if w.plan.moves() {
		steps = append(steps, Step{Do: Disconnect, Of: w.plan.From.Name})
	}
	if err = w.turn(ctx, errLastHealthy.Error()); err == nil {
		_, err = w.take(ctx, steps)
	}
	if err == nil {
		err = w.end(ctx, builddata.Failed, e)
	}
	return Picture{Estate: e}, err
}

// asIs is a generation with the place and the bounds that it has: they may have
// been changed in place since it was recorded.
func asIs(side Side, is cluster.Observed) Side {
	if is.GroupName != "" {
		side.Spec.Size = is.Size
	}
	if side.Spec.Listener != nil {
		side.Spec.Listener = cmp.Or(is.Listener, side.Spec.Listener)
	}
	return side
}

// roll plans a rollout to s, from what serves as it is, and walks it.
func (m *Manager) roll(ctx context.Context, lease *held, s cluster.Spec, settings Settings, e Estate, is cluster.Observed) (Estate, error) {
	plan := Plan{Kept: e.Kept, Left: e.Left, Settings: settings}
	if e.Serving != nil {
		from := asIs(*e.Serving, is)
		plan.From, plan.FromLives = &from, whole(is, from.Spec)
	}
	refused := func(err error) error {
		failure := &Error{Cluster: s.ID, From: version(plan.From), To: s.Version, Err: err, Serving: "there is no cluster"}
		if plan.From != nil {
			failure.Serving = m.serving(ctx, *plan.From, plan.FromLives)
		}
		return failure
	}
	if err := m.Cloud.Check(ctx, s); err != nil {
		return e, refused(err)
	}
	if plan.FromLives { // else alarms say no more than that nothing serves
		if err := m.checkAlarms(ctx, settings); err != nil {
			return e, refused(err)
		}
	}
	to, reused, err := m.target(ctx, s, e.Kept)
	if err != nil {
		return e, refused(err)
	}
	plan.To, plan.Reused = &to, reused
	return m.begin(ctx, lease, s.ID, plan)
}

// target is the generation to move to: the one that was kept, if it is what is
// wanted and all of it is there, or a new one.
func (m *Manager) target(ctx context.Context, s cluster.Spec, kept *Side) (to Side, reused bool, err error) {
	if kept != nil && kept.Spec.SameServers(s) {
		is, err := m.Cloud.Observe(ctx, kept.generation(), kept.Spec.ListenerARN())
		if err != nil {
			return Side{}, false, err
		}
		if len(is.Missing) == 0 {
			return Side{Name: kept.Name, Spec: s}, true, nil
		}
	}
	entropy, err := m.suffix()
	return Side{Name: cluster.NewGeneration(s.ID, entropy).Name, Spec: s}, false, err
}

// suffix draws what makes a name unique.
func (m *Manager) suffix() (entropy [8]byte, err error) {
	if _, err = io.ReadFull(m.Entropy, entropy[:]); err != nil {
		err = fmt.Errorf("find a unique name: %w", err)
	}
	return entropy, err
}

// begin stores a plan and walks it.
func (m *Manager) begin(ctx context.Context, lease *held, id cluster.ID, plan Plan) (Estate, error) {
	var err error
	if plan.Account, err = m.Cloud.Account(ctx); err != nil {
		return plan.before(), fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	plan.Steps = plan.forward()
	encoded, err := encode(plan)
	if err != nil {
		return plan.before(), err
	}
	suffix, err := m.suffix()
	if err != nil {
		return plan.before(), err
	}
	r := builddata.Rollout{
		ID: m.Clock.Now().UTC().Format("20060102-150405-") + cluster.Suffix(suffix), Service: id.Service, Environment: id.Environment, Region: m.Region,
		FromVersion: version(cmp.Or(plan.From, plan.Stays)), ToVersion: version(cmp.Or(plan.To, plan.Stays)), Plan: encoded,
	}
	if err := m.Store.Begin(ctx, lease.lease, r); err != nil {
		return plan.before(), fmt.Errorf("cluster %s was not changed: the rollout could not be recorded: %w", id, err)
	}
	m.tell(ctx, r.ID, id, plan, builddata.Started)
	w, err := m.walk(lease, id, r)
	if err != nil {
		return plan.before(), err
	}
	runErr := w.run(ctx)
	p, err := m.Look(context.WithoutCancel(ctx), id)
	return p.Estate, cmp.Or(runErr, err)
}

// tell adds a rollout to the history of the version that it brings. A version
// that the repository does not know has none, and a history that cannot be
// written does not stop a rollout.
func (m *Manager) tell(ctx context.Context, rollout string, id cluster.ID, plan Plan, status builddata.Status) {
	if plan.To == nil {
		return
	}
	message := fmt.Sprintf("rollout %s in %s, the first servers", rollout, m.Region)
	if plan.From != nil {
		message = fmt.Sprintf("rollout %s in %s, after version %s", rollout, m.Region, version(plan.From))
	}
	ctx = context.WithoutCancel(ctx)
	v, err := m.Store.Version(ctx, id.Service, plan.To.Spec.Version)
	if errors.Is(err, builddata.ErrNotFound) {
		return
	}
	if err == nil {
		err = m.Store.Append(ctx, builddata.Event{
			ID: fmt.Sprintf("%s-%s", rollout, status), Service: id.Service, Number: v.Number, Type: "deploy",
			Location: id.Environment, Status: status, Message: message,
		})
	}
	if err != nil {
		m.Progress(ctx, "the history of version %s does not show this: %s", plan.To.Spec.Version, err)
	}
}
