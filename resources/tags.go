package resources

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Tags decodes a map of tags. It omits tags that are not known yet.
func Tags(ctx context.Context, m types.Map) (tagging.Set, diag.Diagnostics) {
	set := tagging.Set{}
	if m.IsNull() || m.IsUnknown() {
		return set, nil
	}
	var values map[string]types.String
	diags := m.ElementsAs(ctx, &values, false)
	for key, value := range values {
		if value.IsNull() {
			diags.AddError("A tag has no value", fmt.Sprintf("Tag %q is null. Give it a value, or omit it.", key))
		}
		if !value.IsUnknown() && !value.IsNull() {
			set[key] = value.ValueString()
		}
	}
	return set, diags
}

// StringMap encodes a map of strings.
func StringMap[M ~map[string]string](m M) types.Map {
	elements := map[string]types.String{}
	for key, value := range m {
		elements[key] = types.StringValue(value)
	}
	encoded, _ := types.MapValueFrom(context.Background(), types.StringType, elements) // strings always fit
	return encoded
}
