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

// Manager creates, changes and removes the clusters of one region.
type Manager struct {
	Cloud  cluster.Cloud
	Store  Store
	Clock  clock.Clock
	Region string
	// Holder names this process, for people who meet its lease.
	Holder string
	// Entropy makes the names of generations unique.
	Entropy io.Reader
	// Progress reports what is being done and waited for.
	Progress func(ctx context.Context, format string, args ...any)
	// Prober runs checks. A program that only removes clusters needs none.
	Prober Prober
	// Warn reports what people should know although nothing failed; nil reports it as
	// progress.
	Warn func(ctx context.Context, format string, args ...any)
}

func (m *Manager) warn(ctx context.Context, format string, args ...any) {
	if m.Warn != nil {
		m.Warn(ctx, format, args...)
		return
	}
	m.Progress(ctx, format, args...)
}

// Status reads what the repository knows of a cluster, for comparison with what
// exists in the cloud. It refuses a cluster in another account.
func (m *Manager) Status(ctx context.Context, id cluster.ID) (Status, error) {
	s, err := ReadStatus(ctx, m.Store, id, m.Region)
	if err == nil && s.Last != nil {
		err = m.checkAccount(ctx, id, *s.Last)
	}
	return s, err
}

// openRollout reads what the repository knows of a cluster, and returns a runner
// for the open rollout; nil if there is none.
func (m *Manager) openRollout(ctx context.Context, lease *heldLease, id cluster.ID) (Status, *runner, error) {
	s, j, err := readStatus(ctx, m.Store, id, m.Region)
	if err != nil || s.Last == nil {
		return s, nil, err
	}
	if err := m.checkAccount(ctx, id, *s.Last); err != nil || j == nil {
		return s, nil, err
	}
	return s, &runner{manager: m, lease: lease, rollout: s.Open.ID, cluster: id, journal: j}, nil
}

// Apply changes a cluster to what s specifies and returns its inventory: with a
// rollout if that needs new servers, and in place otherwise. It first finishes
// an interrupted rollout: forward if that leads to s or cannot be rolled back,
// and back otherwise. Known is the generation that the caller knows, as it is;
// nil in a creation. A failure of a rollout is an *Error.
func (m *Manager) Apply(ctx context.Context, s cluster.Spec, settings Settings, known *GenerationRecord) (Inventory, error) {
	return m.withLease(ctx, s.ID, func(lease *heldLease, status Status, open *runner) (Inventory, error) {
		created := false
		if open != nil {
			plan := &open.journal.plan
			plan.Settings.revise(settings)
			created = plan.From == nil && plan.To != nil
			var against error
			if plan.To == nil || !plan.To.Spec.SameServers(s) {
				against = errors.New("the configuration now asks for something else")
			}
			var err error
			status.Inventory, err = m.finish(ctx, open, against)
			if errors.Is(err, errLastHealthy) {
				status.Inventory, err = open.adoptNew(ctx)
			}
			if err != nil {
				return status.Inventory, err
			}
		}
		return m.change(ctx, lease, s, settings, known, created, status.Inventory)
	})
}

// change changes a cluster without an open rollout. Created says that its
// creation has just been resumed.
func (m *Manager) change(
	ctx context.Context, lease *heldLease, s cluster.Spec, settings Settings, known *GenerationRecord, created bool, i Inventory,
) (Inventory, error) {
	if err := m.checkOwnership(ctx, s, known, created, &i); err != nil {
		return i, err
	}
	var is cluster.Observed
	if i.Serving != nil {
		var err error
		is, err = m.Cloud.Observe(ctx, i.Serving.generation(), i.Serving.Spec.ListenerARN())
		if err != nil {
			return i, fmt.Errorf("cluster %s was not changed: %w", s.ID, err)
		}
		if is.Gone() && known == nil {
			i.Serving = nil // it was removed by hand; there is nothing to move from
		}
	}
	if i.Serving == nil || len(is.Missing) > 0 || !i.Serving.Spec.SameServers(s) {
		return m.rollOut(ctx, lease, s, settings, i, is)
	}
	if err := m.changeInPlace(ctx, lease, i, s, settings); err != nil {
		return i, err
	}
	i.Serving.Spec = s.WithTemplateOf(i.Serving.Spec)
	if i.Kept != nil && !settings.KeepPrevious {
		return m.start(ctx, lease, s.ID, Plan{Stays: i.Serving, Kept: i.Kept, Left: i.Left, Settings: settings})
	}
	return i, nil
}

// finish brings an interrupted rollout to an end: back if against gives a reason
// for that and it is still possible, and otherwise in the direction that it had.
// A rollback that succeeds is not an error.
func (m *Manager) finish(ctx context.Context, r *runner, against error) (Inventory, error) {
	plan := r.journal.plan
	if plan.destroys() {
		// The cluster is to exist after all. Everything that may be left of it stays
		// on record.
		return plan.before(), r.end(ctx, builddata.Failed, plan.before())
	}
	m.Progress(ctx, "rollout %s, from version %q to %q, was interrupted", r.rollout, versionOf(plan.From), versionOf(plan.To))
	var err error
	if r.journal.rollingBack || against != nil && !r.journal.irreversible() {
		err = r.rollBack(ctx, Step{}, against)
		var failure *Error
		if errors.As(err, &failure) && failure.Outcome == RolledBack {
			err = nil
		}
	} else {
		err = r.run(ctx)
	}
	return m.inventoryAfter(ctx, r.cluster, err)
}

// inventoryAfter reads the inventory after a rollout, also after an interruption,
// and passes its error on.
func (m *Manager) inventoryAfter(ctx context.Context, id cluster.ID, rolloutErr error) (Inventory, error) {
	s, err := ReadStatus(context.WithoutCancel(ctx), m.Store, id, m.Region)
	return s.Inventory, cmp.Or(rolloutErr, err)
}

// complete reports whether a generation has all of its parts, and is connected
// to its listener.
func complete(is cluster.Observed, s cluster.Spec) bool {
	return len(is.Missing) == 0 && (s.Listener == nil || is.Listener != nil)
}

// asObserved is a generation with the listener and the bounds that it has now:
// they may have been changed in place since it was recorded.
func asObserved(g GenerationRecord, is cluster.Observed) GenerationRecord {
	if is.GroupName != "" {
		g.Spec.Size = is.Size
	}
	if g.Spec.Listener != nil {
		g.Spec.Listener = cmp.Or(is.Listener, g.Spec.Listener)
	}
	return g
}

// rollOut plans a rollout from the serving generation to s, and runs it.
func (m *Manager) rollOut(
	ctx context.Context, lease *heldLease, s cluster.Spec, settings Settings, i Inventory, is cluster.Observed,
) (Inventory, error) {
	plan := Plan{Kept: i.Kept, Left: i.Left, Settings: settings}
	if i.Serving != nil {
		from := asObserved(*i.Serving, is)
		plan.From, plan.FromComplete = &from, complete(is, from.Spec)
	}
	if plan.From != nil {
		s.TakeOver = "" // that is for a creation
	}
	refused := func(err error) error {
		failure := &Error{Cluster: s.ID, From: versionOf(plan.From), To: s.Version, Err: err, Serving: "there is no cluster"}
		if plan.From != nil {
			failure.Serving = m.describeServing(ctx, *plan.From, plan.FromComplete)
		}
		return failure
	}
	s, err := m.Cloud.Check(ctx, s)
	if err != nil {
		return i, refused(err)
	}
	s.Carried = cluster.Attachments{}
	if plan.From != nil {
		if s.Carried, err = m.Carry(ctx, *plan.From, settings); err != nil {
			return i, refused(err)
		}
		plan.From.Spec.Carried = s.Carried
	}
	if settings.Preview != nil {
		if err := m.Cloud.CheckPreview(ctx, s, *settings.Preview); err != nil {
			return i, refused(err)
		}
	}
	if plan.FromComplete || s.TakeOver != "" { // otherwise alarms only say that nothing serves
		if err := m.checkAlarms(ctx, settings); err != nil {
			return i, refused(err)
		}
	}
	to, kept, err := m.chooseTarget(ctx, s, i.Kept)
	if err != nil {
		return i, refused(err)
	}
	if plan.To = &to; kept != nil {
		plan.Kept, plan.Reused = kept, true
	}
	return m.start(ctx, lease, s.ID, plan)
}

// chooseTarget returns the generation to move to: the kept one, as it is now, if it matches s
// and is complete, or a new one.
func (m *Manager) chooseTarget(
	ctx context.Context, s cluster.Spec, kept *GenerationRecord,
) (to GenerationRecord, reused *GenerationRecord, err error) {
	if kept != nil && kept.Spec.SameServers(s) {
		is, err := m.Cloud.Observe(ctx, kept.generation(), kept.Spec.ListenerARN())
		if err != nil {
			return GenerationRecord{}, nil, err
		}
		if len(is.Missing) == 0 {
			attached, err := m.Cloud.Attached(ctx, kept.generation())
			if err != nil {
				return GenerationRecord{}, nil, err
			}
			now := *kept
			now.Spec.Carried = attached.Undeclared(kept.Spec.Attachments)
			return GenerationRecord{Name: kept.Name, Spec: s.WithTemplateOf(kept.Spec)}, &now, nil
		}
	}
	entropy, err := m.entropy()
	return GenerationRecord{Name: cluster.NewGeneration(s.ID, entropy).Name, Spec: s}, nil, err
}

// entropy returns random bytes for the suffix of a name.
func (m *Manager) entropy() (random [8]byte, err error) {
	if _, err = io.ReadFull(m.Entropy, random[:]); err != nil {
		err = fmt.Errorf("choose a unique name: %w", err)
	}
	return random, err
}

// start stores a plan and runs it.
func (m *Manager) start(ctx context.Context, lease *heldLease, id cluster.ID, plan Plan) (Inventory, error) {
	var err error
	if plan.Account, err = m.Cloud.Account(ctx); err != nil {
		return plan.before(), fmt.Errorf("cluster %s was not changed: %w", id, err)
	}
	plan.Steps = plan.forwardSteps()
	encoded, err := encodePlan(plan)
	if err != nil {
		return plan.before(), err
	}
	entropy, err := m.entropy()
	if err != nil {
		return plan.before(), err
	}
	rollout := builddata.Rollout{
		ID:      m.Clock.Now().UTC().Format("20060102-150405-") + cluster.Suffix(entropy),
		Service: id.Service, Environment: id.Environment, Region: m.Region,
		FromVersion: plan.fromVersion(), ToVersion: plan.toVersion(), Plan: encoded,
	}
	if err := m.Store.Begin(ctx, lease.lease, rollout); err != nil {
		return plan.before(), fmt.Errorf("cluster %s was not changed: record the rollout: %w", id, err)
	}
	m.recordEvent(ctx, rollout.ID, id, plan, builddata.Started)
	// Run the plan as it was stored, so that it can be resumed in the same way.
	j, err := readJournal(rollout)
	if err != nil {
		return plan.before(), err
	}
	r := &runner{manager: m, lease: lease, rollout: rollout.ID, cluster: id, journal: j}
	return m.inventoryAfter(ctx, id, r.run(ctx))
}

// recordEvent adds a rollout to the history of the version that it rolls out, if
// the repository knows that version. A failure to do so does not stop a rollout.
func (m *Manager) recordEvent(ctx context.Context, rollout string, id cluster.ID, plan Plan, status builddata.Status) {
	if plan.To == nil {
		return
	}
	message := fmt.Sprintf("rollout %s in %s, the first servers", rollout, m.Region)
	if plan.From != nil {
		message = fmt.Sprintf("rollout %s in %s, after version %s", rollout, m.Region, versionOf(plan.From))
	}
	if status == builddata.Interrupted {
		message += "; rolled back because the version could not be checked"
	}
	ctx = context.WithoutCancel(ctx)
	v, err := m.Store.Version(ctx, id.Service, plan.To.Spec.Version)
	if errors.Is(err, builddata.ErrNotFound) {
		return
	}
	if err == nil {
		err = m.Store.Append(ctx, builddata.Event{
			ID: fmt.Sprintf("%s-%s", rollout, status), Service: id.Service, Number: v.Number, Type: builddata.RolloutEvent,
			Location: id.Environment, Status: status, Message: message,
		})
	}
	if err != nil {
		m.Progress(ctx, "the history of version %s does not show this rollout: %s", plan.To.Spec.Version, err)
	}
}
