package resources

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// DurationBetween accepts durations of whole units; 0 is seconds, AWS's unit.
type DurationBetween struct{ Least, Most, Unit time.Duration }

// Description implements validator.String.
func (v DurationBetween) Description(context.Context) string {
	unit := "seconds"
	if v.Unit == time.Millisecond {
		unit = "milliseconds"
	}
	return fmt.Sprintf("whole %s from %s to %s", unit, v.Least, v.Most)
}

// MarkdownDescription implements validator.String.
func (v DurationBetween) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v DurationBetween) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	d, err := time.ParseDuration(req.ConfigValue.ValueString())
	if err != nil || d < v.Least || d > v.Most || d%cmp.Or(v.Unit, time.Second) != 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid duration",
			fmt.Sprintf("Got %q. Use %s, written like \"30s\" or \"5m\".", req.ConfigValue.ValueString(), v.Description(ctx)))
	}
}
