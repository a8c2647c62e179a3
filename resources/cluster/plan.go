package cluster

import (
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// madeOf are the attributes whose change may take other servers.
var madeOf = []string{
	"version", "image_id", "instance_type", "subnet_ids", "security_group_ids", "iam_instance_profile", "user_data",
	"root_volume_size", "metadata_http_tokens", "launch_template", "listener", "listener_rule", "target",
}

// unknownAfterRollout are the attributes that a rollout changes.
var unknownAfterRollout = map[string]attr.Value{
	"generation":             types.StringUnknown(),
	"autoscaling_group_name": types.StringUnknown(),
	"target_group_arn":       types.StringUnknown(),
	"launch_template_id":     types.StringUnknown(),
	"missing":                types.ListUnknown(types.StringType),
	"traffic":                types.Int32Unknown(),
	"previous_version":       types.StringUnknown(),
	"last_rollout":           types.ObjectUnknown(lastRolloutTypes),
}

// mayTakeOtherServers compares a state with a plan in which not everything is
// known yet.
func mayTakeOtherServers(state, plan tftypes.Value) bool {
	var was, planned map[string]tftypes.Value
	if state.As(&was) != nil || plan.As(&planned) != nil {
		return true
	}
	for _, attribute := range madeOf {
		if !was[attribute].Equal(planned[attribute]) {
			return true
		}
	}
	return false
}

// misses reports whether parts of the cluster are not there.
func (m *model) misses() bool { return len(m.Missing.Elements()) > 0 }

// interrupted reports whether a rollout is not at its end.
func (m *model) interrupted() bool {
	status, ok := m.LastRollout.Attributes()["status"].(types.String)
	return ok && status.ValueString() == string(builddata.Started)
}

// rolloutPlan is what of the computed attributes a plan can tell before it is
// applied: above all, which version a rollout moves the cluster from and to.
// Before is nil in a creation.
func (m *model) rolloutPlan(before *model, settings rollout.Settings, takesServers bool) map[string]attr.Value {
	plan := map[string]attr.Value{"traffic": types.Int32Null()}
	if !m.Listener.IsNull() {
		plan["traffic"] = types.Int32Value(100)
	}
	if before == nil {
		return plan
	}
	resumes := before.interrupted()
	if takesServers || resumes {
		for _, attribute := range []string{"generation", "autoscaling_group_name", "launch_template_id", "target_group_arn", "missing", "previous_version"} {
			plan[attribute] = unknownAfterRollout[attribute]
		}
		plan["last_rollout"] = unknownAfterRollout["last_rollout"]
		if m.Listener.IsNull() {
			plan["target_group_arn"] = types.StringNull()
		}
	}
	switch {
	case resumes:
	case takesServers:
		plan["last_rollout"] = planned(before.Version, m.Version)
		if !settings.KeepPrevious { // else only what is whole is kept
			plan["previous_version"] = types.StringNull()
		}
	case !before.PreviousVersion.IsNull() && !settings.KeepPrevious:
		plan["last_rollout"] = planned(m.Version, m.Version)
		plan["previous_version"] = types.StringNull()
	}
	return plan
}

// planned is a rollout that is to come, and to succeed.
func planned(from, to types.String) types.Object {
	return lastRollout{ID: types.StringUnknown(), FromVersion: from, ToVersion: to, Status: types.StringValue(string(builddata.Succeeded))}.object()
}
