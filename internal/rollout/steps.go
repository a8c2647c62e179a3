package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Bounds of the waits that the settings do not name.
const (
	// propagation is how long the cloud may take to know everywhere what it
	// has confirmed.
	propagation = 2 * time.Minute
	// visibility is how long something that was made may take to show.
	visibility = 5 * time.Second
	// removalTime is how long a group may take to end its servers, beyond the time
	// that requests may take to finish.
	removalTime = 15 * time.Minute
	// protectedTime is how long protected servers are waited for: as long as
	// AWS's own instance refresh waits for them.
	protectedTime = time.Hour
)

// within bounds how long a step may take.
func (w *walk) within(s Step, of Side) time.Duration {
	switch s.Do {
	case AwaitHealthy, Wake, Shift, Serve, Return:
		return w.plan.Settings.HealthyWithin
	case Observe:
		return w.plan.Settings.ObserveFor + w.plan.Settings.HealthyWithin
	case Drain, Forget:
		return w.plan.Settings.Drain + w.plan.Settings.HealthyWithin
	case RemoveServers:
		bound := removalTime
		if of.Spec.Target != nil {
			bound += of.Spec.Target.DeregistrationDelay
		}
		if w.waits(of) {
			bound += protectedTime
		}
		return bound
	}
	return propagation
}

// do takes one look at what a step is about and acts on the difference. A
// *cluster.NotYetError has it called again.
func (w *walk) do(ctx context.Context, s Step, of Side, waited time.Duration) error {
	g, spec, cloud := of.generation(), of.Spec, w.Cloud
	switch s.Do {
	case Hold:
		_, err := w.level(ctx)
		return err
	case MakeTemplate:
		return cloud.MakeTemplate(ctx, g, spec)
	case MakeTargets:
		return cloud.MakeTargets(ctx, g, spec)
	case Connect:
		return cloud.Connect(ctx, g, spec)
	case MakeServers:
		return w.makeServers(ctx, g, spec)
	case Wake, AwaitHealthy:
		return w.ready(ctx)
	case Shift:
		if err := w.ready(ctx); err != nil {
			return err
		}
		return cloud.Shift(ctx, g, spec, w.plan.From.generation(), s.Percent)
	case Serve:
		if err := w.ready(ctx); err != nil {
			return err
		}
		return cloud.Serve(ctx, g, spec)
	case Observe:
		return w.observe(ctx, w.plan.Settings.ObserveFor, waited)
	case Drain:
		if w.undoing {
			return w.let(waited)
		}
		return w.observe(ctx, w.plan.Settings.Drain, waited)
	case Forget:
		return w.let(waited)
	case Release:
		return w.release(ctx, of)
	case Return:
		return w.giveBack(ctx, of)
	case Retag:
		return cloud.Retag(ctx, g, spec)
	case Disconnect:
		return cloud.Disconnect(ctx, g, *spec.Listener)
	case RemoveServers:
		return w.gone(w.removeServers(ctx, of), MakeServers, of, waited)
	case RemoveTargets:
		return w.gone(cloud.RemoveTargets(ctx, g), MakeTargets, of, waited)
	case RemoveTemplate:
		return w.gone(cloud.RemoveTemplate(ctx, g), MakeTemplate, of, waited)
	}
	return fmt.Errorf("this release does not know the step %q; go on with the one that began the rollout, or a later one", s.Do)
}

// health looks at both generations; one that is not in the plan does not exist.
func (w *walk) health(ctx context.Context) (from, to cluster.Health, err error) {
	var asked []cluster.Generation
	var into []*cluster.Health
	if w.plan.From != nil {
		asked, into = append(asked, w.plan.From.generation()), append(into, &from)
	}
	if w.plan.To != nil {
		asked, into = append(asked, w.plan.To.generation()), append(into, &to)
	}
	all, err := w.Cloud.Health(ctx, asked...)
	if err != nil {
		return from, to, err
	}
	for i, h := range all {
		*into[i] = h
	}
	return from, to, nil
}

// level keeps each generation from having fewer servers than the requests
// need now. What whoever scales the old generation has brought it to is the
// measure, and once the new one gets requests, its size is, too. The bounds
// are raised, never lowered, so scaling out goes on and scaling in waits.
//
// The bounds are raised, and the process that ends servers not suspended,
// because AWS would then no longer replace unhealthy ones, and let a group
// that it rebalances grow beyond its largest size:
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/understand-how-suspending-processes-affects-other-processes.html.
func (w *walk) level(ctx context.Context) (to cluster.Health, err error) {
	from, to, err := w.health(ctx)
	if err != nil {
		return to, err
	}
	need := from.Desired
	if w.shifted() {
		need = max(need, to.Desired)
	}
	if from.Exists && w.plan.FromLives && from.Size.Min < need {
		if err := w.raise(ctx, w.plan.From, from, need); err != nil {
			return to, err
		}
	}
	if to.Exists {
		need = max(need, to.Desired, w.plan.To.Spec.Size.Min)
		if to.Size.Min < need {
			if err := w.raise(ctx, w.plan.To, to, need); err != nil {
				return to, err
			}
			to.Desired = max(to.Desired, need)
		}
	}
	return to, nil
}

func (w *walk) raise(ctx context.Context, side *Side, is cluster.Health, least int32) error {
	return w.Cloud.Resize(ctx, side.generation(), cluster.Size{Min: least, Max: max(is.Size.Max, least)})
}

// makeServers starts the new generation at the size that the old one has now.
func (w *walk) makeServers(ctx context.Context, g cluster.Generation, spec cluster.Spec) error {
	from, _, err := w.health(ctx)
	if err != nil {
		return err
	}
	least := max(spec.Size.Min, from.Desired)
	return w.Cloud.MakeServers(ctx, g, spec, cluster.Size{Min: least, Max: max(spec.Size.Max, least)})
}

// ready reports whether the new generation could take all the requests.
func (w *walk) ready(ctx context.Context) error {
	to, err := w.level(ctx)
	if err != nil {
		return err
	}
	if !to.Exists || to.Healthy < to.Desired {
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", w.plan.To.Name, to)}
	}
	return nil
}

// observe watches the new generation for a while. Servers that fail are the
// group's to replace, unless they are half of those that were healthy, or all
// when the watch begins; at the end all have to be healthy.
func (w *walk) observe(ctx context.Context, long, waited time.Duration) error {
	if err := w.checkAlarms(ctx, w.plan.Settings); err != nil {
		return err
	}
	to, err := w.level(ctx)
	if err != nil {
		return err
	}
	dead := w.reached == unseen && to.Healthy == 0 && to.Desired > 0
	w.reached = min(max(w.reached, to.Healthy), to.Desired) // scaling in is no failure
	half := to.Healthy < w.reached && to.Healthy*2 <= w.reached
	if !to.Exists || dead || half && to.Desired > 0 {
		return &UnhealthyError{Generation: w.plan.To.Name, Health: to}
	}
	switch {
	case waited < long:
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s observed for %s of %s: %s", w.plan.To.Name, waited.Round(time.Second), long, to)}
	case to.Healthy < to.Desired:
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", w.plan.To.Name, to)}
	}
	return nil
}

// let gives requests time to finish.
func (w *walk) let(waited time.Duration) error {
	if waited < w.plan.Settings.Drain {
		return &cluster.NotYetError{Saw: fmt.Sprintf("requests may finish for %s of %s", waited.Round(time.Second), w.plan.Settings.Drain)}
	}
	return nil
}

// gone passes on how a removal went. A part whose making is in doubt may have
// been made and not show yet, so that it is not there counts only after a
// while: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.
func (w *walk) gone(err error, making Kind, of Side, waited time.Duration) error {
	if err == nil && waited < visibility && w.doubt[Step{Do: making, Of: of.Name}.String()] {
		return &cluster.NotYetError{Saw: fmt.Sprintf("what was begun of %s may show yet", of.Name)}
	}
	return err
}

// checkAlarms reports alarms that speak against a rollout.
func (m *Manager) checkAlarms(ctx context.Context, s Settings) error {
	if len(s.Alarms) == 0 {
		return nil
	}
	alarms, err := m.Cloud.Alarms(ctx, s.Alarms)
	if err != nil {
		return err
	}
	return cluster.Verdict(alarms, s.MissingDataIsBad)
}

// release gives a group back the bounds that it should have.
func (w *walk) release(ctx context.Context, of Side) error {
	all, err := w.Cloud.Health(ctx, of.generation())
	if err != nil {
		return err
	}
	if !all[0].Exists || all[0].Size == of.Spec.Size {
		return nil
	}
	return w.Cloud.Resize(ctx, of.generation(), of.Spec.Size)
}

// giveBack sends all requests to the old generation, unless that would leave
// them nothing: the last healthy servers are never taken from them.
func (w *walk) giveBack(ctx context.Context, of Side) error {
	from, to, err := w.health(ctx)
	switch {
	case err != nil:
		return err
	case from.Exists && (from.Healthy > 0 || from.Desired == 0 || to.Healthy == 0):
		return w.Cloud.Serve(ctx, of.generation(), of.Spec)
	case to.Healthy > 0:
		return cmp.Or(w.Cloud.Serve(ctx, w.plan.To.generation(), w.plan.To.Spec), errLastHealthy)
	}
	return nil // neither is there to serve
}

// waits reports whether protected servers of a generation are waited for: only
// those that have served. What a failed rollout made ends by force.
func (w *walk) waits(of Side) bool {
	return of.Name != w.plan.to() && w.plan.Settings.Protected == Wait
}

func (w *walk) removeServers(ctx context.Context, of Side) error {
	force := of.Name == w.plan.to() || w.plan.Settings.Protected == Force
	err := w.Cloud.RemoveServers(ctx, of.generation(), force)
	var protected *cluster.ProtectedError
	if errors.As(err, &protected) {
		if w.plan.Settings.Protected == Ignore {
			return errLeft
		}
		return &cluster.NotYetError{Saw: protected.Error() + "; end the protection, or set protected_instances to force or ignore", Err: err}
	}
	return err
}

// errLeft: protected servers stay, so the rest of their generation does.
var errLeft = errors.New("protected servers are left")
