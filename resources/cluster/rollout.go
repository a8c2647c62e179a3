package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type rolloutModel struct {
	Steps              types.List           `tfsdk:"steps"`
	HealthyWithin      timetypes.GoDuration `tfsdk:"healthy_within"`
	ObserveFor         timetypes.GoDuration `tfsdk:"observe_for"`
	Alarms             types.Set            `tfsdk:"alarms"`
	MissingData        types.String         `tfsdk:"missing_data"`
	Drain              timetypes.GoDuration `tfsdk:"drain"`
	KeepPrevious       types.Bool           `tfsdk:"keep_previous"`
	OnFailure          types.String         `tfsdk:"on_failure"`
	ProtectedInstances types.String         `tfsdk:"protected_instances"`
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

// withoutUnknowns has null for what is not known yet of a last_rollout.
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

// rolloutAttribute has no defaults in the schema, so that an import, which
// cannot know them, plans no change for a cluster that leaves them out.
func rolloutAttribute() schema.Attribute {
	duration := func(least, most time.Duration, text string) schema.StringAttribute {
		return schema.StringAttribute{
			Optional: true, CustomType: timetypes.GoDurationType{}, MarkdownDescription: text,
			Validators: []validator.String{durationBetween{least, most}},
		}
	}
	choice := func(text string, values ...string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: text, Validators: []validator.String{stringvalidator.OneOf(values...)}}
	}
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "How careful a rollout is.",
		Attributes: map[string]schema.Attribute{
			"steps": schema.ListAttribute{
				Optional: true, ElementType: types.Int32Type, Validators: []validator.List{listvalidator.SizeAtLeast(1)},
				MarkdownDescription: "Percentages of the requests that the new servers get, one after the other, as `[10, 50, 100]`. Each is watched for `observe_for`. All at once by default.",
			},
			"healthy_within": duration(time.Second, 24*time.Hour, "How long new servers may take to be healthy. Defaults to `"+humanDuration(rollout.DefaultHealthyWithin)+"`."),
			"observe_for":    duration(0, 24*time.Hour, "How long the new servers and the `alarms` are watched after each step. Defaults to `0s`: one look."),
			"alarms": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				Validators:          []validator.Set{setvalidator.SizeBetween(1, 100), setvalidator.ValueStringsAre(stringvalidator.LengthBetween(1, 255))},
				MarkdownDescription: "Names of CloudWatch alarms, composite ones included. One that fires while it is watched takes the rollout back; one that fires before, or does not exist, has it not begin.",
			},
			"missing_data":        choice("What an alarm without data counts as: `ok` (the default) or `alarm`.", missingOK, missingAlarm),
			"drain":               duration(0, time.Hour, "How long the old servers stay, watched like the new ones but without new requests, before they end. Defaults to the target's `deregistration_delay`, so that every request can finish. A load balancer needs some seconds to act on new weights, so less than `10s` is for tests."),
			"keep_previous":       schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether the old servers stay, without requests, until the rollout after: going back to their version is then one change of weights. They cost what running servers cost. Defaults to false."},
			"on_failure":          choice("What becomes of new servers that failed: `undo` (the default) removes them; `keep` leaves them without requests, to be looked at. The next apply goes on with them if it is to bring the same version, and removes them if it is not.", string(rollout.Undo), string(rollout.Keep)),
			"protected_instances": choice("What becomes of old servers that somebody protected from scale-in or put in standby: `wait` (the default) waits for an hour at most until they are not any more; `ignore` leaves them, without requests, to be removed by the rollout after; `force` ends them.", string(rollout.Wait), string(rollout.Ignore), string(rollout.Force)),
		},
	}
}

// settings decodes how careful a rollout to s is to be.
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
	if !r.OnFailure.IsNull() {
		settings.OnFailure = rollout.OnFailure(r.OnFailure.ValueString())
	}
	if !r.ProtectedInstances.IsNull() {
		settings.Protected = rollout.Protected(r.ProtectedInstances.ValueString())
	}
	return settings, d.diags
}

// record takes over what the repository knows of the cluster. If another
// generation serves than the state holds, because somebody went back to it,
// that is the one from now on.
func (m *model) record(p rollout.Status) {
	m.LastRollout, m.PreviousVersion = types.ObjectNull(lastRolloutTypes), types.StringNull()
	if p.Last != nil {
		m.LastRollout = lastRollout{
			ID: types.StringValue(p.Last.ID), FromVersion: resources.OptionalString(p.Last.FromVersion),
			ToVersion: resources.OptionalString(p.Last.ToVersion), Status: types.StringValue(string(p.Last.Status)),
		}.object()
	}
	if p.Kept != nil {
		m.PreviousVersion = types.StringValue(p.Kept.Spec.Version)
	}
	if p.Serving != nil && p.Serving.Name != m.Generation.ValueString() {
		m.Generation = types.StringValue(p.Serving.Name)
		m.Version = types.StringValue(p.Serving.Spec.Version)
		m.Listener = resources.OptionalString(p.Serving.Spec.ListenerARN())
		m.LaunchTemplate = nil
		if t := p.Serving.Spec.Servers.Template; t != nil {
			m.LaunchTemplate = &templateModel{ID: types.StringValue(t.ID), Version: types.StringValue(t.Version)}
		}
	}
}
