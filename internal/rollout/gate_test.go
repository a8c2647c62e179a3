package rollout_test

import (
	"context"
	"errors"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// fault is what happens to one call to the outside.
type fault int

// The process is killed before or after the call has its effect, the call fails
// before or after it, or the process then sleeps for longer than its lease lasts.
const (
	none fault = iota
	killedBefore
	killedAfter
	failsBefore
	failsAfter
	pauses
)

var (
	errKilled    = errors.New("killed")
	errThrottled = errors.New("rate exceeded")
	errLostReply = errors.New("connection reset")
)

// left is the time until a context's deadline, by the machine's clock.
func left(deadline time.Time) time.Duration { return deadline.Sub(clock.System{}.Now()) }

// process is a process under test. All of its calls to the outside go through it.
type process struct {
	harness *harness
	holder  string
	// fault decides about each call, given its number from 1 and its name.
	fault func(k int, name string) fault
	// during is called in the middle of a pause.
	during func()

	calls int
	// cloud counts the calls to the cloud among them.
	cloud        int
	dead, paused bool
	// late is the deadline of the attempt in which the process paused. The pause
	// was longer than the lease, so the deadline has passed.
	late time.Time
}

// call lets one call through, if it does not fail.
func (p *process) call(ctx context.Context, name string, do func() error) error {
	p.calls++
	if p.dead {
		return errKilled
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Equal(p.late) {
		return context.DeadlineExceeded
	}
	p.harness.world.move()
	f := none
	if p.fault != nil {
		f = p.fault(p.calls, name)
	}
	switch f {
	case killedBefore:
		p.dead = true
		return errKilled
	case failsBefore:
		return errThrottled
	}
	err := do()
	p.harness.check(name)
	switch f {
	case killedAfter:
		p.dead = true
		return errKilled
	case failsAfter:
		return errLostReply
	case pauses:
		p.paused = true
		if deadline, ok := ctx.Deadline(); ok && left(deadline) <= 30*time.Second {
			p.late, err = deadline, context.DeadlineExceeded
		}
		p.during()
	}
	return err
}

// ask lets through a call to the cloud that changes nothing.
func (p *process) ask(ctx context.Context, name string, do func() error) error {
	p.cloud++
	return p.call(ctx, name, do)
}

// change lets through a call to the cloud that changes something, and checks that
// the process holds the lease.
func (p *process) change(ctx context.Context, name string, do func() error) error {
	p.cloud++
	return p.call(ctx, name, func() error {
		l := p.harness.store.lease()
		if p.harness.real == nil && (l.Holder != p.holder || l.ExpiresAt.Before(p.harness.clock.Now())) {
			p.harness.world.breaks("%s by %s, but the lease is held by %q until %s", name, p.holder, l.Holder, l.ExpiresAt)
		}
		if deadline, ok := ctx.Deadline(); !ok || left(deadline) > 30*time.Second {
			p.harness.world.breaks("%s may outlast the lease", name)
		}
		return do()
	})
}

// Now implements clock.Clock.
func (p *process) Now() time.Time { return p.harness.clock.Now() }

// Sleep implements clock.Clock.
func (p *process) Sleep(ctx context.Context, d time.Duration) error {
	if p.dead {
		return errKilled
	}
	if err := p.harness.clock.Sleep(ctx, d); err != nil {
		return err
	}
	p.harness.world.move()
	return nil
}

// outside is both the cloud and the store of a process.
type outside struct {
	*process
	w *world
	s rollout.Store
}

func (o outside) Check(ctx context.Context, s cluster.Spec) (checked cluster.Spec, err error) {
	err = o.ask(ctx, "Check", func() (err error) { checked, err = o.w.Check(ctx, s); return err })
	return checked, err
}

func (o outside) MakeTemplate(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return o.change(ctx, "MakeTemplate", func() error { return o.w.MakeTemplate(ctx, g, s) })
}

func (o outside) MakeTargets(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return o.change(ctx, "MakeTargets", func() error { return o.w.MakeTargets(ctx, g, s) })
}

func (o outside) MakeServers(ctx context.Context, g cluster.Generation, s cluster.Spec, size cluster.Size) error {
	return o.change(ctx, "MakeServers", func() error { return o.w.MakeServers(ctx, g, s, size) })
}

func (o outside) Connect(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return o.change(ctx, "Connect", func() error { return o.w.Connect(ctx, g, s) })
}

func (o outside) Shift(ctx context.Context, g cluster.Generation, s cluster.Spec, from cluster.Generation, percent int32) error {
	return o.change(ctx, "Shift", func() error { return o.w.Shift(ctx, g, s, from, percent) })
}

func (o outside) TakeOver(ctx context.Context, g cluster.Generation, s cluster.Spec, percent int32) error {
	return o.change(ctx, "TakeOver", func() error { return o.w.TakeOver(ctx, g, s, percent) })
}

func (o outside) Serve(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return o.change(ctx, "Serve", func() error {
		o.w.returning, o.w.repairing = o.harness.store.returning(), len(o.harness.store.open()) == 0
		return o.w.Serve(ctx, g, s)
	})
}

func (o outside) Disconnect(ctx context.Context, g cluster.Generation, l cluster.Listener) error {
	return o.change(ctx, "Disconnect", func() error { return o.w.Disconnect(ctx, g, l) })
}

func (o outside) Health(ctx context.Context, generations ...cluster.Generation) (all []cluster.Health, err error) {
	err = o.ask(ctx, "Health", func() error { all, err = o.w.Health(ctx, generations...); return err })
	return all, err
}

func (o outside) Alarms(ctx context.Context, names []string) (all []cluster.Alarm, err error) {
	err = o.ask(ctx, "Alarms", func() error { all, err = o.w.Alarms(ctx, names); return err })
	return all, err
}

func (o outside) MakeAlarms(ctx context.Context, g cluster.Generation, s cluster.Spec, t cluster.TargetAlarms) error {
	return o.change(ctx, "MakeAlarms", func() error { return o.w.MakeAlarms(ctx, g, s, t) })
}

func (o outside) RemoveAlarms(ctx context.Context, names []string) error {
	return o.change(ctx, "RemoveAlarms", func() error { return o.w.RemoveAlarms(ctx, names) })
}

func (o outside) CheckPreview(ctx context.Context, s cluster.Spec, p cluster.Preview) error {
	return o.ask(ctx, "CheckPreview", func() error { return o.w.CheckPreview(ctx, s, p) })
}

func (o outside) OpenPreview(ctx context.Context, g cluster.Generation, s cluster.Spec, p cluster.Preview) error {
	return o.change(ctx, "OpenPreview", func() error { return o.w.OpenPreview(ctx, g, s, p) })
}

func (o outside) ClosePreview(ctx context.Context, g cluster.Generation, arn string) error {
	return o.change(ctx, "ClosePreview", func() error { return o.w.ClosePreview(ctx, g, arn) })
}

func (o outside) Address(ctx context.Context, arn string) (address string, err error) {
	err = o.ask(ctx, "Address", func() error { address, err = o.w.Address(ctx, arn); return err })
	return address, err
}

func (o outside) Request(ctx context.Context, r rollout.ProbeRequest) (a rollout.ProbeAnswer, err error) {
	err = o.ask(ctx, "Request", func() error { a, err = o.w.Request(ctx, r); return err })
	return a, err
}

func (o outside) Command(ctx context.Context, args, environ []string) error {
	return o.ask(ctx, "Command", func() error { return o.w.Command(ctx, args, environ) })
}

func (o outside) RemoveServers(ctx context.Context, g cluster.Generation, force bool) error {
	return o.change(ctx, "RemoveServers", func() error { return o.w.RemoveServers(ctx, g, force) })
}

func (o outside) RemoveTargets(ctx context.Context, g cluster.Generation) error {
	return o.change(ctx, "RemoveTargets", func() error { return o.w.RemoveTargets(ctx, g) })
}

func (o outside) RemoveTemplate(ctx context.Context, g cluster.Generation) error {
	return o.change(ctx, "RemoveTemplate", func() error { return o.w.RemoveTemplate(ctx, g) })
}

func (o outside) Resize(ctx context.Context, g cluster.Generation, size cluster.Size) error {
	return o.change(ctx, "Resize", func() error { return o.w.Resize(ctx, g, size) })
}

func (o outside) Retag(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return o.change(ctx, "Retag", func() error { return o.w.Retag(ctx, g, s) })
}

func (o outside) Observe(ctx context.Context, g cluster.Generation, arn string) (is cluster.Observed, err error) {
	err = o.ask(ctx, "Observe", func() error { is, err = o.w.Observe(ctx, g, arn); return err })
	return is, err
}

// Account is not counted, because a cloud asks for it only once.
func (o outside) Account(ctx context.Context) (string, error) { return o.w.Account(ctx) }

func (o outside) Generations(ctx context.Context, id cluster.ID) (all []cluster.Generation, err error) {
	err = o.ask(ctx, "Generations", func() error { all, err = o.w.Generations(ctx, id); return err })
	return all, err
}

func (o outside) Acquire(ctx context.Context, r builddata.LeaseRequest) (l builddata.Lease, err error) {
	err = o.call(ctx, "Acquire", func() error { l, err = o.s.Acquire(ctx, r); return err })
	return l, err
}

func (o outside) Renew(ctx context.Context, l builddata.Lease, ttl time.Duration) (renewed builddata.Lease, err error) {
	err = o.call(ctx, "Renew", func() error { renewed, err = o.s.Renew(ctx, l, ttl); return err })
	return renewed, err
}

func (o outside) Release(ctx context.Context, l builddata.Lease) error {
	return o.call(ctx, "Release", func() error { return o.s.Release(ctx, l) })
}

func (o outside) Lease(ctx context.Context, service, name string) (l builddata.Lease, err error) {
	err = o.call(ctx, "Lease", func() error { l, err = o.s.Lease(ctx, service, name); return err })
	return l, err
}

func (o outside) Begin(ctx context.Context, l builddata.Lease, r builddata.Rollout) error {
	return o.call(ctx, "Begin", func() error { return o.s.Begin(ctx, l, r) })
}

func (o outside) Record(ctx context.Context, l builddata.Lease, id string, e builddata.Entry) error {
	return o.call(ctx, "Record", func() error { return o.s.Record(ctx, l, id, e) })
}

func (o outside) End(ctx context.Context, l builddata.Lease, id string, e builddata.Ending) error {
	return o.call(ctx, "End", func() error { return o.s.End(ctx, l, id, e) })
}

func (o outside) RequestAbort(ctx context.Context, service, id, by string) error {
	return o.call(ctx, "RequestAbort", func() error { return o.s.RequestAbort(ctx, service, id, by) })
}

func (o outside) Rollout(ctx context.Context, service, id string) (r builddata.Rollout, err error) {
	err = o.call(ctx, "Rollout", func() error { r, err = o.s.Rollout(ctx, service, id); return err })
	return r, err
}

func (o outside) Rollouts(ctx context.Context, q builddata.RolloutQuery) (all []builddata.Rollout, err error) {
	err = o.call(ctx, "Rollouts", func() error { all, err = o.s.Rollouts(ctx, q); return err })
	return all, err
}

func (o outside) LatestRollouts(ctx context.Context, q builddata.ClusterQuery) (all []builddata.Rollout, err error) {
	err = o.call(ctx, "LatestRollouts", func() error { all, err = o.s.LatestRollouts(ctx, q); return err })
	return all, err
}

func (o outside) Append(ctx context.Context, events ...builddata.Event) error {
	return o.call(ctx, "Append", func() error { return o.s.Append(ctx, events...) })
}

func (o outside) Version(ctx context.Context, service, name string) (v builddata.Version, err error) {
	err = o.call(ctx, "Version", func() error { v, err = o.s.Version(ctx, service, name); return err })
	return v, err
}

func (o outside) Images(ctx context.Context, q builddata.ImageQuery) (all []builddata.Image, err error) {
	err = o.call(ctx, "Images", func() error { all, err = o.s.Images(ctx, q); return err })
	return all, err
}
