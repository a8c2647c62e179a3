package cluster_test

import (
	"testing"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

// Further rules follow the cluster's own, and drift of them is repaired.
func TestAccCluster_FurtherRules(t *testing.T) {
	e := acctest.New(t)
	shop := arguments{"further_rule": `[
		{ name = "shop", priority = 110, hosts = ["shop.example.com"], http_header = { name = "X-Origin", values = ["sesame"] } },
		{ name = "api", hosts = ["api.example.com"], paths = ["/v1/*"] },
	]`}
	both := "100 strawberry-test-*=100\n110 strawberry-test-*=100\n"
	rules := func() []elbtypes.Rule {
		out, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
		fatal(t, err)
		return out.Rules
	}
	count := func(want int) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if got := len(rules()) - 1; got != want { // the default action is one of them
				t.Errorf("there are %d rules, want %d", got, want)
			}
			return nil
		}
	}
	test(t, e,
		resource.TestStep{Config: config(e, shop), ConfigPlanChecks: expect(plancheck.ResourceActionCreate), Check: count(3),
			ConfigStateChecks: []statecheck.StateCheck{value("further_rule", knownvalue.ListSizeExact(2))}},
		resource.TestStep{Config: config(e, shop, next), ConfigPlanChecks: plans("17", "18"), Check: count(3)},
		// One is removed by other means.
		resource.TestStep{
			PreConfig: func() {
				for _, r := range rules() {
					if aws.ToString(r.Priority) == "110" {
						_, err := e.ELB().DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: r.RuleArn})
						fatal(t, err)
					}
				}
			},
			Config: config(e, shop, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: count(3),
		},
		resource.TestStep{
			PreConfig: func() {
				for _, r := range rules() {
					if aws.ToString(r.Priority) == "110" {
						_, err := e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: r.RuleArn, Actions: []elbtypes.Action{{
							Type:                elbtypes.ActionTypeEnumFixedResponse,
							FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("503")},
						}}})
						fatal(t, err)
					}
				}
			},
			Config: config(e, shop, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: count(3),
		},
		resource.TestStep{
			Config:           config(e, next, arguments{"further_rule": `{ name = "shop", priority = 110, hosts = ["shop2.example.com"] }`}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            resource.ComposeTestCheckFunc(count(2), forwards(t, e, both+"default fixed-response 404")),
		},
		resource.TestStep{
			Config:   config(e, next, arguments{"further_rule": `[{ name = "a", priority = 100, hosts = ["a.example.com"] }]`}),
			PlanOnly: true, ExpectError: says(`further_rule "a" has the priority 100, as listener_rule has`),
		},
		// Also in place, a plan refuses what an apply could not make.
		resource.TestStep{
			PreConfig: func() {
				_, err := e.ELB().CreateRule(t.Context(), &elb.CreateRuleInput{
					ListenerArn: aws.String(e.Listener), Priority: aws.Int32(120),
					Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/theirs"}}},
					Actions: []elbtypes.Action{{
						Type:                elbtypes.ActionTypeEnumFixedResponse,
						FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("200")},
					}},
				})
				fatal(t, err)
			},
			Config:   config(e, next, arguments{"further_rule": `{ name = "shop", priority = 120, hosts = ["shop2.example.com"] }`}),
			PlanOnly: true, ExpectError: says("(priority 120) exists already; choose another priority"),
		},
		resource.TestStep{
			PreConfig: func() {
				for _, r := range rules() {
					if aws.ToString(r.Priority) == "120" {
						_, err := e.ELB().DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: r.RuleArn})
						fatal(t, err)
					}
				}
			},
			Config: config(e, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: count(1),
		},
	)
}
