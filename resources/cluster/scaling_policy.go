package cluster

import (
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

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

// The types of a scaling policy and its metric.
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
)

// Defaults of a metric and an alarm.
const (
	defaultStatistic = "Average"
	defaultPeriod    = time.Minute
)

const policyText = "A scaling policy of the servers. It moves with them: a rollout attaches it to the new servers before they get requests. " +
	"It has either `target_tracking` or `step_scaling`."

func policyBlock() schema.NestedBlockObject {
	bound := schema.Float64Attribute{Optional: true, MarkdownDescription: "Relative to the alarm's threshold; infinite by default."}
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
						MarkdownDescription: "Such as `ASGAverageCPUUtilization`, or `ALBRequestCountPerTarget` for the requests of the cluster's own " +
							"target group. Otherwise, give `metric`.",
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
							"lower_bound": bound, "upper_bound": bound,
							"change": schema.Int32Attribute{
								Required: true, MarkdownDescription: "By how many servers or how much percent, or to how many.",
							},
						}},
					},
					"alarm": alarmBlock(),
				},
			},
		},
	}
}

func metricBlock(description string) schema.Block {
	required := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: description}
	}
	return schema.SingleNestedBlock{
		Validators: []validator.Object{resources.Required{"namespace", "name"}}, MarkdownDescription: description,
		Attributes: map[string]schema.Attribute{
			"namespace": required("Such as `AWS/SQS`. Required in the block."),
			"name":      required("Name of the metric. Required in the block."),
			"statistic": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "`Average` (the default), `Minimum`, `Maximum`, `SampleCount` or `Sum`; " +
					"for an alarm also a percentile such as `p95`.",
			},
			"unit": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Unit of the metric. By default, any."},
			"dimensions": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "Dimensions of the metric. `AutoScalingGroupName` and `TargetGroup` may be `\"self\"`, " +
					"for those of the generation.",
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
				Threshold: s.Alarm.Threshold.ValueFloat64(), Comparison: s.Alarm.Comparison.ValueString(),
				MissingData: s.Alarm.MissingData.ValueString(),
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

func (e *encoder) policy(p cluster.Policy) policyModel {
	m := policyModel{Name: types.StringValue(p.Name), Warmup: types.StringNull()}
	if p.Warmup > 0 {
		m.Warmup = types.StringValue(humanDuration(p.Warmup))
	}
	if t := p.Tracking; t != nil {
		m.Tracking = &trackingModel{
			Predefined: resources.OptionalString(t.Predefined), Target: types.Float64Value(t.Target),
			DisableScaleIn: types.BoolValue(t.DisableScaleIn),
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
