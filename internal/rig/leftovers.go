package rig

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Leftovers lists what is in the account besides its landscape and images: Auto
// Scaling groups, running instances, volumes, launch templates, target groups and
// listener rules. It does not filter by tags, so it also finds what has lost them.
func Leftovers(ctx context.Context, a Account, l Landscape) ([]string, error) {
	cfg := a.Config(l.Region)
	var left []string
	found := func(kind string, id *string) { left = append(left, kind+" "+aws.ToString(id)) }

	groups, err := autoscaling.NewFromConfig(cfg).DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
	if err != nil {
		return nil, err
	}
	for _, group := range groups.AutoScalingGroups {
		found("Auto Scaling group", group.AutoScalingGroupName)
	}
	compute := ec2.NewFromConfig(cfg)
	instances, err := compute.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil {
		return nil, err
	}
	terminated := map[string]bool{}
	for _, reservation := range instances.Reservations {
		for _, instance := range reservation.Instances {
			if instance.State.Name == ec2types.InstanceStateNameTerminated {
				terminated[aws.ToString(instance.InstanceId)] = true
			} else {
				found("instance", instance.InstanceId)
			}
		}
	}
	volumes, err := compute.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
	if err != nil {
		return nil, err
	}
	for _, volume := range volumes.Volumes {
		// Moto creates a default volume in addition to the one that the launch
		// template maps to the same device, and leaves it attached to the
		// terminated instance, a state that does not exist in AWS.
		if len(volume.Attachments) == 1 && terminated[aws.ToString(volume.Attachments[0].InstanceId)] {
			continue
		}
		found("volume", volume.VolumeId)
	}
	templates, err := compute.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{})
	if err != nil {
		return nil, err
	}
	for _, template := range templates.LaunchTemplates {
		found("launch template", template.LaunchTemplateName)
	}
	balancing := elb.NewFromConfig(cfg)
	targets, err := balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return nil, err
	}
	for _, group := range targets.TargetGroups {
		found("target group", group.TargetGroupName)
	}
	rules, err := balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &l.Listener})
	if err != nil {
		return nil, err
	}
	for _, rule := range rules.Rules {
		if !aws.ToBool(rule.IsDefault) {
			found("listener rule", rule.RuleArn)
		}
	}
	return left, nil
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
