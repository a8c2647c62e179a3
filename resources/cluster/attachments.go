package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// attachmentsModel is what the Auto Scaling group has beside its servers.
type attachmentsModel struct {
	ScalingPolicies     types.Set    `tfsdk:"scaling_policy"`
	ScheduledActions    types.Set    `tfsdk:"scheduled_action"`
	LifecycleHooks      types.Set    `tfsdk:"lifecycle_hook"`
	EnabledMetrics      types.Set    `tfsdk:"enabled_metrics"`
	SuspendedProcesses  types.Set    `tfsdk:"suspended_processes"`
	TerminationPolicies types.List   `tfsdk:"termination_policies"`
	MaxInstanceLifetime types.String `tfsdk:"max_instance_lifetime"`
	TargetGroupARNs     types.Set    `tfsdk:"target_group_arns"`
}

type scheduleModel struct {
	Name       types.String `tfsdk:"name"`
	Recurrence types.String `tfsdk:"recurrence"`
	TimeZone   types.String `tfsdk:"time_zone"`
	Start      types.String `tfsdk:"start_time"`
	End        types.String `tfsdk:"end_time"`
	Min        types.Int32  `tfsdk:"min_size"`
	Max        types.Int32  `tfsdk:"max_size"`
	Desired    types.Int32  `tfsdk:"desired_capacity"`
}

type hookModel struct {
	Name         types.String `tfsdk:"name"`
	Transition   types.String `tfsdk:"transition"`
	Heartbeat    types.String `tfsdk:"heartbeat_timeout"`
	Default      types.String `tfsdk:"default_result"`
	Notification types.String `tfsdk:"notification_target_arn"`
	Role         types.String `tfsdk:"role_arn"`
	Metadata     types.String `tfsdk:"notification_metadata"`
}

// The types of the blocks' elements.
var (
	scheduleTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "recurrence": types.StringType, "time_zone": types.StringType, "start_time": types.StringType,
		"end_time": types.StringType, "min_size": types.Int32Type, "max_size": types.Int32Type, "desired_capacity": types.Int32Type,
	}}
	hookTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "transition": types.StringType, "heartbeat_timeout": types.StringType, "default_result": types.StringType,
		"notification_target_arn": types.StringType, "role_arn": types.StringType, "notification_metadata": types.StringType,
	}}
)

// Defaults of a hook.
const (
	defaultHeartbeat = time.Hour // AWS's
	defaultResult    = "ABANDON" // AWS's
)

// transitions are those of hooks, by their short names.
var transitions = map[string]string{"launching": cluster.HookLaunching, "terminating": cluster.HookTerminating}

// attachmentAttributes are the arguments that are not blocks.
func attachmentAttributes() map[string]schema.Attribute {
	carried := " By default, they stay as they are, and a rollout carries them to the next group."
	return map[string]schema.Attribute{
		"enabled_metrics": schema.SetAttribute{
			Optional: true, ElementType: types.StringType,
			Validators:          append(slices.Clone(someStrings), setvalidator.ValueStringsAre(stringvalidator.OneOf(cluster.GroupMetrics...))),
			MarkdownDescription: "Metrics of the Auto Scaling group that are collected each minute, such as `GroupInServiceInstances`." + carried,
		},
		"suspended_processes": schema.SetAttribute{
			Optional: true, ElementType: types.StringType,
			Validators: append(slices.Clone(someStrings), setvalidator.ValueStringsAre(stringvalidator.OneOf(cluster.Processes...))),
			MarkdownDescription: "Processes of Auto Scaling that are suspended once the servers are healthy, such as `AZRebalance`. " +
				"`Launch` and `Terminate` cannot be among them: without them, no rollout could start or end servers." + carried,
		},
		"termination_policies": schema.ListAttribute{
			Optional: true, ElementType: types.StringType, Validators: []validator.List{listvalidator.SizeAtLeast(1), resources.NoNull{}},
			MarkdownDescription: "Which server is terminated first when the cluster is scaled in: AWS's names, such as `OldestInstance`, " +
				"or the ARN of a Lambda function, in the order in which they are used." + carried,
		},
		"max_instance_lifetime": durationAttribute(24*time.Hour, 365*24*time.Hour,
			"How long a server may run before Auto Scaling replaces it by one of the same version, `24h` to `8760h`. "+
				"By default, the group's stays as it is, and a rollout carries it to the next group."),
		"target_group_arns": schema.SetAttribute{
			Optional: true, ElementType: types.StringType, Validators: someStrings,
			MarkdownDescription: "Further target groups that the servers belong to, such as those of another load balancer. " +
				"In a rollout, new servers join them when they get all of the cluster's requests, and the old ones leave them when they end. " +
				"A server has to be healthy in all of them, aside from those that no listener uses. " +
				"Others that are attached to the group are carried, too.",
		},
	}
}

// attachmentBlocks are the arguments that are blocks.
func attachmentBlocks() map[string]schema.Block {
	return map[string]schema.Block{
		"scaling_policy":   schema.SetNestedBlock{MarkdownDescription: policyText, NestedObject: policyBlock()},
		"scheduled_action": schema.SetNestedBlock{MarkdownDescription: scheduleText, NestedObject: scheduleBlock()},
		"lifecycle_hook":   schema.SetNestedBlock{MarkdownDescription: hookText, NestedObject: hookBlock()},
	}
}

const (
	scheduleText = "Changes the bounds or the desired number of servers at a time, once or again and again. It moves with the servers. " +
		"If it changes `min_size` or `max_size` of the group, ignore changes of both: `lifecycle { ignore_changes = [min_size, max_size] }`."
	hookText = "Has a server wait before it serves, or before it is terminated, until something else has completed the action, " +
		"or `heartbeat_timeout` is over. It is there before the first server of each version starts. " +
		"`rollout.healthy_within` has to allow for the wait."
)

func scheduleBlock() schema.NestedBlockObject {
	moment := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, Validators: []validator.String{moment{}}, MarkdownDescription: description}
	}
	size := func(description string) schema.Int32Attribute {
		return schema.Int32Attribute{Optional: true, Validators: []validator.Int32{int32validator.AtLeast(0)}, MarkdownDescription: description}
	}
	return schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
		"name": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the action."},
		"recurrence": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Cron expression of five fields, such as `0 20 * * MON-FRI`. By default, it acts once, at `start_time`.",
		},
		"time_zone": schema.StringAttribute{
			Optional: true, Validators: notEmpty,
			MarkdownDescription: "Time zone of the recurrence, such as `Europe/Stockholm`. Defaults to UTC.",
		},
		"start_time": moment("When it acts for the first time, such as `2026-12-24T18:00:00Z`. " +
			"After that time, an action that does not recur is over, and needs no change."),
		"end_time":         moment("When a recurrence ends. By default, never."),
		"min_size":         size("The smallest number of servers from then on."),
		"max_size":         size("The largest number of servers from then on."),
		"desired_capacity": size("The number of servers to start with from then on."),
	}}
}

func hookBlock() schema.NestedBlockObject {
	return schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
		"name": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the hook."},
		"transition": schema.StringAttribute{
			Required: true, Validators: []validator.String{stringvalidator.OneOf("launching", "terminating")},
			MarkdownDescription: "`launching`: before a server serves; `terminating`: before it is terminated.",
		},
		"heartbeat_timeout": durationAttribute(30*time.Second, 2*time.Hour, "How long a server waits, `30s` to `2h`. Defaults to `1h`."),
		"default_result": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf("CONTINUE", defaultResult)},
			MarkdownDescription: "What happens after the wait: `ABANDON` (the default) terminates a new server; `CONTINUE` goes on.",
		},
		"notification_target_arn": schema.StringAttribute{
			Optional: true, Validators: notEmpty,
			MarkdownDescription: "ARN of an SQS queue or SNS topic that is told. By default, only Amazon EventBridge is.",
		},
		"role_arn": schema.StringAttribute{
			Optional: true, Validators: notEmpty, MarkdownDescription: "Role by which Auto Scaling tells it.",
		},
		"notification_metadata": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Text that it is told."},
	}}
}

// attachments decodes what the configuration declares.
func (d *decoder) attachments(m *attachmentsModel) cluster.Attachments {
	a := cluster.Attachments{
		Metrics: d.strings(m.EnabledMetrics), SuspendedProcesses: d.strings(m.SuspendedProcesses),
		MaxInstanceLifetime: d.duration(m.MaxInstanceLifetime), TargetGroupARNs: d.strings(m.TargetGroupARNs),
	}
	if !m.TerminationPolicies.IsNull() {
		d.diags.Append(m.TerminationPolicies.ElementsAs(d.ctx, &a.TerminationPolicies, false)...)
	}
	var policies []policyModel
	var schedules []scheduleModel
	var hooks []hookModel
	d.elements(m.ScalingPolicies, &policies)
	d.elements(m.ScheduledActions, &schedules)
	d.elements(m.LifecycleHooks, &hooks)
	for _, p := range policies {
		a.Policies = append(a.Policies, d.policy(p))
	}
	for _, s := range schedules {
		a.Schedules = append(a.Schedules, cluster.Schedule{
			Name: s.Name.ValueString(), Recurrence: s.Recurrence.ValueString(), TimeZone: s.TimeZone.ValueString(),
			Start: parseMoment(s.Start.ValueString()), End: parseMoment(s.End.ValueString()),
			Min: s.Min.ValueInt32Pointer(), Max: s.Max.ValueInt32Pointer(), Desired: s.Desired.ValueInt32Pointer(),
		})
	}
	for _, h := range hooks {
		hook := cluster.Hook{
			Name: h.Name.ValueString(), Transition: transitions[h.Transition.ValueString()], Heartbeat: defaultHeartbeat, Default: defaultResult,
			NotificationTargetARN: h.Notification.ValueString(), RoleARN: h.Role.ValueString(), Metadata: h.Metadata.ValueString(),
		}
		if !h.Heartbeat.IsNull() {
			hook.Heartbeat = d.duration(h.Heartbeat)
		}
		if !h.Default.IsNull() {
			hook.Default = h.Default.ValueString()
		}
		a.Hooks = append(a.Hooks, hook)
	}
	return a
}

func (d *decoder) elements(set types.Set, into any) {
	if !set.IsNull() && !set.IsUnknown() {
		d.diags.Append(set.ElementsAs(d.ctx, into, false)...)
	}
}

// attachments encodes what the group has of what was declared. What is as it was keeps its
// spelling.
func (e *encoder) attachments(m *attachmentsModel, has cluster.Attachments, now time.Time) {
	d := decoder{ctx: e.ctx}
	was := d.attachments(m)
	own := has.Declared(was, now)
	e.diags.Append(d.diags...)

	m.ScalingPolicies = encodeSet(e, policyTypes, m.ScalingPolicies, was.Policies, own.Policies, func(p cluster.Policy) attr.Value {
		if p.Tracking == nil && p.Step == nil {
			return nil // it is there, and cannot be expressed
		}
		return e.object(policyTypes, e.policy(p))
	})
	m.ScheduledActions = encodeSet(e, scheduleTypes, m.ScheduledActions, was.Schedules, own.Schedules, func(s cluster.Schedule) attr.Value {
		return e.object(scheduleTypes, scheduleModel{
			Name: types.StringValue(s.Name), Recurrence: resources.OptionalString(s.Recurrence), TimeZone: resources.OptionalString(s.TimeZone),
			Start: momentValue(s.Start), End: momentValue(s.End),
			Min: types.Int32PointerValue(s.Min), Max: types.Int32PointerValue(s.Max), Desired: types.Int32PointerValue(s.Desired),
		})
	})
	m.LifecycleHooks = encodeSet(e, hookTypes, m.LifecycleHooks, was.Hooks, own.Hooks, func(h cluster.Hook) attr.Value {
		transition := "launching"
		if h.Transition == cluster.HookTerminating {
			transition = "terminating"
		}
		return e.object(hookTypes, hookModel{
			Name: types.StringValue(h.Name), Transition: types.StringValue(transition),
			Heartbeat: types.StringValue(humanDuration(h.Heartbeat)), Default: types.StringValue(h.Default),
			Notification: resources.OptionalString(h.NotificationTargetARN), Role: resources.OptionalString(h.RoleARN),
			Metadata: resources.OptionalString(h.Metadata),
		})
	})
	m.EnabledMetrics, m.SuspendedProcesses = e.set(own.Metrics), e.set(own.SuspendedProcesses)
	m.TargetGroupARNs = e.set(own.TargetGroupARNs)
	if !m.TerminationPolicies.IsNull() {
		m.TerminationPolicies = e.list(own.TerminationPolicies)
	}
	if !m.MaxInstanceLifetime.IsNull() {
		m.MaxInstanceLifetime = durationValue(own.MaxInstanceLifetime, m.MaxInstanceLifetime)
	}
}

// encodeAttached updates the model with what is attached to the group.
func (m *model) encodeAttached(ctx context.Context, has cluster.Attached, now time.Time) diag.Diagnostics {
	e := encoder{ctx: ctx}
	d := decoder{ctx: ctx}
	others := has.Undeclared(d.attachments(&m.attachmentsModel))
	m.CarriedAttachments = e.list(append(others.Titles(), has.Obstacles...))
	e.attachments(&m.attachmentsModel, has.Attachments, now)
	return append(d.diags, e.diags...)
}

// named is a part that has a name.
type named interface {
	cluster.Policy | cluster.Schedule | cluster.Hook
}

// encodeSet encodes the parts that exist. A part that is as it was keeps its element of the set.
func encodeSet[T named](e *encoder, of types.ObjectType, before types.Set, was, is []T, encode func(T) attr.Value) types.Set {
	elements := []attr.Value{}
	for _, part := range is {
		kept := false
		for i, element := range before.Elements() {
			if i < len(was) && sameParts(was[i], part) {
				elements, kept = append(elements, element), true
			}
		}
		if !kept {
			if value := encode(part); value != nil {
				elements = append(elements, value)
			}
		}
	}
	set, diags := types.SetValue(of, elements)
	e.diags.Append(diags...)
	return set
}

// sameParts compares by the domain's rule.
func sameParts[T named](a, b T) bool {
	wrap := func(part T) (all cluster.Attachments) {
		switch p := any(part).(type) {
		case cluster.Policy:
			all.Policies = []cluster.Policy{p}
		case cluster.Schedule:
			all.Schedules = []cluster.Schedule{p}
		case cluster.Hook:
			all.Hooks = []cluster.Hook{p}
		}
		return all
	}
	return wrap(a).Same(wrap(b))
}

func (e *encoder) object(of types.ObjectType, from any) attr.Value {
	o, diags := types.ObjectValueFrom(e.ctx, of.AttrTypes, from)
	e.diags.Append(diags...)
	return o
}

// parseMoment is zero for an empty text.
func parseMoment(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{} // the schema's validators have accepted it
	}
	return at.UTC()
}

func momentValue(at time.Time) types.String {
	if at.IsZero() {
		return types.StringNull()
	}
	return types.StringValue(at.Format(time.RFC3339))
}
