package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

const address = "delivery_cluster.strawberry"

// arguments are those of a cluster under test. Those that are empty are left out.
type arguments map[string]string

// ensureVersion allocates versions of strawberry until there is one of that name,
// which is quoted. Names that are not numbers are left alone.
func ensureVersion(e *acctest.Env, quoted string) {
	name, err := strconv.Unquote(quoted)
	number, notNumber := strconv.Atoi(name)
	if err != nil || notNumber != nil {
		return
	}
	for {
		if _, err := e.Store.VersionByNumber(context.Background(), "strawberry", int64(number)); err == nil {
			return
		}
		if _, err := e.Store.Allocate(context.Background(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence}); err != nil {
			panic(err)
		}
	}
}

// config is a whole configuration with one cluster: a usual one, with changes. Its
// version exists.
func config(e *acctest.Env, changes ...arguments) string {
	all := arguments{
		"service":     `"strawberry"`,
		"environment": `"test"`,
		"version":     `"17"`,
		"image_id":    fmt.Sprintf("%q", rig.BaseImage),
		// The same image stands for all versions here.
		"allow_unregistered_image": "true",
		"instance_type":            `"t3.micro"`,
		"subnet_ids":               fmt.Sprintf("[%q, %q]", e.Subnets[0], e.Subnets[1]),
		"security_group_ids":       fmt.Sprintf("[%q]", e.SecurityGroup),
		"min_size":                 "2",
		"max_size":                 "4",
		"listener":                 fmt.Sprintf("%q", e.Listener),
		"listener_rule":            `{ priority = 100, hosts = ["strawberry-test.example.com"] }`,
		"target":                   `{ port = 8080, health_check = { path = "/health" } }`,
		"tags":                     `{ purpose = "acceptance" }`,
		"rollout":                  `{ drain = "0s" }`,
	}
	for _, change := range changes {
		for name, value := range change {
			all[name] = value
		}
	}
	ensureVersion(e, all["version"])
	text := e.Provider(`  default_tags = { owner_team = "fruit", solution = "shop" }`) + "resource \"delivery_cluster\" \"strawberry\" {\n"
	for name, value := range all {
		if value != "" {
			text += argument(name, value)
		}
	}
	return text + "}\n"
}

// blocks are the arguments whose objects are written as blocks.
var blocks = []string{"launch_template", "listener_rule", "http_header", "query_string", "target", "health_check", "rollout", "timeouts",
	"volume", "mixed_instances", "override", "scaling_policy", "target_tracking", "step_scaling", "step", "alarm", "metric",
	"scheduled_action", "lifecycle_hook", "preview", "check", "target_alarms", "further_rule"}

// argument writes an argument, or a block whose arguments are those of the object, or a block for
// each object of a list.
func argument(name, value string) string {
	expression, diags := hclsyntax.ParseExpression([]byte(value), name, hcl.InitialPos)
	if list, ok := expression.(*hclsyntax.TupleConsExpr); ok && !diags.HasErrors() && slices.Contains(blocks, name) {
		text := ""
		for _, element := range list.Exprs {
			at := element.Range()
			text += argument(name, value[at.Start.Byte:at.End.Byte])
		}
		return text
	}
	object, ok := expression.(*hclsyntax.ObjectConsExpr)
	if diags.HasErrors() || !ok || !slices.Contains(blocks, name) {
		return fmt.Sprintf("  %s = %s\n", name, value)
	}
	text := "  " + name + " {\n"
	for _, item := range object.Items {
		inner := item.ValueExpr.Range()
		text += argument(hcl.ExprAsKeyword(item.KeyExpr), value[inner.Start.Byte:inner.End.Byte])
	}
	return text + "  }\n"
}

// imported imports the cluster and compares what that finds with the state. How
// careful a rollout is to be is nowhere in AWS.
var imported = resource.TestStep{ResourceName: address, ImportState: true, ImportStateVerify: true,
	ImportStateVerifyIgnore: []string{"rollout", "allow_unregistered_image"}}

// worker has no listener.
var worker = arguments{"listener": "", "listener_rule": "", "target": ""}

// test runs the steps and checks that nothing is left in the account.
func test(t *testing.T, e *acctest.Env, steps ...resource.TestStep) {
	t.Helper()
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		CheckDestroy:             func(*terraform.State) error { return e.NothingLeft(t.Context()) },
		Steps:                    steps,
	})
}

// expect checks what is planned for the cluster, and that the plan is empty
// once it has been applied.
func expect(what plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, what)},
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	}
}

func value(path string, v knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(path), v)
}

// attribute returns an attribute of the cluster in the state.
func attribute(s *terraform.State, name string) string {
	return s.RootModule().Resources[address].Primary.Attributes[name]
}

// forwards checks where the listener sends requests; * stands for what makes
// a generation's name unique.
func forwards(t *testing.T, e *acctest.Env, want string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		got, err := e.Forwards(t.Context())
		if err != nil {
			return err
		}
		got = regexp.MustCompile(`-[a-z0-9]{8}=`).ReplaceAllString(got, "-*=")
		if got != want {
			return fmt.Errorf("the listener does\n%s\nwant\n%s", got, want)
		}
		return nil
	}
}

func TestAccCluster(t *testing.T) {
	e := acctest.New(t)
	var generation string
	larger := arguments{"min_size": "3", "max_size": "6", "tags": `{ purpose = "demo", budget = "small" }`}
	test(t, e,
		resource.TestStep{
			Config:           config(e),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value("id", knownvalue.StringExact("strawberry/test")),
				value("generation", knownvalue.StringRegexp(regexp.MustCompile(`^strawberry-test-[a-z0-9]{8}$`))),
				value("metadata_http_tokens", knownvalue.StringExact("required")),
				value("missing", knownvalue.ListSizeExact(0)),
				value("traffic", knownvalue.Int32Exact(100)),
				value("last_rollout", knownvalue.ObjectPartial(map[string]knownvalue.Check{
					"from_version": knownvalue.Null(), "to_version": knownvalue.StringExact("17"), "status": knownvalue.StringExact("succeeded"),
				})),
			},
			Check: resource.ComposeTestCheckFunc(
				forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404"),
				tagged(t, e, "acceptance", ""),
				func(s *terraform.State) error {
					generation = attribute(s, "generation")
					return nil
				},
			),
		},
		imported,
		// In place: the same generation, and its running servers carry the new tags.
		resource.TestStep{
			Config:           config(e, larger),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(
				tagged(t, e, "demo", "small"),
				func(s *terraform.State) error {
					if got := attribute(s, "generation"); got != generation {
						return fmt.Errorf("got generation %s, want it unchanged, %s", got, generation)
					}
					return nil
				},
			),
		},
		// Scaling within the bounds is not drift.
		resource.TestStep{
			PreConfig: func() {
				_, err := e.AutoScaling().SetDesiredCapacity(t.Context(),
					&autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &generation, DesiredCapacity: aws.Int32(5)})
				fatal(t, err)
			},
			Config:           config(e, larger),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		// The bounds and a tag were changed by hand: the next apply repairs both
		// and leaves the size alone.
		resource.TestStep{
			PreConfig: func() {
				_, err := e.AutoScaling().UpdateAutoScalingGroup(t.Context(),
					&autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &generation, MaxSize: aws.Int32(9)})
				fatal(t, err)
				_, err = e.AutoScaling().CreateOrUpdateTags(t.Context(), &autoscaling.CreateOrUpdateTagsInput{Tags: []asgtypes.Tag{{
					ResourceId: &generation, ResourceType: aws.String("auto-scaling-group"), PropagateAtLaunch: aws.Bool(true),
					Key: aws.String("owner_team"), Value: aws.String("vegetable"),
				}}})
				fatal(t, err)
			},
			Config:           config(e, larger),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(tagged(t, e, "demo", "small"), func(*terraform.State) error {
				group, err := describeGroup(t.Context(), e, generation)
				if err != nil || aws.ToInt32(group.MaxSize) != 6 || aws.ToInt32(group.DesiredCapacity) != 5 {
					return errors.Join(err, fmt.Errorf("got %d servers of at most %d, want 5 of 6", aws.ToInt32(group.DesiredCapacity),
						aws.ToInt32(group.MaxSize)))
				}
				return nil
			}),
		},
		// The tag of the version was edited by hand: the servers stay.
		resource.TestStep{
			PreConfig: func() {
				_, err := e.AutoScaling().CreateOrUpdateTags(t.Context(), &autoscaling.CreateOrUpdateTagsInput{Tags: []asgtypes.Tag{{
					ResourceId: &generation, ResourceType: aws.String("auto-scaling-group"), PropagateAtLaunch: aws.Bool(true),
					Key: aws.String("version"), Value: aws.String("18"),
				}}})
				fatal(t, err)
			},
			Config:           config(e, larger),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            tagged(t, e, "demo", "small"),
		},
		// A duration written differently is no other target.
		resource.TestStep{
			Config: config(e, larger, arguments{
				"target": `{ port = 8080, deregistration_delay = "0m30s", health_check = { path = "/health", interval = "10000ms" } }`,
			}),
			ConfigPlanChecks: resource.ConfigPlanChecks{
				PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, plancheck.ResourceActionUpdate)},
				PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
			},
		},
		// The rule was removed by hand.
		resource.TestStep{
			PreConfig:        func() { removeRules(t, e) },
			Config:           config(e, larger),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(
				forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404"),
				func(s *terraform.State) error {
					if got := attribute(s, "generation"); got != generation {
						return fmt.Errorf("got generation %s, want it unchanged, %s", got, generation)
					}
					return nil
				},
			),
		},
	)
}

// tagged checks that everything in the cluster carries the tags.
func tagged(t *testing.T, e *acctest.Env, purpose, budget string) resource.TestCheckFunc {
	return func(s *terraform.State) error {
		things, err := rig.Tags(t.Context(), e.Account, e.Landscape)
		if err != nil {
			return err
		}
		kinds := map[string]int{}
		for thing, tags := range things {
			kind, _, _ := strings.Cut(thing, ":")
			kinds[kind]++
			for key, want := range map[string]string{
				"service": "strawberry", "environment": "test", "version": "17", "owner_team": "fruit", "solution": "shop",
				"purpose": purpose, "budget": budget, "delivery:cluster": "strawberry/test",
			} {
				if got := tags[key]; got != want {
					return fmt.Errorf("%s has tag %s = %q, want %q; it has %v", thing, key, got, want, tags)
				}
			}
		}
		for _, kind := range []string{"Auto Scaling group", "instance", "volume", "launch template", "target group", "listener rule"} {
			if kinds[kind] == 0 {
				return fmt.Errorf("there is no %s; there are %v", kind, kinds)
			}
		}
		return nil
	}
}

func describeGroup(ctx context.Context, e *acctest.Env, name string) (asgtypes.AutoScalingGroup, error) {
	out, err := e.AutoScaling().DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{
		AutoScalingGroupNames: []string{name},
	})
	if err != nil {
		return asgtypes.AutoScalingGroup{}, err
	}
	return out.AutoScalingGroups[0], nil
}

func removeRules(t *testing.T, e *acctest.Env) {
	t.Helper()
	rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
	fatal(t, err)
	for _, rule := range rules.Rules {
		if !aws.ToBool(rule.IsDefault) {
			_, err := e.ELB().DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: rule.RuleArn})
			fatal(t, err)
		}
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAccCluster_Worker(t *testing.T) {
	e := acctest.New(t)
	test(t, e,
		resource.TestStep{
			Config: config(e, worker, arguments{"root_volume_size": "20", "user_data": `"#!/bin/sh\necho ü"`,
				"iam_instance_profile": `"strawberry"`, "metadata_http_tokens": `"optional"`}),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value("target_group_arn", knownvalue.Null()),
			},
			Check: forwards(t, e, "default fixed-response 404"),
		},
		imported,
	)
}

func TestAccCluster_DefaultAction(t *testing.T) {
	e := acctest.New(t)
	test(t, e,
		resource.TestStep{
			Config:           config(e, arguments{"listener_rule": "", "target": `{ port = 80, stickiness = "5m", deregistration_delay = "10s" }`}),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			Check:            forwards(t, e, "default strawberry-test-*=100"),
		},
		imported,
		resource.TestStep{
			Config: e.Provider(),
			Check:  forwards(t, e, "default fixed-response 503"),
		},
	)
}

// From the default action to a rule of its own: the rule takes no requests
// until its servers are healthy.
func TestAccCluster_FromDefaultActionToRule(t *testing.T) {
	e := acctest.New(t)
	test(t, e,
		resource.TestStep{Config: config(e, arguments{"listener_rule": ""}), Check: resource.ComposeTestCheckFunc(
			forwards(t, e, "default strawberry-test-*=100"),
			func(*terraform.State) error {
				started, spent := false, false
				e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
					started = started || c.Action == "CreateAutoScalingGroup"
					if spent || !started || c.Action != "DescribeTargetHealth" {
						return nil
					}
					spent = true
					if err := forwards(t, e, "default strawberry-test-*=100 strawberry-test-*=0")(nil); err != nil {
						if err := forwards(t, e, "default strawberry-test-*=0 strawberry-test-*=100")(nil); err != nil {
							t.Error(err)
						}
					}
					return &rig.Fault{Status: 403, Code: "AccessDenied"}
				})
				return nil
			},
		)},
		resource.TestStep{Config: config(e), ExpectError: says("nothing is left that was made for this rollout")},
		resource.TestStep{
			PreConfig:        func() { fatal(t, forwards(t, e, "default strawberry-test-*=100")(nil)) },
			Config:           config(e),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 503"),
		},
	)
}

func TestAccCluster_CopiesALaunchTemplate(t *testing.T) {
	e := acctest.New(t)
	create := func(name string, deleteVolume bool) string {
		out, err := e.EC2().CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
			LaunchTemplateName: &name,
			LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
				InstanceType: ec2types.InstanceTypeM5Large, SecurityGroupIds: []string{e.SecurityGroup},
				BlockDeviceMappings: []ec2types.LaunchTemplateBlockDeviceMappingRequest{{
					DeviceName: aws.String("/dev/sdb"), Ebs: &ec2types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: aws.Int32(5),
						DeleteOnTermination: &deleteVolume},
				}},
			},
		})
		fatal(t, err)
		return *out.LaunchTemplate.LaunchTemplateId
	}
	good, bad := create("good", true), create("bad", false)
	copying := func(id string) string {
		return config(e, worker, arguments{"instance_type": "", "security_group_ids": "",
			"launch_template": fmt.Sprintf(`{ id = %q, version = "1" }`, id)})
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{Config: copying(bad), PlanOnly: true,
				ExpectError: says("the volume at /dev/sdb of launch template " + bad + " would outlive its server")},
			{
				Config:           copying(good),
				ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
				Check: func(s *terraform.State) error {
					out, err := e.EC2().DescribeLaunchTemplateVersions(t.Context(),
						&ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: aws.String(attribute(s, "launch_template_id"))})
					if err != nil {
						return err
					}
					data := out.LaunchTemplateVersions[0].LaunchTemplateData
					if data.InstanceType != ec2types.InstanceTypeM5Large || aws.ToString(data.ImageId) != rig.BaseImage ||
						data.MetadataOptions.HttpTokens != ec2types.LaunchTemplateHttpTokensStateRequired {
						return fmt.Errorf("got %s with image %s and tokens %s", data.InstanceType, aws.ToString(data.ImageId),
							data.MetadataOptions.HttpTokens)
					}
					return nil
				},
			},
		},
	})
}

func TestAccCluster_AlreadyGone(t *testing.T) {
	e := acctest.New(t)
	remove := func() {
		removeRules(t, e)
		groups, err := e.AutoScaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
		fatal(t, err)
		name := groups.AutoScalingGroups[0].AutoScalingGroupName
		_, err = e.AutoScaling().UpdateAutoScalingGroup(t.Context(),
			&autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: name, MinSize: aws.Int32(0), DesiredCapacity: aws.Int32(0)})
		fatal(t, err)
		_, err = e.AutoScaling().DeleteAutoScalingGroup(t.Context(),
			&autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name, ForceDelete: aws.Bool(true)})
		fatal(t, err)
		targets, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{*name}})
		fatal(t, err)
		_, err = e.ELB().DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: targets.TargetGroups[0].TargetGroupArn})
		fatal(t, err)
		_, err = e.EC2().DeleteLaunchTemplate(t.Context(), &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: name})
		fatal(t, err)
	}
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{PreConfig: remove, Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionCreate)},
		// Something else deletes it while Terraform destroys it.
		resource.TestStep{
			Config:           config(e),
			Destroy:          true,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{meanwhile(remove)}},
		},
	)
}

// The image is cleaned up while its servers run: they can still be resized.
func TestAccCluster_OutlivesItsImage(t *testing.T) {
	e := acctest.New(t)
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{
			PreConfig: func() {
				_, err := e.EC2().DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(rig.BaseImage)})
				fatal(t, err)
			},
			Config:           config(e),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{
			Config:           config(e, arguments{"max_size": "5", "tags": ""}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
		},
	)
}

// AWS refuses each call of a destruction, one after the other, or says that
// the target group is still in use: the state keeps what is left, and
// another destroy continues from there.
func TestAccCluster_DestroyStops(t *testing.T) {
	for action, fault := range map[string]rig.Fault{
		"DeleteRule":             {Status: 403, Code: "AccessDenied"},
		"UpdateAutoScalingGroup": {Status: 403, Code: "AccessDenied"},
		"DeleteAutoScalingGroup": {Status: 403, Code: "AccessDenied", After: true},
		"DeleteTargetGroup":      {Status: 403, Code: "AccessDenied"},
		"DeleteLaunchTemplate":   {Status: 403, Code: "AccessDenied"},
	} {
		t.Run(action, func(t *testing.T) {
			e := acctest.New(t)
			test(t, e,
				resource.TestStep{Config: config(e), Check: func(*terraform.State) error {
					inUse := false
					e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
						switch {
						case c.Action == action:
							return &fault
						case c.Action == "DeleteTargetGroup" && !inUse:
							inUse = true
							return &rig.Fault{Status: 400, Code: "ResourceInUse"}
						}
						return nil
					})
					return nil
				}},
				resource.TestStep{Config: config(e), Destroy: true, ExpectError: says("destroy again to continue")},
				resource.TestStep{PreConfig: func() { e.Proxy.Intercept(nil) }, Config: config(e), Destroy: true},
			)
		})
	}
}

// A foreign rule forwards to the cluster, at its listener or at another
// one: it is neither taken for the cluster's nor deleted, nor left leading nowhere.
func TestAccCluster_ForeignRule(t *testing.T) {
	for name, sameListener := range map[string]bool{"SameListener": true, "OtherListener": false} {
		t.Run(name, func(t *testing.T) {
			e := acctest.New(t)
			listener := e.Listener
			if !sameListener {
				out, err := e.ELB().CreateListener(t.Context(), &elb.CreateListenerInput{
					LoadBalancerArn: aws.String(e.LoadBalancer), Port: aws.Int32(81), Protocol: elbtypes.ProtocolEnumHttp,
					DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse,
						FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")}}},
				})
				fatal(t, err)
				listener = *out.Listeners[0].ListenerArn
			}
			var foreign string
			same := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
			test(t, e,
				resource.TestStep{Config: config(e), Check: func(s *terraform.State) error {
					out, err := e.ELB().CreateRule(t.Context(), &elb.CreateRuleInput{
						ListenerArn: &listener, Priority: aws.Int32(1),
						Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"),
							PathPatternConfig: &elbtypes.PathPatternConditionConfig{Values: []string{"/foreign"}}}},
						Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: aws.String(attribute(s, "target_group_arn"))}},
					})
					fatal(t, err)
					foreign = *out.Rules[0].RuleArn
					return nil
				}},
				resource.TestStep{Config: config(e), ConfigPlanChecks: same},
				resource.TestStep{Config: config(e), Destroy: true,
					ExpectError: says("which does not belong to cluster strawberry/test, forwards to its target group; remove that first")},
				resource.TestStep{
					PreConfig: func() {
						_, err := e.ELB().DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: &foreign})
						fatal(t, err)
					},
					Config: config(e), ConfigPlanChecks: same,
				},
			)
		})
	}
}

// The cluster's rule was edited to answer by itself: it is removed with the cluster.
func TestAccCluster_RuleUnderMaintenance(t *testing.T) {
	e := acctest.New(t)
	test(t, e, resource.TestStep{Config: config(e)}, resource.TestStep{
		PreConfig: func() {
			rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
			fatal(t, err)
			_, err = e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rules.Rules[0].RuleArn, Actions: []elbtypes.Action{{
				Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("503")},
			}}})
			fatal(t, err)
		},
		Config: config(e), Destroy: true,
	})
}

// The cluster serves and only the last read of it fails: it is not replaced.
func TestAccCluster_LastReadFails(t *testing.T) {
	e := acctest.New(t)
	served := 0
	e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Action == "DescribeTargetHealth" {
			served++
		}
		if served > 0 && c.Action == "DescribeTargetGroupAttributes" {
			return &rig.Fault{Status: 403, Code: "AccessDenied"}
		}
		return nil
	})
	test(t, e,
		resource.TestStep{Config: config(e), Check: func(*terraform.State) error {
			e.Proxy.Intercept(nil)
			return nil
		}, ExpectNonEmptyPlan: false},
		resource.TestStep{Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionNoop)},
	)
}

// underMaintenance has the cluster's rule answer by itself.
func underMaintenance(t *testing.T, e *acctest.Env) {
	t.Helper()
	rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
	fatal(t, err)
	_, err = e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rules.Rules[0].RuleArn, Actions: []elbtypes.Action{{
		Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("503")},
	}}})
	fatal(t, err)
}

// Something else changes the rule after a rollout or a creation has succeeded: it
// stays a success, and the next plan shows the change.
func TestAccCluster_ChangedAfterSuccess(t *testing.T) {
	e := acctest.New(t)
	var once sync.Once
	// change changes the rule at the first call of an action.
	change := func(action string) {
		once = sync.Once{}
		e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
			if c.Action == action {
				once.Do(func() { underMaintenance(t, e) })
			}
			return nil
		})
	}
	drift := resource.TestStep{
		PreConfig: func() { e.Proxy.Intercept(nil) },
		Config:    config(e), PlanOnly: true, ExpectNonEmptyPlan: true,
	}
	test(t, e,
		// The first read of the attributes is that after the creation.
		resource.TestStep{PreConfig: func() { change("DescribeTargetGroupAttributes") }, Config: config(e), ExpectNonEmptyPlan: true},
		drift,
		resource.TestStep{Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate)},
		// The last call that changes something in a rollout.
		resource.TestStep{
			PreConfig: func() { change("DeleteLaunchTemplate") },
			Config:    config(e, arguments{"version": `"18"`}), ExpectNonEmptyPlan: true,
		},
		resource.TestStep{
			PreConfig: func() { e.Proxy.Intercept(nil) },
			Config:    config(e, arguments{"version": `"18"`}), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
		},
	)
}

// meanwhile does something between a plan and its apply.
type meanwhile func()

func (m meanwhile) CheckPlan(context.Context, plancheck.CheckPlanRequest, *plancheck.CheckPlanResponse) {
	m()
}

// says matches an error that contains the text, however Terraform wraps it.
func says(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = regexp.QuoteMeta(word)
	}
	return regexp.MustCompile(`(?s)` + strings.Join(words, `[\s│]+`))
}

func TestAccCluster_BadInput(t *testing.T) {
	e := acctest.New(t)
	foreign, err := e.ELB().CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("foreign"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: aws.String(e.VPC),
	})
	fatal(t, err)
	_, err = e.ELB().CreateRule(t.Context(), &elb.CreateRuleInput{
		ListenerArn: aws.String(e.Listener), Priority: aws.Int32(7),
		Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"),
			PathPatternConfig: &elbtypes.PathPatternConditionConfig{Values: []string{"/foreign"}}}},
		Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: foreign.TargetGroups[0].TargetGroupArn}},
	})
	fatal(t, err)
	redirecting, err := e.ELB().CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: aws.String(e.LoadBalancer), Port: aws.Int32(81), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{
			Type:           elbtypes.ActionTypeEnumRedirect,
			RedirectConfig: &elbtypes.RedirectActionConfig{StatusCode: elbtypes.RedirectActionStatusCodeEnumHttp301, Protocol: aws.String("HTTPS")},
		}},
	})
	fatal(t, err)
	abroad, err := rig.Prepare(t.Context(), e.Account, "us-east-1")
	fatal(t, err)
	// The load balancer is in two zones of three.
	more, err := e.EC2().CreateSubnet(t.Context(), &ec2.CreateSubnetInput{
		VpcId: aws.String(e.VPC), CidrBlock: aws.String("10.0.200.0/24"), AvailabilityZone: aws.String(acctest.Region + "c"),
	})
	fatal(t, err)
	third := aws.ToString(more.Subnet.SubnetId)
	elsewhere := strings.Replace(e.Listener, acctest.Region, "us-west-2", 1)
	gone := e.Listener[:len(e.Listener)-16] + "0000000000000000"

	for name, tt := range map[string]struct {
		change arguments
		says   string
	}{
		"SizesContradict": {arguments{"min_size": "5"}, "min_size is 5 and max_size is 4"},
		"MissingService":  {arguments{"service": `""`}, "the service is missing"},
		"BadEnvironment":  {arguments{"environment": `"a/b"`}, `"a/b": use 1 to 64 letters`},
		"ImageUnknown":    {arguments{"image_id": `"ami-00000000000000000"`}, "image ami-00000000000000000 does not exist in eu-north-1"},
		"SubnetUnknown": {arguments{"subnet_ids": `["subnet-00000000000000000"]`},
			"at least one of subnet-00000000000000000 does not exist in eu-north-1"},
		"SubnetElsewhere": {arguments{"subnet_ids": fmt.Sprintf("[%q]", abroad.Subnets[0])},
			"at least one of " + abroad.Subnets[0] + " does not exist in eu-north-1"},
		"SecurityGroupUnknown": {arguments{"security_group_ids": `["sg-00000000000000000"]`},
			"at least one of sg-00000000000000000 does not exist in eu-north-1"},
		"ListenerUnknown":   {arguments{"listener": fmt.Sprintf("%q", gone)}, "listener: " + gone + " does not exist"},
		"ListenerElsewhere": {arguments{"listener": fmt.Sprintf("%q", elsewhere)}, "is in us-west-2, but the cluster is in eu-north-1"},
		"ListenerNoARN":     {arguments{"listener": `"shared"`}, `"shared" is not a valid ARN of a listener`},
		"PriorityTaken": {arguments{"listener_rule": `{ priority = 7, paths = ["/x"] }`},
			"does not belong to cluster strawberry/test; choose another priority or listener"},
		"DefaultActionTaken": {arguments{"listener": fmt.Sprintf("%q", *redirecting.Listeners[0].ListenerArn), "listener_rule": ""},
			"does not belong to cluster strawberry/test; choose another priority or listener"},
		"RuleSelectsNothing":    {arguments{"listener_rule": `{ priority = 8 }`}, "the listener rule selects no requests"},
		"RuleSelectsTooMuch":    {arguments{"listener_rule": `{ priority = 8, paths = ["/1", "/2", "/3", "/4", "/5", "/6"] }`}, "at most 5"},
		"RuleWithoutListener":   {arguments{"listener": "", "target": ""}, "A rule needs a listener"},
		"ListenerWithoutTarget": {arguments{"target": ""}, "These attributes must be configured together"},
		"NothingToMakeItOf":     {arguments{"instance_type": ""}, "At least one of these attributes must be configured"},
		"TimeoutTooLong": {arguments{"target": `{ port = 80, health_check = { timeout = "30s", interval = "10s" } }`},
			"the timeout (30s) must be shorter than the interval (10s)"},
		"DurationOutOfRange": {arguments{"target": `{ port = 80, deregistration_delay = "2h" }`},
			`Got "2h". Use whole seconds from 0s to 1h0m0s`},
		"StepsFall":        {arguments{"rollout": `{ steps = [50, 10] }`}, "they must rise, from at least 1 to at most 100 percent"},
		"AlarmsUnwatched":  {arguments{"rollout": `{ alarms = ["5xx"] }`}, "alarms are observed for observe_for, which is 0"},
		"UnknownOnFailure": {arguments{"rollout": `{ on_failure = "shrug" }`}, `value must be one of: ["undo" "keep"]`},
		"ReservedTag":      {arguments{"tags": `{ "delivery:cluster" = "x" }`}, "is set by this provider"},
		"TagOfAnArgument":  {arguments{"tags": `{ environment = "prod" }`}, `Tag "environment" has the value of the argument environment`},
		"TypeUnknown":      {arguments{"instance_type": `"t3.gigantic"`}, "there is no instance type t3.gigantic in eu-north-1"},
		"TypeForAnotherArchitecture": {arguments{"instance_type": `"t4g.micro"`},
			"t4g.micro has the architecture [arm64], but image " + rig.BaseImage + " is for x86_64"},
		"SubnetInAnotherZone":  {arguments{"subnet_ids": fmt.Sprintf("[%q]", third)}, "but the listener's load balancer is in"},
		"HostWithoutDot":       {arguments{"listener_rule": `{ priority = 8, hosts = ["localhost"] }`}, `host "localhost" of the listener rule`},
		"MatcherOutOfRange":    {arguments{"target": `{ port = 80, health_check = { matcher = "500-599" } }`}, `the matcher "500-599" is not valid`},
		"TagWithoutValue":      {arguments{"tags": `{ purpose = null }`}, `Tag "purpose" is null`},
		"EmptyInstanceProfile": {arguments{"iam_instance_profile": `""`}, "string length must be at least 1"},
		"TagAWSWouldRefuse":    {arguments{"tags": `{ "aws:x" = "x" }`}, `the prefix "aws:" is reserved`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps:                    []resource.TestStep{{Config: config(e, tt.change), PlanOnly: true, ExpectError: says(tt.says)}},
			})
		})
	}
	t.Run("RequiredTagMissing", func(t *testing.T) {
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: acctest.Factories,
			Steps: []resource.TestStep{{
				Config:   strings.Replace(config(e), `solution = "shop"`, "", 1),
				PlanOnly: true, ExpectError: says("these required tags have no value: solution"),
			}},
		})
	})
	t.Run("ImportUnknown", func(t *testing.T) {
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: acctest.Factories,
			Steps: []resource.TestStep{{
				Config: config(e), ResourceName: address, ImportState: true, ImportStateId: "strawberry/nowhere",
				ExpectError: says("0 Auto Scaling groups have the tag"),
			}},
		})
	})
}

func TestAccCluster_ImageDisappears(t *testing.T) {
	e := acctest.New(t)
	deregister := func() {
		_, err := e.EC2().DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(rig.BaseImage)})
		fatal(t, err)
	}
	test(t, e, resource.TestStep{
		Config:           config(e),
		ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{meanwhile(deregister)}},
		ExpectError:      says("image " + rig.BaseImage + " does not exist in eu-north-1"),
	})
}

// Every call that a creation makes fails for good, one after the other: the
// apply fails, and nothing that no state knows is left. Then the same apply
// succeeds.
func TestAccCluster_AWSSaysNo(t *testing.T) {
	for _, action := range []string{
		"CreateLaunchTemplate", "CreateTargetGroup", "ModifyTargetGroupAttributes", "CreateRule", "CreateAutoScalingGroup",
		"DescribeTargetHealth",
	} {
		for name, fault := range map[string]rig.Fault{
			"Refused":   {Status: 403, Code: "AccessDenied"},
			"LostReply": {Status: 403, Code: "AccessDenied", After: true},
		} {
			t.Run(action+name, func(t *testing.T) {
				e := acctest.New(t)
				e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
					if c.Action == action {
						return &fault
					}
					return nil
				})
				test(t, e,
					resource.TestStep{Config: config(e), ExpectError: says("nothing is left that was made for this rollout")},
					resource.TestStep{
						PreConfig: func() {
							e.Proxy.Intercept(nil)
							fatal(t, e.NothingLeft(t.Context()))
						},
						Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
					},
				)
			})
		}
	}
}

// AWS throttles, has a server error, or loses its reply, once for each call.
func TestAccCluster_AWSFalters(t *testing.T) {
	for name, fault := range map[string]rig.Fault{
		"Throttled":   {Status: 400, Code: "Throttling"},
		"ServerError": {Status: 500, Code: "InternalFailure"},
		"LostReply":   {After: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := acctest.New(t)
			seen := map[string]bool{}
			e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
				if c.Service == "sts" || seen[c.Action] {
					return nil
				}
				if fault.After && c.Action == "CreateAutoScalingGroup" {
					return nil // asked again, moto makes a second one, where AWS answers AlreadyExists
				}
				seen[c.Action] = true
				return &fault
			})
			test(t, e, resource.TestStep{Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionCreate)})
		})
	}
}

// The creation fails, and so does the removal of what it made: then the rest
// is on record, and the next apply removes it before it begins anew.
func TestAccCluster_FailedRemovalStaysOnRecord(t *testing.T) {
	e := acctest.New(t)
	e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Action == "DescribeTargetHealth" || c.Action == "DeleteAutoScalingGroup" {
			return &rig.Fault{Status: 403, Code: "AccessDenied"}
		}
		return nil
	})
	test(t, e,
		resource.TestStep{Config: config(e), ExpectError: says("the rollback stopped, too")},
		resource.TestStep{
			PreConfig:        func() { e.Proxy.Intercept(nil) },
			Config:           config(e),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			Check:            only(t, e, "17", 2),
		},
	)
}
