package awscloud

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// What is made of a specification is read back as the same.
func TestMixedPolicy_RoundTrip(t *testing.T) {
	for name, m := range map[string]cluster.Mixed{
		"Plain": {
			Types:              []cluster.MixedType{{InstanceType: "t3.micro"}, {InstanceType: "t3.small"}},
			OnDemandPercentage: 100, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.PriceCapacityOptimized,
		},
		"OnlySpot": {
			Types:            []cluster.MixedType{{InstanceType: "t3.micro"}},
			OnDemandStrategy: cluster.LowestPrice, SpotStrategy: cluster.LowestPrice, SpotPools: 5, SpotMaxPrice: "0.05",
		},
		"Weights": {
			Types:        []cluster.MixedType{{InstanceType: "t3.micro", Weight: 1}, {InstanceType: "t3.small", Weight: 2}},
			OnDemandBase: 2, OnDemandPercentage: 20, OnDemandStrategy: cluster.Prioritized, SpotStrategy: "capacity-optimized",
		},
	} {
		got, err := observeMixed(mixedPolicy(m, nil))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(*got, m); diff != "" {
			t.Errorf("%s: observed (-), made (+):\n%s", name, diff)
		}
	}
}

// What AWS fills in is no difference.
func TestObserveMixed_Defaults(t *testing.T) {
	m := cluster.Mixed{
		Types:              []cluster.MixedType{{InstanceType: "t3.micro"}},
		OnDemandPercentage: 100, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.LowestPrice,
	}
	filled := mixedPolicy(m, nil)
	filled.InstancesDistribution.SpotMaxPrice = aws.String("")
	filled.InstancesDistribution.SpotInstancePools = aws.Int32(0)
	none := mixedPolicy(m, nil)
	none.InstancesDistribution = nil
	for name, policy := range map[string]*types.MixedInstancesPolicy{"Filled": filled, "None": none} {
		got, err := observeMixed(policy)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(*got, m); diff != "" {
			t.Errorf("%s: got (-), want (+):\n%s", name, diff)
		}
	}
	filled.LaunchTemplate.Overrides[0].WeightedCapacity = aws.String("heavy")
	if _, err := observeMixed(filled); err == nil {
		t.Error("a weight that is not a number is accepted")
	}
}

// Another version of the launch template leaves everything else as AWS describes it, aside from
// what AWS would refuse in a request.
func TestWithTemplate(t *testing.T) {
	described := types.MixedInstancesPolicy{
		LaunchTemplate: &types.LaunchTemplate{
			LaunchTemplateSpecification: &types.LaunchTemplateSpecification{
				LaunchTemplateId: aws.String("lt-1"), LaunchTemplateName: aws.String("web"), Version: aws.String("1"),
			},
			Overrides: []types.LaunchTemplateOverrides{{InstanceType: aws.String("t3.micro"), WeightedCapacity: aws.String("2")}},
		},
		InstancesDistribution: &types.InstancesDistribution{
			OnDemandBaseCapacity: aws.Int32(1), SpotAllocationStrategy: aws.String("capacity-optimized"), SpotInstancePools: aws.Int32(2),
		},
	}
	got := withTemplate(described, templateVersion(aws.String("lt-1"), "2"))
	want := &types.MixedInstancesPolicy{
		LaunchTemplate: &types.LaunchTemplate{
			LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String("2")},
			Overrides:                   described.LaunchTemplate.Overrides,
		},
		InstancesDistribution: &types.InstancesDistribution{
			OnDemandBaseCapacity: aws.Int32(1), SpotAllocationStrategy: aws.String("capacity-optimized"),
		},
	}
	if diff := cmp.Diff(got, want, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
	if aws.ToString(described.LaunchTemplate.LaunchTemplateSpecification.Version) != "1" {
		t.Error("the description was changed")
	}
}

func TestCheckMixed(t *testing.T) {
	spot := ec2types.ResponseLaunchTemplateData{InstanceMarketOptions: &ec2types.LaunchTemplateInstanceMarketOptions{}}
	for name, tt := range map[string]struct {
		data  ec2types.ResponseLaunchTemplateData
		mixed *cluster.Mixed
		bad   bool
	}{
		"SpotAlone": {spot, nil, false},
		"Mixed":     {ec2types.ResponseLaunchTemplateData{}, &cluster.Mixed{}, false},
		"Both":      {spot, &cluster.Mixed{}, true},
	} {
		if err := checkMixed("lt-1", tt.data, tt.mixed); (err != nil) != tt.bad {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Messages are those of AWS's troubleshooting pages, and of reports of users.
func TestHopeless(t *testing.T) {
	for message, want := range map[string]bool{
		"The requested configuration is currently not supported. Please check the documentation for supported configurations. " +
			"Launching EC2 instance failed.": true,
		"The key pair 'admin' does not exist. Launching EC2 instance failed.":                                       true,
		"The security group 'sg-1' does not exist in VPC 'vpc-1'. Launching EC2 instance failed.":                   true,
		"The image id '[ami-1]' does not exist. Launching EC2 instance failed.":                                     true,
		"Invalid IAM Instance Profile name. Launching EC2 instance failed.":                                         true,
		"Your requested instance type (t9.micro) is not supported in your requested Availability Zone (x-1a).":      true,
		"Invalid device name upload. Launching EC2 instance failed.":                                                true,
		"Client.InternalError: Client error on launch":                                                              true,
		"Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state.":                         true,
		"You are not authorized to perform this operation. Encoded authorization failure message: x":                true,
		"We currently do not have sufficient m5.large capacity in the Availability Zone you requested (x-1a).":      false,
		"There is no Spot capacity available that matches your request. Launching EC2 instance failed.":             false,
		"Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available.":      false,
		"You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.":  false,
		"Your Spot request price of 0.015 is lower than the minimum required Spot request fulfillment price.":       false,
		"4 instance(s) are already running. Launching EC2 instance failed.":                                         false,
		"Max spot instance count exceeded. Launching EC2 instance failed.":                                          false,
		"Authentication Failure. Launching EC2 instance failed.":                                                    false,
		"You've reached your quota for maximum Fleet Requests for this account. Launching EC2 instance failed.":     false,
		"Instance failed to complete user's Lifecycle Action: Lifecycle Action with token x was abandoned: Timeout": false,
	} {
		if got := hopeless(message); got != want {
			t.Errorf("%s: got %t", message, got)
		}
	}
}
