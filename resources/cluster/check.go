package cluster

import (
	"cmp"
	"math"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type previewModel struct {
	HTTPHeader  *previewHeaderModel `tfsdk:"http_header"`
	Host        types.String        `tfsdk:"host"`
	Priority    types.Int32         `tfsdk:"priority"`
	URL         types.String        `tfsdk:"url"`
	Unreachable types.String        `tfsdk:"unreachable"`
}

type previewHeaderModel struct {
	Name  types.String `tfsdk:"name"`
	Value types.String `tfsdk:"value"`
}

type checkModel struct {
	Path         types.String `tfsdk:"path"`
	Method       types.String `tfsdk:"method"`
	Headers      types.Map    `tfsdk:"headers"`
	Status       types.String `tfsdk:"status"`
	BodyContains types.String `tfsdk:"body_contains"`
	BodyMatches  types.String `tfsdk:"body_matches"`
	Command      types.List   `tfsdk:"command"`
	Timeout      types.String `tfsdk:"timeout"`
	Within       types.String `tfsdk:"within"`
}

var checkType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"path": types.StringType, "method": types.StringType, "headers": types.MapType{ElemType: types.StringType},
	"status": types.StringType, "body_contains": types.StringType, "body_matches": types.StringType,
	"command": types.ListType{ElemType: types.StringType}, "timeout": types.StringType, "within": types.StringType,
}}

type targetAlarmsModel struct {
	Errors5xx         types.Int32  `tfsdk:"errors_5xx"`
	Latency           types.String `tfsdk:"latency"`
	LatencyStatistic  types.String `tfsdk:"latency_statistic"`
	UnhealthyServers  types.Int32  `tfsdk:"unhealthy_servers"`
	Period            types.String `tfsdk:"period"`
	EvaluationPeriods types.Int32  `tfsdk:"evaluation_periods"`
}

// Defaults of checks and alarms.
const (
	defaultMethod           = "GET"
	defaultStatus           = "200-299"
	defaultRequestTimeout   = 5 * time.Second
	defaultRequestWithin    = 10 * time.Second
	defaultCommandTimeout   = 5 * time.Minute
	defaultLatencyStatistic = "p95"
	defaultAlarmPeriod      = time.Minute
	defaultAlarmPeriods     = 1
)

func previewBlock() schema.Block {
	return schema.SingleNestedBlock{
		MarkdownDescription: "Requests that only tests send, and that reach the new servers before any other does. " +
			"A rule before the cluster's own selects what that selects, with one more condition: the header `http_header`, " +
			"or `host` instead of the rule's hosts. It counts towards the load balancer's limit of rules. " +
			"The rollout opens it once the new servers are healthy, and closes it when they have all requests, or when it is rolled back. " +
			"If another process chooses the priority, the rule gets another one.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "A host that the cluster's own rule does not select, such as `preview.example.com`, without wildcards.",
			},
			"priority": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.Between(1, cluster.MaxPriority-1)},
				MarkdownDescription: "Priority of the preview's rule, lower than that of `listener_rule`. By default, the free one just before it.",
			},
			"url": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Where the checks send their requests, such as `https://10.0.0.7:8443`. " +
					"By default, to the name of the load balancer and the listener's port. " +
					"The requests ask for the host of the preview in any case, and verify a certificate for that host. " +
					"They go there directly, past the proxies in environment variables.",
			},
			"unreachable": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.OneOf(string(rollout.RollBack), string(rollout.Continue))},
				MarkdownDescription: "What happens if the load balancer cannot be reached from where the apply runs, " +
					"or the cluster is scaled to no servers, so that a check says nothing about the version: `roll_back` (the default), " +
					"or `continue` without the checks, with a warning.",
			},
		},
		Blocks: map[string]schema.Block{
			"http_header": schema.SingleNestedBlock{
				Validators: []validator.Object{resources.Required{"name", "value"}},
				MarkdownDescription: "A header that only tests send. Everyone who knows it can see the version before it gets requests. " +
					"Its value is in Terraform's state and in the build data repository, also if it is sensitive, and never in messages and events.",
				Attributes: map[string]schema.Attribute{
					"name": schema.StringAttribute{Optional: true, MarkdownDescription: "Name of the header. Required in the block."},
					"value": schema.StringAttribute{
						Optional: true, MarkdownDescription: "Value, without wildcards. Required in the block. May be sensitive.",
					},
				},
			},
		},
	}
}

func checkBlock() schema.Block {
	optional := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: description}
	}
	return schema.ListNestedBlock{
		MarkdownDescription: "A check of the new servers: a request with expectations, or a command. " +
			"All checks run, one after the other, before the new servers get requests, and again after each of `steps` and after all requests. " +
			"They reach only the new servers, by the `preview`, which they need. " +
			"If one fails, the rollout is rolled back; a version that fails before it gets requests costs no user's request. " +
			"They run where the apply or `delivery rollout resume` runs; `delivery rollout undo` runs none when it goes back to a version before. " +
			"A worker cluster can be checked by commands, without a preview.",
		NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
			"path": optional("The path to request, with a query string if needed, such as `/buy?dry_run=1`. " +
				"The rule of the cluster must select it, or another version might answer. Required without `command`."),
			"method": optional("The HTTP method, without a body. Defaults to `" + defaultMethod + "`."),
			"headers": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "Further headers. The header of the preview, and those in the cluster's rule, are sent in any case. " +
					"`Host` replaces the host: by default, that of the preview, or the first one without wildcards in the rule. " +
					"Values may be sensitive, as in `preview`.",
			},
			"status": optional("The status codes that are expected, such as `200`, `200-299` or `200,302`. " +
				"Redirects are not followed. Defaults to `" + defaultStatus + "`."),
			"body_contains": optional("A text that the body must contain, within its first MiB."),
			"body_matches":  optional("A regular expression (RE2) that the body must match."),
			"command": schema.ListAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.List{listvalidator.SizeAtLeast(1), resources.NoNull{}},
				MarkdownDescription: "A program with its arguments, instead of a request, such as `[\"./smoke.sh\"]`. It runs in the folder " +
					"that the apply runs in, and passes if it exits with code 0. When its time is over or the apply is interrupted, " +
					"all of its processes are ended. It finds in its environment: `DELIVERY_CHECK_URL`, `DELIVERY_CHECK_HOST`, " +
					"`DELIVERY_CHECK_HEADER_NAME` and `DELIVERY_CHECK_HEADER_VALUE` of the preview, `DELIVERY_CHECK_VERSION`, " +
					"`DELIVERY_CHECK_SERVICE`, `DELIVERY_CHECK_ENVIRONMENT`, and `DELIVERY_CHECK_PERCENT`, the share of the users' requests " +
					"that the version gets.",
			},
			"timeout": durationAttribute(time.Second, time.Hour, "How long one try may take. Defaults to `"+humanDuration(defaultRequestTimeout)+
				"` for a request and `"+humanDuration(defaultCommandTimeout)+"` for a command."),
			"within": durationAttribute(0, time.Hour, "How long a check that fails is tried again, every five seconds. Defaults to `"+
				humanDuration(defaultRequestWithin)+"` for a request and `0s` for a command."),
		}},
	}
}

func targetAlarmsBlock() schema.Block {
	threshold := func(description string) schema.Int32Attribute {
		return schema.Int32Attribute{
			Optional: true, Validators: []validator.Int32{int32validator.Between(0, math.MaxInt32)}, MarkdownDescription: description,
		}
	}
	return schema.SingleNestedBlock{
		MarkdownDescription: "CloudWatch alarms on the target group of the new servers alone, made before they get requests and removed " +
			"when the rollout ends. They are observed together with `alarms`. An alarm without data does not fire, whatever `missing_data` says. " +
			"Load balancers report once a minute, and CloudWatch takes a minute or two to notice, so set `observe_for` to more than `period` " +
			"times `evaluation_periods`; less is refused. Give at least one of `errors_5xx`, `latency` and `unhealthy_servers`. " +
			"A creation makes no alarms, unless it takes something over.",
		Attributes: map[string]schema.Attribute{
			"errors_5xx": threshold("Fires if the servers answer more than so many requests with a status of 500 and above in a period."),
			"latency": schema.StringAttribute{
				Optional:            true,
				Validators:          []validator.String{resources.DurationBetween{Least: time.Millisecond, Most: time.Hour, Unit: time.Millisecond}},
				MarkdownDescription: "Fires if the servers take longer to answer, such as `800ms`.",
			},
			"latency_statistic": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.RegexMatches(cluster.StatisticPattern, "use p1 to p99.9, or Average")},
				MarkdownDescription: "The statistic of `latency`: a percentile such as `p99`, or `Average`. Defaults to `" + defaultLatencyStatistic + "`.",
			},
			"unhealthy_servers": threshold("Fires if the load balancer finds more than so many servers unhealthy."),
			"period": durationAttribute(time.Minute, time.Hour,
				"The length of a period in whole minutes. Defaults to `"+humanDuration(defaultAlarmPeriod)+"`."),
			"evaluation_periods": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.Between(1, 1440)},
				MarkdownDescription: "The number of consecutive periods in which the threshold must be exceeded. Defaults to 1.",
			},
		},
	}
}

// tests decodes preview, checks and alarms into the settings.
func (d *decoder) tests(m *rolloutModel, s *rollout.Settings) {
	if p := m.Preview; p != nil {
		s.Preview = &cluster.Preview{Host: p.Host.ValueString(), Priority: p.Priority.ValueInt32()}
		if h := p.HTTPHeader; h != nil {
			s.Preview.Header = &cluster.Header{Name: h.Name.ValueString(), Values: []string{h.Value.ValueString()}}
		}
		s.CheckURL = p.URL.ValueString()
		s.Unreachable = rollout.Unreachable(p.Unreachable.ValueString())
	}
	var checks []checkModel
	d.diags.Append(m.Checks.ElementsAs(d.ctx, &checks, false)...)
	for _, c := range checks {
		s.Checks = append(s.Checks, d.check(c))
	}
	if a := m.TargetAlarms; a != nil {
		s.TargetAlarms = &cluster.TargetAlarms{
			Errors5xx: a.Errors5xx.ValueInt32Pointer(), UnhealthyServers: a.UnhealthyServers.ValueInt32Pointer(), Latency: d.duration(a.Latency),
			Period: defaultAlarmPeriod, EvaluationPeriods: cmp.Or(a.EvaluationPeriods.ValueInt32(), defaultAlarmPeriods),
		}
		if !a.Latency.IsNull() {
			s.TargetAlarms.LatencyStatistic = cmp.Or(a.LatencyStatistic.ValueString(), defaultLatencyStatistic)
		}
		if !a.Period.IsNull() {
			s.TargetAlarms.Period = d.duration(a.Period)
		}
	}
}

func (d *decoder) check(m checkModel) rollout.Check {
	c := rollout.Check{
		Path: m.Path.ValueString(), Method: m.Method.ValueString(), Status: m.Status.ValueString(),
		BodyContains: m.BodyContains.ValueString(), BodyMatches: m.BodyMatches.ValueString(),
	}
	d.diags.Append(m.Headers.ElementsAs(d.ctx, &c.Headers, false)...)
	d.diags.Append(m.Command.ElementsAs(d.ctx, &c.Command, false)...)
	if len(c.Command) > 0 {
		c.Timeout = defaultCommandTimeout
	} else {
		c.Method, c.Status = cmp.Or(c.Method, defaultMethod), cmp.Or(c.Status, defaultStatus)
		c.Timeout, c.Within = defaultRequestTimeout, defaultRequestWithin
	}
	if !m.Timeout.IsNull() {
		c.Timeout = d.duration(m.Timeout)
	}
	if !m.Within.IsNull() {
		c.Within = d.duration(m.Within)
	}
	return c
}
