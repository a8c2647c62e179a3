package awscloud

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func ec2Tags(s tagging.Set) []ec2types.Tag {
	var tags []ec2types.Tag
	for _, key := range s.Keys() {
		tags = append(tags, ec2types.Tag{Key: aws.String(key), Value: aws.String(s[key])})
	}
	return tags
}

func elbTags(s tagging.Set) []elbtypes.Tag {
	var tags []elbtypes.Tag
	for _, key := range s.Keys() {
		tags = append(tags, elbtypes.Tag{Key: aws.String(key), Value: aws.String(s[key])})
	}
	return tags
}

func fromELBTags(tags []elbtypes.Tag) tagging.Set {
	s := tagging.Set{}
	for _, t := range tags {
		s[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return withoutSystemTags(s)
}

// withoutSystemTags leaves out tags that only AWS services can set and remove.
func withoutSystemTags(s tagging.Set) tagging.Set {
	maps.DeleteFunc(s, func(key, _ string) bool { return strings.HasPrefix(key, "aws:") })
	return s
}

// groupTags are tags of an Auto Scaling group, which its instances inherit.
func groupTags(g cluster.Generation, s tagging.Set) []asgtypes.Tag {
	var tags []asgtypes.Tag
	for _, key := range s.Keys() {
		tags = append(tags, asgtypes.Tag{
			Key: aws.String(key), Value: aws.String(s[key]), PropagateAtLaunch: aws.Bool(true),
			ResourceId: aws.String(g.Name), ResourceType: aws.String("auto-scaling-group"),
		})
	}
	return tags
}

func fromGroupTags(tags []asgtypes.TagDescription) tagging.Set {
	s := tagging.Set{}
	for _, t := range tags {
		s[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return withoutSystemTags(s)
}

// surplus returns the keys that should not be there and are not ignored.
func surplus(there, should tagging.Set, ignored tagging.Ignored) []string {
	return slices.DeleteFunc(there.Keys(), func(key string) bool {
		_, keep := should[key]
		return keep || ignored.Matches(key)
	})
}

// Retag implements cluster.Cloud. New servers get their tags from a new version
// of the launch template; running ones are tagged directly.
func (c *Cloud) Retag(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	group, err := c.group(ctx, g)
	if err != nil {
		return err
	}
	if group == nil {
		return fmt.Errorf("auto scaling group %s is gone", g.Name)
	}
	should := g.Tags(s.Tags)
	obsolete := surplus(fromGroupTags(group.Tags), should, s.IgnoredTags)

	used := groupTemplate(group)
	if used == nil {
		return fmt.Errorf("auto scaling group %s has no launch template any more", g.Name)
	}
	template, err := c.renewTemplate(ctx, g, s, cluster.Template{
		ID: aws.ToString(used.LaunchTemplateId), Version: aws.ToString(used.Version),
	}, obsolete)
	if err != nil {
		return err
	}
	renewed := &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &g.Name}
	if group.MixedInstancesPolicy != nil {
		renewed.MixedInstancesPolicy = withTemplate(*group.MixedInstancesPolicy, templateVersion(&template.ID, template.Version))
	} else {
		renewed.LaunchTemplate = templateVersion(&template.ID, template.Version)
	}
	if _, err := c.autoscaling.UpdateAutoScalingGroup(ctx, renewed); err != nil {
		err = fmt.Errorf("renew the launch template of Auto Scaling group %s: %w", g.Name, err)
		if mentions(err, "does not exist") { // Auto Scaling may not see the version yet that EC2 has confirmed
			return notYet(err, codeValidation)
		}
		return notYet(err, codeScalingActivity, codeContention)
	}
	if err := c.retagRunning(ctx, group, template.ID, should, obsolete); err != nil {
		return err
	}
	if err := c.retagBalancing(ctx, g, s); err != nil {
		return err
	}
	if err := c.retagAlarms(ctx, g, s, should); err != nil {
		return err
	}
	// The group's own tags come last: they tell which tags are obsolete, so they
	// must not change before all others.
	if _, err := c.autoscaling.CreateOrUpdateTags(ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: groupTags(g, should)}); err != nil {
		return notYet(fmt.Errorf("tag Auto Scaling group %s: %w", g.Name, err), codeGroupInUse, codeContention)
	}
	if len(obsolete) > 0 {
		gone := tagging.Set{}
		for _, key := range obsolete {
			gone[key] = ""
		}
		if _, err := c.autoscaling.DeleteTags(ctx, &autoscaling.DeleteTagsInput{Tags: groupTags(g, gone)}); err != nil {
			return notYet(fmt.Errorf("remove tags from Auto Scaling group %s: %w", g.Name, err), codeGroupInUse, codeContention)
		}
	}
	return nil
}

// serverGone are the codes for a server or a volume that is not visible yet, or that scaling
// has replaced since it was listed,
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.
var serverGone = []string{"InvalidInstanceID.NotFound", "InvalidVolume.NotFound"}

// retagRunning tags the launch template, and the running instances with their
// volumes.
func (c *Cloud) retagRunning(
	ctx context.Context, group *asgtypes.AutoScalingGroup, templateID string, should tagging.Set, obsolete []string,
) error {
	var instances []string
	for _, instance := range group.Instances {
		instances = append(instances, aws.ToString(instance.InstanceId))
	}
	ids := append([]string{templateID}, instances...)
	// A filter takes at most 200 values.
	for batch := range slices.Chunk(instances, 200) {
		// Only volumes that the launch template tagged: one that was attached to a
		// server by hand is not ours.
		in := &ec2.DescribeVolumesInput{Filters: []ec2types.Filter{
			{Name: aws.String("attachment.instance-id"), Values: batch},
			{Name: aws.String("tag:" + tagging.Generation), Values: []string{should[tagging.Generation]}},
		}}
		for more := true; more; more = aws.ToString(in.NextToken) != "" {
			page, err := c.ec2.DescribeVolumes(ctx, in)
			if err != nil {
				return fmt.Errorf("list the volumes of %s: %w", aws.ToString(group.AutoScalingGroupName), err)
			}
			for _, volume := range page.Volumes {
				ids = append(ids, aws.ToString(volume.VolumeId))
			}
			in.NextToken = page.NextToken
		}
	}
	// One call takes at most 1000 resources.
	for batch := range slices.Chunk(ids, 1000) {
		if _, err := c.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: batch, Tags: ec2Tags(should)}); err != nil {
			return notYet(fmt.Errorf("tag the servers of %s: %w", aws.ToString(group.AutoScalingGroupName), err), serverGone...)
		}
		if len(obsolete) == 0 {
			continue
		}
		var gone []ec2types.Tag
		for _, key := range obsolete {
			gone = append(gone, ec2types.Tag{Key: aws.String(key)})
		}
		if _, err := c.ec2.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: batch, Tags: gone}); err != nil {
			return notYet(fmt.Errorf("remove tags from the servers of %s: %w", aws.ToString(group.AutoScalingGroupName), err), serverGone...)
		}
	}
	return nil
}

// retagAlarms tags the alarms of scaling policies.
func (c *Cloud) retagAlarms(ctx context.Context, g cluster.Generation, s cluster.Spec, should tagging.Set) error {
	if !s.AllAttachments().HasAlarms() {
		return nil
	}
	var arns []string
	err := c.eachAlarm(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String(stepAlarmPrefix(g))}, func(a cwtypes.MetricAlarm) {
		arns = append(arns, aws.ToString(a.AlarmArn))
	})
	if err != nil {
		return err
	}
	for _, arn := range arns {
		if err := c.retagAlarm(ctx, arn, should, s.IgnoredTags); err != nil {
			return notYet(fmt.Errorf("tag alarm %s: %w", arn, err), codeAlarmNotFound)
		}
	}
	return nil
}

func (c *Cloud) retagAlarm(ctx context.Context, arn string, should tagging.Set, ignored tagging.Ignored) error {
	out, err := c.cloudwatch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: &arn})
	if err != nil {
		return err
	}
	is := tagging.Set{}
	for _, tag := range out.Tags {
		is[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	if _, err := c.cloudwatch.TagResource(ctx, &cloudwatch.TagResourceInput{ResourceARN: &arn, Tags: alarmTags(should)}); err != nil {
		return err
	}
	gone := surplus(withoutSystemTags(is), should, ignored)
	if len(gone) == 0 {
		return nil
	}
	_, err = c.cloudwatch.UntagResource(ctx, &cloudwatch.UntagResourceInput{ResourceARN: &arn, TagKeys: gone})
	return err
}

func alarmTags(s tagging.Set) []cwtypes.Tag {
	var tags []cwtypes.Tag
	for _, key := range s.Keys() {
		tags = append(tags, cwtypes.Tag{Key: aws.String(key), Value: aws.String(s[key])})
	}
	return tags
}

// retagBalancing tags the target group and the listener rule.
func (c *Cloud) retagBalancing(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	if s.Listener == nil {
		return nil
	}
	group, err := c.targetGroup(ctx, g)
	if err != nil {
		return err
	}
	if group == nil {
		return fmt.Errorf("target group %s is gone", g.Name)
	}
	if err := c.retagELB(ctx, aws.ToString(group.TargetGroupArn), g.Tags(s.Tags), s.IgnoredTags); err != nil {
		return err
	}
	routes, err := c.routes(ctx, s.Listener.ARN)
	if err != nil {
		return err
	}
	r, err := c.findRoute(ctx, s.ID, routes, *s.Listener)
	if r == nil || err != nil || r.ruleARN == "" {
		return err
	}
	if ours, err := c.owns(ctx, s.ID, *r); !ours || err != nil {
		return err
	}
	if err := c.retagELB(ctx, r.ruleARN, ruleTags(g, s), s.IgnoredTags); err != nil {
		return err
	}
	found, _, err := c.findFurther(ctx, s.ID, s.FurtherRules)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(found) {
		for _, r := range found[name] {
			if err := c.retagELB(ctx, r.ruleARN, tagging.Merge(ruleTags(g, s), tagging.Set{tagging.Rule: name}), s.IgnoredTags); err != nil {
				return err
			}
		}
	}
	return nil
}

// retagELB gives a target group or rule exactly the tags, aside from ignored ones.
func (c *Cloud) retagELB(ctx context.Context, arn string, should tagging.Set, ignored tagging.Ignored) error {
	is, err := c.elbTags(ctx, arn)
	if err != nil {
		return err
	}
	return c.changeTags(ctx, arn, is, should, ignored)
}

// elbTags returns the tags of a target group or rule.
func (c *Cloud) elbTags(ctx context.Context, arn string) (tagging.Set, error) {
	out, err := c.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn}})
	if err != nil {
		return nil, fmt.Errorf("read the tags of %s: %w", arn, err)
	}
	tags := tagging.Set{}
	for _, described := range out.TagDescriptions {
		tags = fromELBTags(described.Tags)
	}
	return tags, nil
}

// changeTags gives a target group or rule, which has the tags is, exactly the tags should, aside
// from ignored ones.
func (c *Cloud) changeTags(ctx context.Context, arn string, is, should tagging.Set, ignored tagging.Ignored) error {
	is = is.WithoutIgnored(ignored)
	if !maps.Equal(is, should) {
		if _, err := c.elb.AddTags(ctx, &elb.AddTagsInput{ResourceArns: []string{arn}, Tags: elbTags(should)}); err != nil {
			return fmt.Errorf("tag %s: %w", arn, err)
		}
	}
	if gone := surplus(is, should, ignored); len(gone) > 0 {
		if _, err := c.elb.RemoveTags(ctx, &elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: gone}); err != nil {
			return fmt.Errorf("remove tags from %s: %w", arn, err)
		}
	}
	return nil
}
