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
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Error codes of Auto Scaling.
const (
	codeValidation       = "ValidationError"
	codeGroupExists      = "AlreadyExists"
	codeGroupInUse       = "ResourceInUse"
	codeScalingActivity  = "ScalingActivityInProgress"
	codeScalingInUse     = "ResourceInUseFault"
	codeScalingActivityF = "ScalingActivityInProgressFault"
)

// removal bounds how long servers may take to finish their requests and end.
// AWS waits for the deregistration delay, at most an hour, and then for the
// instances to shut down.
const (
	removalEvery = 5 * time.Second
	removalMore  = 10 * time.Minute
)

// MakeServers implements cluster.Cloud.
func (c *Cloud) MakeServers(ctx context.Context, g cluster.Generation, s cluster.Spec, size int32) error {
	t, err := visible(ctx, c, "launch template", g, c.template)
	if err != nil {
		return err
	}
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name,
		LaunchTemplate:       templateVersion(t.LaunchTemplateId, fmt.Sprint(aws.ToInt64(t.LatestVersionNumber))),
		MinSize:              &s.Size.Min,
		MaxSize:              &s.Size.Max,
		DesiredCapacity:      aws.Int32(min(max(size, s.Size.Min), s.Size.Max)),
		VPCZoneIdentifier:    aws.String(strings.Join(s.Servers.SubnetIDs, ",")),
		HealthCheckType:      aws.String("EC2"),
		Tags:                 groupTags(g, g.Tags(s.Tags)),
	}
	if s.Target != nil {
		group, err := visible(ctx, c, "target group", g, c.targetGroup)
		if err != nil {
			return err
		}
		in.TargetGroupARNs = []string{aws.ToString(group.TargetGroupArn)}
		in.HealthCheckType = aws.String("ELB")
		in.HealthCheckGracePeriod = seconds(s.Target.Health.GracePeriod)
	}
	// Auto Scaling may not see a launch template or an instance profile yet
	// that EC2 or IAM have confirmed.
	return c.poll(ctx, propagationEvery, propagation, func(ctx context.Context) (bool, string, error) {
		_, err := c.autoscaling.CreateAutoScalingGroup(ctx, in)
		switch {
		case err == nil || hasCode(err, codeGroupExists):
			return true, "", nil
		case hasCode(err, codeValidation) && mentions(err, "does not exist", "invalid iam instance profile"):
			return false, err.Error(), nil
		}
		return false, "", fmt.Errorf("create Auto Scaling group %s: %w", g.Name, err)
	})
}

func templateVersion(id *string, version string) *types.LaunchTemplateSpecification {
	return &types.LaunchTemplateSpecification{LaunchTemplateId: id, Version: &version}
}

// group finds the generation's Auto Scaling group; nil when there is none. One
// that is being deleted is still there, with a Status.
func (c *Cloud) group(ctx context.Context, g cluster.Generation) (*types.AutoScalingGroup, error) {
	out, err := c.autoscaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{g.Name}})
	if err != nil {
		return nil, fmt.Errorf("read Auto Scaling group %s: %w", g.Name, err)
	}
	if len(out.AutoScalingGroups) == 0 {
		return nil, nil
	}
	return &out.AutoScalingGroups[0], nil
}

// Health implements cluster.Cloud. It takes at most four calls, whatever the
// number of servers.
func (c *Cloud) Health(ctx context.Context, g cluster.Generation) (cluster.Health, error) {
	group, err := visible(ctx, c, "Auto Scaling group", g, c.group)
	if err != nil {
		return cluster.Health{}, err
	}
	health := cluster.Health{Desired: int(aws.ToInt32(group.DesiredCapacity))}
	targets, err := c.targetHealth(ctx, group.TargetGroupARNs)
	if err != nil {
		return cluster.Health{}, err
	}
	for _, instance := range group.Instances {
		id := aws.ToString(instance.InstanceId)
		target, registered := targets[id]
		switch {
		case instance.LifecycleState != types.LifecycleStateInService || aws.ToString(instance.HealthStatus) != "Healthy":
			health.Problems = append(health.Problems, fmt.Sprintf("%s is %s and %s", id, instance.LifecycleState, aws.ToString(instance.HealthStatus)))
		case targets == nil:
			health.Healthy++
		case !registered:
			health.Problems = append(health.Problems, id+" is not registered at the target group yet")
		case target.State == elbtypes.TargetHealthStateEnumHealthy:
			health.Healthy++
		default:
			health.Problems = append(health.Problems, strings.TrimRight(fmt.Sprintf("%s is %s (%s: %s", id, target.State, target.Reason, aws.ToString(target.Description)), ": ")+")")
		}
	}
	if health.Healthy < health.Desired {
		why, err := c.launchFailure(ctx, g)
		if err != nil {
			return cluster.Health{}, err
		}
		if why != "" {
			health.Problems = append(health.Problems, why)
		}
	}
	return health, nil
}

// targetHealth returns the health of each instance; nil without target groups.
func (c *Cloud) targetHealth(ctx context.Context, arns []string) (map[string]elbtypes.TargetHealth, error) {
	if len(arns) == 0 {
		return nil, nil
	}
	targets := map[string]elbtypes.TargetHealth{}
	for _, arn := range arns {
		out, err := c.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
		if err != nil {
			return nil, fmt.Errorf("read the health of %s: %w", arn, err)
		}
		for _, d := range out.TargetHealthDescriptions {
			targets[aws.ToString(d.Target.Id)] = *d.TargetHealth
		}
	}
	return targets, nil
}

// launchFailure says why the group's latest attempt to start a server failed;
// nothing when it did not.
func (c *Cloud) launchFailure(ctx context.Context, g cluster.Generation) (string, error) {
	out, err := c.autoscaling.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: &g.Name, MaxRecords: aws.Int32(10)})
	if err != nil {
		return "", fmt.Errorf("read the activities of Auto Scaling group %s: %w", g.Name, err)
	}
	for _, activity := range out.Activities {
		switch activity.StatusCode {
		case types.ScalingActivityStatusCodeFailed, types.ScalingActivityStatusCodeCancelled:
			return "no server could be started: " + aws.ToString(activity.StatusMessage), nil
		case types.ScalingActivityStatusCodeSuccessful:
			return "", nil
		}
	}
	return "", nil
}

// Resize implements cluster.Cloud.
func (c *Cloud) Resize(ctx context.Context, g cluster.Generation, size cluster.Size) error {
	_, err := c.autoscaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, MinSize: &size.Min, MaxSize: &size.Max,
	})
	if err != nil {
		return fmt.Errorf("resize Auto Scaling group %s: %w", g.Name, err)
	}
	return nil
}

// RemoveServers implements cluster.Cloud: the group is first emptied, which
// lets servers finish their requests, and then deleted, which would not.
func (c *Cloud) RemoveServers(ctx context.Context, g cluster.Generation) error {
	group, err := c.group(ctx, g)
	if group == nil || err != nil {
		return err
	}
	if group.Status == nil { // set while the group is being deleted
		if err := c.drain(ctx, g); err != nil {
			return err
		}
		err = c.whilePropagating(ctx, func() error {
			_, err := c.autoscaling.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: &g.Name, ForceDelete: aws.Bool(true)})
			if err != nil && !groupNotFound(err) {
				return fmt.Errorf("delete Auto Scaling group %s: %w", g.Name, err)
			}
			return nil
		}, codeGroupInUse, codeScalingActivity, codeScalingInUse, codeScalingActivityF)
		if err != nil {
			return err
		}
	}
	return c.poll(ctx, removalEvery, removalMore, func(ctx context.Context) (bool, string, error) {
		group, err := c.group(ctx, g)
		if group == nil || err != nil {
			return err == nil, "", err
		}
		return false, fmt.Sprintf("Auto Scaling group %s is still being deleted, with %d instances", g.Name, len(group.Instances)), nil
	})
}

// drain waits until the group has ended all servers but those that are
// protected from scale-in or in standby, which only its deletion ends.
func (c *Cloud) drain(ctx context.Context, g cluster.Generation) error {
	_, err := c.autoscaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, MinSize: aws.Int32(0), DesiredCapacity: aws.Int32(0),
	})
	if groupNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty Auto Scaling group %s: %w", g.Name, err)
	}
	delay := time.Duration(0)
	targets, err := c.targetGroup(ctx, g)
	if err != nil {
		return err
	}
	if targets != nil {
		attributes, err := c.targetGroupAttributes(ctx, aws.ToString(targets.TargetGroupArn))
		if err != nil {
			return err
		}
		delay = attributes.delay
	}
	return c.poll(ctx, removalEvery, removalMore+delay, func(ctx context.Context) (bool, string, error) {
		group, err := c.group(ctx, g)
		if group == nil || err != nil {
			return err == nil, "", err
		}
		left := slices.DeleteFunc(group.Instances, func(i types.Instance) bool {
			return aws.ToBool(i.ProtectedFromScaleIn) || i.LifecycleState == types.LifecycleStateStandby
		})
		return len(left) == 0, fmt.Sprintf("%d servers of %s are still ending", len(left), g.Name), nil
	})
}

// groupNotFound: Auto Scaling has no code of its own for it.
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
			all = append(all, cluster.Generation{Cluster: id, Name: aws.ToString(group.AutoScalingGroupName)})
		}
	}
	return all, nil
}

// visible waits until a part of a generation that was made is also found.
func visible[T any](ctx context.Context, c *Cloud, part string, g cluster.Generation, find func(context.Context, cluster.Generation) (*T, error)) (*T, error) {
	var found *T
	err := c.poll(ctx, propagationEvery, propagation, func(ctx context.Context) (done bool, saw string, err error) {
		found, err = find(ctx, g)
		return found != nil, fmt.Sprintf("%s %s is not there, or not visible yet", part, g.Name), err
	})
	return found, err
}

// poll waits by the Cloud's clock.
func (c *Cloud) poll(ctx context.Context, every, within time.Duration, look clock.Look) error {
	return clock.Poll(ctx, c.clock, every, within, look)
}

// whilePropagating repeats do while it fails with one of the codes, by which
// AWS says that it does not know yet everywhere what it has confirmed.
func (c *Cloud) whilePropagating(ctx context.Context, do func() error, codes ...string) error {
	var last error
	err := c.poll(ctx, propagationEvery, propagation, func(context.Context) (bool, string, error) {
		last = do()
		if hasCode(last, codes...) {
			return false, last.Error(), nil
		}
		return last == nil, "", last
	})
	var timeout *clock.TimeoutError
	if errors.As(err, &timeout) {
		return fmt.Errorf("%w (for %s)", last, timeout.After)
	}
	return err
}
