package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type rolloutModel struct {
	Steps              types.List   `tfsdk:"steps"`
	HealthyWithin      types.String `tfsdk:"healthy_within"`
	ObserveFor         types.String `tfsdk:"observe_for"`
	Alarms             types.Set    `tfsdk:"alarms"`
	MissingData        types.String `tfsdk:"missing_data"`
	Drain              types.String `tfsdk:"drain"`
	KeepPrevious       types.Bool   `tfsdk:"keep_previous"`
	OnFailure          types.String `tfsdk:"on_failure"`
	ProtectedInstances types.String `tfsdk:"protected_instances"`
	CarryAlarmActions  types.Bool   `tfsdk:"carry_alarm_actions"`

	Preview      *previewModel      `tfsdk:"preview"`
	Checks       types.List         `tfsdk:"check"`
	TargetAlarms *targetAlarmsModel `tfsdk:"target_alarms"`
}

// lastRollout is the value of last_rollout.
type lastRollout struct {
	ID          types.String `tfsdk:"id"`
	FromVersion types.String `tfsdk:"from_version"`
	ToVersion   types.String `tfsdk:"to_version"`
	Status      types.String `tfsdk:"status"`
}

var lastRolloutTypes = map[string]attr.Type{
	"id": types.StringType, "from_version": types.StringType, "to_version": types.StringType, "status": types.StringType,
}

func (l lastRollout) object() types.Object {
	return types.ObjectValueMust(lastRolloutTypes, map[string]attr.Value{
		"id": l.ID, "from_version": l.FromVersion, "to_version": l.ToVersion, "status": l.Status,
	})
}

// withoutUnknowns replaces the unknown values of a last_rollout by null.
func withoutUnknowns(o types.Object) types.Object {
	if o.IsNull() || o.IsUnknown() {
		return types.ObjectNull(lastRolloutTypes)
	}
	values := o.Attributes()
	for name, value := range values {
		if value.IsUnknown() {
			values[name] = types.StringNull()
		}
	}
	return types.ObjectValueMust(lastRolloutTypes, values)
}

// The values of missing_data.
const (
	missingOK    = "ok"
	missingAlarm = "alarm"
)

// rolloutBlock has no defaults in the schema. An import cannot know them, so
// it would plan a change for a cluster that leaves them out.
func rolloutBlock() schema.Block {
	choice := func(description string, values ...string) schema.StringAttribute {
		return schema.StringAttribute{
			Optional: true, MarkdownDescription: description, Validators: []validator.String{stringvalidator.OneOf(values...)},
		}
	}
	return schema.SingleNestedBlock{
		MarkdownDescription: "How careful a rollout is.",
		Attributes: map[string]schema.Attribute{
			"steps": schema.ListAttribute{
				Optional: true, ElementType: types.Int32Type, Validators: []validator.List{listvalidator.SizeAtLeast(1), resources.NoNull{}},
				MarkdownDescription: "Percentages of the requests that the new servers get one after the other, such as `[10, 50, 100]`. " +
					"After each step, they are observed for `observe_for`. By default, they get all requests at once.",
			},
			"healthy_within": durationAttribute(time.Second, 24*time.Hour,
				"The time that new servers have to become healthy. Defaults to `"+humanDuration(rollout.DefaultHealthyWithin)+"`."),
			"observe_for": durationAttribute(0, 24*time.Hour,
				"How long the new servers and the `alarms` are observed after each step. Defaults to `0s`, a single check of the servers."),
			"alarms": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				Validators: []validator.Set{
					resources.NoNull{},
					setvalidator.SizeBetween(1, 100), setvalidator.ValueStringsAre(stringvalidator.LengthBetween(1, 255)),
				},
				MarkdownDescription: "Names of CloudWatch alarms: metric, composite and log alarms. " +
					"The rollout is rolled back if one of them fires while it is observed. " +
					"The rollout does not start if one of them fires or does not exist.",
			},
			"missing_data": choice("What an alarm without data counts as: `ok` (the default) or `alarm`.", missingOK, missingAlarm),
			"drain": durationAttribute(0, time.Hour,
				"How long the old servers stay without new requests before they are terminated. The new servers are observed during that time. "+
					"Defaults to the target's `deregistration_delay`, so that every request can finish. "+
					"A load balancer needs some seconds to apply new weights, so use less than `10s` only in tests. "+
					"For that reason, a creation also waits for that time, ten seconds at most, once its servers get requests, "+
					"and so does a destruction once they get none."),
			"keep_previous": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether the old servers stay, without requests, until the next rollout. " +
					"Going back to their version then only changes weights. They cost as much as other running servers. Defaults to false.",
			},
			"carry_alarm_actions": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether alarms of others that call a scaling policy of the cluster are changed, so that they call the policy of the " +
					"new servers. By default, a plan that needs new servers is refused while such alarms exist. A resource that manages such an alarm " +
					"has to ignore changes of its actions. `scaling_policy` with `step_scaling` needs no alarm of its own.",
			},
			"on_failure": choice("What happens to new servers that failed: `undo` (the default) removes them; "+
				"`keep` leaves them without requests, so that they can be examined. "+
				"The next apply continues with them if it rolls out the same version, and otherwise removes them.",
				string(rollout.Undo), string(rollout.Keep)),
			"protected_instances": choice("What happens to old servers that are protected from scale-in or in standby: "+
				"`wait` (the default) waits for up to an hour until their protection ends; "+
				"`ignore` leaves them running without requests, and the next rollout removes them; `force` terminates them.",
				string(rollout.Wait), string(rollout.Ignore), string(rollout.Force)),
		},
		Blocks: map[string]schema.Block{"preview": previewBlock(), "check": checkBlock(), "target_alarms": targetAlarmsBlock()},
	}
}

// settings decodes the settings of a rollout to s.
func (m *model) settings(ctx context.Context, s cluster.Spec) (rollout.Settings, diag.Diagnostics) {
	settings := rollout.Defaults(s)
	r := m.Rollout
	if r == nil {
		return settings, nil
	}
	d := decoder{ctx: ctx}
	if !r.Steps.IsNull() {
		d.diags.Append(r.Steps.ElementsAs(ctx, &settings.Steps, false)...)
	}
	if !r.HealthyWithin.IsNull() {
		settings.HealthyWithin = d.duration(r.HealthyWithin)
	}
	if !r.Drain.IsNull() {
		settings.Drain = d.duration(r.Drain)
	}
	settings.ObserveFor = d.duration(r.ObserveFor)
	settings.Alarms = d.strings(r.Alarms)
	settings.MissingDataIsBad = r.MissingData.ValueString() == missingAlarm
	settings.KeepPrevious = r.KeepPrevious.ValueBool()
	settings.CarryAlarmActions = r.CarryAlarmActions.ValueBool()
	if !r.OnFailure.IsNull() {
		settings.OnFailure = rollout.OnFailure(r.OnFailure.ValueString())
	}
	if !r.ProtectedInstances.IsNull() {
		settings.Protected = rollout.Protected(r.ProtectedInstances.ValueString())
	}
	d.tests(r, &settings)
	return settings, d.diags
}

// encodeStatus updates the model with what the repository knows of the cluster. If
// another generation serves than the one in the state, because the CLI rolled
// out or back, the state takes that one over.
func (m *model) encodeStatus(s rollout.Status) {
	m.LastRollout, m.PreviousVersion = types.ObjectNull(lastRolloutTypes), types.StringNull()
	if s.Last != nil {
		m.LastRollout = lastRollout{
			ID: types.StringValue(s.Last.ID), FromVersion: resources.OptionalString(s.Last.FromVersion),
			ToVersion: resources.OptionalString(s.Last.ToVersion), Status: types.StringValue(string(s.Last.Status)),
		}.object()
	}
	if s.Kept != nil {
		m.PreviousVersion = types.StringValue(s.Kept.Spec.Version)
	}
	if s.Serving != nil && s.Serving.Name != m.Generation.ValueString() {
		m.Generation = types.StringValue(s.Serving.Name)
		m.Version = types.StringValue(s.Serving.Spec.Version)
		m.Listener = resources.OptionalString(s.Serving.Spec.ListenerARN())
		m.LaunchTemplate = nil
		if t := s.Serving.Spec.Servers.Template; t != nil {
			m.LaunchTemplate = &templateModel{ID: types.StringValue(t.ID), Version: types.StringValue(t.Version)}
		}
	}
}
