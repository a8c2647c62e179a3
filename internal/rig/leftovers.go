package rig

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Leftovers lists what is in the account besides its landscape and images: Auto
// Scaling groups, running instances, volumes, launch templates, target groups, listener
// rules, and alarms on target groups. It does not filter by tags, so it also finds what has
// lost them.
func Leftovers(ctx context.Context, a Account, l Landscape) ([]string, error) {
	cfg := a.Config(l.Region)
	var left []string
	found := func(kind string, id *string) { left = append(left, kind+" "+aws.ToString(id)) }

	groups, err := pages(ctx, autoscaling.NewDescribeAutoScalingGroupsPaginator(autoscaling.NewFromConfig(cfg), nil))
	if err != nil {
		return nil, err
	}
	for _, page := range groups {
		for _, group := range page.AutoScalingGroups {
			found("Auto Scaling group", group.AutoScalingGroupName)
		}
	}
	compute := ec2.NewFromConfig(cfg)
	instances, err := pages(ctx, ec2.NewDescribeInstancesPaginator(compute, nil))
	if err != nil {
		return nil, err
	}
	terminated := map[string]bool{}
	for _, page := range instances {
		for _, reservation := range page.Reservations {
			for _, instance := range reservation.Instances {
				if instance.State.Name == ec2types.InstanceStateNameTerminated {
					terminated[aws.ToString(instance.InstanceId)] = true
				} else {
					found("instance", instance.InstanceId)
				}
			}
		}
	}
	volumes, err := pages(ctx, ec2.NewDescribeVolumesPaginator(compute, nil))
	if err != nil {
		return nil, err
	}
	for _, page := range volumes {
		for _, volume := range page.Volumes {
			// Moto creates a default volume in addition to the one that the launch
			// template maps to the same device, and leaves it attached to the
			// terminated instance, a state that does not exist in AWS.
			if len(volume.Attachments) == 1 && terminated[aws.ToString(volume.Attachments[0].InstanceId)] {
				continue
			}
			found("volume", volume.VolumeId)
		}
	}
	templates, err := pages(ctx, ec2.NewDescribeLaunchTemplatesPaginator(compute, nil))
	if err != nil {
		return nil, err
	}
	for _, page := range templates {
		for _, template := range page.LaunchTemplates {
			found("launch template", template.LaunchTemplateName)
		}
	}
	balancing := elb.NewFromConfig(cfg)
	targets, err := pages(ctx, elb.NewDescribeTargetGroupsPaginator(balancing, nil))
	if err != nil {
		return nil, err
	}
	for _, page := range targets {
		for _, group := range page.TargetGroups {
			found("target group", group.TargetGroupName)
		}
	}
	rules, err := pages(ctx, elb.NewDescribeRulesPaginator(balancing, &elb.DescribeRulesInput{ListenerArn: &l.Listener}))
	if err != nil {
		return nil, err
	}
	for _, page := range rules {
		for _, rule := range page.Rules {
			if !aws.ToBool(rule.IsDefault) {
				found("listener rule", rule.RuleArn)
			}
		}
	}
	alarms, err := pages(ctx, cloudwatch.NewDescribeAlarmsPaginator(a.CloudWatch(l.Region), &cloudwatch.DescribeAlarmsInput{}))
	if err != nil {
		return nil, err
	}
	for _, page := range alarms {
		for _, alarm := range page.MetricAlarms {
			if slices.ContainsFunc(alarm.Dimensions, func(d cwtypes.Dimension) bool { return aws.ToString(d.Name) == "TargetGroup" }) {
				found("alarm", alarm.AlarmName)
			}
		}
	}
	return left, nil
}

// pages returns all pages of a list. A first page alone could miss what is left.
func pages[Page, Options any](ctx context.Context, p interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...func(*Options)) (*Page, error)
}) (all []*Page, err error) {
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page)
	}
	return all, nil
}

// NothingLeft returns an error that lists what Leftovers finds.
func NothingLeft(ctx context.Context, a Account, l Landscape) error {
	left, err := Leftovers(ctx, a, l)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
	}
	return nil
}
