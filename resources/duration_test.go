package resources_test

import (
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// A bad duration is one error, which says what is written instead.
func TestDurationBetween(t *testing.T) {
	for written, valid := range map[string]bool{
		"30s": true, "1m30s": true, "5m": true, "300s": true, "5m1s": false, "1s": false, "5 minutes": false, "1500ms": false, "": false, "10": false,
	} {
		req := validator.StringRequest{Path: path.Root("observe_for"), ConfigValue: types.StringValue(written)}
		var resp validator.StringResponse
		resources.DurationBetween{Least: 2 * time.Second, Most: 5 * time.Minute}.ValidateString(t.Context(), req, &resp)
		if valid != !resp.Diagnostics.HasError() || resp.Diagnostics.ErrorsCount() > 1 {
			t.Errorf("%q: got %v, want it to be valid: %t", written, resp.Diagnostics, valid)
			continue
		}
		want := `Got "` + written + `". Use whole seconds from 2s to 5m0s, written like "30s" or "5m".`
		if !valid && resp.Diagnostics[0].Detail() != want {
			t.Errorf("got %q, want %q", resp.Diagnostics[0].Detail(), want)
		}
	}
}
