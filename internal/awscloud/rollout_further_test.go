package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// hosts lists, by the first host of each rule at a listener, its priority and what it forwards to.
func (s *site) hosts(listener string) map[string]string {
	s.Helper()
	out, err := s.balancing.DescribeRules(s.Context(), &elb.DescribeRulesInput{ListenerArn: &listener})
	if err != nil {
		s.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range out.Rules {
		if aws.ToBool(r.IsDefault) {
			continue
		}
		var to []string
		for _, action := range r.Actions {
			if action.ForwardConfig == nil {
				to = append(to, string(action.Type))
				continue
			}
			for _, t := range action.ForwardConfig.TargetGroups {
				to = append(to, fmt.Sprintf("%s=%d", strings.Split(aws.ToString(t.TargetGroupArn), "/")[1], aws.ToInt32(t.Weight)))
			}
		}
		slices.Sort(to)
		host := r.Conditions[0].HostHeaderConfig.Values[0]
		all[host] = strings.Join(append([]string{all[host], aws.ToString(r.Priority)}, to...), " ")
	}
	return all
}

// TestAccRollout_FurtherRules: the further rules of a cluster follow its own rule.
func TestAccRollout_FurtherRules(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	second := s.otherListener()
	rule := func(name, listener string, priority int32) cluster.FurtherRule {
		return cluster.FurtherRule{
			Name: name, ListenerARN: listener, Rule: cluster.Rule{Priority: priority, Hosts: []string{name + ".example.com"}},
		}
	}
	has := func(rules ...cluster.FurtherRule) {
		s.change = func(spec *cluster.Spec) { spec.FurtherRules = rules }
	}
	first := s.landscape.Listener
	want := func(doing string, listener string, want map[string]string) {
		t.Helper()
		got := s.hosts(listener)
		for host, rule := range got {
			if _, exact := want[host]; exact && want[host] == "" { // a priority that was chosen
				want[host] = rule
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: the listener has %v, want %v", doing, got, want)
		}
	}
	has(rule("shop", first, 50), rule("internal", second, 7))
	one := s.apply("1", faultSettings)
	want("created", first, map[string]string{rolloutHost: " 100 " + one + "=100", "shop.example.com": " 50 " + one + "=100"})
	want("created", second, map[string]string{"internal.example.com": " 7 " + one + "=100"})

	// While the rollout shifts, all rules have the same weights; one that is new comes with the last shift.
	has(rule("shop", first, 50), rule("internal", second, 7), rule("new", second, 9))
	settings := faultSettings
	settings.Steps, settings.Alarms, settings.ObserveFor = []int32{30}, []string{"errors"}, time.Second
	s.manager.Cloud = &watching{Cloud: s.cloud, look: func() {
		for _, listener := range []string{first, second} {
			for host, rule := range s.hosts(listener) {
				if !strings.Contains(rule, "=30") && !strings.Contains(rule, "=100") {
					t.Errorf("%s is %s, want 30 %% or all", host, rule)
				}
			}
		}
	}}
	two := s.apply("2", settings)
	s.manager.Cloud = s.cloud
	want("rolled out", first, map[string]string{rolloutHost: " 100 " + two + "=100", "shop.example.com": " 50 " + two + "=100"})
	want("rolled out", second, map[string]string{"internal.example.com": " 7 " + two + "=100", "new.example.com": " 9 " + two + "=100"})
	s.sound("2", 2)

	// A version that fails leaves every rule as it was, also one that it would have dropped.
	has(rule("shop", first, 50), rule("failed", second, 11))
	s.manager.Cloud = &alarmed{Cloud: s.cloud}
	_, err := s.manager.Apply(t.Context(), s.spec("3"), settings, s.known())
	s.manager.Cloud = s.cloud
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack {
		t.Fatalf("got %v, want it rolled back", err)
	}
	want("rolled back", first, map[string]string{rolloutHost: " 100 " + two + "=100", "shop.example.com": " 50 " + two + "=100"})
	want("rolled back", second, map[string]string{"internal.example.com": " 7 " + two + "=100", "new.example.com": " 9 " + two + "=100"})

	// In place: one moves to another priority, one goes, one comes with any priority.
	has(rule("shop", first, 51), rule("internal", second, 7), rule("any", second, 0))
	if _, err := s.manager.Apply(t.Context(), s.spec("2"), faultSettings, s.known()); err != nil {
		t.Fatal(err)
	}
	want("in place", first, map[string]string{rolloutHost: " 100 " + two + "=100", "shop.example.com": " 51 " + two + "=100"})
	want("in place", second, map[string]string{"internal.example.com": " 7 " + two + "=100", "any.example.com": ""})
	s.sound("2", 2)
	exist, share, err := s.cloud.Rules(t.Context(), cluster.Generation{Cluster: strawberry, Name: two}, s.spec("2").FurtherRules)
	if err != nil || share != 100 || len(exist) != 3 {
		t.Errorf("got %+v with %d %% and %v, want all of them", exist, share, err)
	}

	// One that answers by itself during maintenance is removed as well.
	rules, err := s.balancing.DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: &second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.balancing.ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rules.Rules[0].RuleArn, Actions: []elbtypes.Action{{
		Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("503")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	known := s.known()
	known.Spec = s.spec("2") // as Terraform's state has it after the change in place
	if err := s.manager.Destroy(t.Context(), strawberry, known); err != nil {
		t.Fatal(err)
	}
	if err := rig.NothingLeft(t.Context(), s.account, s.landscape); err != nil {
		t.Error(err)
	}
	want("destroyed", second, map[string]string{})
}

// watching looks at the rules whenever the rollout looks at alarms.
type watching struct {
	cluster.Cloud
	look func()
}

// Alarms implements cluster.Cloud.
func (w *watching) Alarms(_ context.Context, names []string) ([]cluster.Alarm, error) {
	w.look()
	return []cluster.Alarm{{Name: names[0], State: cluster.AlarmOK}}, nil
}

// TestAccRollout_FurtherRulesRefused: a plan refuses what cannot be.
func TestAccRollout_FurtherRulesRefused(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	balancer, err := s.balancing.CreateLoadBalancer(t.Context(), &elb.CreateLoadBalancerInput{
		Name: aws.String("other"), Subnets: s.landscape.Subnets, SecurityGroups: []string{s.landscape.SecurityGroup},
	})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := s.balancing.CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{
			Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.balancing.CreateRule(t.Context(), &elb.CreateRuleInput{
		ListenerArn: &s.landscape.Listener, Priority: aws.Int32(70),
		Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/theirs"}}},
		Actions: []elbtypes.Action{{
			Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("200")},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for says, rule := range map[string]cluster.FurtherRule{
		"can be used by one load balancer only": {ListenerARN: *elsewhere.Listeners[0].ListenerArn, Rule: cluster.Rule{Priority: 5}},
		"(priority 70) exists already":          {ListenerARN: s.landscape.Listener, Rule: cluster.Rule{Priority: 70}},
		"is not a valid ARN of a listener":      {ListenerARN: "arn:x", Rule: cluster.Rule{Priority: 5}},
	} {
		rule.Name, rule.Rule.Hosts = "shop", []string{"shop.example.com"}
		s.change = func(spec *cluster.Spec) { spec.FurtherRules = []cluster.FurtherRule{rule} }
		if _, err := s.cloud.Check(t.Context(), s.spec("1")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error that says %q", err, says)
		}
	}
}
