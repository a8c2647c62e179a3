package resources

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// NoNull refuses null elements in a set, list or map. The error names the
// attribute, because Terraform itself only points to the resource.
type NoNull struct{}

// Description implements a validator.
func (NoNull) Description(context.Context) string { return "no element is null" }

// MarkdownDescription implements a validator.
func (n NoNull) MarkdownDescription(ctx context.Context) string { return n.Description(ctx) }

// ValidateSet refuses a null element.
func (NoNull) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	for _, element := range req.ConfigValue.Elements() {
		refuseNull(&resp.Diagnostics, req.Path, "an element", element)
	}
}

// ValidateList refuses a null element.
func (NoNull) ValidateList(_ context.Context, req validator.ListRequest, resp *validator.ListResponse) {
	for i, element := range req.ConfigValue.Elements() {
		refuseNull(&resp.Diagnostics, req.Path, fmt.Sprintf("element %d", i+1), element)
	}
}

// ValidateMap refuses a null value.
func (NoNull) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	for key, element := range req.ConfigValue.Elements() {
		refuseNull(&resp.Diagnostics, req.Path, fmt.Sprintf("the value of %q", key), element)
	}
}

func refuseNull(diags *diag.Diagnostics, at path.Path, what string, element attr.Value) {
	if element.IsNull() {
		diags.AddAttributeError(at, fmt.Sprintf("Attribute %s contains null", at),
			fmt.Sprintf("In %s, %s is null. Leave it out, or give it a value: a variable without a default may be behind it.", at, what))
	}
}

// Required are attributes that a block must set. Terraform would demand attributes that the
// schema marks as required also without the block.
type Required []string

// Description implements a validator.
func (r Required) Description(context.Context) string {
	return "required: " + strings.Join(r, ", ")
}

// MarkdownDescription implements a validator.
func (r Required) MarkdownDescription(ctx context.Context) string { return r.Description(ctx) }

// ValidateObject refuses a block without one of the attributes.
func (r Required) ValidateObject(_ context.Context, req validator.ObjectRequest, resp *validator.ObjectResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	for _, name := range r {
		if req.ConfigValue.Attributes()[name].IsNull() {
			at := req.Path.AtName(name)
			resp.Diagnostics.AddAttributeError(at, fmt.Sprintf("Attribute %s is missing", at),
				fmt.Sprintf("The block %s must set %s.", req.Path, name))
		}
	}
}
