package cluster

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

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
