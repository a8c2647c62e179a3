package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// durationBetween accepts durations of whole seconds, AWS's unit.
type durationBetween struct{ least, most time.Duration }

func (v durationBetween) Description(context.Context) string {
	return fmt.Sprintf("whole seconds from %s to %s", v.least, v.most)
}

func (v durationBetween) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (v durationBetween) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	d, err := time.ParseDuration(req.ConfigValue.ValueString())
	if err != nil || d < v.least || d > v.most || d%time.Second != 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid duration",
			fmt.Sprintf("Got %q. Use %s, written like \"30s\" or \"5m\".", req.ConfigValue.ValueString(), v.Description(ctx)))
	}
}

// nameValidator checks the names of services and environments by the domain's
// rule.
type nameValidator struct{}

func (nameValidator) Description(context.Context) string {
	return "1 to 64 letters, digits, dots, underscores and hyphens"
}

func (v nameValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (nameValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	name := req.ConfigValue.ValueString()
	if err := (cluster.ID{Service: name, Environment: name}).Validate(); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid name", err.Error())
	}
}
