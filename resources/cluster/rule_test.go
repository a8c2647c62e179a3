package cluster_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// originSecret is what only the right sender of a request knows.
const originSecret = "hunter2-hunter2"

// ruleOf returns the cluster's rule, which is the only one.
func ruleOf(t *testing.T, e *acctest.Env) elbtypes.Rule {
	t.Helper()
	out, err := e.ELB().DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
	fatal(t, err)
	rules := slices.DeleteFunc(out.Rules, func(r elbtypes.Rule) bool { return aws.ToBool(r.IsDefault) })
	if len(rules) != 1 {
		t.Fatalf("got %d rules, want 1", len(rules))
	}
	return rules[0]
}

// selects checks the conditions of the cluster's rule, in any order.
func selects(t *testing.T, e *acctest.Env, want ...string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		var got []string
		for _, c := range ruleOf(t, e).Conditions {
			text := aws.ToString(c.Field)
			switch {
			case c.HostHeaderConfig != nil:
				text += fmt.Sprint(c.HostHeaderConfig.Values)
			case c.HttpHeaderConfig != nil:
				text += fmt.Sprintf(" %s%v", aws.ToString(c.HttpHeaderConfig.HttpHeaderName), c.HttpHeaderConfig.Values)
			case c.HttpRequestMethodConfig != nil:
				text += fmt.Sprint(c.HttpRequestMethodConfig.Values)
			case c.SourceIpConfig != nil:
				text += fmt.Sprint(c.SourceIpConfig.Values)
			case c.QueryStringConfig != nil:
				for _, pair := range c.QueryStringConfig.Values {
					text += " " + aws.ToString(pair.Key) + "=" + aws.ToString(pair.Value)
				}
			}
			got = append(got, text)
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			return fmt.Errorf("the rule selects %q, want %q", got, want)
		}
		return nil
	}
}

// editConditions changes the conditions of the cluster's rule by hand.
func editConditions(t *testing.T, e *acctest.Env, edit func([]elbtypes.RuleCondition) []elbtypes.RuleCondition) {
	t.Helper()
	rule := ruleOf(t, e)
	conditions := edit(rule.Conditions)
	for i := range conditions {
		conditions[i].Values = nil
	}
	_, err := e.ELB().ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rule.RuleArn, Conditions: conditions})
	fatal(t, err)
}

// header is a condition on an HTTP header.
func header(name, value string) elbtypes.RuleCondition {
	return elbtypes.RuleCondition{Field: aws.String("http-header"),
		HttpHeaderConfig: &elbtypes.HttpHeaderConditionConfig{HttpHeaderName: &name, Values: []string{value}}}
}

// Conditions of every kind are set, observed, imported and changed in place; one that was
// changed by hand is drift; and a rollout keeps them.
func TestAccCluster_RuleConditions(t *testing.T) {
	e := acctest.New(t)
	all := arguments{"listener_rule": `{
		priority = 100, hosts = ["strawberry-test.example.com"], http_methods = ["GET"], source_ips = ["10.0.0.0/8"],
		http_header = { name = "X-Origin-Verify", values = ["` + originSecret + `"] }, query_string = { values = ["a*"] } }`}
	fewer := arguments{"listener_rule": `{
		priority = 100, http_header = { name = "X-Origin-Verify", values = ["` + originSecret + `", "next"] },
		http_header = { name = "User-Agent", values = ["*bot*"] }, query_string = { key = "v", values = ["1", "2"] } }`}
	host := "host-header[strawberry-test.example.com]"
	kept := []string{"http-header X-Origin-Verify[" + originSecret + " next]", "http-header User-Agent[*bot*]", "query-string v=1 v=2"}
	var generation string
	remember := func(s *terraform.State) error {
		generation = attribute(s, "generation")
		return nil
	}
	same := func(s *terraform.State) error {
		if got := attribute(s, "generation"); got != generation {
			return fmt.Errorf("got generation %s, want it unchanged, %s", got, generation)
		}
		return nil
	}
	secret := "http-header X-Origin-Verify[" + originSecret + "]"
	test(t, e,
		resource.TestStep{
			Config: config(e, all), ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{value("foreign_conditions", knownvalue.ListSizeExact(0))},
			Check: resource.ComposeTestCheckFunc(
				selects(t, e, host, "http-request-method[GET]", "source-ip[10.0.0.0/8]", secret, "query-string =a*"), remember),
		},
		imported,
		resource.TestStep{
			Config: config(e, fewer), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(selects(t, e, kept...), same),
		},
		imported,
		// Without its secret, the rule would serve everyone.
		resource.TestStep{
			PreConfig: func() {
				editConditions(t, e, func(all []elbtypes.RuleCondition) []elbtypes.RuleCondition {
					return slices.DeleteFunc(all, func(c elbtypes.RuleCondition) bool {
						return c.HttpHeaderConfig != nil && aws.ToString(c.HttpHeaderConfig.HttpHeaderName) == "X-Origin-Verify"
					})
				})
			},
			Config: config(e, fewer), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(selects(t, e, kept...), same),
		},
		resource.TestStep{Config: config(e, fewer, next), ConfigPlanChecks: plans("17", "18"), Check: selects(t, e, kept...)},
		// A condition that was added by hand is shown.
		resource.TestStep{Config: config(e, next), Check: selects(t, e, host)},
		resource.TestStep{
			PreConfig: func() {
				editConditions(t, e, func(all []elbtypes.RuleCondition) []elbtypes.RuleCondition {
					return append(all, header("X-Origin-Verify", originSecret))
				})
			},
			Config: config(e, next), PlanOnly: true, ExpectNonEmptyPlan: true,
		},
		resource.TestStep{Config: config(e, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: selects(t, e, host)},
	)
}

// Conditions that the schema cannot express are shown without their values, are no drift,
// and are kept by everything that changes the rule.
func TestAccCluster_ForeignConditions(t *testing.T) {
	e := acctest.New(t)
	rule := func(text string) arguments { return arguments{"listener_rule": text} }
	listener, err := e.ELB().CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: aws.String(e.LoadBalancer), Port: aws.Int32(81), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse,
			FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")}}},
	})
	fatal(t, err)
	foreign := "query-string a=" + originSecret + " b=" + originSecret
	shown := []statecheck.StateCheck{value("foreign_conditions", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("query-string")}))}
	other := rule(`{ priority = 100, hosts = ["other.example.com"] }`)
	moved := rule(`{ priority = 50, hosts = ["other.example.com"] }`)
	empty := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{
			PreConfig: func() {
				editConditions(t, e, func(all []elbtypes.RuleCondition) []elbtypes.RuleCondition {
					return append(all, elbtypes.RuleCondition{Field: aws.String("query-string"), QueryStringConfig: &elbtypes.QueryStringConditionConfig{
						Values: []elbtypes.QueryStringKeyValuePair{
							{Key: aws.String("a"), Value: aws.String(originSecret)}, {Key: aws.String("b"), Value: aws.String(originSecret)},
						},
					}})
				})
			},
			Config: config(e), ConfigPlanChecks: empty, ConfigStateChecks: shown,
		},
		resource.TestStep{
			Config: config(e, next), ConfigPlanChecks: plans("17", "18"), ConfigStateChecks: shown,
			Check: selects(t, e, "host-header[strawberry-test.example.com]", foreign),
		},
		resource.TestStep{
			Config: config(e, next, other), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), ConfigStateChecks: shown,
			Check: selects(t, e, "host-header[other.example.com]", foreign),
		},
		resource.TestStep{
			Config: config(e, next, moved), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), ConfigStateChecks: shown,
			Check: selects(t, e, "host-header[other.example.com]", foreign),
		},
		resource.TestStep{
			Config: config(e, next, moved, arguments{"listener": fmt.Sprintf("%q", *listener.Listeners[0].ListenerArn)}), PlanOnly: true,
			ExpectError: says("Conditions of the listener rule would be lost"),
		},
		resource.TestStep{
			Config: config(e, next, moved, rule("")), PlanOnly: true, ExpectError: says("Conditions of the listener rule would be lost"),
		},
		resource.TestStep{
			Config: config(e, next, moved), ConfigPlanChecks: empty,
			Check: selects(t, e, "host-header[other.example.com]", foreign),
		},
	)
}

// A value may be sensitive: then no output has it, not even the error for a bad value.
func TestAccCluster_SensitiveCondition(t *testing.T) {
	e := acctest.New(t)
	w := acctest.NewWorkspace(t, "")
	configure := func(condition string) {
		t.Helper()
		text := acctest.Required + config(e, arguments{"listener_rule": "{ priority = 100, " + condition + " }"}) +
			"variable \"secret\" {\n  sensitive = true\n  default = \"" + originSecret + "\"\n}\n"
		fatal(t, os.WriteFile(filepath.Join(w.Folder(), "cluster.tf"), []byte(text), 0o600))
	}
	for condition, text := range map[string]string{
		`http_header = { name = "X-Origin-Verify", values = [join("", [for i in range(10) : var.secret])] }`: "each of 1 to 128",
		`http_header = { name = "X-Origin-Verify", values = [var.secret, null] }`:                            "a value is null",
		`http_header = { name = "host", values = [var.secret] }`:                                             `header "host"`,
		`query_string = { key = "", values = [var.secret] }`:                                                 "the key is empty",
		`query_string = { key = "k", values = [var.secret, ""] }`:                                            `query string "k"`,
		`hosts = ["a.example.com"], query_string = { values = [] }`:                                          `query string ""`,
	} {
		configure(condition)
		out, err := w.Run(t.Context(), "plan", "-no-color")
		if err == nil || !says(text).MatchString(out) || strings.Contains(out, originSecret) {
			t.Errorf("%s: got %v and\n%s", condition, err, out)
		}
	}
	configure(`http_header = { name = "X-Origin-Verify", values = [var.secret] }`)
	run := func(args ...string) {
		t.Helper()
		out, err := w.Run(t.Context(), append(args, "-no-color")...)
		fatal(t, err)
		if strings.Contains(out, originSecret) {
			t.Errorf("%v prints the secret:\n%s", args, out)
		}
	}
	run("plan")
	run("apply", "-auto-approve")
	run("plan", "-detailed-exitcode")
	run("show")
	run("destroy", "-auto-approve")
	fatal(t, e.NothingLeft(t.Context()))
}

// The build before there were further conditions and user data in base64 wrote a state
// without them. It plans nothing.
func TestAccCluster_EarlierState(t *testing.T) {
	e := acctest.New(t)
	w := acctest.NewWorkspace(t, config(e))
	_, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	file := filepath.Join(w.Folder(), "terraform.tfstate")
	written, err := os.ReadFile(file)
	fatal(t, err)
	var state any
	fatal(t, json.Unmarshal(written, &state))
	remove(state, "user_data_base64", "foreign_conditions", "http_header", "http_methods", "query_string", "source_ips")
	earlier, err := json.Marshal(state)
	fatal(t, err)
	fatal(t, os.WriteFile(file, earlier, 0o600))
	for _, refresh := range []string{"-refresh=true", "-refresh=false"} {
		_, err = w.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color", refresh)
		fatal(t, err)
	}
	_, err = w.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
	fatal(t, err)
	fatal(t, e.NothingLeft(t.Context()))
}

// remove removes keys from all objects in a JSON value.
func remove(value any, keys ...string) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range keys {
			delete(v, key)
		}
		for _, inner := range v {
			remove(inner, keys...)
		}
	case []any:
		for _, inner := range v {
			remove(inner, keys...)
		}
	}
}

// A priority that is left out is chosen, and stays: at the next plan, over a change of the
// conditions, over a rollout, and if it was named before. A cluster that moves to another
// listener, or from a default action, gets another one.
func TestAccCluster_RulePriority(t *testing.T) {
	e := acctest.New(t)
	listener, err := e.ELB().CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: aws.String(e.LoadBalancer), Port: aws.Int32(81), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse,
			FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")}}},
	})
	fatal(t, err)
	host := func(name string) arguments {
		return arguments{"listener_rule": `{ hosts = ["` + name + `.example.com"] }`}
	}
	moved := arguments{"listener": fmt.Sprintf("%q", *listener.Listeners[0].ListenerArn)}
	priority := tfjsonpath.New("listener_rule").AtMapKey("priority")
	planned := func(action plancheck.ResourceActionType, checks ...plancheck.PlanCheck) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{
			PreApply:             append(checks, plancheck.ExpectResourceAction(address, action)),
			PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
		}
	}
	var chosen string
	kept := func(s *terraform.State) error {
		got := attribute(s, "listener_rule.priority")
		if n, err := strconv.Atoi(got); err != nil || n < cluster.FirstFreePriority || n > cluster.LastFreePriority {
			return fmt.Errorf("got priority %q", got)
		}
		if chosen != "" && got != chosen {
			return fmt.Errorf("got priority %s, want it unchanged, %s", got, chosen)
		}
		chosen = got
		return nil
	}
	another := func(s *terraform.State) error {
		chosen = ""
		return kept(s)
	}
	test(t, e,
		resource.TestStep{
			Config: config(e, host("a")), Check: kept,
			ConfigPlanChecks: planned(plancheck.ResourceActionCreate, plancheck.ExpectUnknownValue(address, priority)),
		},
		imported,
		resource.TestStep{Config: config(e, host("b")), ConfigPlanChecks: planned(plancheck.ResourceActionUpdate), Check: kept},
		resource.TestStep{Config: config(e, host("b"), next), ConfigPlanChecks: planned(plancheck.ResourceActionUpdate), Check: kept},
		resource.TestStep{
			Config: config(e, host("b"), next, moved), Check: another,
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, plancheck.ExpectUnknownValue(address, priority)),
		},
		resource.TestStep{
			Config:           config(e, next, moved, arguments{"listener_rule": `{ priority = 50, hosts = ["b.example.com"] }`}),
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate),
		},
		resource.TestStep{
			Config: config(e, next, moved, host("b")), ConfigPlanChecks: planned(plancheck.ResourceActionNoop),
			ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue(address, priority, knownvalue.Int32Exact(50))},
		},
		resource.TestStep{Config: config(e, next, arguments{"listener_rule": ""}), ConfigPlanChecks: planned(plancheck.ResourceActionUpdate)},
		resource.TestStep{
			Config: config(e, next, host("b")), Check: another,
			ConfigPlanChecks: planned(plancheck.ResourceActionUpdate, plancheck.ExpectUnknownValue(address, priority)),
		},
	)
}
