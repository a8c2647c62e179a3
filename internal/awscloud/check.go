package awscloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

const (
	codeImageNotFound     = "InvalidAMIID.NotFound"
	codeImageUnavailable  = "InvalidAMIID.Unavailable"
	codeImageMalformed    = "InvalidAMIID.Malformed"
	codeSubnetNotFound    = "InvalidSubnetID.NotFound"
	codeSecurityNotFound  = "InvalidGroup.NotFound"
	codeSecurityMalformed = "InvalidGroupId.Malformed"
	codeListenerARN       = "ValidationError"
	codeInstanceType      = "InvalidInstanceType"
)

// checkRegion ends errors about ids that do not exist.
const checkRegion = "; an id exists in one region and account only, so check those as well"

// notVisible are the codes for what does not exist, or is not visible yet,
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.
var notVisible = []string{codeImageNotFound, codeSubnetNotFound, codeSecurityNotFound, codeListenerNotFound}

// Check implements cluster.Cloud.
func (c *Cloud) Check(ctx context.Context, s cluster.Spec) (cluster.Spec, error) {
	var checked cluster.Spec
	err := c.settle(ctx, notVisible, func(ctx context.Context) (err error) {
		checked, err = c.check(ctx, s)
		return err
	})
	return checked, err
}

func (c *Cloud) check(ctx context.Context, s cluster.Spec) (cluster.Spec, error) {
	image, err := c.image(ctx, s.ImageID)
	errs := []error{err}
	var mappings []ec2types.LaunchTemplateBlockDeviceMapping
	instanceTypes := s.Servers.InstanceTypes()
	if t := s.Servers.Template; t != nil {
		version, err := c.templateVersion(ctx, *t)
		errs = append(errs, err, checkTemplateVolumes(version))
		if version.LaunchTemplateData != nil {
			mappings = version.LaunchTemplateData.BlockDeviceMappings
			if named := version.LaunchTemplateData.InstanceType; s.Servers.Mixed == nil && named != "" {
				instanceTypes = []string{string(named)}
			}
			errs = append(errs, checkRootDevice(image, t.ID, mappings), checkSupported(t.ID, *version.LaunchTemplateData),
				checkMixed(t.ID, *version.LaunchTemplateData, s.Servers.Mixed))
		}
		s.Servers.Template = &cluster.Template{ID: t.ID, Version: t.Version, Number: aws.ToInt64(version.VersionNumber)}
	}
	if s.Servers.Template == nil {
		errs = append(errs, s.Servers.ValidateRootVolume(rootVolumeSize(image)), checkDevices(image, s.Servers))
	}
	for _, v := range s.Servers.Volumes {
		mappings = append(mappings, ec2types.LaunchTemplateBlockDeviceMapping{
			DeviceName: &v.Device, Ebs: &ec2types.LaunchTemplateEbsBlockDevice{DeleteOnTermination: aws.Bool(true)},
		})
	}
	errs = append(errs, checkVolumes(image, mappings), c.checkArchitecture(ctx, instanceTypes, image))
	subnets, vpc, err := c.subnets(ctx, s.Servers.SubnetIDs)
	errs = append(errs, err, c.checkSecurityGroups(ctx, s.Servers.SecurityGroupIDs, vpc))
	if s.Listener != nil {
		errs = append(errs, c.checkListener(ctx, s, subnets, vpc))
	}
	return s, errors.Join(errs...)
}

// errNoImage: the image does not exist, or it cannot be used.
var errNoImage = errors.New("no server can be started from it")

// missingError is an error about something that does not exist, without AWS's words.
type missingError struct {
	error
	aws error
}

// Unwrap returns the error and AWS's, which has a code.
func (e *missingError) Unwrap() []error { return []error{e.error, e.aws} }

// image returns an image that servers can be started from.
func (c *Cloud) image(ctx context.Context, id string) (ec2types.Image, error) {
	out, err := c.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	switch {
	case hasCode(err, codeImageNotFound, codeImageUnavailable, codeImageMalformed) || err == nil && len(out.Images) == 0:
		missing := fmt.Errorf("image_id: image %s does not exist in %s, so %w%s", id, c.region, errNoImage, checkRegion)
		return ec2types.Image{}, &missingError{missing, err}
	case err != nil:
		return ec2types.Image{}, fmt.Errorf("read image %s: %w", id, err)
	}
	image := out.Images[0]
	if image.State != ec2types.ImageStateAvailable {
		return ec2types.Image{}, fmt.Errorf("image_id: image %s in %s is %s, not available, so %w", id, c.region, image.State, errNoImage)
	}
	return image, nil
}

// volumeError refuses a volume that would remain when its server is terminated:
// servers are replaced, not patched, so they must not hold data.
func volumeError(device, where string) error {
	return fmt.Errorf("the volume at %s of %s would outlive its server (DeleteOnTermination is off), "+
		"but servers of a cluster are replaced together with their volumes; keep data in a resource of its own", device, where)
}

// checkVolumes ignores the root volume, because setVolumes has it deleted with its server,
// and those that a launch template maps itself, which takes precedence and is checked itself.
func checkVolumes(image ec2types.Image, mapped []ec2types.LaunchTemplateBlockDeviceMapping) error {
	for _, m := range image.BlockDeviceMappings {
		root := aws.ToString(m.DeviceName) == aws.ToString(image.RootDeviceName)
		overridden := slices.ContainsFunc(mapped, func(t ec2types.LaunchTemplateBlockDeviceMapping) bool {
			decides := t.NoDevice != nil || t.Ebs != nil && t.Ebs.DeleteOnTermination != nil
			return decides && aws.ToString(t.DeviceName) == aws.ToString(m.DeviceName)
		})
		if !root && !overridden && outlivesServer(m.Ebs) {
			return fmt.Errorf("image_id: %w", volumeError(aws.ToString(m.DeviceName), "image "+aws.ToString(image.ImageId)))
		}
	}
	return nil
}

// checkSupported refuses what a launch template can say and a cluster cannot do.
func checkSupported(template string, data ec2types.ResponseLaunchTemplateData) error {
	var errs []error
	if data.InstanceRequirements != nil {
		errs = append(errs, fmt.Errorf("launch_template: %s selects instances by attributes, which needs a mixed instances policy; "+
			"name an instance type", template))
	}
	if r := data.CapacityReservationSpecification; r != nil && r.CapacityReservationTarget != nil {
		errs = append(errs, fmt.Errorf("launch_template: %s targets a capacity reservation, in which the old and the new servers of a rollout "+
			"would compete for the same places; leave the target out, so that open reservations are used", template))
	}
	return errors.Join(errs...)
}

// checkRootDevice refuses a launch template that means the root volume by a name which is not
// that of the image: every server would get a further volume.
func checkRootDevice(image ec2types.Image, template string, mapped []ec2types.LaunchTemplateBlockDeviceMapping) error {
	root := aws.ToString(image.RootDeviceName)
	for _, m := range mapped {
		device := aws.ToString(m.DeviceName)
		if root != "" && device != root && slices.Contains(cluster.RootDevices, device) && m.Ebs != nil {
			return fmt.Errorf("launch_template: %s maps %s, but the root volume of image %s is %s, "+
				"so that every server would get a further volume; map %s instead", template, device, aws.ToString(image.ImageId), root, root)
		}
	}
	return nil
}

func outlivesServer(ebs *ec2types.EbsBlockDevice) bool {
	return ebs != nil && ebs.DeleteOnTermination != nil && !*ebs.DeleteOnTermination
}

func checkTemplateVolumes(t ec2types.LaunchTemplateVersion) error {
	if t.LaunchTemplateData == nil {
		return nil
	}
	for _, m := range t.LaunchTemplateData.BlockDeviceMappings {
		if m.Ebs != nil && m.Ebs.DeleteOnTermination != nil && !*m.Ebs.DeleteOnTermination {
			return fmt.Errorf("launch_template: %w", volumeError(aws.ToString(m.DeviceName), "launch template "+aws.ToString(t.LaunchTemplateId)))
		}
	}
	return nil
}

// checkArchitecture refuses instance types that cannot start an image. All may be unknown:
// an image that does not exist is refused elsewhere, and a launch template may leave the type
// to requirements. One call describes 100 types, and no cluster has as many.
func (c *Cloud) checkArchitecture(ctx context.Context, names []string, image ec2types.Image) error {
	if len(names) == 0 || image.Architecture == "" {
		return nil
	}
	in := &ec2.DescribeInstanceTypesInput{}
	for _, name := range names {
		in.InstanceTypes = append(in.InstanceTypes, ec2types.InstanceType(name))
	}
	out, err := c.ec2.DescribeInstanceTypes(ctx, in)
	switch {
	case hasCode(err, codeInstanceType) && len(names) > 1:
		return fmt.Errorf("instance_type: at least one of %s does not exist in %s: %w", strings.Join(names, ", "), c.region, err)
	case hasCode(err, codeInstanceType):
		return fmt.Errorf("instance_type: there is no instance type %s in %s", names[0], c.region)
	case err != nil:
		return fmt.Errorf("read the instance types %s: %w", strings.Join(names, ", "), err)
	}
	described := map[string]ec2types.InstanceTypeInfo{}
	for _, info := range out.InstanceTypes {
		described[string(info.InstanceType)] = info
	}
	var errs []error
	for _, name := range names {
		info, ok := described[name]
		switch processor := info.ProcessorInfo; {
		case !ok:
			errs = append(errs, fmt.Errorf("instance_type: there is no instance type %s in %s", name, c.region))
		case processor != nil && !slices.Contains(processor.SupportedArchitectures, ec2types.ArchitectureType(image.Architecture)):
			errs = append(errs, fmt.Errorf("instance_type: %s has the architecture %v, but image %s is for %s: "+
				"choose another type, or the version's image for it", name, processor.SupportedArchitectures,
				aws.ToString(image.ImageId), image.Architecture))
		}
	}
	return errors.Join(errs...)
}

// subnets returns the subnets of these IDs, and the VPC that all are in.
func (c *Cloud) subnets(ctx context.Context, ids []string) (subnets []ec2types.Subnet, vpc string, err error) {
	out, err := c.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: ids})
	switch {
	case hasCode(err, codeSubnetNotFound):
		return nil, "", fmt.Errorf("subnet_ids: at least one of %s does not exist in %s%s: %w",
			strings.Join(ids, ", "), c.region, checkRegion, err)
	case err != nil:
		return nil, "", fmt.Errorf("read subnets: %w", err)
	}
	for _, subnet := range out.Subnets {
		if vpc != "" && vpc != aws.ToString(subnet.VpcId) {
			return nil, "", fmt.Errorf("subnet_ids: they are in two VPCs, %s and %s", vpc, aws.ToString(subnet.VpcId))
		}
		vpc = aws.ToString(subnet.VpcId)
	}
	return out.Subnets, vpc, nil
}

func (c *Cloud) checkSecurityGroups(ctx context.Context, ids []string, vpc string) error {
	if len(ids) == 0 {
		return nil
	}
	out, err := c.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: ids})
	switch {
	case hasCode(err, codeSecurityNotFound, codeSecurityMalformed):
		return fmt.Errorf("security_group_ids: at least one of %s does not exist in %s%s: %w",
			strings.Join(ids, ", "), c.region, checkRegion, err)
	case err != nil:
		return fmt.Errorf("read security groups: %w", err)
	}
	for _, group := range out.SecurityGroups {
		if vpc != "" && aws.ToString(group.VpcId) != vpc {
			return fmt.Errorf("security_group_ids: %s is in %s, but the subnets are in %s",
				aws.ToString(group.GroupId), aws.ToString(group.VpcId), vpc)
		}
	}
	return nil
}

// checkZones refuses a subnet in a zone that is not enabled for the load balancer, which
// would never send requests to its servers,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html.
func checkZones(subnets []ec2types.Subnet, balancer elbtypes.LoadBalancer) error {
	var enabled []string
	for _, zone := range balancer.AvailabilityZones {
		enabled = append(enabled, aws.ToString(zone.ZoneName))
	}
	for _, subnet := range subnets {
		if zone := aws.ToString(subnet.AvailabilityZone); len(enabled) > 0 && !slices.Contains(enabled, zone) {
			return fmt.Errorf("subnet_ids: %s is in the zone %s, but the listener's load balancer is in %s only: "+
				"its servers would get no requests; leave the subnet out, or enable the zone", aws.ToString(subnet.SubnetId), zone,
				strings.Join(enabled, ", "))
		}
	}
	return nil
}

func (c *Cloud) checkListener(ctx context.Context, s cluster.Spec, subnets []ec2types.Subnet, vpc string) error {
	listener, err := c.usableListener(ctx, s.Listener.ARN)
	if err != nil {
		return err
	}
	balancers, err := c.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{
		LoadBalancerArns: []string{aws.ToString(listener.LoadBalancerArn)},
	})
	if err != nil {
		return fmt.Errorf("read the load balancer of %s: %w", s.Listener.ARN, err)
	}
	for _, balancer := range balancers.LoadBalancers {
		if vpc != "" && aws.ToString(balancer.VpcId) != vpc {
			return fmt.Errorf("listener: its load balancer is in %s, but the subnets are in %s", aws.ToString(balancer.VpcId), vpc)
		}
		if err := checkZones(subnets, balancer); err != nil {
			return err
		}
	}
	routes, err := c.routesAt(ctx, listener)
	if err != nil {
		return err
	}
	if s.TakeOver != "" && s.Listener.Rule != nil {
		if err := c.checkTakeOver(ctx, s, routes, aws.ToString(listener.LoadBalancerArn)); err != nil {
			return fmt.Errorf("take_over_target_group_arn: %w", err)
		}
	}
	if r := routeAt(routes, *s.Listener); r != nil {
		if err := c.checkRoute(ctx, s.ID, *r); err != nil {
			return fmt.Errorf("listener: %w", err)
		}
		if !r.selects(s.Listener.Rule) {
			if _, err := r.conditionsFor(*s.Listener.Rule); err != nil {
				return fmt.Errorf("listener_rule: %w", err)
			}
		}
	}
	return c.checkFurther(ctx, s, aws.ToString(listener.LoadBalancerArn))
}

// usableListener returns a listener of an application load balancer in the cluster's region.
func (c *Cloud) usableListener(ctx context.Context, listenerARN string) (elbtypes.Listener, error) {
	parsed, err := arn.Parse(listenerARN)
	if err != nil || parsed.Service != "elasticloadbalancing" || !strings.HasPrefix(parsed.Resource, "listener/") {
		return elbtypes.Listener{}, fmt.Errorf("listener: %q is not a valid ARN of a listener", listenerARN)
	}
	if parsed.Region != c.region {
		return elbtypes.Listener{}, fmt.Errorf("listener: %s is in %s, but the cluster is in %s; choose a listener there, "+
			"or a provider of the listener's region", listenerARN, parsed.Region, c.region)
	}
	out, err := c.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{ListenerArns: []string{listenerARN}})
	switch {
	case hasCode(err, codeListenerNotFound, codeListenerARN) || err == nil && len(out.Listeners) == 0:
		return elbtypes.Listener{}, &missingError{fmt.Errorf("listener: %s does not exist", listenerARN), err}
	case err != nil:
		return elbtypes.Listener{}, fmt.Errorf("read listener %s: %w", listenerARN, err)
	}
	listener := out.Listeners[0]
	if listener.Protocol != elbtypes.ProtocolEnumHttp && listener.Protocol != elbtypes.ProtocolEnumHttps {
		return listener, fmt.Errorf("listener: %s has protocol %s, but a listener of an application load balancer (HTTP or HTTPS) is needed",
			listenerARN, listener.Protocol)
	}
	return listener, nil
}
