package rig

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

// Landscape is what exists in an account before a team uses this project: a network,
// and a load balancer that several services share. The source image, BaseImage,
// exists in every account and region.
type Landscape struct {
	Region          string
	VPC             string
	Subnets         []string
	SecurityGroup   string
	LoadBalancer    string
	LoadBalancerDNS string
	// Listener answers 404 to requests that match no rule.
	Listener string
}

// BaseImage is the image in images.json. Images that are registered by moto's API are
// not backed by EBS, and Packer refuses those.
const BaseImage = "ami-0ba5e0000000000ba"

// Prepare creates the landscape in one region of an account.
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
	// Large ones: moto never reuses the address of a terminated instance.
	zones := []string{"a", "b"}
	for block := 0; len(l.Subnets) < len(zones); block++ {
		subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: &l.VPC, AvailabilityZone: aws.String(l.Region + zones[len(l.Subnets)]),
			CidrBlock: aws.String(fmt.Sprintf("10.0.%d.0/20", 16*block)),
		})
		// The SDK retries if a reply is lost, and then conflicts with its own first
		// call. That subnet stays unused.
		var conflict smithy.APIError
		if errors.As(err, &conflict) && conflict.ErrorCode() == "InvalidSubnet.Conflict" && block < 15 {
			continue
		}
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
