package awscloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// TestAccRollout_TakeOverUnderLoad takes over a service that plain calls of the SDK made, and
// gives it back: by the destruction of the cluster, or because the version fails. No request
// fails, and nothing of theirs is changed.
func TestAccRollout_TakeOverUnderLoad(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]takeOver{
		"Steps":        {settings: gradual},
		"Propagation":  {settings: gradual, propagation: 150 * time.Millisecond},
		"AtOnce":       {settings: atOnce},
		"Sticky":       {settings: gradual, sticky: true},
		"AnyPriority":  {settings: gradual, any: true},
		"NeverHealthy": {settings: gradual, behaviour: rig.Behaviour{NeverHealthy: true}, fails: true},
		"Dies":         {settings: gradual, behaviour: rig.Behaviour{DiesAfter: 25 * time.Second}, fails: true, dies: true},
		"Interrupted":  {settings: gradual, interrupt: true},
		"Aborted":      {settings: gradual, abort: true, fails: true, propagation: 150 * time.Millisecond},
	} {
		t.Run(name, c.test)
	}
}

type takeOver struct {
	settings    rollout.Settings
	behaviour   rig.Behaviour
	propagation time.Duration
	// sticky says that clients stay with the target group of theirs, and any that the rule
	// has any priority.
	sticky, any bool
	// fails says that the creation fails, dies that servers do that have requests, and abort
	// that the creation is aborted when they have some.
	fails, dies, abort bool
	// interrupt says that the creation is interrupted in the middle, and continued.
	interrupt bool
}

func (c takeOver) test(t *testing.T) {
	s := openSite(t, 50, &rig.Options{Propagation: c.propagation, Behave: func(version string) rig.Behaviour {
		if version == "1" {
			return c.behaviour
		}
		return rig.Behaviour{}
	}})
	s.legacy(rolloutHost)
	s.reached()
	spec := s.spec("1")
	if c.any {
		spec.Listener.Rule.Priority = 0
	}
	theirs, err := s.balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{"legacy"}})
	if err != nil {
		t.Fatal(err)
	}
	spec.TakeOver = *theirs.TargetGroups[0].TargetGroupArn
	if c.sticky {
		_, err := s.balancing.ModifyTargetGroupAttributes(t.Context(), &elb.ModifyTargetGroupAttributesInput{
			TargetGroupArn: &spec.TakeOver, Attributes: []elbtypes.TargetGroupAttribute{
				{Key: aws.String("stickiness.enabled"), Value: aws.String("true")},
				{Key: aws.String("stickiness.type"), Value: aws.String("lb_cookie")},
				{Key: aws.String("stickiness.lb_cookie.duration_seconds"), Value: aws.String("3600")},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := s.describeTheirs(spec.TakeOver)
	there, err := rig.Leftovers(t.Context(), s.account, s.landscape)
	if err != nil {
		t.Fatal(err)
	}
	settings := c.settings
	settings.HealthyWithin = 2 * time.Minute

	shared := 0
	s.proxy.Intercept(func(call rig.Call) *rig.Fault {
		forward := "Actions.member.1.ForwardConfig."
		if call.Action != "ModifyRule" || !call.Form.Has(forward+"TargetGroups.member.2.TargetGroupArn") {
			return nil
		}
		if shared++; (call.Form.Get(forward+"TargetGroupStickinessConfig.Enabled") == "true") != c.sticky {
			t.Errorf("got stickiness %q, want it as their target group has it", call.Form.Get(forward+"TargetGroupStickinessConfig.Enabled"))
		}
		return nil
	})

	load := s.load()
	stop := s.send(load)
	s.eventually("requests come in", func() bool { return load.Snapshot().ByVersion["legacy"] > 0 })
	if c.abort {
		go func() {
			s.eventually("version 1 gets requests", func() bool { return load.Snapshot().ByVersion["1"] > 0 })
			store, err := s.open()
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close() //nolint:errcheck // only a test's
			p, err := rollout.ReadStatus(t.Context(), store, strawberry, rolloutRegion)
			if err == nil && p.Open != nil {
				err = store.RequestAbort(t.Context(), strawberry.Service, p.Open.ID, "the test")
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.interrupt {
		s.proxy.Intercept(func(call rig.Call) *rig.Fault {
			if call.Action == "ModifyRule" {
				if shared++; shared == 2 {
					cancel()
				}
			}
			return nil
		})
	}
	_, err = s.manager.Apply(ctx, spec, settings, nil)
	if c.interrupt {
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "may share the requests") {
			t.Fatalf("got %v, want it interrupted%s", err, s.log())
		}
		// The next plan, which finds the cluster's own rule.
		if _, err := s.cloud.Check(t.Context(), spec); err != nil {
			t.Error(err)
		}
		_, err = s.manager.Apply(t.Context(), spec, settings, nil)
	}
	switch {
	case c.fails:
		var failure *rollout.Error
		if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack || !strings.Contains(failure.Serving, "serves, as before") {
			t.Fatalf("got %v, want it rolled back%s", err, s.log())
		}
	case err != nil:
		t.Fatalf("%v%s", err, s.log())
	default:
		s.served(load, "1")
		s.checkTakenOver(spec)
		weights, err := s.weights(t.Context())
		if err != nil || len(weights) != 1 {
			t.Errorf("got the weights %v and %v, want only those of the cluster", weights, err)
		}
		// The way back.
		if err := s.manager.Destroy(t.Context(), strawberry, s.known()); err != nil {
			t.Fatalf("%v%s", err, s.log())
		}
	}
	s.served(load, "legacy")
	r := stop()
	t.Logf("%d requests: %v by status, %v by version, %d failed", r.Sent, r.ByStatus, r.ByVersion, r.Failed)
	lost := r.Sent - r.ByStatus[200]
	switch {
	case c.dies: // servers that die lose what they were given
		if r.ByVersion["1"] == 0 {
			t.Error("version 1 got no requests")
		}
	case r.Failed > 0 || lost > 0:
		t.Errorf("%d of %d requests failed: %v, %v", lost, r.Sent, r.ByStatus, r.Errors)
	}
	if (r.ByVersion["1"] > 0) != (c.behaviour == (rig.Behaviour{}) || c.dies) {
		t.Errorf("version 1 answered %d requests", r.ByVersion["1"])
	}
	if want := c.behaviour != (rig.Behaviour{NeverHealthy: true}) && len(settings.Steps) > 0; (shared > 0) != want {
		t.Errorf("requests were shared %d times", shared)
	}
	if after := s.describeTheirs(spec.TakeOver); after != before {
		t.Errorf("theirs was\n%s\nand is\n%s", before, after)
	}
	if left, err := rig.Leftovers(t.Context(), s.account, s.landscape); err != nil || !slices.Equal(left, there) {
		t.Errorf("got %v and %v, want what was there before, %v", left, err, there)
	}
}

// TestAccRollout_TakeOverLeft has the cluster's rule still forward to what was taken over,
// because the take-over did not reach its end. The next rollout removes it.
func TestAccRollout_TakeOverLeft(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 1000, nil)
	s.legacy("other.example.com")
	theirs, err := s.balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{"legacy"}})
	if err != nil {
		t.Fatal(err)
	}
	s.apply("1", atOnce)
	rules, err := s.balancing.DescribeRules(t.Context(), &elb.DescribeRulesInput{ListenerArn: &s.landscape.Listener})
	if err != nil {
		t.Fatal(err)
	}
	rule := rules.Rules[slices.IndexFunc(rules.Rules, func(r elbtypes.Rule) bool { return aws.ToString(r.Priority) == "100" })]
	forward := rule.Actions[0].ForwardConfig
	forward.TargetGroups = append(forward.TargetGroups, elbtypes.TargetGroupTuple{
		TargetGroupArn: theirs.TargetGroups[0].TargetGroupArn, Weight: aws.Int32(0),
	})
	if _, err := s.balancing.ModifyRule(t.Context(), &elb.ModifyRuleInput{RuleArn: rule.RuleArn, Actions: rule.Actions}); err != nil {
		t.Fatal(err)
	}
	name := s.apply("2", atOnce)
	weights, err := s.weights(t.Context())
	if err != nil || weights[name] != 100 || len(weights) != 1 {
		t.Errorf("got the weights %v and %v, want only those of %s", weights, err, name)
	}
}

// checkTakenOver checks the rule of a cluster that has taken over, and that a plan of
// another version, or the same creation, is not refused because of it.
func (s *site) checkTakenOver(spec cluster.Spec) {
	s.Helper()
	is, err := s.cloud.Observe(s.Context(), cluster.Generation{Cluster: strawberry, Name: s.known().Name}, s.landscape.Listener)
	if err != nil || is.Share != 100 || is.Listener == nil || !is.Listener.Rule.SelectsSame(*spec.Listener.Rule) || is.Listener.Rule.Priority >= 200 {
		s.Errorf("got %+v with %d%% and %v", is.Listener, is.Share, err)
	}
	if _, err := s.cloud.Check(s.Context(), spec); err != nil {
		s.Error(err)
	}
}

// describeTheirs describes everything of the service that was taken over, aside from targets
// that come and go.
func (s *site) describeTheirs(arn string) string {
	s.Helper()
	ctx := s.Context()
	group, err := s.scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"legacy"}})
	if err != nil {
		s.Fatal(err)
	}
	targets, err := s.balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if err != nil {
		s.Fatal(err)
	}
	// Moto appends the load balancer for each rule that forwards to the group.
	targets.TargetGroups[0].LoadBalancerArns = slices.Compact(targets.TargetGroups[0].LoadBalancerArns)
	attributes, err := s.balancing.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if err != nil {
		s.Fatal(err)
	}
	rules, err := s.balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &s.landscape.Listener})
	if err != nil {
		s.Fatal(err)
	}
	rule := slices.IndexFunc(rules.Rules, func(r elbtypes.Rule) bool { return aws.ToString(r.Priority) == "200" })
	if rule < 0 {
		s.Fatal("their rule is gone")
	}
	tags, err := s.balancing.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{arn, *rules.Rules[rule].RuleArn}})
	if err != nil {
		s.Fatal(err)
	}
	text, err := json.MarshalIndent([]any{
		group.AutoScalingGroups, targets.TargetGroups, attributes.Attributes, rules.Rules[rule], tags.TagDescriptions,
	}, "", " ")
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// otherBalancer makes another load balancer, whose listener forwards everything to a target group,
// and returns that.
func (s *site) otherBalancer() string {
	s.Helper()
	group, err := s.balancing.CreateTargetGroup(s.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("elsewhere"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &s.landscape.VPC,
	})
	if err != nil {
		s.Fatal(err)
	}
	balancer, err := s.balancing.CreateLoadBalancer(s.Context(), &elb.CreateLoadBalancerInput{
		Name: aws.String("elsewhere"), Subnets: s.landscape.Subnets,
	})
	if err != nil {
		s.Fatal(err)
	}
	_, err = s.balancing.CreateListener(s.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: group.TargetGroups[0].TargetGroupArn}},
	})
	if err != nil {
		s.Fatal(err)
	}
	return *group.TargetGroups[0].TargetGroupArn
}

// listenerOf returns the listener that otherBalancer made.
func (s *site) listenerOf(arn string) string {
	s.Helper()
	groups, err := s.balancing.DescribeTargetGroups(s.Context(), &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if err != nil {
		s.Fatal(err)
	}
	listeners, err := s.balancing.DescribeListeners(s.Context(), &elb.DescribeListenersInput{
		LoadBalancerArn: &groups.TargetGroups[0].LoadBalancerArns[0],
	})
	if err != nil {
		s.Fatal(err)
	}
	return *listeners.Listeners[0].ListenerArn
}

// TestAccRollout_TakeOverRefused refuses at plan what cannot be taken over.
func TestAccRollout_TakeOverRefused(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 50, nil)
	s.legacy(rolloutHost)
	described, err := s.balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{"legacy"}})
	if err != nil {
		t.Fatal(err)
	}
	theirs := *described.TargetGroups[0].TargetGroupArn
	made, err := s.balancing.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("idle"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &s.landscape.VPC,
	})
	if err != nil {
		t.Fatal(err)
	}
	idle := *made.TargetGroups[0].TargetGroupArn
	tcp, err := s.balancing.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name: aws.String("tcp"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumTcp, VpcId: &s.landscape.VPC,
	})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := s.otherBalancer()
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		says   string
	}{
		"Missing":  {func(spec *cluster.Spec) { spec.TakeOver = strings.Replace(theirs, "legacy", "missing", 1) }, "missing/"},
		"Idle":     {func(spec *cluster.Spec) { spec.TakeOver = idle }, "there are no requests to take over"},
		"Protocol": {func(spec *cluster.Spec) { spec.TakeOver = *tcp.TargetGroups[0].TargetGroupArn }, "behind HTTP or HTTPS are needed"},
		"OtherBalancer": {func(spec *cluster.Spec) { spec.TakeOver = elsewhere },
			"a target group can be used by one load balancer only"},
		"DefaultAction": {func(spec *cluster.Spec) {
			spec.TakeOver, spec.Listener.ARN = elsewhere, s.listenerOf(elsewhere)
			spec.Listener.Rule.Priority = 50_000
		}, ""},
		"After": {func(spec *cluster.Spec) { spec.Listener.Rule.Priority = 201 },
			"give listener_rule a priority of at most 199, or none"},
		"OtherRequests": {func(spec *cluster.Spec) { spec.Listener.Rule.Paths = []string{"/api"} },
			"selects other requests than listener_rule; give listener_rule the same conditions"},
		"OtherListener": {func(spec *cluster.Spec) { spec.Listener.ARN = s.otherListener() }, "there are no requests to take over"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := s.spec("1")
			spec.TakeOver = theirs
			tt.change(&spec)
			_, err := s.cloud.Check(context.Background(), spec)
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "take_over_target_group_arn: ") ||
				!strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}
