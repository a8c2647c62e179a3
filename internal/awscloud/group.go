package awscloud

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Error codes of Auto Scaling.
const (
	codeValidation      = "ValidationError"
	codeGroupExists     = "AlreadyExists"
	codeGroupInUse      = "ResourceInUse"
	codeScalingActivity = "ScalingActivityInProgress"
	codeContention      = "ResourceContention"
	codeServiceLinked   = "ServiceLinkedRoleFailure"
)

// MakeServers implements cluster.Cloud.
func (c *Cloud) MakeServers(ctx context.Context, g cluster.Generation, s cluster.Spec, size cluster.Size) error {
	// A group of that name is ours, created by a call whose reply was lost.
	if group, err := c.group(ctx, g); group != nil || err != nil {
		return err
	}
	t, err := visible(ctx, "launch template", g, c.template)
	if err != nil {
		return err
	}
	attached := s.AllAttachments()
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name,
		MinSize:              &size.Min,
		MaxSize:              &size.Max,
		VPCZoneIdentifier:    aws.String(strings.Join(s.Servers.SubnetIDs, ",")),
		HealthCheckType:      aws.String("EC2"),
		Tags:                 groupTags(g, g.Tags(s.Tags)),

		LifecycleHookSpecificationList: hookSpecifications(attached.Hooks),
		TerminationPolicies:            attached.TerminationPolicies,
	}
	if attached.MaxInstanceLifetime > 0 {
		in.MaxInstanceLifetime = seconds(attached.MaxInstanceLifetime)
	}
	template := templateVersion(t.LaunchTemplateId, fmt.Sprint(aws.ToInt64(t.LatestVersionNumber)))
	if s.Servers.Mixed != nil {
		in.MixedInstancesPolicy = mixedPolicy(*s.Servers.Mixed, template)
	} else {
		in.LaunchTemplate = template
	}
	if s.Servers.CapacityRebalance {
		in.CapacityRebalance = aws.Bool(true)
	}
	if s.Target != nil {
		group, err := visible(ctx, "target group", g, c.targetGroup)
		if err != nil {
			return err
		}
		in.TargetGroupARNs = []string{aws.ToString(group.TargetGroupArn)}
		in.HealthCheckType = aws.String("ELB")
		in.HealthCheckGracePeriod = seconds(s.Target.Health.GracePeriod)
	}
	_, err = c.autoscaling.CreateAutoScalingGroup(ctx, in)
	if err == nil || hasCode(err, codeGroupExists) {
		// A removal that follows has to find it.
		_, err = visible(ctx, "Auto Scaling group", g, c.group)
		return err
	}
	err = fmt.Errorf("create Auto Scaling group %s: %w", g.Name, err)
	if mentions(err, "does not exist", "invalid iam instance profile", "target groups may not be valid") {
		// Auto Scaling may not see yet a launch template, an instance profile or a
		// target group that other services have confirmed.
		return notYet(err, codeValidation)
	}
	return notYet(err, codeServiceLinked) // of the first group in an account
}

func templateVersion(id *string, version string) *types.LaunchTemplateSpecification {
	return &types.LaunchTemplateSpecification{LaunchTemplateId: id, Version: &version}
}

// group finds the generation's Auto Scaling group; nil if it does not exist. A
// group that is being deleted still exists, and has a Status.
func (c *Cloud) group(ctx context.Context, g cluster.Generation) (*types.AutoScalingGroup, error) {
	out, err := c.autoscaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{
		AutoScalingGroupNames: []string{g.Name},
	})
	if err != nil {
		return nil, fmt.Errorf("read Auto Scaling group %s: %w", g.Name, err)
	}
	if len(out.AutoScalingGroups) == 0 {
		return nil, nil
	}
	return &out.AutoScalingGroups[0], nil
}

// Health implements cluster.Cloud. It takes one call for all groups, one for
// the targets of each, and one for each group that is short of servers.
func (c *Cloud) Health(ctx context.Context, generations ...cluster.Generation) ([]cluster.Health, error) {
	names := make([]string, len(generations))
	for i, g := range generations {
		names[i] = g.Name
	}
	groups := map[string]types.AutoScalingGroup{}
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(c.autoscaling, &autoscaling.DescribeAutoScalingGroupsInput{
		AutoScalingGroupNames: names,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read Auto Scaling groups %s: %w", strings.Join(names, ", "), err)
		}
		for _, group := range page.AutoScalingGroups {
			groups[aws.ToString(group.AutoScalingGroupName)] = group
		}
	}
	all := make([]cluster.Health, len(generations))
	for i, g := range generations {
		group, there := groups[g.Name]
		if !there || group.Status != nil {
			continue
		}
		var err error
		if all[i], err = c.health(ctx, g, group); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *Cloud) health(ctx context.Context, g cluster.Generation, group types.AutoScalingGroup) (cluster.Health, error) {
	health := cluster.Health{
		Exists:  true,
		Size:    cluster.Size{Min: aws.ToInt32(group.MinSize), Max: aws.ToInt32(group.MaxSize)},
		Desired: aws.ToInt32(group.DesiredCapacity), Weighted: weighted(group),
	}
	targets, err := c.targetHealth(ctx, g, group.TargetGroupARNs)
	if err != nil {
		return cluster.Health{}, err
	}
	problem := func(format string, args ...any) {
		health.Problems = append(health.Problems, fmt.Sprintf(format, args...))
	}
	for _, instance := range group.Instances {
		id := aws.ToString(instance.InstanceId)
		capacity, err := capacityOf(instance)
		if err != nil {
			return cluster.Health{}, err
		}
		target, registered := targets[id]
		switch {
		case instance.LifecycleState != types.LifecycleStateInService || aws.ToString(instance.HealthStatus) != "Healthy":
			problem("%s is %s and %s", id, instance.LifecycleState, aws.ToString(instance.HealthStatus))
		case targets == nil:
			health.Healthy += capacity
		case !registered:
			problem("%s is not registered with the target group yet", id)
		case target.State == elbtypes.TargetHealthStateEnumHealthy:
			health.Healthy += capacity
		default:
			reason := strings.TrimRight(fmt.Sprintf("%s: %s", target.Reason, aws.ToString(target.Description)), ": ")
			problem("%s is %s (%s)", id, target.State, reason)
		}
	}
	if health.Healthy < health.Desired {
		why, isHopeless, err := c.launchFailure(ctx, g)
		switch {
		case err != nil:
			return cluster.Health{}, err
		case isHopeless && len(group.Instances) == 0: // otherwise one may still become healthy
			health.Hopeless = why
		}
		if why != "" {
			problem("the group's latest activity failed: %s", why)
		}
	}
	return health, nil
}

// targetHealth returns the health of each instance; nil without target groups. An instance that
// is not healthy in one of several target groups is not healthy. A further target group that no
// listener uses checks nothing, so it does not count.
func (c *Cloud) targetHealth(ctx context.Context, g cluster.Generation, arns []string) (map[string]elbtypes.TargetHealth, error) {
	var targets map[string]elbtypes.TargetHealth
	for _, arn := range arns {
		there := map[string]elbtypes.TargetHealth{}
		out, err := c.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
		switch {
		case hasCode(err, codeTargetGroupNotFound): // it was removed by hand, and the group still names it
		case err != nil:
			return nil, fmt.Errorf("read the health of %s: %w", arn, err)
		case !isTargetGroupOf(g, arn) && allUnused(out.TargetHealthDescriptions):
			continue
		default:
			for _, d := range out.TargetHealthDescriptions {
				there[aws.ToString(d.Target.Id)] = *d.TargetHealth
			}
		}
		targets = bothHealthy(targets, there)
	}
	return targets, nil
}

// allUnused reports whether no listener uses a target group that has targets.
func allUnused(targets []elbtypes.TargetHealthDescription) bool {
	return len(targets) > 0 && !slices.ContainsFunc(targets, func(d elbtypes.TargetHealthDescription) bool {
		return d.TargetHealth.State != elbtypes.TargetHealthStateEnumUnused
	})
}

// bothHealthy keeps the instances that are in both target groups, and the worse health of each.
func bothHealthy(all, there map[string]elbtypes.TargetHealth) map[string]elbtypes.TargetHealth {
	if all == nil {
		return there
	}
	both := map[string]elbtypes.TargetHealth{}
	for id, health := range all {
		if also, ok := there[id]; ok && health.State == elbtypes.TargetHealthStateEnumHealthy {
			both[id] = also
		} else if ok {
			both[id] = health
		}
	}
	return both
}

// Resize implements cluster.Cloud.
func (c *Cloud) Resize(ctx context.Context, g cluster.Generation, size cluster.Size) error {
	_, err := c.autoscaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, MinSize: &size.Min, MaxSize: &size.Max,
	})
	if err != nil {
		return notYet(fmt.Errorf("resize Auto Scaling group %s: %w", g.Name, err), codeScalingActivity, codeContention)
	}
	return nil
}

// RemoveServers implements cluster.Cloud. It first empties the group, so that
// servers finish their requests, and then deletes it.
func (c *Cloud) RemoveServers(ctx context.Context, g cluster.Generation, force bool) error {
	group, err := c.group(ctx, g)
	if group == nil || err != nil {
		return err
	}
	if group.Status != nil { // set while the group is being deleted
		return &cluster.NotYetError{
			Saw: fmt.Sprintf("Auto Scaling group %s is still being deleted, with %d servers", g.Name, len(group.Instances)),
		}
	}
	var protected []string
	for _, i := range group.Instances {
		if aws.ToBool(i.ProtectedFromScaleIn) || i.LifecycleState == types.LifecycleStateStandby {
			protected = append(protected, aws.ToString(i.InstanceId))
		}
	}
	// A suspended process would keep the servers.
	if processes := suspendedForRemoval(group); len(processes) > 0 {
		if err := c.resume(ctx, g, processes); err != nil && !groupNotFound(err) {
			return notYet(fmt.Errorf("resume %v of Auto Scaling group %s: %w", processes, g.Name, err), codeGroupInUse, codeContention)
		}
	}
	// Without a largest size of 0, a schedule might fill the group again.
	if aws.ToInt32(group.MaxSize) > 0 || aws.ToInt32(group.DesiredCapacity) > 0 {
		_, err := c.autoscaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
			AutoScalingGroupName: &g.Name, MinSize: aws.Int32(0), MaxSize: aws.Int32(0), DesiredCapacity: aws.Int32(0),
		})
		switch {
		case hasCode(err, codeTargetGroupNotFound) && (force || len(protected) == 0):
			return c.deleteGroup(ctx, g, true) // without a target group there are no requests
		case err != nil && !groupNotFound(err):
			return notYet(fmt.Errorf("empty Auto Scaling group %s: %w", g.Name, err), codeScalingActivity, codeContention)
		}
		return &cluster.NotYetError{Saw: fmt.Sprintf("%d servers of %s are terminating", len(group.Instances), g.Name)}
	}
	switch {
	case len(protected) < len(group.Instances):
		return &cluster.NotYetError{
			Saw: fmt.Sprintf("%d servers of %s are still terminating", len(group.Instances)-len(protected), g.Name),
		}
	case len(protected) > 0 && !force:
		return &cluster.ProtectedError{Generation: g, Servers: protected}
	}
	return c.deleteGroup(ctx, g, len(group.Instances) > 0)
}

// suspendedForRemoval are the suspended processes that the removal of servers needs.
func suspendedForRemoval(group *types.AutoScalingGroup) (processes []string) {
	for _, p := range group.SuspendedProcesses {
		if name := aws.ToString(p.ProcessName); name == "Terminate" {
			processes = append(processes, name)
		}
	}
	return processes
}

// deleteGroup asks AWS to delete a group, with force also its servers. Deletion protection
// and policies may forbid force, which an empty group does not need,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/resource-deletion-protection.html.
func (c *Cloud) deleteGroup(ctx context.Context, g cluster.Generation, force bool) error {
	_, err := c.autoscaling.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, ForceDelete: &force,
	})
	if err != nil && !groupNotFound(err) {
		return notYet(fmt.Errorf("delete Auto Scaling group %s: %w", g.Name, err), codeGroupInUse, codeScalingActivity, codeContention)
	}
	return &cluster.NotYetError{Saw: fmt.Sprintf("Auto Scaling group %s is being deleted", g.Name)}
}

// groupNotFound goes by the message, because Auto Scaling has no code for it.
func groupNotFound(err error) bool {
	return hasCode(err, codeValidation) && mentions(err, "not found", "does not exist")
}

// Generations implements cluster.Cloud.
func (c *Cloud) Generations(ctx context.Context, id cluster.ID) ([]cluster.Generation, error) {
	var all []cluster.Generation
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(c.autoscaling, &autoscaling.DescribeAutoScalingGroupsInput{
		Filters: []types.Filter{{Name: aws.String("tag:" + tagging.Cluster), Values: []string{id.String()}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the generations of cluster %s: %w", id, err)
		}
		for _, group := range page.AutoScalingGroups {
			if group.Status != nil {
				continue // it is being deleted
			}
			all = append(all, cluster.Generation{Cluster: id, Name: aws.ToString(group.AutoScalingGroupName)})
		}
	}
	return all, nil
}
