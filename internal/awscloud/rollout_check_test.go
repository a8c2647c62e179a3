package awscloud_test

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// checked are settings with a preview and a check that goes to the data plane.
func (s *site) checked(settings rollout.Settings) rollout.Settings {
	settings.Preview = &cluster.Preview{Header: &cluster.Header{Name: "X-Preview", Values: []string{"open sesame"}}}
	settings.Checks = []rollout.Check{{
		Path: "/buy", Method: "GET", Status: "200", BodyContains: "version", Timeout: 5 * time.Second, Within: 20 * time.Second,
	}}
	settings.CheckURL = s.plane.URL
	return settings
}

// TestAccRollout_CheckedUnderLoad rolls out, under load, a version that answers 500 to
// everything but health checks: no request of a user fails.
func TestAccRollout_CheckedUnderLoad(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]struct {
		defaultAction bool
		propagation   time.Duration
	}{
		"Rule":                     {},
		"RulePropagation":          {propagation: 150 * time.Millisecond},
		"DefaultActionPropagation": {true, 150 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, 50, &rig.Options{Propagation: c.propagation, Behave: func(version string) rig.Behaviour {
				return rig.Behaviour{Fails: version == "2"}
			}})
			s.defaultAction = c.defaultAction
			s.apply("1", s.checked(atOnce))
			s.reached()
			settings := s.checked(gradual)
			v := s.attempt(s.load(), "2", settings)
			s.rolledBack(&v, rollout.RunChecks.Title(), `check "GET /buy": expected status 200, got status 500 with the body "version 2 on i-`)
			t.Logf("the bad version: %d of %d requests failed", v.Failed, v.Sent)
			if v.Failed > 0 || v.ByVersion["1"] != v.Sent {
				t.Errorf("%d of %d requests failed, and %v answered: %v", v.Failed, v.Sent, v.ByVersion, v.Errors)
			}
			v = s.attempt(s.load(), "3", settings)
			if v.err != nil || v.Failed > 0 || v.ByVersion["3"] == 0 {
				t.Errorf("got %v, %d failed requests and %v by version: %v%s", v.err, v.Failed, v.ByVersion, v.Errors, s.log())
			}
			s.sound("3", 2)
			s.destroy()
		})
	}
}

// TestAccRollout_CheckUnreachable: a load balancer that cannot be reached says nothing about
// the version.
func TestAccRollout_CheckUnreachable(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 50, &rig.Options{})
	s.apply("1", atOnce)
	settings := s.checked(atOnce)
	settings.CheckURL = "http://not-there.invalid"
	_, err := s.manager.Apply(t.Context(), s.spec("2"), settings, s.known())
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack || !strings.Contains(err.Error(), "says nothing about the version") {
		t.Fatalf("got %v, want it rolled back without a verdict", err)
	}
	s.sound("1", 2)
	settings.Unreachable = rollout.Continue
	s.apply("2", settings)
	s.sound("2", 2)
	s.destroy()
}

// TestAccRollout_TargetAlarms makes alarms on the new target group, one of which fires after
// the shift.
func TestAccRollout_TargetAlarms(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 50, nil)
	watch := s.account.CloudWatch(rolloutRegion)
	settings := checkedSettings()
	settings.Preview, settings.Checks = nil, nil
	settings.MissingDataIsBad = true // does not hold for these alarms
	s.apply("1", settings)

	var mu sync.Mutex
	var put []url.Values
	fire := true
	s.proxy.Intercept(func(c rig.Call) *rig.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case c.Action == "PutMetricAlarm":
			put = append(put, c.Form)
		case c.Action == "ModifyRule" && len(put) > 0 && fire: // the shift
			fire = false
			_, err := watch.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
				AlarmName: aws.String(put[0].Get("AlarmName")), StateValue: cwtypes.StateValueAlarm,
				StateReason: aws.String("5 answers were a 5xx"),
			})
			if err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	_, err := s.manager.Apply(t.Context(), s.spec("2"), settings, s.known())
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack || !strings.Contains(err.Error(), "-5xx\" fires: 5 answers were a 5xx") {
		t.Fatalf("got %v, want it rolled back%s", err, s.log())
	}
	s.sound("1", 2)

	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	name := put[0].Get("AlarmName")
	generation := strings.TrimSuffix(name, "-5xx")
	balancer := strings.Split(s.landscape.Listener, "listener/")[1]
	for i, want := range []map[string]string{
		{"AlarmName": generation + "-5xx", "MetricName": "HTTPCode_Target_5XX_Count", "Statistic": "Sum", "Threshold": "0"},
		{"AlarmName": generation + "-latency", "MetricName": "TargetResponseTime", "ExtendedStatistic": "p95", "Threshold": "0.8"},
		{"AlarmName": generation + "-unhealthy", "MetricName": "UnHealthyHostCount", "Statistic": "Maximum", "Threshold": "0"},
	} {
		maps.Copy(want, map[string]string{
			"Action": "PutMetricAlarm", "Namespace": "AWS/ApplicationELB", "ComparisonOperator": "GreaterThanThreshold",
			"Period": "60", "EvaluationPeriods": "2", "TreatMissingData": "notBreaching",
			"Dimensions.member.1.Name": "LoadBalancer", "Dimensions.member.1.Value": balancer[:strings.LastIndex(balancer, "/")],
			"Dimensions.member.2.Name": "TargetGroup",
		})
		got := map[string]string{}
		tags := map[string]string{}
		for key := range put[i] {
			if member, ok := strings.CutSuffix(key, ".Key"); ok {
				tags[put[i].Get(key)] = put[i].Get(member + ".Value")
			} else if !strings.HasPrefix(key, "Tags.") {
				got[key] = put[i].Get(key)
			}
		}
		group := got["Dimensions.member.2.Value"]
		for _, key := range []string{"Version", "AlarmDescription", "Dimensions.member.2.Value"} {
			delete(got, key)
		}
		if diff := cmp.Diff(got, want); diff != "" || !strings.HasPrefix(group, "targetgroup/"+generation+"/") {
			t.Errorf("alarm %d on %s: got (-), want (+):\n%s", i, group, diff)
		}
		if tags["delivery:generation"] != generation || tags["delivery:cluster"] != strawberry.String() || tags["version"] != "2" {
			t.Errorf("alarm %d has the tags %v", i, tags)
		}
	}
	s.proxy.Intercept(nil)
	s.apply("3", settings)
	s.sound("3", 2)
	s.destroy()
}

// TestAccPreview checks which rule a preview is, and that no method takes it for the
// cluster's own.
func TestAccPreview(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 50, nil)
	s.apply("1", atOnce)
	occupy := func(priority int32) string {
		out, err := s.balancing.CreateRule(t.Context(), &elb.CreateRuleInput{
			ListenerArn: &s.landscape.Listener, Priority: &priority,
			Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/other"}}},
			Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{
				StatusCode: aws.String("404"),
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.Rules[0].RuleArn)
	}
	rules := func() map[string]elbtypes.Rule {
		out, err := s.balancing.DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: &s.landscape.Listener})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]elbtypes.Rule{}
		for _, r := range out.Rules {
			found[aws.ToString(r.Priority)] = r
		}
		return found
	}
	taken := occupy(99)
	g, spec := cluster.Generation{Cluster: strawberry, Name: s.known().Name}, s.spec("1")
	p := cluster.Preview{Header: &cluster.Header{Name: "X-Preview", Values: []string{"open sesame"}}}
	for range 2 {
		if err := s.cloud.OpenPreview(t.Context(), g, spec, p); err != nil {
			t.Fatal(err)
		}
	}
	opened, ok := rules()["98"]
	if !ok || len(rules()) != 4 {
		t.Fatalf("got rules %v, want one preview with priority 98", slices.Collect(maps.Keys(rules())))
	}
	var conditions []string
	for _, c := range opened.Conditions {
		conditions = append(conditions, aws.ToString(c.Field))
	}
	slices.Sort(conditions)
	if !slices.Equal(conditions, []string{"host-header", "http-header"}) {
		t.Errorf("the preview has the conditions %v", conditions)
	}
	// It changes neither what serves nor its share.
	is, err := s.cloud.Observe(t.Context(), g, s.landscape.Listener)
	if err != nil || is.Share != 100 || is.Listener == nil || is.Listener.Rule.Priority != 100 {
		t.Errorf("got %+v (%v), want the cluster's own rule", is.Listener, err)
	}
	if err := s.cloud.Serve(t.Context(), g, spec); err != nil {
		t.Error(err)
	}
	if err := s.cloud.Retag(t.Context(), g, spec); err != nil {
		t.Error(err)
	}
	if aws.ToString(rules()["98"].RuleArn) != aws.ToString(opened.RuleArn) {
		t.Error("the preview was changed")
	}
	// A priority of its own must be free.
	at := func(priority int32) cluster.Preview {
		return cluster.Preview{Header: p.Header, Priority: priority}
	}
	if err := s.cloud.CheckPreview(t.Context(), spec, at(99)); err == nil || !strings.Contains(err.Error(), "choose another priority") {
		t.Errorf("a priority that is taken: got %v", err)
	}
	if err := s.cloud.CheckPreview(t.Context(), spec, at(97)); err != nil {
		t.Error(err)
	}
	low := spec
	low.Listener = &cluster.Listener{ARN: s.landscape.Listener, Rule: &cluster.Rule{Priority: 1, Hosts: []string{rolloutHost}}}
	if err := s.cloud.CheckPreview(t.Context(), low, p); err == nil || !strings.Contains(err.Error(), "no priority from 1 to 0 is free") {
		t.Errorf("no priority before the rule: got %v", err)
	}
	for range 2 {
		if err := s.cloud.ClosePreview(t.Context(), g, s.landscape.Listener); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := rules()["98"]; ok || len(rules()) != 3 {
		t.Errorf("the preview is left: %v", slices.Collect(maps.Keys(rules())))
	}
	// A generation is removed together with its preview.
	if err := s.cloud.OpenPreview(t.Context(), g, spec, p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.balancing.DeleteRule(t.Context(), &elb.DeleteRuleInput{RuleArn: &taken}); err != nil {
		t.Fatal(err)
	}
	s.destroy()
	if address, err := s.cloud.Address(t.Context(), s.landscape.Listener); err != nil || !strings.HasPrefix(address, "http://") {
		t.Errorf("got the address %q (%v)", address, err)
	}
}
