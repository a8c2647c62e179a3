package rig

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// Tags returns the tags of everything that a cluster is made of, by
// "kind:id". It finds things by what they are, not by their tags.
func Tags(ctx context.Context, a Account, l Landscape) (map[string]map[string]string, error) {
	cfg := a.Config(l.Region)
	all := map[string]map[string]string{}

	groups, err := autoscaling.NewFromConfig(cfg).DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
	if err != nil {
		return nil, err
	}
	compute := ec2.NewFromConfig(cfg)
	for _, group := range groups.AutoScalingGroups {
		tags := map[string]string{}
		for _, tag := range group.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all["Auto Scaling group:"+aws.ToString(group.AutoScalingGroupName)] = tags
		for _, member := range group.Instances {
			if err := instanceTags(ctx, compute, aws.ToString(member.InstanceId), all); err != nil {
				return nil, err
			}
		}
	}
	templates, err := compute.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{})
	if err != nil {
		return nil, err
	}
	for _, template := range templates.LaunchTemplates {
		// Moto describes a template with the tags it was made with, whatever
		// it carries since.
		now, err := compute.DescribeTags(ctx, &ec2.DescribeTagsInput{
			Filters: []ec2types.Filter{{Name: aws.String("resource-id"), Values: []string{aws.ToString(template.LaunchTemplateId)}}},
		})
		if err != nil {
			return nil, err
		}
		tags := map[string]string{}
		for _, tag := range now.Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all["launch template:"+aws.ToString(template.LaunchTemplateName)] = tags
		if err := templateTags(ctx, compute, template, all); err != nil {
			return nil, err
		}
	}

	balancing := elb.NewFromConfig(cfg)
	kinds := map[string]string{}
	targets, err := balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return nil, err
	}
	for _, group := range targets.TargetGroups {
		kinds[aws.ToString(group.TargetGroupArn)] = "target group"
	}
	rules, err := balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &l.Listener})
	if err != nil {
		return nil, err
	}
	for _, rule := range rules.Rules {
		if !aws.ToBool(rule.IsDefault) {
			kinds[aws.ToString(rule.RuleArn)] = "listener rule"
		}
	}
	for arn, kind := range kinds {
		out, err := balancing.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn}})
		if err != nil {
			return nil, err
		}
		tags := map[string]string{}
		for _, tag := range out.TagDescriptions[0].Tags {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		all[kind+":"+arn] = tags
	}
	return all, nil
}

// instanceTags adds the tags of an instance and of the volumes it uses.
func instanceTags(ctx context.Context, compute *ec2.Client, id string, all map[string]map[string]string) error {
	out, err := compute.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return err
	}
	for _, reservation := range out.Reservations {
		for _, instance := range reservation.Instances {
			all["instance:"+id] = ec2Tags(instance.Tags)
			for _, mapping := range instance.BlockDeviceMappings {
				volumes, err := compute.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{aws.ToString(mapping.Ebs.VolumeId)}})
				if err != nil {
					return err
				}
				for _, volume := range volumes.Volumes {
					// Moto does not pass on the volume tags of a launch template;
					// templateTags stands in for volumes without any.
					if len(volume.Tags) > 0 {
						all["volume:"+aws.ToString(volume.VolumeId)] = ec2Tags(volume.Tags)
					}
				}
			}
		}
	}
	return nil
}

// templateTags adds the tags that a launch template gives to volumes and
// network interfaces.
func templateTags(ctx context.Context, compute *ec2.Client, template ec2types.LaunchTemplate, all map[string]map[string]string) error {
	out, err := compute.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: template.LaunchTemplateId, Versions: []string{"$Latest"},
	})
	if err != nil {
		return err
	}
	for _, specification := range out.LaunchTemplateVersions[0].LaunchTemplateData.TagSpecifications {
		// Moto also lists the template's own tags here.
		if specification.ResourceType == ec2types.ResourceTypeVolume || specification.ResourceType == ec2types.ResourceTypeNetworkInterface {
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
