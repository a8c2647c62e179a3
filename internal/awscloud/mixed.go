package awscloud

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// mixedPolicy is the policy of a group whose servers are of several instance types.
func mixedPolicy(m cluster.Mixed, template *types.LaunchTemplateSpecification) *types.MixedInstancesPolicy {
	policy := &types.MixedInstancesPolicy{
		LaunchTemplate: &types.LaunchTemplate{LaunchTemplateSpecification: template},
		InstancesDistribution: &types.InstancesDistribution{
			OnDemandBaseCapacity: &m.OnDemandBase, OnDemandPercentageAboveBaseCapacity: &m.OnDemandPercentage,
			OnDemandAllocationStrategy: &m.OnDemandStrategy, SpotAllocationStrategy: &m.SpotStrategy,
		},
	}
	if m.SpotPools != 0 {
		policy.InstancesDistribution.SpotInstancePools = &m.SpotPools
	}
	if m.SpotMaxPrice != "" {
		policy.InstancesDistribution.SpotMaxPrice = &m.SpotMaxPrice
	}
	for _, t := range m.Types {
		override := types.LaunchTemplateOverrides{InstanceType: aws.String(t.InstanceType)}
		if t.Weight != 0 {
			override.WeightedCapacity = aws.String(strconv.Itoa(int(t.Weight)))
		}
		policy.LaunchTemplate.Overrides = append(policy.LaunchTemplate.Overrides, override)
	}
	return policy
}

// observeMixed is the opposite of mixedPolicy.
func observeMixed(policy *types.MixedInstancesPolicy) (*cluster.Mixed, error) {
	m := &cluster.Mixed{OnDemandPercentage: 100, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.LowestPrice} // AWS's defaults
	if d := policy.InstancesDistribution; d != nil {
		m.OnDemandBase, m.SpotMaxPrice = aws.ToInt32(d.OnDemandBaseCapacity), aws.ToString(d.SpotMaxPrice)
		if d.OnDemandPercentageAboveBaseCapacity != nil {
			m.OnDemandPercentage = *d.OnDemandPercentageAboveBaseCapacity
		}
		if d.OnDemandAllocationStrategy != nil {
			m.OnDemandStrategy = *d.OnDemandAllocationStrategy
		}
		if d.SpotAllocationStrategy != nil {
			m.SpotStrategy = *d.SpotAllocationStrategy
		}
		if m.SpotStrategy == cluster.LowestPrice {
			m.SpotPools = aws.ToInt32(d.SpotInstancePools)
		}
	}
	if policy.LaunchTemplate == nil {
		return m, nil
	}
	for _, override := range policy.LaunchTemplate.Overrides {
		weight, err := weightOf(override.WeightedCapacity)
		if err != nil {
			return nil, err
		}
		m.Types = append(m.Types, cluster.MixedType{InstanceType: aws.ToString(override.InstanceType), Weight: weight})
	}
	return m, nil
}

// weightOf is 0 for no weight.
func weightOf(text *string) (int32, error) {
	if aws.ToString(text) == "" {
		return 0, nil
	}
	weight, err := strconv.ParseInt(*text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("the weight %q is not a number: %w", *text, err)
	}
	return int32(weight), nil
}

// groupTemplate is the launch template of a group, with or without a mixed instances policy;
// nil if it has none.
func groupTemplate(group *types.AutoScalingGroup) *types.LaunchTemplateSpecification {
	switch policy := group.MixedInstancesPolicy; {
	case policy == nil:
		return group.LaunchTemplate
	case policy.LaunchTemplate == nil:
		return nil
	default:
		return policy.LaunchTemplate.LaunchTemplateSpecification
	}
}

// withTemplate is a group's policy with another version of its launch template. AWS refuses a
// template that is named in two ways, which it does itself in its answers, and a number of pools
// with a strategy that has none.
func withTemplate(policy types.MixedInstancesPolicy, template *types.LaunchTemplateSpecification) *types.MixedInstancesPolicy {
	launch := *policy.LaunchTemplate
	launch.LaunchTemplateSpecification = template
	policy.LaunchTemplate = &launch
	if d := policy.InstancesDistribution; d != nil && aws.ToString(d.SpotAllocationStrategy) != cluster.LowestPrice {
		distribution := *d
		distribution.SpotInstancePools = nil
		policy.InstancesDistribution = &distribution
	}
	return &policy
}

// capacityOf is what an instance adds to the capacity of its group: one server, or its weight.
func capacityOf(instance types.Instance) (int32, error) {
	weight, err := weightOf(instance.WeightedCapacity)
	if err != nil {
		return 0, fmt.Errorf("instance %s: %w", aws.ToString(instance.InstanceId), err)
	}
	return max(weight, 1), nil
}

// weighted reports whether a group counts its capacity in units.
func weighted(group types.AutoScalingGroup) bool {
	policy := group.MixedInstancesPolicy
	return policy != nil && policy.LaunchTemplate != nil && len(policy.LaunchTemplate.Overrides) > 0 &&
		aws.ToString(policy.LaunchTemplate.Overrides[0].WeightedCapacity) != ""
}

// checkMixed refuses a launch template that AWS does not take with a mixed instances policy,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups.html.
func checkMixed(template string, data ec2types.ResponseLaunchTemplateData, m *cluster.Mixed) error {
	if m != nil && data.InstanceMarketOptions != nil {
		return fmt.Errorf("mixed_instances: launch template %s asks for spot instances itself, which AWS refuses together with several "+
			"instance types; leave the request out of the template, and set on_demand_percentage", template)
	}
	return nil
}
