package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mixed has a cluster's servers be of several instance types, on demand and spot.
type Mixed struct {
	// Types are the instance types, with the highest priority first.
	Types []MixedType `json:"types"`
	// OnDemandBase is the capacity that is always on demand, and OnDemandPercentage is the
	// part of the rest that is. What remains is spot.
	OnDemandBase       int32  `json:"on_demand_base,omitempty"`
	OnDemandPercentage int32  `json:"on_demand_percentage"`
	OnDemandStrategy   string `json:"on_demand_allocation_strategy"`
	SpotStrategy       string `json:"spot_allocation_strategy"`
	// SpotPools is the number of pools with the strategy LowestPrice; 0 is AWS's default.
	SpotPools int32 `json:"spot_instance_pools,omitempty"`
	// SpotMaxPrice is in dollars per hour; empty for the price on demand.
	SpotMaxPrice string `json:"spot_max_price,omitempty"`
}

// MixedType is one instance type of a cluster with several.
type MixedType struct {
	InstanceType string `json:"instance_type"`
	// Weight is how many units of the cluster's capacity a server of the type is. Without
	// weights, which is 0 for all types, the capacity is the number of servers.
	Weight int32 `json:"weight,omitempty"`
}

// Allocation strategies, which say of which types new servers are,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html.
const (
	Prioritized            = "prioritized"
	LowestPrice            = "lowest-price"
	PriceCapacityOptimized = "price-capacity-optimized"
)

// OnDemandStrategies and SpotStrategies are the strategies that can be chosen.
var (
	OnDemandStrategies = []string{Prioritized, LowestPrice}
	SpotStrategies     = []string{PriceCapacityOptimized, "capacity-optimized", "capacity-optimized-prioritized", LowestPrice}
)

// Limits of a mixed instances policy,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateOverrides.html and
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html.
const (
	MaxTypes     = 40
	MaxWeight    = 999
	MaxSpotPools = 20
	// DefaultSpotPools is the number that AWS reports if none was chosen.
	DefaultSpotPools = 2
	minSpotPrice     = 0.001
)

var price = regexp.MustCompile(`^\d+(\.\d+)?$`)

// Validate reports what Auto Scaling would refuse.
func (m Mixed) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf("mixed_instances: "+format, args...)) }
	if len(m.Types) == 0 || len(m.Types) > MaxTypes {
		add("1 to %d instance types are needed, not %d", MaxTypes, len(m.Types))
	}
	weights, seen := 0, map[string]bool{}
	for _, t := range m.Types {
		if seen[t.InstanceType] {
			add("the instance type %s occurs twice", t.InstanceType)
		}
		seen[t.InstanceType] = true
		if t.Weight < 0 || t.Weight > MaxWeight {
			add("the weight of %s is %d, but 1 to %d are allowed", t.InstanceType, t.Weight, MaxWeight)
		}
		if t.Weight != 0 {
			weights++
		}
	}
	if weights != 0 && weights != len(m.Types) {
		add("give all instance types a weight, or none")
	}
	if m.OnDemandBase < 0 || m.OnDemandPercentage < 0 || m.OnDemandPercentage > 100 {
		add("on_demand_base must not be negative, and on_demand_percentage must be 0 to 100")
	}
	if !slices.Contains(OnDemandStrategies, m.OnDemandStrategy) {
		add("on_demand_allocation_strategy must be one of %s", strings.Join(OnDemandStrategies, ", "))
	}
	if !slices.Contains(SpotStrategies, m.SpotStrategy) {
		add("spot_allocation_strategy must be one of %s", strings.Join(SpotStrategies, ", "))
	}
	if m.SpotPools != 0 && (m.SpotStrategy != LowestPrice || m.SpotPools < 1 || m.SpotPools > MaxSpotPools) {
		add("spot_instance_pools is 1 to %d, and allowed with spot_allocation_strategy = %q only", MaxSpotPools, LowestPrice)
	}
	if m.SpotMaxPrice != "" {
		dollars, err := strconv.ParseFloat(m.SpotMaxPrice, 64)
		if !price.MatchString(m.SpotMaxPrice) || err != nil || dollars < minSpotPrice {
			add("spot_max_price is %q, but a price in dollars per hour is needed, such as 0.05, of at least %v", m.SpotMaxPrice, minSpotPrice)
		}
	}
	return errors.Join(errs...)
}

// Weighted reports whether the capacity is in units, and not the number of servers.
func (m *Mixed) Weighted() bool { return m != nil && len(m.Types) > 0 && m.Types[0].Weight > 0 }

// Units names what the sizes of the cluster count.
func (s Spec) Units() string { return units(s.Servers.Mixed.Weighted()) }

func units(weighted bool) string {
	if weighted {
		return "capacity units"
	}
	return "servers"
}

// weights are the weights of the types.
func (m *Mixed) weights() map[string]int32 {
	weights := map[string]int32{}
	if m.Weighted() {
		for _, t := range m.Types {
			weights[t.InstanceType] = t.Weight
		}
	}
	return weights
}

// sameUnits reports whether both count capacity in the same units: in servers, or by the same
// weights of all types that both have.
func (m *Mixed) sameUnits(other *Mixed) bool {
	others := other.weights()
	for name, weight := range m.weights() {
		if other, both := others[name]; both && other != weight {
			return false
		}
	}
	return m.Weighted() == other.Weighted()
}

// Equivalent returns the capacity of s that corresponds to a capacity of other. If they count
// it in different units, it is the same share of the range between the bounds, rounded up.
func (s Spec) Equivalent(capacity int32, other Spec) int32 {
	if s.Servers.Mixed.sameUnits(other.Servers.Mixed) {
		return capacity
	}
	from, to := other.Size, s.Size
	above, width := min(capacity, from.Max)-from.Min, from.Max-from.Min
	if above <= 0 {
		return to.Min
	}
	return to.Min + (above*(to.Max-to.Min)+width-1)/width
}

// describe is empty for no mixed instances.
func (m *Mixed) describe() string {
	if m == nil {
		return ""
	}
	var types []string
	for _, t := range m.Types {
		if t.Weight > 0 {
			types = append(types, fmt.Sprintf("%s (weight %d)", t.InstanceType, t.Weight))
			continue
		}
		types = append(types, t.InstanceType)
	}
	text := fmt.Sprintf("%s; %d and %d%% on demand (%s), the rest spot (%s)", strings.Join(types, ", "),
		m.OnDemandBase, m.OnDemandPercentage, m.OnDemandStrategy, m.SpotStrategy)
	if m.SpotPools != 0 {
		text += fmt.Sprintf(" of %d pools", m.SpotPools)
	}
	if m.SpotMaxPrice != "" {
		text += " for at most " + m.SpotMaxPrice
	}
	return text
}
