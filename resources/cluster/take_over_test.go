package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// A cluster takes over the requests of a service that other tools made. The argument has no
// effect after that, and can be removed. The destruction gives the requests back.
func TestAccCluster_TakeOver(t *testing.T) {
	e := acctest.New(t)
	made, err := e.ELB().CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("legacy"), Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &e.VPC,
	})
	fatal(t, err)
	theirs := made.TargetGroups[0].TargetGroupArn
	rule, err := e.ELB().CreateRule(t.Context(), &elb.CreateRuleInput{
		ListenerArn: &e.Listener, Priority: aws.Int32(200),
		Conditions: []elbtypes.RuleCondition{{Field: aws.String("host-header"),
			HostHeaderConfig: &elbtypes.HostHeaderConditionConfig{Values: []string{"strawberry-test.example.com"}}}},
		Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, ForwardConfig: &elbtypes.ForwardActionConfig{
			TargetGroups: []elbtypes.TargetGroupTuple{{TargetGroupArn: theirs, Weight: aws.Int32(1)}},
		}}},
	})
	fatal(t, err)
	before, err := e.Forwards(t.Context())
	fatal(t, err)
	taking := arguments{"take_over_target_group_arn": fmt.Sprintf("%q", *theirs)}
	steps := arguments{"rollout": `{ drain = "0s", steps = [10, 50] }`}
	unnumbered := arguments{"listener_rule": `{ hosts = ["strawberry-test.example.com"] }`}
	with := func(all ...arguments) string { return config(e, append(all, steps, unnumbered)...) }
	var shares []string
	watch := func() {
		e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
			if c.Action == "ModifyRule" {
				share := c.Form.Get("Actions.member.1.ForwardConfig.TargetGroups.member.1.Weight")
				if second := c.Form.Get("Actions.member.1.ForwardConfig.TargetGroups.member.2.Weight"); second != "" {
					share += "+" + second
				}
				shares = append(shares, share)
			}
			return nil
		})
	}
	unchanged := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{Config: config(e, taking, arguments{"listener_rule": ""}), PlanOnly: true, ExpectError: says("a default action cannot be taken over")},
			{
				Config: config(e, taking, arguments{"listener_rule": `{ priority = 300, hosts = ["strawberry-test.example.com"] }`}), PlanOnly: true,
				ExpectError: says("give listener_rule a priority of at most 199, or none"),
			},
			{
				PreConfig: watch, Config: with(taking), ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
				Check: func(s *terraform.State) error {
					e.Proxy.Intercept(nil)
					own := attribute(s, "listener_rule.priority") + " " + attribute(s, "generation") + "=100"
					want := slices.Sorted(slices.Values(append(strings.Split(before, "\n"), own)))
					got, err := e.Forwards(t.Context())
					if lines := slices.Sorted(strings.SplitSeq(got, "\n")); err != nil || !slices.Equal(lines, want) {
						return errors.Join(err, fmt.Errorf("got %q, want %q", lines, want))
					}
					// By the order of the ARNs, theirs comes first.
					if got := strings.Join(shares, " "); got != "90+10 50+50 0+100 100" {
						return fmt.Errorf("the requests were shared %s", got)
					}
					return nil
				},
			},
			{Config: with(taking), ConfigPlanChecks: unchanged},
			{Config: with(), ConfigPlanChecks: unchanged},
			{Config: with(next, taking), ConfigPlanChecks: plans("17", "18")},
			{Config: with(next), ConfigPlanChecks: unchanged},
		},
		CheckDestroy: func(*terraform.State) error {
			if after, err := e.Forwards(t.Context()); err != nil || after != before {
				return errors.Join(err, fmt.Errorf("the listener does\n%s, want what it did\n%s", after, before))
			}
			if _, err := e.ELB().DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: rule.Rules[0].RuleArn}); err != nil {
				return err
			}
			if _, err := e.ELB().DeleteTargetGroup(t.Context(), &elb.DeleteTargetGroupInput{TargetGroupArn: theirs}); err != nil {
				return err
			}
			return e.NothingLeft(t.Context())
		},
	})
}
