package rollout_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// foreignTargets is a further target group, whose requests must always be answered.
const foreignTargets = "arn:targets/further"

// declares adds what a cluster declares beside its servers.
func declares(s *cluster.Spec) {
	s.Attachments = cluster.Attachments{
		Policies: []cluster.Policy{
			{Name: "cpu", Tracking: &cluster.TargetTracker{Predefined: "ASGAverageCPUUtilization", Target: 50}},
			{Name: "queue", Step: &cluster.StepScaler{Adjustment: "ChangeInCapacity", Steps: []cluster.StepRange{{Change: 1}}}},
		},
		Hooks:               []cluster.Hook{{Name: "warm", Transition: cluster.HookLaunching}},
		TerminationPolicies: []string{"OldestInstance"},
		TargetGroupARNs:     []string{foreignTargets},
	}
}

// byHand attaches things to the generation that serves.
func byHand(s *harness) {
	s.world.byHand = cluster.Attachments{
		Policies:           []cluster.Policy{{Name: "by-hand", Document: "{}"}},
		SuspendedProcesses: []string{"AZRebalance"},
	}
	for _, name := range s.world.names() {
		g := s.world.generations[name]
		if g.group == nil || s.world.share(name) == 0 && g.spec.Listener != nil {
			continue
		}
		g.attached = g.attached.And(s.world.byHand)
	}
}

// byHandEverywhere attaches things to every generation.
func byHandEverywhere(s *harness) {
	byHand(s)
	for _, name := range s.world.names() {
		g := s.world.generations[name]
		g.attached = g.attached.And(s.world.byHand)
	}
}

func (w *world) Attached(_ context.Context, of cluster.Generation) (cluster.Attached, error) {
	g := w.generations[of.Name]
	if g.gone() || g.group == nil {
		return cluster.Attached{}, nil
	}
	all := g.attached.And(cluster.Attachments{TargetGroupARNs: g.joined})
	for i, p := range all.Policies {
		if p.Document == "" {
			all.Policies[i].Document = "{}"
		}
	}
	return cluster.Attached{Attachments: all, Obstacles: w.obstacles, Callers: w.callers}, nil
}

func (w *world) Attach(_ context.Context, of cluster.Generation, s cluster.Spec, obsolete cluster.Attachments) error {
	g := w.generations[of.Name]
	if g.gone() || g.group == nil || g.group.deleting {
		return fmt.Errorf("group %s does not exist", of.Name)
	}
	should := s.AllAttachments()
	should.TargetGroupARNs = nil
	g.attached = should.And(g.attached.Surplus(obsolete))
	g.alarms = g.attached.HasAlarms()
	return nil
}

func (w *world) JoinTargets(_ context.Context, of cluster.Generation, arns []string) error {
	g := w.generations[of.Name]
	if g.gone() || g.group == nil || g.group.deleting {
		return fmt.Errorf("group %s does not exist", of.Name)
	}
	for _, arn := range arns {
		if !slices.Contains(g.joined, arn) {
			g.joined = append(g.joined, arn)
		}
	}
	return nil
}

func (w *world) LeaveTargets(_ context.Context, of cluster.Generation, arns []string) error {
	g := w.generations[of.Name]
	if g.gone() {
		return nil
	}
	g.joined = slices.DeleteFunc(g.joined, func(arn string) bool { return slices.Contains(arns, arn) })
	return nil
}

// checkFurther checks that the further target group, once it has had healthy servers, always has
// some.
func (w *world) checkFurther() {
	serves := false
	for _, g := range w.generations {
		serves = serves || !g.gone() && g.group != nil && slices.Contains(g.joined, foreignTargets) && w.countHealthy(g) > 0
	}
	if w.furtherServed && !w.furtherEnds && !serves {
		w.breaks("no healthy server is in the further target group")
	}
	w.furtherServed = w.furtherServed || serves
}

func (w *world) ShareCallers(_ context.Context, _, to cluster.Generation) error {
	if len(w.callers) > 0 {
		w.at(to).called = true
	}
	return nil
}

func (w *world) DropCallers(_ context.Context, of cluster.Generation) error {
	w.at(of).called = false
	return nil
}

func (w *world) RemovePolicyAlarms(_ context.Context, of cluster.Generation) error {
	w.at(of).alarms = false
	return nil
}

// attachmentsWrong describes what a generation has attached and should not have, or the other
// way round.
func (w *world) attachmentsWrong(g *generation, declared cluster.Attachments, serves bool) string {
	should, is := declared.And(w.byHand), g.attached
	further := should.TargetGroupARNs
	should.TargetGroupARNs = nil
	for i, p := range is.Policies {
		if p.Name != "by-hand" {
			is.Policies[i].Document = ""
		}
	}
	if w.halfAttached {
		should = is.And(should) // an interrupted change in place is not on record
	}
	switch {
	case !is.Same(should):
		return fmt.Sprintf("%q is attached, want %q", is.Titles(), should.Titles())
	case w.halfAttached:
	case serves && !slices.Equal(g.joined, further) || !serves && len(g.joined) > 0:
		return fmt.Sprintf("it is in the target groups %v", g.joined)
	// A destruction that stopped may have removed those of one that is kept since. It gets
	// them again when it serves.
	case g.alarms != should.HasAlarms() && (serves || g.alarms):
		return fmt.Sprintf("it has alarms: %t", g.alarms)
	case g.called != (serves && len(w.callers) > 0):
		return fmt.Sprintf("its policies are called by alarms of others: %t", g.called)
	}
	return ""
}

func (o outside) Attached(ctx context.Context, g cluster.Generation) (all cluster.Attached, err error) {
	err = o.ask(ctx, "Attached", func() error { all, err = o.w.Attached(ctx, g); return err })
	return all, err
}

func (o outside) Attach(ctx context.Context, g cluster.Generation, s cluster.Spec, obsolete cluster.Attachments) error {
	return o.change(ctx, "Attach", func() error { return o.w.Attach(ctx, g, s, obsolete) })
}

func (o outside) JoinTargets(ctx context.Context, g cluster.Generation, arns []string) error {
	return o.change(ctx, "JoinTargets", func() error { return o.w.JoinTargets(ctx, g, arns) })
}

func (o outside) LeaveTargets(ctx context.Context, g cluster.Generation, arns []string) error {
	return o.change(ctx, "LeaveTargets", func() error { return o.w.LeaveTargets(ctx, g, arns) })
}

func (o outside) ShareCallers(ctx context.Context, from, to cluster.Generation) error {
	return o.change(ctx, "ShareCallers", func() error { return o.w.ShareCallers(ctx, from, to) })
}

func (o outside) DropCallers(ctx context.Context, g cluster.Generation) error {
	return o.change(ctx, "DropCallers", func() error { return o.w.DropCallers(ctx, g) })
}

func (o outside) RemovePolicyAlarms(ctx context.Context, g cluster.Generation) error {
	return o.change(ctx, "RemovePolicyAlarms", func() error { return o.w.RemovePolicyAlarms(ctx, g) })
}
