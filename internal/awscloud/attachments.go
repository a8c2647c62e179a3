package awscloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// maxBatch is the most scheduled actions that one call takes,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_BatchPutScheduledUpdateGroupAction.html.
const maxBatch = 50

// Attached implements cluster.Attacher.
func (c *Cloud) Attached(ctx context.Context, g cluster.Generation) (cluster.Attached, error) {
	group, err := c.group(ctx, g)
	if group == nil || err != nil {
		return cluster.Attached{}, err
	}
	all := cluster.Attached{Attachments: observeAttachments(g, group), Obstacles: obstacles(group)}
	policies, err := c.policies(ctx, g)
	if err != nil {
		return all, err
	}
	for _, p := range policies {
		if aws.ToString(p.PolicyType) == policyPredictive {
			all.Obstacles = append(all.Obstacles, fmt.Sprintf("the predictive scaling policy %q: its forecasts belong to one group; "+
				"delete it, and scale by a schedule or by target tracking", aws.ToString(p.PolicyName)))
			continue
		}
		observed, err := observePolicy(g, p)
		if err != nil {
			return all, err
		}
		all.Policies = append(all.Policies, observed)
	}
	if err := c.observeStepAlarms(ctx, g, all.Policies); err != nil {
		return all, err
	}
	callers, _, err := c.callers(ctx, g, policies)
	if err != nil {
		return all, err
	}
	for _, a := range callers {
		all.Callers = append(all.Callers, aws.ToString(a.AlarmName))
	}
	if all.Schedules, err = c.schedules(ctx, g); err != nil {
		return all, err
	}
	hooks, err := c.hooks(ctx, g)
	if err != nil {
		return all, err
	}
	all.Hooks = hooks
	return all, nil
}

// observeAttachments describes what the group itself tells.
func observeAttachments(g cluster.Generation, group *types.AutoScalingGroup) cluster.Attachments {
	a := cluster.Attachments{
		MaxInstanceLifetime: time.Duration(aws.ToInt32(group.MaxInstanceLifetime)) * time.Second,
		TerminationPolicies: group.TerminationPolicies,
		TargetGroupARNs:     furtherTargetGroups(g, group),
	}
	if slices.Equal(a.TerminationPolicies, defaultTermination) {
		a.TerminationPolicies = nil
	}
	for _, metric := range group.EnabledMetrics {
		a.Metrics = append(a.Metrics, aws.ToString(metric.Metric))
	}
	for _, process := range group.SuspendedProcesses {
		a.SuspendedProcesses = append(a.SuspendedProcesses, aws.ToString(process.ProcessName))
	}
	return a
}

// defaultTermination is what AWS gives to a group that asks for nothing.
var defaultTermination = []string{"Default"}

// furtherTargetGroups are those of the group beside the generation's own.
func furtherTargetGroups(g cluster.Generation, group *types.AutoScalingGroup) []string {
	return slices.DeleteFunc(slices.Clone(group.TargetGroupARNs), func(arn string) bool { return isTargetGroupOf(g, arn) })
}

// isTargetGroupOf tells a generation's target group by its name.
func isTargetGroupOf(g cluster.Generation, arn string) bool {
	return strings.Contains(arn, ":targetgroup/"+g.Name+"/")
}

// obstacles are what a group can have and a rollout cannot carry.
func obstacles(group *types.AutoScalingGroup) (all []string) {
	if group.WarmPoolConfiguration != nil && group.WarmPoolConfiguration.Status == "" {
		all = append(all, "a warm pool: its servers are of one version and would not be tested; delete it, and scale earlier")
	}
	if policy := group.InstanceMaintenancePolicy; policy != nil && (policy.MinHealthyPercentage != nil || policy.MaxHealthyPercentage != nil) {
		all = append(all, "an instance maintenance policy: a rollout brings all new servers before it ends old ones; remove the policy")
	}
	if len(group.LoadBalancerNames) > 0 {
		all = append(all, "the classic load balancers "+strings.Join(group.LoadBalancerNames, ", ")+
			": they have no weights, so that no version can be tried; detach them, and use an application load balancer")
	}
	return all
}

// Attach implements cluster.Attacher. A part that exists is put again, which changes nothing.
func (c *Cloud) Attach(ctx context.Context, g cluster.Generation, s cluster.Spec, obsolete cluster.Attachments) error {
	group, err := visible(ctx, "Auto Scaling group", g, c.group)
	if err != nil {
		return err
	}
	should, is := s.AllAttachments(), observeAttachments(g, group)
	for _, put := range []func() error{
		func() error { return c.removeObsolete(ctx, g, obsolete) },
		func() error { return c.putHooks(ctx, g, should.Hooks) },
		func() error { return c.putGroupSettings(ctx, g, is, should) },
		func() error { return c.putPolicies(ctx, g, s, should.Policies) },
		func() error { return c.putSchedules(ctx, g, should.Schedules) },
		func() error { return c.putMetrics(ctx, g, is, should) },
		// Suspended processes come last: they may have to do with all that is before.
		func() error { return c.putSuspended(ctx, g, is, should) },
	} {
		if err := put(); err != nil {
			return notYet(fmt.Errorf("attach to Auto Scaling group %s: %w", g.Name, err), codeContention, codeServiceLinked, codeScalingActivity)
		}
	}
	return nil
}

// putGroupSettings sets what is an argument of the group.
func (c *Cloud) putGroupSettings(ctx context.Context, g cluster.Generation, is, should cluster.Attachments) error {
	if slices.Equal(is.TerminationPolicies, should.TerminationPolicies) && is.MaxInstanceLifetime == should.MaxInstanceLifetime {
		return nil
	}
	in := &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, TerminationPolicies: should.TerminationPolicies,
		MaxInstanceLifetime: seconds(should.MaxInstanceLifetime), // 0 ends it
	}
	if len(in.TerminationPolicies) == 0 {
		in.TerminationPolicies = defaultTermination
	}
	_, err := c.autoscaling.UpdateAutoScalingGroup(ctx, in)
	return err
}

func (c *Cloud) putMetrics(ctx context.Context, g cluster.Generation, is, should cluster.Attachments) error {
	if gone := is.Surplus(should).Metrics; len(gone) > 0 {
		if _, err := c.autoscaling.DisableMetricsCollection(ctx, &autoscaling.DisableMetricsCollectionInput{
			AutoScalingGroupName: &g.Name, Metrics: gone,
		}); err != nil {
			return err
		}
	}
	if len(should.Surplus(is).Metrics) == 0 {
		return nil
	}
	_, err := c.autoscaling.EnableMetricsCollection(ctx, &autoscaling.EnableMetricsCollectionInput{
		AutoScalingGroupName: &g.Name, Metrics: should.Metrics, Granularity: aws.String("1Minute"),
	})
	return err
}

func (c *Cloud) putSuspended(ctx context.Context, g cluster.Generation, is, should cluster.Attachments) error {
	if gone := is.Surplus(should).SuspendedProcesses; len(gone) > 0 {
		if err := c.resume(ctx, g, gone); err != nil {
			return err
		}
	}
	missing := should.Surplus(is).SuspendedProcesses
	if len(missing) == 0 {
		return nil
	}
	_, err := c.autoscaling.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &g.Name, ScalingProcesses: missing})
	return err
}

func (c *Cloud) resume(ctx context.Context, g cluster.Generation, processes []string) error {
	_, err := c.autoscaling.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: &g.Name, ScalingProcesses: processes})
	return err
}

// removeObsolete removes what has a name. The rest is replaced.
func (c *Cloud) removeObsolete(ctx context.Context, g cluster.Generation, obsolete cluster.Attachments) error {
	for _, p := range obsolete.Policies {
		if err := c.deleteStepAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{stepAlarmName(g, p.Name)}}); err != nil {
			return err
		}
		_, err := c.autoscaling.DeletePolicy(ctx, &autoscaling.DeletePolicyInput{AutoScalingGroupName: &g.Name, PolicyName: aws.String(p.Name)})
		if err != nil && !groupNotFound(err) {
			return fmt.Errorf("delete scaling policy %q: %w", p.Name, err)
		}
	}
	for _, s := range obsolete.Schedules {
		_, err := c.autoscaling.DeleteScheduledAction(ctx, &autoscaling.DeleteScheduledActionInput{
			AutoScalingGroupName: &g.Name, ScheduledActionName: aws.String(s.Name),
		})
		if err != nil && !groupNotFound(err) {
			return fmt.Errorf("delete scheduled action %q: %w", s.Name, err)
		}
	}
	for _, h := range obsolete.Hooks {
		_, err := c.autoscaling.DeleteLifecycleHook(ctx, &autoscaling.DeleteLifecycleHookInput{
			AutoScalingGroupName: &g.Name, LifecycleHookName: aws.String(h.Name),
		})
		if err != nil && !groupNotFound(err) {
			return fmt.Errorf("delete lifecycle hook %q: %w", h.Name, err)
		}
	}
	return nil
}

func (c *Cloud) schedules(ctx context.Context, g cluster.Generation) (all []cluster.Schedule, err error) {
	in := &autoscaling.DescribeScheduledActionsInput{AutoScalingGroupName: &g.Name}
	pages := autoscaling.NewDescribeScheduledActionsPaginator(c.autoscaling, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the scheduled actions of Auto Scaling group %s: %w", g.Name, err)
		}
		for _, a := range page.ScheduledUpdateGroupActions {
			s := cluster.Schedule{
				Name: aws.ToString(a.ScheduledActionName), Recurrence: aws.ToString(a.Recurrence), TimeZone: aws.ToString(a.TimeZone),
				Start: aws.ToTime(a.StartTime).UTC(), End: aws.ToTime(a.EndTime).UTC(),
				Min: a.MinSize, Max: a.MaxSize, Desired: a.DesiredCapacity,
			}
			if s.TimeZone == "Etc/UTC" || s.TimeZone == "UTC" {
				s.TimeZone = ""
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// putSchedules leaves out what is over. AWS refuses a beginning in the past, which a schedule
// that recurs does not need any more.
func (c *Cloud) putSchedules(ctx context.Context, g cluster.Generation, all []cluster.Schedule) error {
	var requests []types.ScheduledUpdateGroupActionRequest
	for _, s := range all {
		now := c.clock.Now()
		if s.Over(now) {
			continue
		}
		r := types.ScheduledUpdateGroupActionRequest{
			ScheduledActionName: &s.Name, Recurrence: optional(s.Recurrence), TimeZone: optional(s.TimeZone),
			MinSize: s.Min, MaxSize: s.Max, DesiredCapacity: s.Desired,
		}
		if s.Start.After(now) {
			r.StartTime = &s.Start
		}
		if !s.End.IsZero() {
			r.EndTime = &s.End
		}
		requests = append(requests, r)
	}
	for batch := range slices.Chunk(requests, maxBatch) {
		out, err := c.autoscaling.BatchPutScheduledUpdateGroupAction(ctx, &autoscaling.BatchPutScheduledUpdateGroupActionInput{
			AutoScalingGroupName: &g.Name, ScheduledUpdateGroupActions: batch,
		})
		if err != nil {
			return fmt.Errorf("put scheduled actions: %w", err)
		}
		var errs []error
		for _, failed := range out.FailedScheduledUpdateGroupActions {
			errs = append(errs, fmt.Errorf("put scheduled action %q: %s (%s)",
				aws.ToString(failed.ScheduledActionName), aws.ToString(failed.ErrorMessage), aws.ToString(failed.ErrorCode)))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// optional is nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (c *Cloud) hooks(ctx context.Context, g cluster.Generation) (all []cluster.Hook, err error) {
	out, err := c.autoscaling.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &g.Name})
	if err != nil {
		return nil, fmt.Errorf("read the lifecycle hooks of Auto Scaling group %s: %w", g.Name, err)
	}
	for _, h := range out.LifecycleHooks {
		all = append(all, cluster.Hook{
			Name: aws.ToString(h.LifecycleHookName), Transition: aws.ToString(h.LifecycleTransition),
			Heartbeat: time.Duration(aws.ToInt32(h.HeartbeatTimeout)) * time.Second, Default: aws.ToString(h.DefaultResult),
			NotificationTargetARN: aws.ToString(h.NotificationTargetARN), RoleARN: aws.ToString(h.RoleARN),
			Metadata: aws.ToString(h.NotificationMetadata),
		})
	}
	return all, nil
}

// hookSpecifications are the hooks that a group has before its first server.
func hookSpecifications(hooks []cluster.Hook) (all []types.LifecycleHookSpecification) {
	for _, h := range hooks {
		all = append(all, types.LifecycleHookSpecification{
			LifecycleHookName: &h.Name, LifecycleTransition: &h.Transition,
			HeartbeatTimeout: seconds(h.Heartbeat), DefaultResult: &h.Default,
			NotificationTargetARN: optional(h.NotificationTargetARN), RoleARN: optional(h.RoleARN), NotificationMetadata: optional(h.Metadata),
		})
	}
	return all
}

// putHooks puts the hooks that the group does not have: those of a change in place.
func (c *Cloud) putHooks(ctx context.Context, g cluster.Generation, should []cluster.Hook) error {
	if len(should) == 0 {
		return nil
	}
	is, err := c.hooks(ctx, g)
	if err != nil {
		return err
	}
	for _, h := range should {
		if slices.Contains(is, h) {
			continue
		}
		in := &autoscaling.PutLifecycleHookInput{
			AutoScalingGroupName: &g.Name, LifecycleHookName: &h.Name, LifecycleTransition: &h.Transition,
			HeartbeatTimeout: seconds(h.Heartbeat), DefaultResult: &h.Default,
			NotificationTargetARN: &h.NotificationTargetARN, // an empty one ends it
			RoleARN:               optional(h.RoleARN), NotificationMetadata: optional(h.Metadata),
		}
		if _, err := c.autoscaling.PutLifecycleHook(ctx, in); err != nil {
			return fmt.Errorf("put lifecycle hook %q: %w", h.Name, err)
		}
	}
	return nil
}

// JoinTargets implements cluster.Attacher.
func (c *Cloud) JoinTargets(ctx context.Context, g cluster.Generation, arns []string) error {
	group, err := visible(ctx, "Auto Scaling group", g, c.group)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(missingFrom(group.TargetGroupARNs, arns), maxAttach) {
		_, err := c.autoscaling.AttachLoadBalancerTargetGroups(ctx, &autoscaling.AttachLoadBalancerTargetGroupsInput{
			AutoScalingGroupName: &g.Name, TargetGroupARNs: batch,
		})
		if err != nil {
			return notYet(fmt.Errorf("attach Auto Scaling group %s to %v: %w", g.Name, batch, err), codeContention, codeServiceLinked)
		}
	}
	return nil
}

// LeaveTargets implements cluster.Attacher.
func (c *Cloud) LeaveTargets(ctx context.Context, g cluster.Generation, arns []string) error {
	group, err := c.group(ctx, g)
	if group == nil || err != nil {
		return err
	}
	there := slices.DeleteFunc(slices.Clone(arns), func(arn string) bool { return !slices.Contains(group.TargetGroupARNs, arn) })
	for batch := range slices.Chunk(there, maxAttach) {
		_, err := c.autoscaling.DetachLoadBalancerTargetGroups(ctx, &autoscaling.DetachLoadBalancerTargetGroupsInput{
			AutoScalingGroupName: &g.Name, TargetGroupARNs: batch,
		})
		if err != nil && !groupNotFound(err) {
			return notYet(fmt.Errorf("detach Auto Scaling group %s from %v: %w", g.Name, batch, err), codeContention)
		}
	}
	return nil
}

// maxAttach is the most target groups that one call takes,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachLoadBalancerTargetGroups.html.
const maxAttach = 10

// missingFrom returns those of wanted that are not there.
func missingFrom(there, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(arn string) bool { return slices.Contains(there, arn) })
}
