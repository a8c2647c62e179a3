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
	// propagationTimeout bounds the time until the cloud shows everywhere what it
	// has confirmed.
	propagationTimeout = 2 * time.Minute
	// visibilityDelay is how long something that was created may take to show.
	visibilityDelay = 5 * time.Second
	// openDelay bounds how long a creation waits for the load balancer to route by
	// a rule everywhere. AWS gives no time; it takes seconds.
	openDelay = 10 * time.Second
	// removalTimeout bounds the time that a group needs to terminate its servers,
	// beyond the time that their requests may take.
	removalTimeout = 15 * time.Minute
	// protectedTimeout bounds the wait for protected servers. AWS's own instance
	// refresh waits as long for them.
	protectedTimeout = time.Hour
	// hopelessTimeout bounds how long a group may fail to start its first server for a
	// reason that waiting does not remove. It leaves an instance profile, a grant of a
	// key or a security group that was just made the time to be known everywhere.
	hopelessTimeout = 2 * time.Minute
)

// timeout bounds how long a step may take.
func (r *runner) timeout(s Step, of GenerationRecord) time.Duration {
	settings := r.journal.plan.Settings
	switch s.Kind {
	case WaitHealthy, ScaleToLive, JoinTargets, Shift, Serve, RestoreTraffic:
		return settings.HealthyWithin
	case Observe:
		return settings.ObserveFor + settings.HealthyWithin
	case RunChecks:
		bound := propagationTimeout
		for _, c := range settings.Checks {
			bound += c.Within + c.Timeout + pollInterval
		}
		return bound
	case WaitOpen, WaitPreview, WaitDrain, WaitStickyExpiry:
		return settings.Drain + max(settings.HealthyWithin, propagationTimeout)
	case RemoveServers:
		bound := removalTimeout + of.Spec.AllAttachments().TerminatingWait()
		if of.Spec.Target != nil {
			bound += of.Spec.Target.DeregistrationDelay
		}
		if of.Name != r.journal.plan.toName() && settings.Protected == Wait {
			bound += protectedTimeout
		}
		return bound
	}
	return propagationTimeout
}

// attempt runs a step once: it compares what exists with what should exist and
// changes the difference. After a *cluster.NotYetError it is called again.
func (r *runner) attempt(ctx context.Context, s Step, of GenerationRecord, waited time.Duration) error {
	g, spec, cloud, plan := of.generation(), of.Spec, r.manager.Cloud, r.journal.plan
	switch s.Kind {
	case PinCapacity:
		_, err := r.pinCapacity(ctx)
		return err
	case MakeTemplate:
		return cloud.MakeTemplate(ctx, g, spec)
	case MakeTargets:
		return cloud.MakeTargets(ctx, g, spec)
	case Connect:
		return cloud.Connect(ctx, g, spec)
	case MakeServers:
		return r.makeServers(ctx, g, spec)
	case ScaleToLive:
		_, err := r.checkHealthy(ctx)
		return err
	case WaitHealthy:
		to, err := r.checkHealthy(ctx)
		if err == nil && to.Desired == 0 {
			return errNoServers
		}
		return err
	case Shift:
		if _, err := r.checkHealthy(ctx); err != nil {
			return err
		}
		if plan.takesOver() {
			return cloud.TakeOver(ctx, g, spec, s.Percent)
		}
		return cloud.Shift(ctx, g, spec, plan.From.generation(), s.Percent)
	case EndTakeOver:
		return cloud.TakeOver(ctx, g, spec, 100)
	case Serve:
		if _, err := r.checkHealthy(ctx); err != nil {
			return err
		}
		if err := cloud.Serve(ctx, g, spec); err != nil || plan.From == nil {
			return err
		}
		return r.manager.removeRules(ctx, plan.From.Spec, spec)
	case OpenPreview:
		return cloud.OpenPreview(ctx, g, spec, *plan.Settings.Preview)
	case RunChecks:
		return r.check(ctx, s, of, waited)
	case ClosePreview:
		return r.confirmRemoval(cloud.ClosePreview(ctx, g, plan.To.Spec.ListenerARN()), OpenPreview, of, waited)
	case MakeAlarms:
		return cloud.MakeAlarms(ctx, g, spec, *plan.Settings.TargetAlarms)
	case RemoveAlarms:
		return r.confirmRemoval(cloud.RemoveAlarms(ctx, plan.targetAlarms()), MakeAlarms, of, waited)
	case WaitOpen, WaitPreview:
		if long := min(plan.Settings.Drain, openDelay); waited < long {
			return &cluster.NotYetError{Saw: fmt.Sprintf("the load balancer has had %s of %s to open it", waited.Round(time.Second), long)}
		}
		return nil
	case Observe:
		return r.observe(ctx, plan.Settings.ObserveFor, waited)
	case WaitDrain:
		if r.journal.rollingBack || plan.To == nil {
			return r.waitDrain(waited)
		}
		return r.observe(ctx, plan.Settings.Drain, waited)
	case WaitStickyExpiry:
		return r.waitDrain(waited)
	case UnpinCapacity:
		return r.unpinCapacity(ctx, of)
	case RestoreTraffic:
		return r.restoreTraffic(ctx, of)
	case Retag:
		return cloud.Retag(ctx, g, spec)
	case Attach:
		return r.attach(ctx, of)
	case JoinTargets:
		if err := cloud.JoinTargets(ctx, g, spec.AllAttachments().TargetGroupARNs); err != nil {
			return err
		}
		_, err := r.checkHealthy(ctx)
		return err
	case LeaveTargets:
		return cloud.LeaveTargets(ctx, g, spec.AllAttachments().TargetGroupARNs)
	case RemovePolicyAlarms:
		if plan.Settings.CarryAlarmActions {
			if err := cloud.DropCallers(ctx, g); err != nil {
				return err
			}
		}
		return r.confirmRemoval(cloud.RemovePolicyAlarms(ctx, g), Attach, of, waited)
	case CheckAttached:
		return r.checkAttached(ctx, of)
	case Disconnect:
		err := cloud.Disconnect(ctx, g, *spec.Listener)
		if err == nil && plan.destroys() { // one that answers by itself does not forward to the generation
			err = r.manager.removeRules(ctx, spec, cluster.Spec{ID: spec.ID})
		}
		return r.confirmRemoval(err, Connect, of, waited)
	case RemoveServers:
		return r.confirmRemoval(r.removeServers(ctx, of), MakeServers, of, waited)
	case RemoveTargets:
		return r.confirmRemoval(cloud.RemoveTargets(ctx, g), MakeTargets, of, waited)
	case RemoveTemplate:
		return r.confirmRemoval(cloud.RemoveTemplate(ctx, g), MakeTemplate, of, waited)
	}
	return fmt.Errorf("this release does not know the step %q; use the release that began the rollout, or a later one", s.Kind)
}

// health returns the health of both generations; zero for one that the plan does
// not have.
func (r *runner) health(ctx context.Context) (from, to cluster.Health, err error) {
	plan := r.journal.plan
	var asked []cluster.Generation
	var into []*cluster.Health
	if plan.From != nil {
		asked, into = append(asked, plan.From.generation()), append(into, &from)
	}
	if plan.To != nil {
		asked, into = append(asked, plan.To.generation()), append(into, &to)
	}
	all, err := r.manager.Cloud.Health(ctx, asked...)
	if err != nil {
		return from, to, err
	}
	for i, h := range all {
		*into[i] = h
	}
	return from, to, nil
}

// pinCapacity keeps each generation from having fewer servers than the requests
// need now: as many as the old generation is scaled to, and, once the new one
// gets requests, as many as that is scaled to. It raises bounds and never lowers
// them, so scaling out continues and scaling in waits.
//
// It raises the bounds instead of suspending the process that terminates servers,
// because AWS would then stop replacing unhealthy ones, and let a group that it
// rebalances grow beyond its largest size:
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/understand-how-suspending-processes-affects-other-processes.html.
func (r *runner) pinCapacity(ctx context.Context) (to cluster.Health, err error) {
	plan := r.journal.plan
	from, to, err := r.health(ctx)
	if err != nil {
		return to, err
	}
	// The capacity of the old generation, in the units of the new one.
	fromHas := int32(0)
	if from.Exists && plan.To != nil {
		fromHas = plan.To.Spec.Equivalent(from.Desired, plan.From.Spec)
	}
	if from.Exists && plan.FromComplete {
		need := from.Desired
		if r.journal.shifted() && to.Desired > fromHas {
			need = max(need, plan.From.Spec.Equivalent(to.Desired, plan.To.Spec))
		}
		if from.Size.Min < need {
			if err := r.raiseMin(ctx, *plan.From, from, need); err != nil {
				return to, err
			}
		}
	}
	if to.Exists {
		need := max(fromHas, to.Desired, plan.To.Spec.Size.Min)
		if to.Size.Min < need {
			if err := r.raiseMin(ctx, *plan.To, to, need); err != nil {
				return to, err
			}
			to.Desired = max(to.Desired, need)
		}
	}
	return to, nil
}

func (r *runner) raiseMin(ctx context.Context, of GenerationRecord, is cluster.Health, least int32) error {
	return r.manager.Cloud.Resize(ctx, of.generation(), cluster.Size{Min: least, Max: max(is.Size.Max, least)})
}

// makeServers starts as many servers as the old generation has now.
func (r *runner) makeServers(ctx context.Context, g cluster.Generation, spec cluster.Spec) error {
	from, _, err := r.health(ctx)
	if err != nil {
		return err
	}
	least := spec.Size.Min
	if from.Exists {
		least = max(least, spec.Equivalent(from.Desired, r.journal.plan.From.Spec))
	}
	return r.manager.Cloud.MakeServers(ctx, g, spec, cluster.Size{Min: least, Max: max(spec.Size.Max, least)})
}

// checkHealthy returns no error if the new generation can take all requests.
func (r *runner) checkHealthy(ctx context.Context) (to cluster.Health, err error) {
	to, err = r.pinCapacity(ctx)
	if err != nil {
		return to, err
	}
	name := r.journal.plan.To.Name
	if err := r.launches.check(r.manager.Clock.Now(), name, to); err != nil {
		return to, err
	}
	if !to.Exists || to.Healthy < to.Desired {
		return to, &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", name, to)}
	}
	return to, nil
}

// launches watches how a group starts its first server.
type launches struct {
	// hopelessSince is when it first failed for a reason that waiting does not remove.
	hopelessSince time.Time
}

// check returns a *LaunchError if a group without a healthy server still fails to start one,
// hopelessTimeout after the first time. In between, a server may have been seen starting.
func (l *launches) check(now time.Time, name string, health cluster.Health) error {
	switch {
	case health.Healthy > 0:
		l.hopelessSince = time.Time{}
	case health.Hopeless == "":
	case l.hopelessSince.IsZero():
		l.hopelessSince = now
	case now.Sub(l.hopelessSince) >= hopelessTimeout:
		return &LaunchError{Generation: name, Reason: health.Hopeless}
	}
	return nil
}

// errNoServers: nothing was started, and so nothing was tried.
var errNoServers = errors.New("no server was started, because the cluster is scaled to 0: the version was not tried")

// observe watches the new generation for a while. The group replaces servers
// that fail. It is a failure if half of the healthy servers are lost, or if none
// is healthy at the beginning or some are not at the end.
func (r *runner) observe(ctx context.Context, long, waited time.Duration) error {
	name := r.journal.plan.To.Name
	if err := r.checkAlarms(ctx, *r.journal.plan.To, waited >= long); err != nil {
		return err
	}
	to, err := r.pinCapacity(ctx)
	if err != nil {
		return err
	}
	dead := r.mostHealthy == notObserved && to.Healthy == 0 && to.Desired > 0
	r.mostHealthy = min(max(r.mostHealthy, to.Healthy), to.Desired) // scaling in is not a failure
	half := to.Healthy < r.mostHealthy && to.Healthy*2 <= r.mostHealthy
	if !to.Exists || dead || half && to.Desired > 0 {
		return &UnhealthyError{Generation: name, Health: to}
	}
	switch {
	case waited < long:
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s observed for %s of %s: %s", name, waited.Round(time.Second), long, to)}
	case to.Healthy < to.Desired:
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s: %s", name, to)}
	}
	return nil
}

// waitDrain waits while requests finish.
func (r *runner) waitDrain(waited time.Duration) error {
	if drain := r.journal.plan.Settings.Drain; waited < drain {
		return &cluster.NotYetError{Saw: fmt.Sprintf("requests have had %s of %s to finish", waited.Round(time.Second), drain)}
	}
	return nil
}

// confirmRemoval returns the error of a removal. If it is doubtful whether the
// part was created, it may exist and not show yet. Then only a part that does
// not show for a while does not exist:
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.
func (r *runner) confirmRemoval(err error, creation Kind, of GenerationRecord, waited time.Duration) error {
	if err == nil && waited < visibilityDelay && r.journal.doubtful[Step{Kind: creation, Generation: of.Name}.Code()] {
		return &cluster.NotYetError{Saw: fmt.Sprintf("a part of %s may still appear", of.Name)}
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

// unpinCapacity gives a group the bounds of its specification again.
func (r *runner) unpinCapacity(ctx context.Context, of GenerationRecord) error {
	all, err := r.manager.Cloud.Health(ctx, of.generation())
	if err != nil {
		return err
	}
	if !all[0].Exists || all[0].Size == of.Spec.Size {
		return nil
	}
	return r.manager.Cloud.Resize(ctx, of.generation(), of.Spec.Size)
}

// restoreTraffic sends all requests back to the old generation, unless only the
// new one has healthy servers.
func (r *runner) restoreTraffic(ctx context.Context, of GenerationRecord) error {
	from, to, err := r.health(ctx)
	switch {
	case err != nil:
		return err
	case from.Exists && (from.Healthy > 0 || from.Desired == 0 || to.Healthy == 0):
		if err := r.manager.Cloud.Serve(ctx, of.generation(), of.Spec); err != nil {
			return err
		}
		return r.manager.removeRules(ctx, r.journal.plan.To.Spec, of.Spec)
	case to.Healthy > 0:
		to := r.journal.plan.To
		return cmp.Or(r.manager.Cloud.Serve(ctx, to.generation(), to.Spec), errLastHealthy)
	}
	return nil // neither can serve
}

// removeRules removes the further rules that a specification has and another does not.
func (m *Manager) removeRules(ctx context.Context, has, should cluster.Spec) error {
	if obsolete := has.ObsoleteRules(should); len(obsolete) > 0 {
		return m.Cloud.RemoveRules(ctx, has.ID, obsolete)
	}
	return nil
}

// removeServers waits for protected servers only if they may have served. The
// servers of a failed rollout are terminated by force.
func (r *runner) removeServers(ctx context.Context, of GenerationRecord) error {
	settings := r.journal.plan.Settings
	force := of.Name == r.journal.plan.toName() || settings.Protected == Force
	err := r.manager.Cloud.RemoveServers(ctx, of.generation(), force)
	var protected *cluster.ProtectedError
	if errors.As(err, &protected) {
		if settings.Protected == Ignore {
			return errServersLeft
		}
		return &cluster.NotYetError{Saw: protected.Error() + "; end the protection, or set protected_instances to force or ignore", Err: err}
	}
	return err
}

// errServersLeft: protected servers stay, and so does the rest of their
// generation.
var errServersLeft = errors.New("protected servers are left")
