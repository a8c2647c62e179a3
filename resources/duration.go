package resources

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// DurationBetween accepts durations of whole seconds, AWS's unit.
type DurationBetween struct{ Least, Most time.Duration }

// Description implements validator.String.
func (v DurationBetween) Description(context.Context) string {
	return fmt.Sprintf("whole seconds from %s to %s", v.Least, v.Most)
}

// MarkdownDescription implements validator.String.
func (v DurationBetween) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v DurationBetween) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	d, err := time.ParseDuration(req.ConfigValue.ValueString())
	if err != nil || d < v.Least || d > v.Most || d%time.Second != 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid duration",
			fmt.Sprintf("Got %q. Use %s, written like \"30s\" or \"5m\".", req.ConfigValue.ValueString(), v.Description(ctx)))
	}
}
