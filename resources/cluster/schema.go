package cluster

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// The values of metadata_http_tokens.
const (
	tokensRequired = "required"
	tokensOptional = "optional"
)

var objectOptions = basetypes.ObjectAsOptions{}

var healthCheckTypes = map[string]attr.Type{
	"path":                types.StringType,
	"port":                types.Int32Type,
	"protocol":            types.StringType,
	"matcher":             types.StringType,
	"interval":            types.StringType,
	"timeout":             types.StringType,
	"healthy_threshold":   types.Int32Type,
	"unhealthy_threshold": types.Int32Type,
	"grace_period":        types.StringType,
}

// Defaults of a health check. With them, a new server is healthy within 20
// seconds of its first answer. With AWS's own, it takes two and a half minutes.
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
	"port":                types.Int32Null(),
	"protocol":            types.StringNull(),
	"matcher":             types.StringValue(defaultMatcher),
	"interval":            types.StringValue(defaultInterval),
	"timeout":             types.StringValue(defaultTimeout),
	"healthy_threshold":   types.Int32Value(defaultThreshold),
	"unhealthy_threshold": types.Int32Value(defaultThreshold),
	"grace_period":        types.StringValue(defaultGrace),
})

func (r *clusterResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Immutable servers of one service in one environment: an Auto Scaling group of servers from a tested image, " +
			"behind an existing listener. The creation ends when every server is healthy. A creation that fails leaves nothing behind.\n\n" +
			"Sizes, tags and the requests that a listener rule selects are changed in place. " +
			"Autoscaling decides on the number of running servers, within the configured sizes. " +
			"Every other change, above all of `version` and `image_id`, makes the apply run a *rollout*: " +
			"it starts as many new servers as there are old ones at that moment. " +
			"Once the new servers are healthy, it sends them the requests and observes them. Only then does it remove the old servers. " +
			"A rollout that fails is rolled back; the apply then fails and says what serves. " +
			"An interrupted rollout is on record in the build data repository: the next apply continues it, " +
			"and `delivery rollout` shows it, finishes it or rolls it back. " +
			"Only a change of `service` or `environment` replaces the cluster.\n\n" +
			"What was tested should be what is rolled out. " +
			"So a plan and an apply that start servers of a version compare them with those in the other environment " +
			"that a run at the version's own revision has tested, and warn of each difference in `image_id`, the instances and `target`. " +
			"Values in which only the name of the environment differs are equal, and user data is never shown. " +
			"If no such test is on record, there is no warning.",
		Attributes: map[string]schema.Attribute{
			"id": computedString("`service/environment`. An import takes this ID, too."),
			"service": schema.StringAttribute{
				Required: true, PlanModifiers: replace, Validators: []validator.String{nameValidator{}},
				MarkdownDescription: "The service that the servers run.",
			},
			"environment": schema.StringAttribute{
				Required: true, PlanModifiers: replace, Validators: []validator.String{nameValidator{}},
				MarkdownDescription: "The environment that the servers run in: 1 to 64 letters, digits, dots, underscores and hyphens.",
			},
			"version": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthBetween(1, cluster.MaxVersion)},
				MarkdownDescription: "The version that the servers run. It must exist and not be revoked.",
			},
			"image_id": schema.StringAttribute{
				Optional: true, Computed: true, Validators: notEmpty,
				MarkdownDescription: "The AMI. Defaults to the image of the version in the provider's region; " +
					"if there are several, of different architectures, choose one with the data source `delivery_image`. " +
					"An image that is not registered as one of the version is refused, as is one with a volume that would outlive its server: " +
					"keep data in resources of its own.",
			},
			"allow_revoked": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Start servers of the version although it is revoked. Defaults to `false`. " +
					"Servers that run a revoked version keep running, and can be changed in place and destroyed, in any case.",
			},
			"allow_unregistered_image": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Accept an `image_id` that is not registered as an image of the version. Defaults to `false`. " +
					"What the servers then run is not on record.",
			},

			"instance_type": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "The instance type, such as `t3.micro`. Required without `launch_template` and `mixed_instances`.",
			},
			"subnet_ids": schema.SetAttribute{
				Required: true, ElementType: types.StringType, Validators: someStrings,
				MarkdownDescription: "The subnets of the servers, all in the load balancer's VPC.",
			},
			"security_group_ids": schema.SetAttribute{
				Optional: true, ElementType: types.StringType, Validators: someStrings,
				MarkdownDescription: "The security groups of the servers. Defaults to the VPC's default group.",
			},
			"iam_instance_profile": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "Name or ARN of the servers' IAM instance profile.",
			},
			"user_data": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.LengthBetween(1, cluster.MaxUserData), plainUserData{}},
				MarkdownDescription: "User data as plain text, at most 16 KiB. Do not put secrets here: " +
					"user data can be read in the account, in Terraform's state and in the build data repository.",
			},
			"user_data_base64": schema.StringAttribute{
				Optional: true, Validators: []validator.String{encodedUserData{}},
				MarkdownDescription: "User data in base64, instead of `user_data`: for data that is not text, such as the gzip that " +
					"`cloudinit_config` renders by default. At most 16 KiB once it is decoded. " +
					"The same data needs no new servers when it moves from one argument to the other. " +
					"An import sets `user_data` if the data is text.",
			},
			"root_volume_size": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.Between(1, 64*1024)},
				MarkdownDescription: "Size of the root volume in GiB. Defaults to the image's size.",
			},
			"metadata_http_tokens": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(tokensRequired),
				Validators: []validator.String{stringvalidator.OneOf(tokensRequired, tokensOptional)},
				MarkdownDescription: "`required` (the default) allows only version 2 of the instance metadata service. " +
					"`optional` also allows version 1.",
			},
			"min_size": schema.Int32Attribute{
				Required: true, Validators: []validator.Int32{int32validator.AtLeast(0)},
				MarkdownDescription: "The smallest number of servers. The cluster starts with this number.",
			},
			"max_size": schema.Int32Attribute{
				Required: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
				MarkdownDescription: "The largest number of servers.",
			},

			"listener": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "ARN of a listener of an application load balancer. " +
					"A cluster without a listener is a worker cluster: only the health of its instances counts.",
			},
			"take_over_target_group_arn": schema.StringAttribute{
				Optional: true, Computed: true, Validators: notEmpty, PlanModifiers: []planmodifier.String{onlyAtCreation{}},
				MarkdownDescription: "ARN of the target group of an existing service, which other tools made and whose requests the cluster takes over " +
					"when it is created. `listener_rule` must have the same conditions as the rule of that service, and come before it. " +
					"The requests then move by the `rollout` block's `steps`, with `observe_for` and `alarms`, from the existing target group " +
					"to that of the cluster. The existing rule, target group and servers are never changed: if the creation fails, and when the " +
					"cluster is destroyed, only the cluster's rule is removed, and the existing one answers again. " +
					"After the creation, the argument has no effect and can be removed. See the guide \"Take over an existing service\".",
			},
			"tags": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "Tags of everything in the cluster, in addition to the provider's `default_tags` " +
					"and to `service`, `environment` and `version`.",
			},
			"tags_all": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "All tags of everything in the cluster: group, servers, volumes, launch template, target group and rule.",
			},

			"generation": computedString("Name of the generation that serves. " +
				"Its launch template, Auto Scaling group and target group have this name. Every rollout changes it."),
			"autoscaling_group_name": computedString("Name of the Auto Scaling group. Every rollout changes it. " +
				"What refers to it, Terraform destroys before the rollout and creates after it; use `scaling_policy`, `scheduled_action`, " +
				"`lifecycle_hook` and `target_group_arns` instead, which move with the servers."),
			"target_group_arn":   computedString("ARN of the target group; null without a listener."),
			"launch_template_id": computedString("ID of the launch template."),
			"missing": schema.ListAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "Parts of the cluster that should exist and do not, because they were removed by other means. " +
					"The next apply rolls out a complete generation.",
			},
			"foreign_conditions": schema.ListAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "Conditions of the listener rule, without their values, that `listener_rule` cannot express, " +
					"such as regular expressions: they were set by other means. They are kept, and each refresh warns of them.",
			},
			"carried_attachments": schema.ListAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "What is attached to the Auto Scaling group by other means, such as scaling policies that are no " +
					"`scaling_policy` of the cluster. A rollout carries it to the next group.",
			},
			"traffic": schema.Int32Attribute{
				Computed: true, PlanModifiers: []planmodifier.Int32{int32planmodifier.UseStateForUnknown()},
				MarkdownDescription: "Percentage of the cluster's requests that its generation gets; null without a listener. " +
					"If it is not 100, because the weights were changed by other means, the next apply corrects it.",
			},
			"previous_version": computedString("The version that `keep_previous` keeps ready; null if there is none."),
			"last_rollout": schema.SingleNestedAttribute{
				Computed: true, PlanModifiers: []planmodifier.Object{objectplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "The latest rollout in the build data repository. " +
					"A plan shows here which version a rollout would move the cluster from and to.",
				Attributes: map[string]schema.Attribute{
					"id":           schema.StringAttribute{Computed: true, MarkdownDescription: "The ID that `delivery rollout status` shows."},
					"from_version": schema.StringAttribute{Computed: true, MarkdownDescription: "The version before; null in the cluster's creation."},
					"to_version":   schema.StringAttribute{Computed: true, MarkdownDescription: "The version that the rollout moves to."},
					"status": schema.StringAttribute{
						Computed: true,
						MarkdownDescription: "`succeeded`, `failed` (it was rolled back) or `started` (it was interrupted, " +
							"and the next apply finishes it).",
					},
				},
			},
		},
		// These are blocks, because Terraform drops arguments that it does not know from the
		// objects of nested attributes: a rollout would watch no alarms if they were misspelled.
		Blocks: map[string]schema.Block{
			"launch_template": schema.SingleNestedBlock{
				Validators: []validator.Object{resources.Required{"id", "version"}},
				MarkdownDescription: "An existing launch template to copy, instead of `instance_type`, `security_group_ids`, " +
					"`iam_instance_profile`, `user_data`, `user_data_base64`, `key_name`, `metadata_hop_limit`, `detailed_monitoring`, `volume` " +
					"and the arguments of the root volume. " +
					"Later changes of the template have no effect on the cluster. " +
					"An import cannot tell which template was copied.",
				Attributes: map[string]schema.Attribute{
					"id": schema.StringAttribute{Optional: true, MarkdownDescription: "The template's ID. Required in the block."},
					"version": schema.StringAttribute{
						Optional: true, MarkdownDescription: "The template's version: a number, `$Latest` or `$Default`. Required in the block.",
					},
				},
			},
			"listener_rule": ruleBlock(),
			"further_rule":  furtherBlock(),
			"target":        targetBlock(),
			"rollout":       rolloutBlock(),
			"timeouts": timeouts.Block(ctx, timeouts.Opts{
				Create: true, Update: true, Delete: true,
				CreateDescription: "How long the creation may take as a whole, such as `30m`. After that time, it is rolled back. " +
					"By default, only its single waits have timeouts.",
				UpdateDescription: "How long a change may take as a whole. After that time, a rollout is rolled back. " +
					"By default, only its single waits have timeouts.",
				DeleteDescription: "How long the removal may take. Defaults to `" + humanDuration(defaultDelete) + "`.",
			}),
		},
	}
	maps.Copy(resp.Schema.Attributes, attachmentAttributes())
	maps.Copy(resp.Schema.Blocks, attachmentBlocks())
	maps.Copy(resp.Schema.Attributes, launchAttributes())
	maps.Copy(resp.Schema.Blocks, launchBlocks())
}

// computedString is an attribute that keeps its value unless the plan says
// otherwise.
func computedString(description string) schema.StringAttribute {
	return schema.StringAttribute{
		Computed: true, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}, MarkdownDescription: description,
	}
}

var notEmpty = []validator.String{stringvalidator.LengthAtLeast(1)}

// someStrings is a set with at least one string. A null element would come
// from a variable that is not set.
var someStrings = []validator.Set{setvalidator.SizeAtLeast(1), resources.NoNull{}}

// durationAttribute is an optional duration of whole seconds.
func durationAttribute(least, most time.Duration, description string) schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, MarkdownDescription: description,
		Validators: []validator.String{resources.DurationBetween{Least: least, Most: most}},
	}
}

// targetBlock has the ranges of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
func targetBlock() schema.Block {
	duration := func(byDefault string, least, most time.Duration, description string) schema.StringAttribute {
		a := durationAttribute(least, most, description+" Defaults to `"+byDefault+"`.")
		a.Computed, a.Default = true, stringdefault.StaticString(byDefault)
		return a
	}
	threshold := func(description string) schema.Int32Attribute {
		return schema.Int32Attribute{
			Optional: true, Computed: true, Default: int32default.StaticInt32(defaultThreshold),
			Validators:          []validator.Int32{int32validator.Between(2, 10)},
			MarkdownDescription: fmt.Sprintf("%s, 2 to 10. Defaults to %d.", description, defaultThreshold),
		}
	}
	return schema.SingleNestedBlock{
		Validators:          []validator.Object{resources.Required{"port"}},
		MarkdownDescription: "How requests reach a server. Required with `listener`, and not allowed without it.",
		Attributes: map[string]schema.Attribute{
			"port": schema.Int32Attribute{
				Optional: true, Validators: []validator.Int32{int32validator.Between(1, 65535)},
				MarkdownDescription: "The port that the service listens on. Required in the block.",
			},
			"protocol": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("HTTP"),
				Validators:          []validator.String{targetProtocol{}},
				MarkdownDescription: "`HTTP` (the default) or `HTTPS`.",
			},
			"deregistration_delay": duration(defaultDelay, 0, time.Hour,
				"The time that a server has to finish its requests before it is terminated, at most `1h`."),
			"stickiness": durationAttribute(time.Second, 7*24*time.Hour,
				"How long a client stays with its server, `1s` to `168h`, by a cookie of the load balancer. By default, it does not."),
		},
		Blocks: map[string]schema.Block{
			"health_check": schema.SingleNestedBlock{
				MarkdownDescription: "Decides whether a server is healthy.",
				Attributes: map[string]schema.Attribute{
					"path": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(defaultPath),
						Validators:          []validator.String{stringvalidator.LengthBetween(1, 1024)},
						MarkdownDescription: "The path that is requested. Defaults to `" + defaultPath + "`.",
					},
					"port": schema.Int32Attribute{
						Optional: true, Validators: []validator.Int32{int32validator.Between(1, 65535)},
						MarkdownDescription: "The port that is checked. Defaults to the port of the target. " +
							"The servers' security group has to allow the load balancer to reach it.",
					},
					"protocol": schema.StringAttribute{
						Optional: true, Validators: []validator.String{targetProtocol{}},
						MarkdownDescription: "`HTTP` or `HTTPS`. Defaults to the protocol of the target.",
					},
					"matcher": schema.StringAttribute{
						Optional: true, Computed: true, Default: stringdefault.StaticString(defaultMatcher),
						MarkdownDescription: "The status codes of a healthy server, such as `200`, `200-299` or `200,302`. " +
							"Defaults to `" + defaultMatcher + "`.",
					},
					"interval": duration(defaultInterval, 5*time.Second, 5*time.Minute, "Time between two checks, `5s` to `5m`."),
					"timeout": duration(defaultTimeout, 2*time.Second, 2*time.Minute,
						"The time that a server has to answer, `2s` to `2m`, shorter than the interval."),
					"healthy_threshold":   threshold("Number of consecutive successful checks after which a server is healthy"),
					"unhealthy_threshold": threshold("Number of consecutive failed checks after which a server is unhealthy"),
					"grace_period": duration(defaultGrace, 0, 24*time.Hour,
						"How long a new server may be unhealthy before it is replaced."),
				},
			},
		},
	}
}
