package cluster

import (
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// serverAttributes are the attributes whose change may need new servers.
var serverAttributes = []string{
	"version", "image_id", "instance_type", "subnet_ids", "security_group_ids", "iam_instance_profile", "user_data",
	"user_data_base64", "root_volume_size", "metadata_http_tokens", "launch_template", "listener", "listener_rule", "target",
	"root_volume_type", "root_volume_iops", "root_volume_throughput", "root_volume_encrypted", "root_volume_kms_key_id", "volume",
	"key_name", "metadata_hop_limit", "detailed_monitoring", "mixed_instances", "capacity_rebalance",
}

// unknownAfterRollout are the attributes that a rollout changes.
var unknownAfterRollout = map[string]attr.Value{
	"generation":             types.StringUnknown(),
	"autoscaling_group_name": types.StringUnknown(),
	"target_group_arn":       types.StringUnknown(),
	"launch_template_id":     types.StringUnknown(),
	"missing":                types.ListUnknown(types.StringType),
	"foreign_conditions":     types.ListUnknown(types.StringType),
	"carried_attachments":    types.ListUnknown(types.StringType),
	"traffic":                types.Int32Unknown(),
	"previous_version":       types.StringUnknown(),
	"last_rollout":           types.ObjectUnknown(lastRolloutTypes),
}

// mayNeedNewServers compares a state with a plan that has unknown values.
func mayNeedNewServers(state, plan tftypes.Value) bool {
	var was, planned map[string]tftypes.Value
	if state.As(&was) != nil || plan.As(&planned) != nil {
		return true
	}
	for _, attribute := range serverAttributes {
		if !was[attribute].Equal(planned[attribute]) {
			return true
		}
	}
	return false
}

// sameListener reports whether both models serve at the same listener, and by a rule.
func (m *model) sameListener(other *model) bool {
	return m.Listener.Equal(other.Listener) && m.ListenerRule != nil && other.ListenerRule != nil
}

// incomplete reports whether parts of the cluster are missing.
func (m *model) incomplete() bool { return len(m.Missing.Elements()) > 0 }

// interrupted reports whether a rollout has not finished.
func (m *model) interrupted() bool {
	status, ok := m.LastRollout.Attributes()["status"].(types.String)
	return ok && status.ValueString() == string(builddata.Started)
}

// rolloutPlan plans the computed attributes, above all the versions that a
// rollout moves the cluster from and to. Before is nil in a creation.
func (m *model) rolloutPlan(before *model, settings rollout.Settings, newServers, reattaches bool) map[string]attr.Value {
	plan := map[string]attr.Value{"traffic": types.Int32Null()}
	if !m.Listener.IsNull() {
		plan["traffic"] = types.Int32Value(100)
	}
	if before == nil {
		return plan
	}
	if reattaches {
		plan["carried_attachments"] = types.ListUnknown(types.StringType)
	}
	resumes := before.interrupted()
	if newServers || resumes {
		for attribute, unknown := range unknownAfterRollout {
			if attribute != "traffic" {
				plan[attribute] = unknown
			}
		}
		if m.Listener.IsNull() {
			plan["target_group_arn"] = types.StringNull()
		}
	}
	switch {
	case resumes:
	case newServers:
		plan["last_rollout"] = planned(before.Version, m.Version)
		if !settings.KeepPrevious { // otherwise it is kept only if it is complete
			plan["previous_version"] = types.StringNull()
		}
	case !before.PreviousVersion.IsNull() && !settings.KeepPrevious:
		plan["last_rollout"] = planned(m.Version, m.Version)
		plan["previous_version"] = types.StringNull()
	}
	return plan
}

// planned is a future rollout, which is planned to succeed.
func planned(from, to types.String) types.Object {
	return lastRollout{
		ID: types.StringUnknown(), FromVersion: from, ToVersion: to, Status: types.StringValue(string(builddata.Succeeded)),
	}.object()
}
