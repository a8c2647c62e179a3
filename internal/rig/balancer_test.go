package rig_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestBalancer_Rules(t *testing.T) {
	s := newFixture(t, rig.Options{})
	v1, v2 := s.generation("v1", 1, nil), s.generation("v2", 1, nil)
	for priority, rule := range map[int32]struct {
		host, path string
		actions    []types.Action
	}{
		20: {"*.example.com", "", forward(map[string]int32{v1: 1}, 0)},
		10: {"shop.example.com", "/api/?2/*", forward(map[string]int32{v2: 1}, 0)},
		5: {"", "/closed", []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{
			StatusCode: aws.String("418"), ContentType: aws.String("text/plain"), MessageBody: aws.String("closed"),
		}}}},
	} {
		in := &elb.CreateRuleInput{ListenerArn: &s.landscape.Listener, Priority: &priority, Actions: rule.actions}
		if rule.host != "" {
			in.Conditions = append(in.Conditions, types.RuleCondition{
				Field: aws.String("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: []string{rule.host}},
			})
		}
		if rule.path != "" {
			in.Conditions = append(in.Conditions, types.RuleCondition{
				Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{Values: []string{rule.path}},
			})
		}
		_, err := s.balancing.CreateRule(t.Context(), in)
		s.check(err)
	}
	s.await(v1, types.TargetHealthStateEnumHealthy)
	s.await(v2, types.TargetHealthStateEnumHealthy)
	for _, tt := range []struct {
		host, path string
		status     int
		version    string
	}{
		{"shop.example.com", "/", 200, "v1"},
		{"SHOP.example.com:8080", "/api/v2/", 200, "v2"},
		{"shop.example.com", "/api/v22/", 200, "v1"},
		{"shop.example.com", "/API/v2/", 200, "v1"},
		{"shop.example.org", "/api/v2/", 404, ""},
		{"shop.example.org", "/closed", 418, ""},
	} {
		if a := s.get(s.client(), tt.path, tt.host); a.status != tt.status || a.version != tt.version {
			t.Errorf("%s%s: got %d from %q, want %d from %q", tt.host, tt.path, a.status, a.version, tt.status, tt.version)
		}
	}
	if a := s.get(s.client(), "/closed", ""); a.body != "closed" {
		t.Errorf("got %q, want the fixed response", a.body)
	}
}

func TestBalancer_Weights(t *testing.T) {
	s := newFixture(t, rig.Options{})
	v1, v2 := s.generation("v1", 2, nil), s.generation("v2", 2, nil)
	s.serve(map[string]int32{v1: 1, v2: 1}, 0)
	s.await(v1, types.TargetHealthStateEnumHealthy)
	s.await(v2, types.TargetHealthStateEnumHealthy)
	report := s.load(800, 500*time.Millisecond)
	// Some 400 requests; a hundred more or less of one is ten standard deviations.
	a, b := report.ByVersion["v1"], report.ByVersion["v2"]
	if report.Failed > 0 || a+b != report.Sent || a-b > 200 || b-a > 200 || report.Sent < 300 {
		t.Errorf("at 1 to 1: %+v", report)
	}
	s.serve(map[string]int32{v1: 100, v2: 0}, 0)
	if report = s.load(400, 200*time.Millisecond); report.Failed > 0 || report.ByVersion["v1"] != report.Sent || report.ByVersion["v2"] > 0 {
		t.Errorf("at 100 to 0: %+v", report)
	}
	s.serve(map[string]int32{v1: 0, v2: 0}, 0)
	if a := s.get(s.client(), "/", ""); a.status != http.StatusServiceUnavailable || a.version != "" {
		t.Errorf("at 0 to 0: got %+v, want 503 from the load balancer", a)
	}
}

func TestBalancer_StickyGroup(t *testing.T) {
	s := newFixture(t, rig.Options{})
	v1 := s.generation("v1", 1, map[string]string{"deregistration_delay.timeout_seconds": "0"})
	v2 := s.generation("v2", 1, nil)
	s.serve(map[string]int32{v1: 1, v2: 0}, 3600)
	s.await(v1, types.TargetHealthStateEnumHealthy)
	s.await(v2, types.TargetHealthStateEnumHealthy)
	stuck := s.client()
	got := func(client *http.Client, want, when string) {
		t.Helper()
		for range 3 {
			if a := s.get(client, "/", ""); a.status != http.StatusOK || a.version != want {
				t.Errorf("%s: got %+v, want %s", when, a, want)
			}
		}
	}
	got(stuck, "v1", "at first")
	s.serve(map[string]int32{v1: 0, v2: 1}, 3600)
	got(stuck, "v1", "with the cookie, at weight 0")
	got(s.client(), "v2", "without a cookie")
	s.resize("v1", 0)
	if a := s.get(stuck, "/", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("with the cookie, without targets: got %+v, want 503", a)
	}
	s.serve(map[string]int32{v2: 1}, 3600)
	got(stuck, "v2", "with the cookie of a target group that the rule does not have")

	s.serve(map[string]int32{v2: 1, v1: 0}, 30)
	short := s.client()
	s.resize("v1", 1)
	s.await(v1, types.TargetHealthStateEnumHealthy)
	got(short, "v2", "with a cookie for 300ms")
	s.serve(map[string]int32{v2: 0, v1: 1}, 30)
	time.Sleep(350 * time.Millisecond)
	got(short, "v1", "after them")
	s.serve(map[string]int32{v2: 1, v1: 0}, 0)
	got(short, "v2", "with a cookie, but no stickiness")
}

func TestBalancer_StickyTarget(t *testing.T) {
	s := newFixture(t, rig.Options{})
	arn := s.generation("v1", 3, map[string]string{
		"stickiness.enabled": "true", "stickiness.type": "lb_cookie", "stickiness.lb_cookie.duration_seconds": "3600",
		"deregistration_delay.timeout_seconds": "0",
	})
	s.serve(map[string]int32{arn: 1}, 0)
	s.await(arn, types.TargetHealthStateEnumHealthy)
	client := s.client()
	instances, sticky := map[string]bool{}, map[string]bool{}
	for range 9 {
		instances[s.get(s.client(), "/", "").instance] = true
		sticky[s.get(client, "/", "").instance] = true
	}
	if len(instances) != 3 || len(sticky) != 1 {
		t.Errorf("without a cookie: %v, want 3 instances; with one: %v, want 1", instances, sticky)
	}
	s.resize("v1", 0)
	s.resize("v1", 1)
	s.await(arn, types.TargetHealthStateEnumHealthy)
	if a := s.get(client, "/", ""); a.status != http.StatusOK || sticky[a.instance] {
		t.Errorf("with the cookie of a target that is gone: got %+v, want another target", a)
	}
}

func TestBalancer_FailsOpen(t *testing.T) {
	s := newFixture(t, rig.Options{Behave: behaviours(map[string]rig.Behaviour{
		"never": {NeverHealthy: true},
		"dies":  {DiesAfter: 20 * time.Second},
	})})
	for _, tt := range []struct {
		version   string
		status    int
		answering string
	}{
		{"never", http.StatusServiceUnavailable, "never"},
		{"dies", http.StatusBadGateway, ""},
	} {
		arn := s.generation(tt.version, 2, nil)
		s.serve(map[string]int32{arn: 1}, 0)
		s.await(arn, types.TargetHealthStateEnumUnhealthy)
		if a := s.get(s.client(), "/", ""); a.status != tt.status || a.version != tt.answering {
			t.Errorf("%s: got %+v, want %d from %q", tt.version, a, tt.status, tt.answering)
		}
	}
}

func TestBalancer_Propagation(t *testing.T) {
	s := newFixture(t, rig.Options{Propagation: 500 * time.Millisecond})
	v1, v2 := s.generation("v1", 1, nil), s.generation("v2", 1, nil)
	s.serve(map[string]int32{v1: 1, v2: 0}, 0)
	s.await(v1, types.TargetHealthStateEnumHealthy)
	s.await(v2, types.TargetHealthStateEnumHealthy)
	s.eventually("v1 serves", func() bool { return s.get(s.client(), "/", "").version == "v1" })
	changed := time.Now()
	s.serve(map[string]int32{v1: 0, v2: 1}, 0)
	if a := s.get(s.client(), "/", ""); a.version != "v1" {
		t.Errorf("at once: got %+v, want v1", a)
	}
	s.eventually("v2 serves", func() bool { return s.get(s.client(), "/", "").version == "v2" })
	if after := time.Since(changed); after < 500*time.Millisecond {
		t.Errorf("the change came into effect after %s, want 500ms", after)
	}
}
