package awscloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Observe implements cluster.Cloud. Without a listenerARN, it searches for a
// listener that forwards to the generation.
func (c *Cloud) Observe(ctx context.Context, g cluster.Generation, listenerARN string) (cluster.Observed, error) {
	o := cluster.Observed{Spec: cluster.Spec{ID: g.Cluster}}
	missing := func(part string) { o.Missing = append(o.Missing, part) }

	group, err := c.group(ctx, g)
	if err != nil {
		return o, err
	}
	// AWS shows a group for minutes after it has accepted its deletion.
	if group == nil || group.Status != nil {
		missing("Auto Scaling group " + g.Name)
	} else {
		o.GroupName = g.Name
		if err := observeGroup(group, &o.Spec); err != nil {
			return o, fmt.Errorf("read Auto Scaling group %s: %w", g.Name, err)
		}
	}

	template, err := c.template(ctx, g)
	if err != nil {
		return o, err
	}
	var used *asgtypes.LaunchTemplateSpecification
	if group != nil {
		used = groupTemplate(group)
	}
	switch {
	case template == nil:
		missing("launch template " + g.Name)
	case used != nil && aws.ToString(used.LaunchTemplateId) != aws.ToString(template.LaunchTemplateId):
		missing("Auto Scaling group with launch template " + g.Name)
	default:
		o.TemplateID = aws.ToString(template.LaunchTemplateId)
		version := fmt.Sprint(aws.ToInt64(template.LatestVersionNumber))
		if used != nil {
			version = aws.ToString(used.Version)
		}
		v, err := c.templateVersion(ctx, cluster.Template{ID: o.TemplateID, Version: version})
		if err != nil {
			return o, err
		}
		if err := observeTemplate(v.LaunchTemplateData, &o.Spec); err != nil {
			return o, err
		}
		// If the image has been removed, its volume size is not known.
		image, err := c.image(ctx, o.ImageID)
		if err != nil && !errors.Is(err, errNoImage) {
			return o, err
		}
		root, volumes := observeVolumes(v.LaunchTemplateData.BlockDeviceMappings, image)
		o.Servers.RootVolumeSize, o.Servers.RootVolume, o.Servers.Volumes = root.Size, root.VolumeOptions, volumes
		o.OwnRootVolumeSize = err == nil && o.Servers.RootVolumeSize != rootVolumeSize(image)
	}

	targets, err := c.targetGroup(ctx, g)
	if err != nil {
		return o, err
	}
	switch {
	case targets != nil:
		o.TargetGroupARN = aws.ToString(targets.TargetGroupArn)
		if o.Target, err = c.observeTarget(ctx, targets); err != nil {
			return o, err
		}
		if group != nil {
			o.Target.Health.GracePeriod = time.Duration(aws.ToInt32(group.HealthCheckGracePeriod)) * time.Second
		}
		var r *observedRoute
		if listenerARN == "" {
			r, err = c.findListener(ctx, g, targets)
		} else {
			r, err = c.observeListener(ctx, g, listenerARN, o.TargetGroupARN)
		}
		if err != nil {
			return o, err
		}
		if r != nil {
			o.Listener, o.Share, o.ForeignConditions = r.listener, r.share, r.foreign
		}
	case listenerARN != "":
		missing("target group " + g.Name)
	}
	return o, nil
}

func observeGroup(group *asgtypes.AutoScalingGroup, s *cluster.Spec) (err error) {
	s.Size = cluster.Size{Min: aws.ToInt32(group.MinSize), Max: aws.ToInt32(group.MaxSize)}
	s.Tags = fromGroupTags(group.Tags)
	s.Version = s.Tags[tagging.Version]
	if zones := aws.ToString(group.VPCZoneIdentifier); zones != "" {
		s.Servers.SubnetIDs = strings.Split(zones, ",")
	}
	s.Servers.CapacityRebalance = aws.ToBool(group.CapacityRebalance)
	if group.MixedInstancesPolicy != nil {
		s.Servers.Mixed, err = observeMixed(group.MixedInstancesPolicy)
	}
	return err
}

func observeTemplate(data *ec2types.ResponseLaunchTemplateData, s *cluster.Spec) error {
	s.ImageID = aws.ToString(data.ImageId)
	if s.Servers.Mixed == nil {
		s.Servers.InstanceType = string(data.InstanceType)
	}
	s.Servers.KeyName = aws.ToString(data.KeyName)
	if options := data.MetadataOptions; options != nil {
		s.Servers.MetadataHopLimit = aws.ToInt32(options.HttpPutResponseHopLimit)
	}
	s.Servers.DetailedMonitoring = data.Monitoring != nil && aws.ToBool(data.Monitoring.Enabled)
	s.Servers.SecurityGroupIDs = data.SecurityGroupIds
	if profile := data.IamInstanceProfile; profile != nil {
		s.Servers.InstanceProfile = aws.ToString(profile.Name)
		if profile.Arn != nil {
			s.Servers.InstanceProfile = aws.ToString(profile.Arn)
		}
	}
	userData, err := base64.StdEncoding.DecodeString(aws.ToString(data.UserData))
	if err != nil {
		return fmt.Errorf("user data of image %s: %w", s.ImageID, err)
	}
	s.Servers.SetUserData(userData)
	s.Servers.OptionalTokens = data.MetadataOptions == nil ||
		data.MetadataOptions.HttpTokens != ec2types.LaunchTemplateHttpTokensStateRequired
	return nil
}

// findListener searches for a listener that forwards to the target group, at the
// load balancers that AWS knows to use it, or at all if AWS knows none.
func (c *Cloud) findListener(ctx context.Context, g cluster.Generation, group *elbtypes.TargetGroup) (*observedRoute, error) {
	in := &elb.DescribeLoadBalancersInput{}
	if len(group.LoadBalancerArns) > 0 {
		in.LoadBalancerArns = group.LoadBalancerArns
	}
	balancers := elb.NewDescribeLoadBalancersPaginator(c.elb, in)
	for balancers.HasMorePages() {
		page, err := balancers.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the load balancers of target group %s: %w", aws.ToString(group.TargetGroupName), err)
		}
		for _, balancer := range page.LoadBalancers {
			r, err := c.findListenerOf(ctx, g, balancer, aws.ToString(group.TargetGroupArn))
			if r != nil || err != nil {
				return r, err
			}
		}
	}
	return nil, nil
}

func (c *Cloud) findListenerOf(
	ctx context.Context, g cluster.Generation, balancer elbtypes.LoadBalancer, targetGroupARN string,
) (*observedRoute, error) {
	listeners := elb.NewDescribeListenersPaginator(c.elb, &elb.DescribeListenersInput{LoadBalancerArn: balancer.LoadBalancerArn})
	for listeners.HasMorePages() {
		page, err := listeners.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the listeners of %s: %w", aws.ToString(balancer.LoadBalancerArn), err)
		}
		for _, listener := range page.Listeners {
			r, err := c.observeListener(ctx, g, aws.ToString(listener.ListenerArn), targetGroupARN)
			if r != nil || err != nil {
				return r, err
			}
		}
	}
	return nil, nil
}
