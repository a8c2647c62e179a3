package rig

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// tagsByID are tags by "kind:id" of what has them.
type tagsByID = map[string]map[string]string

// Tags returns the tags of all parts of clusters, by "kind:id". It lists everything
// in the account, not by tags.
func Tags(ctx context.Context, a Account, l Landscape) (map[string]map[string]string, error) {
	cfg := a.Config(l.Region)
	compute := ec2.NewFromConfig(cfg)
	all := tagsByID{}
	if err := groupTags(ctx, autoscaling.NewFromConfig(cfg), compute, all); err != nil {
		return nil, err
	}
	if err := templateTags(ctx, compute, all); err != nil {
		return nil, err
	}
	if err := balancerTags(ctx, elb.NewFromConfig(cfg), l.Listener, all); err != nil {
		return nil, err
	}
	return all, nil
}

// groupTags adds the tags of the Auto Scaling groups, their instances and volumes.
func groupTags(ctx context.Context, scaling *autoscaling.Client, compute *ec2.Client, all tagsByID) error {
	groups, err := scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
	if err != nil {
		return err
	}
	for _, group := range groups.AutoScalingGroups {
		tags := map[string]string{}
		for _, tag := range group.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all["Auto Scaling group:"+aws.ToString(group.AutoScalingGroupName)] = tags
		for _, member := range group.Instances {
			if err := instanceTags(ctx, compute, aws.ToString(member.InstanceId), all); err != nil {
				return err
			}
		}
	}
	return nil
}

// templateTags adds the tags of the launch templates, and of what they start.
func templateTags(ctx context.Context, compute *ec2.Client, all tagsByID) error {
	templates, err := compute.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{})
	if err != nil {
		return err
	}
	for _, template := range templates.LaunchTemplates {
		// Moto describes a template with the tags of its creation, even after they
		// were changed.
		current, err := compute.DescribeTags(ctx, &ec2.DescribeTagsInput{
			Filters: []ec2types.Filter{{Name: aws.String("resource-id"), Values: []string{aws.ToString(template.LaunchTemplateId)}}},
		})
		if err != nil {
			return err
		}
		tags := map[string]string{}
		for _, tag := range current.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all["launch template:"+aws.ToString(template.LaunchTemplateName)] = tags
		if err := startedTags(ctx, compute, template, all); err != nil {
			return err
		}
	}
	return nil
}

// balancerTags adds the tags of the target groups and of the listener's rules.
func balancerTags(ctx context.Context, balancing *elb.Client, listener string, all tagsByID) error {
	kinds := map[string]string{}
	targets, err := balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return err
	}
	for _, group := range targets.TargetGroups {
		kinds[aws.ToString(group.TargetGroupArn)] = "target group"
	}
	rules, err := balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &listener})
	if err != nil {
		return err
	}
	for _, rule := range rules.Rules {
		if !aws.ToBool(rule.IsDefault) {
			kinds[aws.ToString(rule.RuleArn)] = "listener rule"
		}
	}
	for arn, kind := range kinds {
		out, err := balancing.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn}})
		if err != nil {
			return err
		}
		tags := map[string]string{}
		for _, tag := range out.TagDescriptions[0].Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all[kind+":"+arn] = tags
	}
	return nil
}

// instanceTags adds the tags of an instance and of the volumes it uses.
func instanceTags(ctx context.Context, compute *ec2.Client, id string, all tagsByID) error {
	out, err := compute.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return err
	}
	for _, reservation := range out.Reservations {
		for _, instance := range reservation.Instances {
			all["instance:"+id] = ec2Tags(instance.Tags)
			for _, mapping := range instance.BlockDeviceMappings {
				volumes, err := compute.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{
					VolumeIds: []string{aws.ToString(mapping.Ebs.VolumeId)},
				})
				if err != nil {
					return err
				}
				for _, volume := range volumes.Volumes {
					// Moto does not apply the volume tags of a launch template;
					// startedTags covers volumes without tags.
					if len(volume.Tags) > 0 {
						all["volume:"+aws.ToString(volume.VolumeId)] = ec2Tags(volume.Tags)
					}
				}
			}
		}
	}
	return nil
}

// startedTags adds the tags that a launch template gives to volumes and network
// interfaces.
func startedTags(ctx context.Context, compute *ec2.Client, template ec2types.LaunchTemplate, all tagsByID) error {
	out, err := compute.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: template.LaunchTemplateId, Versions: []string{"$Latest"},
	})
	if err != nil {
		return err
	}
	for _, specification := range out.LaunchTemplateVersions[0].LaunchTemplateData.TagSpecifications {
		// Moto also lists the template's own tags here.
		switch specification.ResourceType {
		case ec2types.ResourceTypeVolume, ec2types.ResourceTypeNetworkInterface:
			all[string(specification.ResourceType)+":all of "+aws.ToString(template.LaunchTemplateName)] = ec2Tags(specification.Tags)
		}
	}
	return nil
}

func ec2Tags(tags []ec2types.Tag) map[string]string {
	all := map[string]string{}
	for _, tag := range tags {
		all[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return all
}
