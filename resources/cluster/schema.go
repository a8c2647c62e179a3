package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
)

// The values of metadata_http_tokens.
const (
	tokensRequired = "required"
	tokensOptional = "optional"
)

var objectOptions = basetypes.ObjectAsOptions{}

var healthCheckTypes = map[string]attr.Type{
	"path":                types.StringType,
	"matcher":             types.StringType,
	"interval":            timetypes.GoDurationType{},
	"timeout":             timetypes.GoDurationType{},
	"healthy_threshold":   types.Int32Type,
	"unhealthy_threshold": types.Int32Type,
	"grace_period":        timetypes.GoDurationType{},
}

// Defaults of a health check. They find a new server healthy within 20 seconds
// of its first answer, where AWS's own take two and a half minutes.
const (
	defaultPath      = "/"
	defaultMatcher   = "200"
	defaultInterval  = "10s"
	defaultTimeout   = "5s"
	defaultThreshold = 2
	defaultGrace     = "5m"
	defaultDelay     = "30s"
)

var defaultHealthCheck = types.ObjectValueMust(healthCheckTypes, map[string]attr.Value{
	"path":                types.StringValue(defaultPath),
	"matcher":             types.StringValue(defaultMatcher),
	"interval":            timetypes.NewGoDurationValueFromStringMust(defaultInterval),
	"timeout":             timetypes.NewGoDurationValueFromStringMust(defaultTimeout),
	"healthy_threshold":   types.Int32Value(defaultThreshold),
	"unhealthy_threshold": types.Int32Value(defaultThreshold),
	"grace_period":        timetypes.NewGoDurationValueFromStringMust(defaultGrace),
})

func (r *clusterResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Immutable servers of one service in one environment: an Auto Scaling group of its own made from a tested image, behind a listener that exists already. " +
			"The creation ends when every server is healthy, and leaves nothing behind when it fails.\n\n" +
			"Sizes, tags and the requests that a listener rule selects are changed in place; the number of running servers is left to whoever scales the group. " +
			"Any other change, above all of `version` and `image_id`, is a *rollout* within the apply: new servers, as many as the old ones are at that moment, get the requests once they are healthy, are watched, and only then do the old ones go. " +
			"A rollout that fails is taken back, and the apply fails and says what serves. One that is interrupted is on record in the build data repository; the next apply goes on with it, and `delivery rollout` shows it, finishes it or takes it back. " +
			"Only another `service` or `environment` is another cluster and replaces this one.",
		Attributes: map[string]schema.Attribute{
			"id": schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "`service/environment`, which is also what an import takes."},
			"service": schema.StringAttribute{
				Required: true, PlanModifiers: replace, Validators: []validator.String{nameValidator{}},
				MarkdownDescription: "The service that the servers run.",
			},
			"environment": schema.StringAttribute{
				Required: true, PlanModifiers: replace, Validators: []validator.String{nameValidator{}},
				MarkdownDescription: "The environment they run in: 1 to 64 letters, digits, dots, underscores and hyphens.",
			},
			"version": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthBetween(1, 256)},
				MarkdownDescription: "The version that the image holds.",
			},
			"image_id": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "The AMI, usually from the data source `delivery_image`. One with a volume that would outlive its server is refused: data belongs in resources of its own.",
			},

			"instance_type": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "The instance type, such as `t3.micro`. Required without `launch_template`.",
			},
			"subnet_ids": schema.SetAttribute{
				Required: true, ElementType: types.StringType, Validators: []validator.Set{setvalidator.SizeAtLeast(1)},
				MarkdownDescription: "The subnets of the servers, all in the load balancer's VPC.",
			},
			"security_group_ids": schema.SetAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Set{setvalidator.SizeAtLeast(1)},
				MarkdownDescription: "The security groups of the servers. Defaults to the VPC's default group.",
			},
			"iam_instance_profile": schema.StringAttribute{Optional: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)}, MarkdownDescription: "Name or ARN of the servers' IAM instance profile."},
			"user_data": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.LengthBetween(1, 16*1024)},
				MarkdownDescription: "User data as plain text, at most 16 KiB. Not the place for secrets: it is readable in the account, in Terraform's state and in the build data repository.",
			},
			"root_volume_size": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.Between(1, 64*1024)},
				MarkdownDescription: "Size of the root volume in GiB. Defaults to the image's.",
			},
			"metadata_http_tokens": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(tokensRequired),
				Validators:          []validator.String{stringvalidator.OneOf(tokensRequired, tokensOptional)},
				MarkdownDescription: "`required` (the default) admits version 2 of the instance metadata service only, `optional` version 1 as well.",
			},
			"launch_template": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "An existing launch template to copy, in place of `instance_type`, `security_group_ids`, `iam_instance_profile`, `user_data` and `root_volume_size`. Later changes of the template have no effect on the cluster, and an import does not know where its template was copied from.",
				Attributes: map[string]schema.Attribute{
					"id":      schema.StringAttribute{Required: true, MarkdownDescription: "The template's id."},
					"version": schema.StringAttribute{Required: true, MarkdownDescription: "The template's version: a number, `$Latest` or `$Default`."},
				},
			},

			"min_size": schema.Int32Attribute{
				Required: true, Validators: []validator.Int32{int32validator.AtLeast(0)},
				MarkdownDescription: "The least number of servers, which is also what the cluster starts with.",
			},
			"max_size": schema.Int32Attribute{
				Required: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
				MarkdownDescription: "The largest number of servers.",
			},

			"listener": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "ARN of a listener of an application load balancer. Without one it is a worker cluster, judged by its instances' health alone.",
			},
			"listener_rule": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "Which of the listener's requests are for this cluster; those that match host and path, at most five patterns in all. Without a rule the cluster takes the listener's default action, which has to be a fixed response before, and is one again afterwards: 503. A rule or default action that serves something else is never taken over.",
				Attributes: map[string]schema.Attribute{
					"priority": schema.Int32Attribute{
						Required: true, Validators: []validator.Int32{int32validator.Between(1, 50_000)},
						MarkdownDescription: "Priority, 1 to 50000, unique in the listener.",
					},
					"hosts": schema.SetAttribute{
						Optional: true, ElementType: types.StringType, Validators: conditionValues,
						MarkdownDescription: "Host names, with `*` and `?` as wildcards.",
					},
					"paths": schema.SetAttribute{
						Optional: true, ElementType: types.StringType, Validators: conditionValues,
						MarkdownDescription: "Paths, with `*` and `?` as wildcards.",
					},
				},
			},
			"target": targetAttribute(),

			"rollout": rolloutAttribute(),

			"tags": schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Tags of everything in the cluster, in addition to the provider's `default_tags` and to `service`, `environment` and `version`."},
			"tags_all": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "All tags of everything in the cluster: group, servers, volumes, launch template, target group and rule.",
			},

			"generation":             schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "Name of the generation that serves, which its launch template, Auto Scaling group and target group bear. Every rollout brings another."},
			"autoscaling_group_name": schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "Name of the Auto Scaling group. Every rollout brings another, to which Terraform moves whatever refers to this, such as scaling policies, once the rollout has ended."},
			"target_group_arn":       schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "ARN of the target group; null without a listener."},
			"launch_template_id":     schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "Id of the launch template."},
			"missing": schema.ListAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "Parts of the cluster that should be there and are not, because somebody removed them. The next apply rolls out a complete generation.",
			},
			"traffic": schema.Int32Attribute{
				Computed: true, PlanModifiers: []planmodifier.Int32{int32planmodifier.UseStateForUnknown()},
				MarkdownDescription: "Percentage of the cluster's requests that its generation gets; null without a listener. Where it is not 100, because somebody changed the weights, the next apply puts it right.",
			},
			"previous_version": schema.StringAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "The version that `keep_previous` has kept ready; null if none is.",
			},
			"last_rollout": schema.SingleNestedAttribute{
				Computed: true, PlanModifiers: []planmodifier.Object{objectplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "The latest rollout by the build data repository. A plan shows here which version a rollout would move the cluster from and to.",
				Attributes: map[string]schema.Attribute{
					"id":           schema.StringAttribute{Computed: true, MarkdownDescription: "Its id, for `delivery rollout status`."},
					"from_version": schema.StringAttribute{Computed: true, MarkdownDescription: "The version before; null in the cluster's creation."},
					"to_version":   schema.StringAttribute{Computed: true, MarkdownDescription: "The version that it brings."},
					"status":       schema.StringAttribute{Computed: true, MarkdownDescription: "`succeeded`, `failed` (it was taken back), or `started`: it was interrupted, and the next apply brings it to its end."},
				},
			},

			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{
				Create: true, Update: true, Delete: true,
				CreateDescription: "How long the creation may take as a whole, as `30m`; when that is over, it is taken back. By default each of its waits has a bound of its own.",
				UpdateDescription: "How long a change may take as a whole; when that is over, a rollout is taken back. By default each of its waits has a bound of its own.",
				DeleteDescription: "How long the removal may take. Defaults to `" + defaultDelete.String() + "`.",
			}),
		},
	}
}

// conditionValues: AWS takes patterns of 1 to 128 characters.
var conditionValues = []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(stringvalidator.LengthBetween(1, 128))}

// targetAttribute's ranges are AWS's,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
func targetAttribute() schema.Attribute {
	duration := func(byDefault string, least, most time.Duration, text string) schema.StringAttribute {
		a := schema.StringAttribute{
			Optional: true, CustomType: timetypes.GoDurationType{}, MarkdownDescription: text,
			Validators: []validator.String{durationBetween{least, most}},
		}
		if byDefault != "" {
			a.Computed, a.Default = true, stringdefault.StaticString(byDefault)
			a.MarkdownDescription += " Defaults to `" + byDefault + "`."
		}
		return a
	}
	threshold := func(text string) schema.Int32Attribute {
		return schema.Int32Attribute{
			Optional: true, Computed: true, Default: int32default.StaticInt32(defaultThreshold), Validators: []validator.Int32{int32validator.Between(2, 10)},
			MarkdownDescription: fmt.Sprintf("%s, 2 to 10. Defaults to %d.", text, defaultThreshold),
		}
	}
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "How requests reach a server. Required with `listener`, and only then.",
		Attributes: map[string]schema.Attribute{
			"port": schema.Int32Attribute{Required: true, Validators: []validator.Int32{int32validator.Between(1, 65535)}, MarkdownDescription: "The port that the service listens on."},
			"protocol": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("HTTP"), Validators: []validator.String{stringvalidator.OneOf("HTTP", "HTTPS")},
				MarkdownDescription: "`HTTP` (the default) or `HTTPS`.",
			},
			"deregistration_delay": duration(defaultDelay, 0, time.Hour, "How long a server that leaves may finish its requests, at most `1h`."),
			"stickiness":           duration("", time.Second, 7*24*time.Hour, "How long a client stays with its server, `1s` to `168h`, by a cookie of the load balancer. Not at all by default."),
			"health_check": schema.SingleNestedAttribute{
				Optional: true, Computed: true, Default: objectdefault.StaticValue(defaultHealthCheck),
				MarkdownDescription: "When a server is healthy.",
				Attributes: map[string]schema.Attribute{
					"path": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(defaultPath), Validators: []validator.String{stringvalidator.LengthBetween(1, 1024)},
						MarkdownDescription: "The path that is asked for. Defaults to `" + defaultPath + "`.",
					},
					"matcher": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(defaultMatcher),
						MarkdownDescription: "The status codes that mean healthy, as `200`, `200-299` or `200,302`. Defaults to `" + defaultMatcher + "`.",
					},
					"interval":            duration(defaultInterval, 5*time.Second, 5*time.Minute, "Time between two checks, `5s` to `5m`."),
					"timeout":             duration(defaultTimeout, 2*time.Second, 2*time.Minute, "Time for an answer, `2s` to `2m`, shorter than the interval."),
					"healthy_threshold":   threshold("Checks in a row after which a server is healthy"),
					"unhealthy_threshold": threshold("Checks in a row after which a server is unhealthy"),
					"grace_period":        duration(defaultGrace, 0, 24*time.Hour, "How long a new server may be unhealthy before it is replaced."),
				},
			},
		},
	}
}
