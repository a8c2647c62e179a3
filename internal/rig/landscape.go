package rig

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Landscape is what an account has already when a team begins to use this
// project: a network, a load balancer that several services share, and an
// image to bake from.
type Landscape struct {
	Region          string
	VPC             string
	Subnets         []string
	SecurityGroup   string
	LoadBalancer    string
	LoadBalancerDNS string
	// Listener answers 404 to whatever no rule takes.
	Listener  string
	BaseImage string
}

// Prepare makes the landscape in one region of an account.
func Prepare(ctx context.Context, a Account, region string) (Landscape, error) {
	l := Landscape{Region: region}
	if err := l.prepare(ctx, a.Config(region)); err != nil {
		return Landscape{}, fmt.Errorf("prepare account %s: %w", a.ID, err)
	}
	return l, nil
}

func (l *Landscape) prepare(ctx context.Context, cfg aws.Config) error {
	network := ec2.NewFromConfig(cfg)
	vpc, err := network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
	if err != nil {
		return err
	}
	l.VPC = *vpc.Vpc.VpcId
	for i, zone := range []string{"a", "b"} {
		subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: &l.VPC, AvailabilityZone: aws.String(l.Region + zone), CidrBlock: aws.String(fmt.Sprintf("10.0.%d.0/24", i)),
		})
		if err != nil {
			return err
		}
		l.Subnets = append(l.Subnets, *subnet.Subnet.SubnetId)
	}
	group, err := network.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName: aws.String("servers"), Description: aws.String("servers"), VpcId: &l.VPC,
	})
	if err != nil {
		return err
	}
	l.SecurityGroup = *group.GroupId

	volume, err := network.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String(l.Region + "a"), Size: aws.Int32(8)})
	if err != nil {
		return err
	}
	snapshot, err := network.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	if err != nil {
		return err
	}
	if _, err := network.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: volume.VolumeId}); err != nil {
		return err
	}
	image, err := network.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: aws.String("base"), Architecture: ec2types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
		VirtualizationType: aws.String("hvm"), EnaSupport: aws.Bool(true),
		BlockDeviceMappings: []ec2types.BlockDeviceMapping{{
			DeviceName: aws.String("/dev/xvda"),
			Ebs:        &ec2types.EbsBlockDevice{SnapshotId: snapshot.SnapshotId, VolumeSize: aws.Int32(8), DeleteOnTermination: aws.Bool(true)},
		}},
	})
	if err != nil {
		return err
	}
	l.BaseImage = *image.ImageId

	balancing := elb.NewFromConfig(cfg)
	balancer, err := balancing.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: aws.String("shared"), Subnets: l.Subnets, SecurityGroups: []string{l.SecurityGroup}, Type: elbtypes.LoadBalancerTypeEnumApplication,
	})
	if err != nil {
		return err
	}
	l.LoadBalancer, l.LoadBalancerDNS = *balancer.LoadBalancers[0].LoadBalancerArn, *balancer.LoadBalancers[0].DNSName
	listener, err := balancing.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &l.LoadBalancer, Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{
			Type:                elbtypes.ActionTypeEnumFixedResponse,
			FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404"), ContentType: aws.String("text/plain")},
		}},
	})
	if err != nil {
		return err
	}
	l.Listener = *listener.Listeners[0].ListenerArn
	return nil
}
