package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
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

var next = arguments{"version": `"18"`}

// scale scales the serving group, as autoscaling does.
func scale(t *testing.T, e *acctest.Env, generation string, desired int32) {
	t.Helper()
	_, err := e.AutoScaling().SetDesiredCapacity(t.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &generation,
		DesiredCapacity: &desired})
	fatal(t, err)
}

// only checks that of all generations only the one in the state is there, with
// the bounds of the configuration and so many servers, and all of its things
// tagged with the version.
func only(t *testing.T, e *acctest.Env, version string, desired int32) resource.TestCheckFunc {
	return func(s *terraform.State) error {
		generation := attribute(s, "generation")
		left, err := rig.Leftovers(t.Context(), e.Account, e.Landscape)
		if err != nil {
			return err
		}
		for _, thing := range left {
			kind, name, _ := strings.Cut(thing, " strawberry-")
			if name != "" && "strawberry-"+name != generation {
				err = errors.Join(err, fmt.Errorf("%s %s is left", kind, name))
			}
		}
		group, lookErr := describeGroup(t.Context(), e, generation)
		if lookErr != nil {
			return lookErr
		}
		if aws.ToInt32(group.DesiredCapacity) != desired || aws.ToInt32(group.MinSize) != 2 || aws.ToInt32(group.MaxSize) != 4 ||
			len(group.SuspendedProcesses) > 0 {
			err = errors.Join(err, fmt.Errorf("got %d servers of %d to %d, with %v suspended; want %d of 2 to 4, with nothing suspended",
				aws.ToInt32(group.DesiredCapacity), aws.ToInt32(group.MinSize), aws.ToInt32(group.MaxSize), group.SuspendedProcesses, desired))
		}
		things, lookErr := rig.Tags(t.Context(), e.Account, e.Landscape)
		for thing, tags := range things {
			if tags["version"] != version {
				err = errors.Join(err, fmt.Errorf("%s is tagged with version %s", thing, tags["version"]))
			}
		}
		return errors.Join(err, lookErr)
	}
}

// plans checks that the plan shows a rollout between the two versions.
func plans(from, to string) resource.ConfigPlanChecks {
	checks := expect(plancheck.ResourceActionUpdate)
	for name, version := range map[string]string{"from_version": from, "to_version": to} {
		checks.PreApply = append(checks.PreApply, plancheck.ExpectKnownValue(address, tfjsonpath.New("last_rollout").AtMapKey(name),
			knownvalue.StringExact(version)))
	}
	return checks
}

func TestAccCluster_RolledOut(t *testing.T) {
	e := acctest.New(t)
	v, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
	fatal(t, err)
	released := arguments{"version": fmt.Sprintf("%q", v.Name), "rollout": `{ drain = "0s", steps = [10, 50, 100], observe_for = "1s" }`}
	var generation string
	test(t, e,
		resource.TestStep{Config: config(e), Check: func(s *terraform.State) error {
			generation = attribute(s, "generation")
			return nil
		}},
		// The cluster was scaled since: there are as many new servers as old ones.
		resource.TestStep{
			PreConfig:        func() { scale(t, e, generation, 4) },
			Config:           config(e, released),
			ConfigPlanChecks: plans("17", v.Name),
			ConfigStateChecks: []statecheck.StateCheck{
				value("version", knownvalue.StringExact(v.Name)),
				value("previous_version", knownvalue.Null()),
				value("traffic", knownvalue.Int32Exact(100)),
			},
			Check: resource.ComposeTestCheckFunc(
				forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404"),
				only(t, e, v.Name, 4),
				func(s *terraform.State) error {
					if attribute(s, "generation") == generation {
						return errors.New("the old generation serves")
					}
					generation = attribute(s, "generation")
					events, err := e.Store.Events(t.Context(), builddata.EventQuery{Service: "strawberry", Number: v.Number})
					if err != nil || len(events) != 2 || events[0].Type != "deploy" ||
						events[0].Status != builddata.Started || events[1].Status != builddata.Succeeded {
						return errors.Join(err, fmt.Errorf("the version's history is %v", events))
					}
					return nil
				},
			),
		},
		// The plan stays empty when the size is changed again.
		resource.TestStep{
			PreConfig:        func() { scale(t, e, generation, 3) },
			Config:           config(e, released),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
	)
}

// Going back to servers that were kept starts none, and then neither does
// going forward again. Giving up keep_previous ends those that were kept.
func TestAccCluster_KeepsPrevious(t *testing.T) {
	e := acctest.New(t)
	keep := arguments{"rollout": `{ drain = "0s", keep_previous = true }`}
	generations := map[string]string{}
	test(t, e,
		resource.TestStep{Config: config(e, keep), Check: func(s *terraform.State) error {
			generations["17"] = attribute(s, "generation")
			return nil
		}},
		resource.TestStep{
			Config: config(e, keep, next), ConfigPlanChecks: plans("17", "18"),
			Check: func(s *terraform.State) error { return serves(t, e, attribute(s, "generation"), generations["17"]) },
		},
		resource.TestStep{
			PreConfig: func() { scale(t, e, kept(t, e, generations["17"]), 3) },
			Config:    config(e, keep), ConfigPlanChecks: plans("18", "17"),
			Check: resource.ComposeTestCheckFunc(
				resource.TestCheckResourceAttr(address, "version", "17"),
				resource.TestCheckResourceAttr(address, "previous_version", "18"),
				func(s *terraform.State) error {
					if attribute(s, "generation") != generations["17"] {
						return fmt.Errorf("got generation %s, want the one that was kept, %s", attribute(s, "generation"), generations["17"])
					}
					group, err := describeGroup(t.Context(), e, generations["17"])
					if err != nil || aws.ToInt32(group.DesiredCapacity) != 3 || aws.ToInt32(group.MinSize) != 2 {
						return errors.Join(err, fmt.Errorf("it has %d servers, of %d at least; want the live size, 3, of 2",
							aws.ToInt32(group.DesiredCapacity), aws.ToInt32(group.MinSize)))
					}
					return nil
				},
			),
		},
		resource.TestStep{
			Config:           config(e),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(
				resource.TestCheckNoResourceAttr(address, "previous_version"),
				forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404"),
				only(t, e, "17", 3),
			),
		},
	)
}

// serves checks that all requests go to one generation, and none to another
// that is connected as well.
func serves(t *testing.T, e *acctest.Env, serving, kept string) error {
	got, err := e.Forwards(t.Context())
	if err != nil {
		return err
	}
	if !strings.Contains(got, " "+serving+"=100") || !strings.Contains(got, " "+kept+"=0") {
		return fmt.Errorf("the listener does\n%s\nwant all requests to go to %s, and %s to be kept", got, serving, kept)
	}
	return nil
}

// kept returns the generation that is not the given one.
func kept(t *testing.T, e *acctest.Env, other string) string {
	t.Helper()
	groups, err := e.AutoScaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
	fatal(t, err)
	for _, group := range groups.AutoScalingGroups {
		if name := aws.ToString(group.AutoScalingGroupName); name != other {
			return name
		}
	}
	t.Fatal("there is only one generation")
	return ""
}

// Changes by other means than Terraform are detected, and the next apply corrects
// them: in place if possible, and with new servers otherwise.
func TestAccCluster_Drift(t *testing.T) {
	for name, drift := range map[string]struct {
		do      func(t *testing.T, e *acctest.Env, generation string)
		rollout bool
	}{
		"WeightsMoved": {do: func(t *testing.T, e *acctest.Env, generation string) {
			other, err := e.ELB().CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
				Name: aws.String("foreign"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &e.VPC,
			})
			fatal(t, err)
			_, err = e.ELB().AddTags(t.Context(), &elb.AddTagsInput{ResourceArns: []string{*other.TargetGroups[0].TargetGroupArn},
				Tags: []elbtypes.Tag{{Key: aws.String("delivery:cluster"), Value: aws.String("strawberry/test")}}})
			fatal(t, err)
			own, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{generation}})
			fatal(t, err)
			rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: &e.Listener})
			fatal(t, err)
			_, err = e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rules.Rules[0].RuleArn, Actions: []elbtypes.Action{{
				Type: elbtypes.ActionTypeEnumForward, ForwardConfig: &elbtypes.ForwardActionConfig{TargetGroups: []elbtypes.TargetGroupTuple{
					{TargetGroupArn: own.TargetGroups[0].TargetGroupArn, Weight: aws.Int32(1)},
					{TargetGroupArn: other.TargetGroups[0].TargetGroupArn, Weight: aws.Int32(3)},
				}},
			}}})
			fatal(t, err)
		}},
		"GroupDeleted": {rollout: true, do: func(t *testing.T, e *acctest.Env, generation string) {
			_, err := e.AutoScaling().DeleteAutoScalingGroup(t.Context(),
				&autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: &generation, ForceDelete: aws.Bool(true)})
			fatal(t, err)
		}},
		"TargetGroupDeleted": {rollout: true, do: func(t *testing.T, e *acctest.Env, generation string) {
			removeRules(t, e)
			own, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{generation}})
			fatal(t, err)
			_, err = e.ELB().DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: own.TargetGroups[0].TargetGroupArn})
			fatal(t, err)
		}},
		"OtherLaunchTemplate": {rollout: true, do: func(t *testing.T, e *acctest.Env, generation string) {
			_, err := e.EC2().CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
				LaunchTemplateName: aws.String("foreign"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{InstanceType: "t3.large",
					ImageId: aws.String(rig.BaseImage)},
			})
			fatal(t, err)
			_, err = e.AutoScaling().UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
				AutoScalingGroupName: &generation, LaunchTemplate: &asgtypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String("foreign"),
					Version: aws.String("1")},
			})
			fatal(t, err)
		}},
		"LaunchTemplateChanged": {rollout: true, do: func(t *testing.T, e *acctest.Env, generation string) {
			out, err := e.EC2().CreateLaunchTemplateVersion(t.Context(), &ec2.CreateLaunchTemplateVersionInput{
				LaunchTemplateName: &generation, SourceVersion: aws.String("1"),
				LaunchTemplateData: &ec2types.RequestLaunchTemplateData{InstanceType: "t3.large"},
			})
			fatal(t, err)
			_, err = e.AutoScaling().UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
				AutoScalingGroupName: &generation,
				LaunchTemplate: &asgtypes.LaunchTemplateSpecification{LaunchTemplateName: &generation,
					Version: aws.String(fmt.Sprint(*out.LaunchTemplateVersion.VersionNumber))},
			})
			fatal(t, err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := acctest.New(t)
			var generation string
			test(t, e,
				resource.TestStep{Config: config(e), Check: func(s *terraform.State) error {
					generation = attribute(s, "generation")
					return nil
				}},
				resource.TestStep{
					PreConfig:        func() { drift.do(t, e, generation) },
					Config:           config(e),
					ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(address, "traffic", "100"),
						resource.TestCheckResourceAttr(address, "missing.#", "0"),
						func(s *terraform.State) error {
							if rolled := attribute(s, "generation") != generation; rolled != drift.rollout {
								return fmt.Errorf("new servers: %t, want %t", rolled, drift.rollout)
							}
							if name == "OtherLaunchTemplate" {
								_, err := e.EC2().DeleteLaunchTemplate(t.Context(), &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("foreign")})
								fatal(t, err)
							}
							groups, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{"foreign"}})
							if err == nil {
								return foreignGroupGone(t, e, *groups.TargetGroups[0].TargetGroupArn, attribute(s, "generation"))
							}
							return only(t, e, "17", 2)(s)
						},
					),
				},
			)
		})
	}
}

// foreignGroupGone checks that the cluster's rule gives nothing to a target
// group that the cluster did not make, and removes that for the test's end.
func foreignGroupGone(t *testing.T, e *acctest.Env, arn, serving string) error {
	if err := serves(t, e, serving, "foreign"); err != nil {
		return err
	}
	own, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{serving}})
	if err != nil {
		return err
	}
	rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: &e.Listener})
	if err != nil {
		return err
	}
	_, err = e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rules.Rules[0].RuleArn, Actions: []elbtypes.Action{{
		Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: own.TargetGroups[0].TargetGroupArn,
	}}})
	if err != nil {
		return err
	}
	_, err = e.ELB().DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: &arn})
	return err
}

// alarm makes the alarm "5xx", in a state.
func alarm(t *testing.T, e *acctest.Env, state cwtypes.StateValue) {
	t.Helper()
	name := "5xx"
	client := e.Account.CloudWatch(acctest.Region)
	_, err := client.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"),
		Statistic: cwtypes.StatisticSum,
		Period:    aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
	})
	fatal(t, err)
	_, err = client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state,
		StateReason: aws.String("the test says so")})
	fatal(t, err)
}

func TestAccCluster_Alarms(t *testing.T) {
	e := acctest.New(t)
	watched := arguments{"rollout": `{ drain = "0s", observe_for = "2s", alarms = ["5xx"] }`}
	strict := arguments{"rollout": `{ drain = "0s", observe_for = "2s", alarms = ["5xx"], missing_data = "alarm" }`}
	asBefore := func() { fatal(t, forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404")(nil)) }
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{Config: config(e, next, watched), ExpectError: says(`alarm "5xx" does not exist in this account and region. ` +
			`State now: nothing was changed; version 17 serves with 2 of 2 servers healthy`)},
		resource.TestStep{
			PreConfig: func() { alarm(t, e, cwtypes.StateValueAlarm) },
			Config:    config(e, next, watched), ExpectError: says(`alarm "5xx" fires: the test says so. State now: nothing was changed`),
		},
		resource.TestStep{
			PreConfig: func() { alarm(t, e, cwtypes.StateValueInsufficientData) },
			Config:    config(e, next, strict), ExpectError: says(`alarm "5xx" has no data, which counts as firing (missing_data)`),
		},
		// It fires once the new servers get requests.
		resource.TestStep{
			PreConfig: func() {
				asBefore()
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
			Config: config(e, next, watched), ExpectError: says(`fires: the test says so. ` +
				`State now: version 17 serves with 2 of 2 servers healthy; nothing is left that was made for this rollout`),
		},
		resource.TestStep{
			PreConfig: func() {
				asBefore()
				alarm(t, e, cwtypes.StateValueInsufficientData)
			},
			Config: config(e, next, watched), ConfigPlanChecks: plans("17", "18"), Check: only(t, e, "18", 2),
		},
	)
}

// A new version that comes to nothing leaves the old one as it was: with all
// requests, for the same hosts, at the same priority.
func TestAccCluster_RolloutFails(t *testing.T) {
	for name, fault := range map[string]struct {
		action string
		rig.Fault
		after int // how many such calls succeed before
	}{
		"HealthRefused":     {action: "DescribeTargetHealth", Fault: rig.Fault{Status: 403, Code: "AccessDenied"}, after: 4},
		"ConnectRefused":    {action: "ModifyRule", Fault: rig.Fault{Status: 403, Code: "AccessDenied"}},
		"ServeRefused":      {action: "ModifyRule", Fault: rig.Fault{Status: 403, Code: "AccessDenied"}, after: 1},
		"ServeRepliesError": {action: "ModifyRule", Fault: rig.Fault{Status: 403, Code: "AccessDenied", After: true}, after: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := acctest.New(t)
			var before string
			state := func() string {
				rules, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
				fatal(t, err)
				forwards, err := e.Forwards(t.Context())
				fatal(t, err)
				return fmt.Sprint(forwards, rules.Rules[0].Conditions[0].HostHeaderConfig.Values)
			}
			test(t, e,
				resource.TestStep{Config: config(e), Check: func(*terraform.State) error {
					before = state()
					calls, spent := 0, false
					e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
						if c.Action != fault.action || spent {
							return nil
						}
						if calls++; calls <= fault.after {
							return nil
						}
						spent = true // the undoing must be able to change the rule
						return &fault.Fault
					})
					return nil
				}},
				resource.TestStep{Config: config(e, next), ExpectError: says("nothing is left that was made for this rollout")},
				resource.TestStep{
					PreConfig: func() {
						if after := state(); after != before {
							t.Errorf("the listener does\n%s\nwant it as it was\n%s", after, before)
						}
						e.Proxy.Intercept(nil)
					},
					Config:           config(e, next, arguments{"listener_rule": `{ priority = 50, hosts = ["other.example.com"] }`}),
					ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
					Check:            forwards(t, e, "50 strawberry-test-*=100\ndefault fixed-response 404"),
				},
			)
		})
	}
}

// The new servers of a failed rollout are kept. Then the configuration goes back
// to the version that serves: the rollout is rolled back, and nothing else happens.
func TestAccCluster_RevertedWhileKept(t *testing.T) {
	e := acctest.New(t)
	kept := arguments{"rollout": `{ drain = "0s", observe_for = "1s", on_failure = "keep", alarms = ["5xx"] }`}
	var generation string
	fires := func() {
		moved := 0
		e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
			if c.Action == "ModifyRule" {
				if moved++; moved == 2 {
					alarm(t, e, cwtypes.StateValueAlarm)
				}
			}
			return nil
		})
	}
	alarm(t, e, cwtypes.StateValueOk)
	test(t, e,
		resource.TestStep{Config: config(e), Check: func(s *terraform.State) error {
			generation = attribute(s, "generation")
			return nil
		}},
		resource.TestStep{PreConfig: fires, Config: config(e, kept, next), ExpectError: says("everything that it created is on record")},
		resource.TestStep{
			Config: config(e), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(only(t, e, "17", 2), func(s *terraform.State) error {
				if attribute(s, "generation") != generation {
					return fmt.Errorf("generation %s serves, want %s", attribute(s, "generation"), generation)
				}
				return nil
			}),
		},
		// Once more, and then the alarm is no longer configured: it continues.
		resource.TestStep{PreConfig: func() { alarm(t, e, cwtypes.StateValueOk); fires() }, Config: config(e, kept, next),
			ExpectError: says("everything that it created is on record")},
		resource.TestStep{Config: config(e, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: only(t, e, "18", 2)},
	)
}

// What is not known yet at plan does not freeze what will change.
func TestAccCluster_UnknownAtPlan(t *testing.T) {
	e := acctest.New(t)
	tagged := func(input string) string {
		return config(e, arguments{"tags": "{ run = terraform_data.run.id }"}) +
			fmt.Sprintf("resource \"terraform_data\" \"run\" {\n  triggers_replace = %q\n}\n", input)
	}
	test(t, e,
		resource.TestStep{Config: tagged("1")},
		resource.TestStep{
			PreConfig: func() { removeRules(t, e) },
			Config:    tagged("2"),
			Check:     resource.TestCheckResourceAttr(address, "traffic", "100"),
		},
	)
}

// A state that was lost, or a second one, does not take a cluster over.
func TestAccCluster_MadeTwice(t *testing.T) {
	e := acctest.New(t)
	first := acctest.NewWorkspace(t, config(e))
	_, err := first.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	second := acctest.NewWorkspace(t, config(e))
	out, err := second.Run(t.Context(), "plan", "-no-color")
	if err != nil || !says("Warning: Cluster strawberry/test exists already").MatchString(out) ||
		!says("the apply refuses to create it: import it").MatchString(out) {
		t.Errorf("got %v and no warning in the plan:\n%s", err, out)
	}
	out, err = second.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	if err == nil || !says("cluster strawberry/test exists already, with generation").MatchString(out) {
		t.Errorf("got %v, want a refusal", err)
	}
	_, err = second.Run(t.Context(), "import", "-no-color", address, "strawberry/test")
	fatal(t, err)
	_, err = second.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	_, err = second.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
	fatal(t, err)
	fatal(t, e.NothingLeft(t.Context()))
}

// The rule was removed, so what served is no place to go back to, and is not
// kept, whatever was asked for.
func TestAccCluster_KeepsNothingBroken(t *testing.T) {
	e := acctest.New(t)
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{
			PreConfig:        func() { removeRules(t, e) },
			Config:           config(e, next, arguments{"rollout": `{ drain = "0s", keep_previous = true }`}),
			ConfigPlanChecks: plans("17", "18"),
			Check:            resource.ComposeTestCheckFunc(resource.TestCheckNoResourceAttr(address, "previous_version"), only(t, e, "18", 2)),
		},
	)
}
