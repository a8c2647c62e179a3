package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// A state from before there were checks has none, as a configuration without them: the plan is
// empty.
func TestEncode_StateWithoutChecks(t *testing.T) {
	m := &model{ImageID: types.StringValue("ami-1"), Rollout: &rolloutModel{Checks: types.ListNull(checkType)}}
	if diags := m.encode(t.Context(), cluster.Observed{}, nil); diags.HasError() {
		t.Fatal(diags)
	}
	if m.Rollout.Checks.IsNull() || len(m.Rollout.Checks.Elements()) > 0 || m.Rollout.Preview != nil || m.Rollout.TargetAlarms != nil {
		t.Errorf("got %+v, want an empty list of checks, and nothing else", m.Rollout)
	}
}

func TestTests_Defaults(t *testing.T) {
	d := decoder{ctx: t.Context()}
	request := d.check(checkModel{
		Path: types.StringValue("/"), Headers: types.MapNull(types.StringType), Command: types.ListNull(types.StringType),
	})
	command := d.check(checkModel{
		Headers: types.MapNull(types.StringType), Command: types.ListValueMust(types.StringType, []attr.Value{types.StringValue("./smoke.sh")}),
	})
	got := []any{request.Method, request.Status, request.Timeout, request.Within, command.Method, command.Timeout, command.Within}
	want := []any{"GET", "200-299", 5 * time.Second, 10 * time.Second, "", 5 * time.Minute, time.Duration(0)}
	if diff := cmp.Diff(got, want); diff != "" || d.diags.HasError() {
		t.Errorf("got (-), want (+):\n%s%v", diff, d.diags)
	}
}
