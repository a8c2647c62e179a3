package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// attachments are arguments of every kind.
func attachments(further string) arguments {
	return arguments{
		"scaling_policy": `[
			{ name = "cpu", target_tracking = { predefined_metric = "ASGAverageCPUUtilization", target = 50 } },
			{ name = "requests", warmup = "60s", target_tracking = { predefined_metric = "ALBRequestCountPerTarget", target = 1000, disable_scale_in = true } },
			{ name = "queue", step_scaling = {
				step  = [{ upper_bound = 10, change = 1 }, { lower_bound = 10, change = 3 }]
				alarm = {
					metric = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = "orders" } }
					threshold = 100, comparison = "GreaterThanThreshold", evaluation_periods = 2
				}
			} },
		]`,
		"scheduled_action": `[{ name = "evening", recurrence = "0 20 * * MON-FRI", time_zone = "Europe/Stockholm", max_size = 3 },
			{ name = "past", start_time = "2020-01-01T00:00:00Z", min_size = 3 }]`,
		"lifecycle_hook":        `[{ name = "warm", transition = "launching", heartbeat_timeout = "60s" }]`,
		"enabled_metrics":       `["GroupInServiceInstances"]`,
		"suspended_processes":   `["AZRebalance"]`,
		"termination_policies":  `["OldestInstance", "Default"]`,
		"max_instance_lifetime": `"168h"`,
		"target_group_arns":     fmt.Sprintf("[%q]", further),
	}
}

// scaling is a client whose calls pass the proxy, which knows what moto does not keep.
func scaling(e *acctest.Env) *autoscaling.Client {
	return autoscaling.NewFromConfig(e.Account.Config(acctest.Region), func(o *autoscaling.Options) { o.BaseEndpoint = &e.Proxy.URL })
}

// hasAttached checks what is attached to the group of the cluster in the state.
func hasAttached(t *testing.T, e *acctest.Env, want ...string) resource.TestCheckFunc {
	return func(s *terraform.State) error {
		group := attribute(s, "autoscaling_group_name")
		policies, err := scaling(e).DescribePolicies(t.Context(), &autoscaling.DescribePoliciesInput{AutoScalingGroupName: &group})
		if err != nil {
			return err
		}
		var got []string
		for _, p := range policies.ScalingPolicies {
			got = append(got, aws.ToString(p.PolicyName))
		}
		actions, err := scaling(e).DescribeScheduledActions(t.Context(), &autoscaling.DescribeScheduledActionsInput{AutoScalingGroupName: &group})
		if err != nil {
			return err
		}
		for _, a := range actions.ScheduledUpdateGroupActions {
			got = append(got, aws.ToString(a.ScheduledActionName))
		}
		hooks, err := scaling(e).DescribeLifecycleHooks(t.Context(), &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &group})
		if err != nil {
			return err
		}
		for _, h := range hooks.LifecycleHooks {
			got = append(got, aws.ToString(h.LifecycleHookName))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s has %v, want %v", group, got, want)
		}
		return nil
	}
}

func version(want string) resource.TestCheckFunc {
	return resource.TestCheckResourceAttr(address, "version", want)
}

// furtherTargets makes a target group that no listener uses.
func furtherTargets(t *testing.T, e *acctest.Env) string {
	t.Helper()
	out, err := e.ELB().CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("further"), Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &e.VPC,
	})
	fatal(t, err)
	return aws.ToString(out.TargetGroups[0].TargetGroupArn)
}

func putPolicy(t *testing.T, e *acctest.Env, group, name string) {
	t.Helper()
	_, err := scaling(e).PutScalingPolicy(t.Context(), &autoscaling.PutScalingPolicyInput{
		AutoScalingGroupName: &group, PolicyName: &name, PolicyType: aws.String("TargetTrackingScaling"),
		TargetTrackingConfiguration: &asgtypes.TargetTrackingConfiguration{
			TargetValue: aws.Float64(5),
			PredefinedMetricSpecification: &asgtypes.PredefinedMetricSpecification{
				PredefinedMetricType: asgtypes.MetricTypeASGAverageNetworkIn,
			},
		},
	})
	fatal(t, err)
}

// What is attached survives a rollout, whether it is declared or not, and a rollout that fails.
func TestAccCluster_Attachments(t *testing.T) {
	e := acctest.New(t)
	further := furtherTargets(t, e)
	all := attachments(further)
	var group string
	remember := func(s *terraform.State) error {
		group = attribute(s, "autoscaling_group_name")
		return nil
	}
	with := []string{"by-hand", "cpu", "evening", "queue", "requests", "warm"}
	test(t, e,
		resource.TestStep{
			Config: config(e, all), ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			Check: resource.ComposeTestCheckFunc(hasAttached(t, e, "cpu", "evening", "queue", "requests", "warm"), remember),
			ConfigStateChecks: []statecheck.StateCheck{
				value("carried_attachments", knownvalue.ListSizeExact(0)), value("scaling_policy", knownvalue.SetSizeExact(3)),
			},
		},
		resource.TestStep{
			PreConfig: func() { putPolicy(t, e, group, "by-hand") },
			Config:    config(e, all, next), ConfigPlanChecks: plans("17", "18"),
			Check: resource.ComposeTestCheckFunc(hasAttached(t, e, with...), version("18"), remember),
			ConfigStateChecks: []statecheck.StateCheck{
				value("carried_attachments", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("scaling policy by-hand")})),
			},
		},
		// A rollout that an alarm takes back loses nothing.
		resource.TestStep{
			PreConfig: func() {
				alarm(t, e, cwtypes.StateValueOk)
				moved := 0
				e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
					if c.Action == "ModifyRule" {
						if moved++; moved == 2 {
							alarm(t, e, cwtypes.StateValueAlarm)
						}
					}
					return nil
				})
			},
			Config:      config(e, all, arguments{"version": `"19"`, "rollout": `{ drain = "0s", observe_for = "2s", alarms = ["5xx"] }`}),
			ExpectError: says("fires: the test says so"),
		},
		resource.TestStep{
			PreConfig: func() { e.Proxy.Intercept(nil) },
			Config:    config(e, all, next), ConfigPlanChecks: expect(plancheck.ResourceActionNoop), Check: hasAttached(t, e, with...),
		},
		// Changes in place: another target, a policy less, one that was removed by hand.
		resource.TestStep{
			PreConfig: func() {
				_, err := scaling(e).DeletePolicy(t.Context(), &autoscaling.DeletePolicyInput{AutoScalingGroupName: &group, PolicyName: aws.String("cpu")})
				fatal(t, err)
			},
			Config: config(e, all, next, arguments{
				"scaling_policy": `{ name = "cpu", target_tracking = { predefined_metric = "ASGAverageCPUUtilization", target = 60 } }`,
				"lifecycle_hook": "", "scheduled_action": "", "max_instance_lifetime": "", "termination_policies": "",
			}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            resource.ComposeTestCheckFunc(hasAttached(t, e, "by-hand", "cpu"), version("18")),
		},
		resource.TestStep{
			Config: config(e, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: hasAttached(t, e, "by-hand"),
		},
		// It is declared from now on.
		resource.TestStep{
			Config: config(e, next, arguments{
				"scaling_policy": `{ name = "by-hand", target_tracking = { predefined_metric = "ASGAverageNetworkIn", target = 5 } }`,
			}),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			Check:             hasAttached(t, e, "by-hand"),
			ConfigStateChecks: []statecheck.StateCheck{value("scaling_policy", knownvalue.SetSizeExact(1))},
		},
		resource.TestStep{Config: config(e, next), Destroy: true},
		resource.TestStep{
			PreConfig: func() {
				_, err := e.ELB().DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: &further})
				fatal(t, err)
			},
			Config: e.Provider(),
		},
	)
}

// TestAccCluster_BadAttachments: a plan refuses what AWS would.
func TestAccCluster_BadAttachments(t *testing.T) {
	for name, tt := range map[string]struct {
		change arguments
		says   string
	}{
		"Neither": {arguments{"scaling_policy": `{ name = "cpu" }`}, `scaling_policy "cpu": give either target_tracking or step_scaling`},
		"Gap": {arguments{"scaling_policy": `{ name = "q", step_scaling = { step = [{ upper_bound = 1, change = 1 }, { lower_bound = 2, change = 2 }], alarm = {
			metric = { namespace = "A", name = "B" }, threshold = 1, comparison = "GreaterThanThreshold" } } }`}, "without a gap or an overlap"},
		"NoAlarm":    {arguments{"scaling_policy": `{ name = "q", step_scaling = { step = { change = 1 } } }`}, `"alarm"`},
		"Transition": {arguments{"lifecycle_hook": `{ name = "warm", transition = "starting" }`}, "transition"},
		"Launch":     {arguments{"suspended_processes": `["Launch"]`}, "suspended_processes"},
		"Time":       {arguments{"scheduled_action": `{ name = "x", start_time = "tomorrow", min_size = 1 }`}, "tomorrow is not a time such as"},
		"Requests": {mergeArguments(worker, arguments{
			"scaling_policy": `{ name = "r", target_tracking = { predefined_metric = "ALBRequestCountPerTarget", target = 1 } }`,
		}), "a cluster without a listener has none"},
		"Misspelt": {arguments{"scaling_policy": `{ name = "cpu", target_traking = { target = 1 } }`}, "Unsupported argument"},
	} {
		t.Run(name, func(t *testing.T) {
			e := acctest.New(t)
			test(t, e, resource.TestStep{Config: config(e, tt.change), PlanOnly: true, ExpectError: says(tt.says)})
		})
	}
}

func mergeArguments(all ...arguments) arguments {
	merged := arguments{}
	for _, a := range all {
		for name, value := range a {
			merged[name] = value
		}
	}
	return merged
}

// Obstacles and foreign alarms stop the plan, not the apply.
func TestAccCluster_CannotCarry(t *testing.T) {
	e := acctest.New(t)
	var group string
	test(t, e,
		resource.TestStep{Config: config(e), Check: func(s *terraform.State) error {
			group = attribute(s, "autoscaling_group_name")
			return nil
		}},
		resource.TestStep{
			PreConfig: func() {
				_, err := scaling(e).PutWarmPool(t.Context(), &autoscaling.PutWarmPoolInput{AutoScalingGroupName: &group, MinSize: aws.Int32(1)})
				fatal(t, err)
			},
			Config: config(e, next), PlanOnly: true, ExpectError: says("a warm pool: its servers are of one version"),
		},
		// What needs no new servers is not refused.
		resource.TestStep{Config: config(e, arguments{"max_size": "5"}), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate)},
		resource.TestStep{
			PreConfig: func() {
				_, err := scaling(e).DeleteWarmPool(t.Context(), &autoscaling.DeleteWarmPoolInput{AutoScalingGroupName: &group})
				fatal(t, err)
			},
			Config: config(e, next), ConfigPlanChecks: plans("17", "18"),
		},
	)
}

// call is a program that puts or deletes a policy, as a resource of another provider would.
const call = `
import boto3, sys
verb, group = sys.argv[1:]
client = boto3.client("autoscaling")
if verb == "put":
    client.put_scaling_policy(AutoScalingGroupName=group, PolicyName="own", PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={"TargetValue": 5, "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageNetworkIn"}})
else:
    client.delete_policy(AutoScalingGroupName=group, PolicyName="own")
`

// Those who keep a resource of their own that is bound to the group's name set
// create_before_destroy: the rollout carries the policy, and the resource then finds it there.
// Provisioners make the calls of such a resource; no other provider is exercised.
func TestAccCluster_ResourceOfTheirOwn(t *testing.T) {
	e := acctest.New(t)
	python, err := rig.Tool("moto/bin/python")
	fatal(t, err)
	script := filepath.Join(t.TempDir(), "call.py")
	fatal(t, os.WriteFile(script, []byte(call), 0o600))
	var mu sync.Mutex
	var actions []string
	e.Proxy.Notify(func(c rig.Call) {
		mu.Lock()
		defer mu.Unlock()
		switch c.Action {
		case "PutScalingPolicy", "DeletePolicy", "CreateAutoScalingGroup", "DeleteAutoScalingGroup":
			actions = append(actions, c.Action)
		}
	})
	own := func(version string) string {
		environment := fmt.Sprintf("AWS_DEFAULT_REGION = %q\n", acctest.Region)
		for _, variable := range e.Account.Environ() {
			name, value, _ := strings.Cut(variable, "=")
			if name == "AWS_ENDPOINT_URL" {
				value = e.Proxy.URL
			}
			environment += fmt.Sprintf("      %s = %q\n", name, value)
		}
		provisioner := func(verb, when string) string {
			return fmt.Sprintf("  provisioner \"local-exec\" {\n    %s\n    command = \"%s %s %s ${self.input}\"\n    environment = {\n      %s    }\n  }\n",
				when, python, script, verb, environment)
		}
		return config(e, arguments{"version": fmt.Sprintf("%q", version)}) + "resource \"terraform_data\" \"policy\" {\n" +
			"  triggers_replace = delivery_cluster.strawberry.autoscaling_group_name\n" +
			"  input = delivery_cluster.strawberry.autoscaling_group_name\n" +
			"  lifecycle {\n    create_before_destroy = true\n  }\n" +
			provisioner("put", "") + provisioner("delete", "when = destroy\n    on_failure = continue") + "}\n"
	}
	test(t, e,
		resource.TestStep{Config: own("17"), Check: hasAttached(t, e, "own")},
		resource.TestStep{
			PreConfig: func() {
				mu.Lock()
				defer mu.Unlock()
				actions = nil
			},
			Config: own("18"),
			Check: resource.ComposeTestCheckFunc(hasAttached(t, e, "own"), only(t, e, "18", 2), func(*terraform.State) error {
				mu.Lock()
				defer mu.Unlock()
				// Terraform runs no destroy provisioner of what it has replaced this way.
				want := []string{"CreateAutoScalingGroup", "PutScalingPolicy", "DeleteAutoScalingGroup", "PutScalingPolicy"}
				if !slices.Equal(actions, want) {
					return fmt.Errorf("got %v, want %v", actions, want)
				}
				return nil
			}),
		},
	)
}
