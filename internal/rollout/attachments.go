package rollout

import (
	"context"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Carry returns what has been attached to a generation by other means, which a rollout from it
// carries to the next one. It refuses a generation with something that cannot be carried.
func (m *Manager) Carry(ctx context.Context, from GenerationRecord, settings Settings) (cluster.Attachments, error) {
	g := from.generation()
	attached, err := m.Cloud.Attached(ctx, g)
	if err != nil {
		return cluster.Attachments{}, fmt.Errorf("what is attached to Auto Scaling group %s, and has to be carried to the next one, "+
			"could not be read: %w", g.Name, err)
	}
	if len(attached.Obstacles) > 0 {
		return cluster.Attachments{}, fmt.Errorf("auto scaling group %s has what no rollout can carry to the next group: %s",
			g.Name, strings.Join(attached.Obstacles, "; "))
	}
	if len(attached.Callers) > 0 && !settings.CarryAlarmActions {
		return cluster.Attachments{}, fmt.Errorf("alarms call scaling policies of Auto Scaling group %s, which the rollout removes: %s; "+
			"set carry_alarm_actions = true in the rollout block, so that they call those of the next group, "+
			"or replace them by a scaling_policy of the cluster, which makes its own alarm", g.Name, strings.Join(attached.Callers, ", "))
	}
	return attached.Undeclared(from.Spec.Attachments), nil
}

// attach gives the new generation its attachments. One that was kept may have others, which
// are removed; and during a rollback, it gets those back.
func (r *runner) attach(ctx context.Context, of GenerationRecord) error {
	plan := r.journal.plan
	var obsolete cluster.Attachments
	if plan.Reused && of.Name == plan.toName() {
		was := plan.Kept.Spec
		if r.journal.rollingBack {
			was = plan.To.Spec
		}
		obsolete = was.AllAttachments().Surplus(of.Spec.AllAttachments())
	}
	if err := r.manager.Cloud.Attach(ctx, of.generation(), of.Spec, obsolete); err != nil {
		return err
	}
	if plan.From == nil || !plan.Settings.CarryAlarmActions || r.journal.rollingBack {
		return nil
	}
	return r.manager.Cloud.ShareCallers(ctx, plan.From.generation(), of.generation())
}

// checkAttached puts what is missing of a generation's attachments after a rollback. What others
// have changed of them since stays.
func (r *runner) checkAttached(ctx context.Context, of GenerationRecord) error {
	is, err := r.manager.Cloud.Attached(ctx, of.generation())
	if err != nil {
		return err
	}
	missing := of.Spec.AllAttachments().Surplus(is.Attachments)
	if missing.Empty() {
		return nil
	}
	r.manager.Progress(ctx, "%s: attach %s again", of.Name, strings.Join(missing.Titles(), ", "))
	of.Spec.Attachments, of.Spec.Carried = missing, is.WithoutNamed()
	if err := r.manager.Cloud.Attach(ctx, of.generation(), of.Spec, cluster.Attachments{}); err != nil {
		return err
	}
	return r.manager.Cloud.JoinTargets(ctx, of.generation(), missing.TargetGroupARNs)
}

// changeAttachments gives the serving generation the attachments that s declares instead of
// those that were declared. Everything else stays.
func (m *Manager) changeAttachments(ctx context.Context, serving GenerationRecord, s cluster.Spec) error {
	was := serving.Spec.Attachments
	if was.Empty() && s.Attachments.Empty() {
		return nil
	}
	g := serving.generation()
	is, err := m.Cloud.Attached(ctx, g)
	if err != nil {
		return err
	}
	s.Carried = is.Undeclared(was)
	obsolete := is.Surplus(s.AllAttachments())
	if obsolete.Empty() && is.Declared(s.Attachments, m.Clock.Now()).Same(s.Attachments) {
		return nil
	}
	s.Carried = s.Carried.WithoutNamed() // they are there
	m.Progress(ctx, "%s: change its scaling policies, schedules and the like", g.Name)
	if err := m.Cloud.Attach(ctx, g, s, obsolete); err != nil {
		return err
	}
	if err := m.Cloud.JoinTargets(ctx, g, s.AllAttachments().TargetGroupARNs); err != nil {
		return err
	}
	return m.Cloud.LeaveTargets(ctx, g, obsolete.TargetGroupARNs)
}
