package cluster

import (
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// keepPlanned returns a state in which every value that the plan knew is as it
// was planned. What AWS and the repository say right after an apply fills in the
// rest. Something else may have changed the cluster meanwhile, or AWS may show an
// older state; Terraform would call the difference a bug in the provider, and
// replace a cluster that was just created and serves. The next refresh shows it.
func keepPlanned(plan, state tftypes.Value) tftypes.Value {
	if plan.IsFullyKnown() {
		return plan
	}
	if !plan.IsKnown() || state.IsNull() || !plan.Type().Is(tftypes.Object{}) {
		return state
	}
	var planned, observed map[string]tftypes.Value
	if plan.As(&planned) != nil || state.As(&observed) != nil {
		return state
	}
	kept := map[string]tftypes.Value{}
	for name, value := range observed {
		kept[name] = keepPlanned(planned[name], value)
	}
	return tftypes.NewValue(state.Type(), kept)
}
