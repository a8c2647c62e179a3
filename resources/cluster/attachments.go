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

type policyModel struct {
	Name     types.String   `tfsdk:"name"`
	Warmup   types.String   `tfsdk:"warmup"`
	Tracking *trackingModel `tfsdk:"target_tracking"`
	Step     *stepModel     `tfsdk:"step_scaling"`
}

type trackingModel struct {
	Predefined     types.String  `tfsdk:"predefined_metric"`
	Target         types.Float64 `tfsdk:"target"`
	DisableScaleIn types.Bool    `tfsdk:"disable_scale_in"`
	Metric         *metricModel  `tfsdk:"metric"`
}

type metricModel struct {
	Namespace  types.String `tfsdk:"namespace"`
	Name       types.String `tfsdk:"name"`
	Statistic  types.String `tfsdk:"statistic"`
	Unit       types.String `tfsdk:"unit"`
	Dimensions types.Map    `tfsdk:"dimensions"`
}

type stepModel struct {
	Adjustment   types.String      `tfsdk:"adjustment_type"`
	MinMagnitude types.Int32       `tfsdk:"min_adjustment_magnitude"`
	Steps        []rangeModel      `tfsdk:"step"`
	Alarm        *policyAlarmModel `tfsdk:"alarm"`
}

type rangeModel struct {
	Lower  types.Float64 `tfsdk:"lower_bound"`
	Upper  types.Float64 `tfsdk:"upper_bound"`
	Change types.Int32   `tfsdk:"change"`
}

type policyAlarmModel struct {
	Metric            *metricModel  `tfsdk:"metric"`
	Period            types.String  `tfsdk:"period"`
	EvaluationPeriods types.Int32   `tfsdk:"evaluation_periods"`
	Threshold         types.Float64 `tfsdk:"threshold"`
	Comparison        types.String  `tfsdk:"comparison"`
	MissingData       types.String  `tfsdk:"missing_data"`
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
	metricTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"namespace": types.StringType, "name": types.StringType, "statistic": types.StringType, "unit": types.StringType,
		"dimensions": types.MapType{ElemType: types.StringType},
	}}
	policyTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "warmup": types.StringType,
		"target_tracking": types.ObjectType{AttrTypes: map[string]attr.Type{
			"predefined_metric": types.StringType, "target": types.Float64Type, "disable_scale_in": types.BoolType, "metric": metricTypes,
		}},
		"step_scaling": types.ObjectType{AttrTypes: map[string]attr.Type{
			"adjustment_type": types.StringType, "min_adjustment_magnitude": types.Int32Type,
			"step": types.ListType{ElemType: types.ObjectType{AttrTypes: map[string]attr.Type{
				"lower_bound": types.Float64Type, "upper_bound": types.Float64Type, "change": types.Int32Type,
			}}},
			"alarm": types.ObjectType{AttrTypes: map[string]attr.Type{
				"metric": metricTypes, "period": types.StringType, "evaluation_periods": types.Int32Type,
				"threshold": types.Float64Type, "comparison": types.StringType, "missing_data": types.StringType,
			}},
		}},
	}}
	scheduleTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "recurrence": types.StringType, "time_zone": types.StringType, "start_time": types.StringType,
		"end_time": types.StringType, "min_size": types.Int32Type, "max_size": types.Int32Type, "desired_capacity": types.Int32Type,
	}}
	hookTypes = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "transition": types.StringType, "heartbeat_timeout": types.StringType, "default_result": types.StringType,
		"notification_target_arn": types.StringType, "role_arn": types.StringType, "notification_metadata": types.StringType,
	}}
)

// Defaults of a metric, an alarm and a hook.
const (
	defaultStatistic = "Average"
	defaultPeriod    = time.Minute
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
	policyText = "A scaling policy of the servers. It moves with them: a rollout attaches it to the new servers before they get requests. " +
		"It has either `target_tracking` or `step_scaling`."
	scheduleText = "Changes the bounds or the desired number of servers at a time, once or again and again. It moves with the servers. " +
		"If it changes `min_size` or `max_size` of the group, ignore changes of both: `lifecycle { ignore_changes = [min_size, max_size] }`."
	hookText = "Has a server wait before it serves, or before it is terminated, until something else has completed the action, " +
		"or `heartbeat_timeout` is over. It is there before the first server of each version starts. " +
		"`rollout.healthy_within` has to allow for the wait."
)

func policyBlock() schema.NestedBlockObject {
	return schema.NestedBlockObject{
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the policy."},
			"warmup": durationAttribute(0, time.Hour,
				"How long the metrics of a new server do not count. Defaults to the group's own time."),
		},
		Blocks: map[string]schema.Block{
			"target_tracking": schema.SingleNestedBlock{
				Validators:          []validator.Object{resources.Required{"target"}},
				MarkdownDescription: "Keeps a metric at a value. AWS makes the alarms, which come and go with the policy.",
				Attributes: map[string]schema.Attribute{
					"predefined_metric": schema.StringAttribute{
						Optional: true, Validators: []validator.String{stringvalidator.OneOf(cluster.PredefinedMetrics...)},
						MarkdownDescription: "Such as `ASGAverageCPUUtilization`, or `ALBRequestCountPerTarget` for the requests of the cluster's own target group. " +
							"Otherwise, give `metric`.",
					},
					"target":           schema.Float64Attribute{Optional: true, MarkdownDescription: "The value to keep. Required in the block."},
					"disable_scale_in": schema.BoolAttribute{Optional: true, MarkdownDescription: "Only add servers. Defaults to `false`."},
				},
				Blocks: map[string]schema.Block{"metric": metricBlock("A metric that rises and falls with the number of servers.")},
			},
			"step_scaling": schema.SingleNestedBlock{
				Validators: []validator.Object{resources.Required{"alarm"}},
				MarkdownDescription: "Changes the number of servers by steps while an alarm fires. " +
					"The cluster makes the alarm for each generation, because an alarm names the policy of one group.",
				Attributes: map[string]schema.Attribute{
					"adjustment_type": schema.StringAttribute{
						Optional:            true,
						Validators:          []validator.String{stringvalidator.OneOf("ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity")},
						MarkdownDescription: "`ChangeInCapacity` (the default), `ExactCapacity` or `PercentChangeInCapacity`.",
					},
					"min_adjustment_magnitude": schema.Int32Attribute{
						Optional: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
						MarkdownDescription: "The least number of servers that `PercentChangeInCapacity` changes.",
					},
				},
				Blocks: map[string]schema.Block{
					"step": schema.ListNestedBlock{
						MarkdownDescription: "What happens while the metric is between two bounds.",
						NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
							"lower_bound": schema.Float64Attribute{Optional: true, MarkdownDescription: "Relative to the alarm's threshold; infinite by default."},
							"upper_bound": schema.Float64Attribute{Optional: true, MarkdownDescription: "Relative to the alarm's threshold; infinite by default."},
							"change":      schema.Int32Attribute{Required: true, MarkdownDescription: "By how many servers or how much percent, or to how many."},
						}},
					},
					"alarm": alarmBlock(),
				},
			},
		},
	}
}

func metricBlock(description string) schema.Block {
	return schema.SingleNestedBlock{
		Validators: []validator.Object{resources.Required{"namespace", "name"}}, MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"namespace": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Such as `AWS/SQS`. Required in the block."},
			"name":      schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Name of the metric. Required in the block."},
			"statistic": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "`Average` (the default), `Minimum`, `Maximum`, `SampleCount` or `Sum`; for an alarm also a percentile such as `p95`.",
			},
			"unit": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Unit of the metric. By default, any."},
			"dimensions": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "Dimensions of the metric. `AutoScalingGroupName` and `TargetGroup` may be `\"self\"`, for those of the generation.",
			},
		},
	}
}

func alarmBlock() schema.Block {
	return schema.SingleNestedBlock{
		Validators:          []validator.Object{resources.Required{"metric", "threshold", "comparison"}},
		MarkdownDescription: "The alarm that calls the policy. Required in the block.",
		Attributes: map[string]schema.Attribute{
			"period": durationAttribute(10*time.Second, 7*24*time.Hour, "How long a period of the metric is. Defaults to `1m`."),
			"evaluation_periods": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
				MarkdownDescription: "How many periods in a row are beyond the threshold before the alarm fires. Defaults to 1.",
			},
			"threshold": schema.Float64Attribute{Optional: true, MarkdownDescription: "The threshold. Required in the block."},
			"comparison": schema.StringAttribute{
				Optional: true,
				Validators: []validator.String{stringvalidator.OneOf(
					"GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold")},
				MarkdownDescription: "CloudWatch's comparison operator, such as `GreaterThanThreshold`. Required in the block.",
			},
			"missing_data": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.OneOf("breaching", "notBreaching", "ignore", "missing")},
				MarkdownDescription: "What missing data counts as: `missing` (the default), `breaching`, `notBreaching` or `ignore`.",
			},
		},
		Blocks: map[string]schema.Block{"metric": metricBlock("The metric that the alarm watches. Required in the block.")},
	}
}

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
		"role_arn":              schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Role by which Auto Scaling tells it."},
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

func (d *decoder) policy(m policyModel) cluster.Policy {
	p := cluster.Policy{Name: m.Name.ValueString(), Warmup: d.duration(m.Warmup)}
	if t := m.Tracking; t != nil {
		p.Tracking = &cluster.TargetTracker{
			Predefined: t.Predefined.ValueString(), Target: t.Target.ValueFloat64(), DisableScaleIn: t.DisableScaleIn.ValueBool(),
		}
		if t.Metric != nil {
			metric := d.metric(*t.Metric)
			p.Tracking.Metric = &metric
		}
	}
	if s := m.Step; s != nil && s.Alarm != nil && s.Alarm.Metric != nil {
		p.Step = &cluster.StepScaler{
			Adjustment: "ChangeInCapacity", MinMagnitude: s.MinMagnitude.ValueInt32(),
			Alarm: cluster.StepAlarm{
				Metric: d.metric(*s.Alarm.Metric), Period: defaultPeriod, EvaluationPeriods: 1,
				Threshold: s.Alarm.Threshold.ValueFloat64(), Comparison: s.Alarm.Comparison.ValueString(), MissingData: s.Alarm.MissingData.ValueString(),
			},
		}
		if !s.Adjustment.IsNull() {
			p.Step.Adjustment = s.Adjustment.ValueString()
		}
		if !s.Alarm.Period.IsNull() {
			p.Step.Alarm.Period = d.duration(s.Alarm.Period)
		}
		if !s.Alarm.EvaluationPeriods.IsNull() {
			p.Step.Alarm.EvaluationPeriods = s.Alarm.EvaluationPeriods.ValueInt32()
		}
		if p.Step.Alarm.MissingData == "missing" {
			p.Step.Alarm.MissingData = ""
		}
		for _, r := range s.Steps {
			p.Step.Steps = append(p.Step.Steps, cluster.StepRange{
				Lower: r.Lower.ValueFloat64Pointer(), Upper: r.Upper.ValueFloat64Pointer(), Change: r.Change.ValueInt32(),
			})
		}
	}
	return p
}

func (d *decoder) metric(m metricModel) cluster.Metric {
	metric := cluster.Metric{
		Namespace: m.Namespace.ValueString(), Name: m.Name.ValueString(), Statistic: defaultStatistic, Unit: m.Unit.ValueString(),
		Dimensions: map[string]string{},
	}
	if !m.Statistic.IsNull() {
		metric.Statistic = m.Statistic.ValueString()
	}
	if !m.Dimensions.IsNull() {
		d.diags.Append(m.Dimensions.ElementsAs(d.ctx, &metric.Dimensions, false)...)
	}
	return metric
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

func (e *encoder) policy(p cluster.Policy) policyModel {
	m := policyModel{Name: types.StringValue(p.Name), Warmup: types.StringNull()}
	if p.Warmup > 0 {
		m.Warmup = types.StringValue(humanDuration(p.Warmup))
	}
	if t := p.Tracking; t != nil {
		m.Tracking = &trackingModel{
			Predefined: resources.OptionalString(t.Predefined), Target: types.Float64Value(t.Target), DisableScaleIn: types.BoolValue(t.DisableScaleIn),
		}
		if t.Metric != nil {
			m.Tracking.Metric = e.metric(*t.Metric)
		}
	}
	if s := p.Step; s != nil {
		m.Step = &stepModel{
			Adjustment: types.StringValue(s.Adjustment), MinMagnitude: types.Int32Null(), Steps: []rangeModel{},
			Alarm: &policyAlarmModel{
				Metric: e.metric(s.Alarm.Metric), Period: types.StringValue(humanDuration(s.Alarm.Period)),
				EvaluationPeriods: types.Int32Value(s.Alarm.EvaluationPeriods), Threshold: types.Float64Value(s.Alarm.Threshold),
				Comparison: types.StringValue(s.Alarm.Comparison), MissingData: resources.OptionalString(s.Alarm.MissingData),
			},
		}
		if s.MinMagnitude > 0 {
			m.Step.MinMagnitude = types.Int32Value(s.MinMagnitude)
		}
		for _, r := range s.Steps {
			m.Step.Steps = append(m.Step.Steps, rangeModel{
				Lower: types.Float64PointerValue(r.Lower), Upper: types.Float64PointerValue(r.Upper), Change: types.Int32Value(r.Change),
			})
		}
	}
	return m
}

func (e *encoder) metric(m cluster.Metric) *metricModel {
	dimensions := types.MapNull(types.StringType)
	if len(m.Dimensions) > 0 {
		dimensions = resources.StringMap(m.Dimensions)
	}
	return &metricModel{
		Namespace: types.StringValue(m.Namespace), Name: types.StringValue(m.Name), Statistic: types.StringValue(m.Statistic),
		Unit: resources.OptionalString(m.Unit), Dimensions: dimensions,
	}
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
