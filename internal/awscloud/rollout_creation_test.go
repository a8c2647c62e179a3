package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// TestAccRollout_CreationUnderLoad creates a cluster that takes the requests of
// what answers already: a service by a later rule, or the default action's fixed
// response. That answers until the new servers are healthy, and goes on if they
// never are.
func TestAccRollout_CreationUnderLoad(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]creationUnderLoad{
		"Rule":                      {},
		"RulePropagation":           {propagation: 150 * time.Millisecond},
		"RuleNeverHealthy":          {never: true},
		"DefaultAction":             {defaultAction: true},
		"DefaultActionPropagation":  {defaultAction: true, propagation: 150 * time.Millisecond},
		"DefaultActionNeverHealthy": {defaultAction: true, never: true},
	} {
		t.Run(name, c.test)
	}
}

type creationUnderLoad struct {
	defaultAction, never bool
	propagation          time.Duration
}

func (c creationUnderLoad) test(t *testing.T) {
	behave := slowly
	if c.never {
		behave = func(version string) rig.Behaviour { return rig.Behaviour{NeverHealthy: version == "2"} }
	}
	s := openSite(t, 50, &rig.Options{Propagation: c.propagation, Behave: behave})
	before := 404
	if s.defaultAction = c.defaultAction; !s.defaultAction {
		before = 200
		s.legacy(rolloutHost)
		s.reached()
	}
	there, err := rig.Leftovers(t.Context(), s.account, s.landscape)
	if err != nil {
		t.Fatal(err)
	}
	settings := atOnce
	settings.HealthyWithin = 2 * time.Minute

	load := s.load()
	stop := s.send(load)
	s.eventually("requests come in", func() bool { return load.Snapshot().ByStatus[before] > 0 })
	_, err = s.manager.Apply(t.Context(), s.spec("2"), settings, nil)
	if c.never {
		var failure *rollout.Error
		if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack {
			t.Fatalf("got %v, want it rolled back%s", err, s.log())
		}
	} else {
		if err != nil {
			t.Fatalf("%v%s", err, s.log())
		}
		s.served(load, "2")
	}
	r := stop()
	t.Logf("%d requests: %v by status, %v by version", r.Sent, r.ByStatus, r.ByVersion)
	if r.Failed > 0 || r.ByStatus[before]+r.ByStatus[200] < r.Sent {
		t.Errorf("got %v by status for %d requests, want only 200 and %d: %v", r.ByStatus, r.Sent, before, r.Errors)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	after := s.load().Run(ctx)
	if c.never {
		if r.ByVersion["2"] > 0 || after.ByStatus[before] != after.Sent {
			t.Errorf("after the rollback: got %v by status and %v by version", after.ByStatus, after.ByVersion)
		}
	} else if after.ByVersion["2"] != after.Sent {
		t.Errorf("after the creation: got %v of %d requests by version", after.ByVersion, after.Sent)
	}
	if err := s.manager.Destroy(t.Context(), strawberry, s.known()); err != nil {
		t.Fatalf("%v%s", err, s.log())
	}
	if left, err := rig.Leftovers(t.Context(), s.account, s.landscape); err != nil || !slices.Equal(left, there) {
		t.Errorf("got %v and %v, want what was there before, %v", left, err, there)
	}
}

// TestAccRollout_MoveUnderLoad moves a cluster with its next version to where
// something else answers already, which goes on until the new version serves.
func TestAccRollout_MoveUnderLoad(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]struct {
		status int // of the answers before
		begin  func(s *site)
		move   func(s *site, spec *cluster.Spec)
	}{
		"ToDefaultAction": {
			404,
			func(s *site) { s.apply("1", atOnce) },
			func(s *site, spec *cluster.Spec) { s.defaultAction, spec.Listener.Rule = true, nil },
		},
		"ToOtherListener": {
			200,
			func(s *site) {
				s.legacy("other.example.com")
				spec := s.spec("1")
				spec.Listener.ARN = s.otherListener()
				if _, err := s.manager.Apply(s.Context(), spec, atOnce, nil); err != nil {
					s.Fatal(err)
				}
			},
			func(_ *site, spec *cluster.Spec) { spec.Listener.Rule.Hosts = []string{"other.example.com"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, 50, nil)
			c.begin(s)
			s.openPlane(rig.Options{Behave: slowly})
			load := s.load()
			load.Host = "other.example.com"
			stop := s.send(load)
			s.eventually("requests come in", func() bool { return load.Snapshot().ByStatus[c.status] > 0 })
			spec := s.spec("2")
			c.move(s, &spec)
			if _, err := s.manager.Apply(t.Context(), spec, gradual, s.known()); err != nil {
				t.Fatalf("%v%s", err, s.log())
			}
			s.served(load, "2")
			r := stop()
			t.Logf("%d requests: %v by status, %v by version", r.Sent, r.ByStatus, r.ByVersion)
			if r.ByVersion["1"] > 0 || r.Failed > 0 || r.ByStatus[c.status]+r.ByStatus[200] < r.Sent {
				t.Errorf("got %v by status for %d requests, want only 200 and %d: %v", r.ByStatus, r.Sent, c.status, r.Errors)
			}
			if err := s.manager.Destroy(t.Context(), strawberry, s.known()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// slowly has servers of new versions start slowly.
func slowly(version string) rig.Behaviour {
	if version == "legacy" || version == "1" {
		return rig.Behaviour{}
	}
	return rig.Behaviour{HealthyAfter: 20 * time.Second}
}

// otherListener adds a listener to the load balancer.
func (s *site) otherListener() string {
	s.Helper()
	made, err := s.balancing.CreateListener(s.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: &s.landscape.LoadBalancer, Port: aws.Int32(81), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{
			Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("404")},
		}},
	})
	if err != nil {
		s.Fatal(err)
	}
	return *made.Listeners[0].ListenerArn
}

// TestAccRollout_PriorityTaken has another process create a rule with the
// priority that the cluster is about to use.
func TestAccRollout_PriorityTaken(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]struct {
		defaultAction bool
		priority      int32
		says          string
	}{
		"Closed": {true, 49000, ""}, // any other one is as good
		"Own":    {false, 100, "(priority 100) does not belong to cluster strawberry/prod"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, 100, nil)
			s.defaultAction = c.defaultAction
			var taken *elb.CreateRuleOutput
			s.proxy.Intercept(func(call rig.Call) *rig.Fault {
				if call.Action != "CreateRule" || taken != nil {
					return nil
				}
				var err error
				taken, err = s.balancing.CreateRule(t.Context(), &elb.CreateRuleInput{
					ListenerArn: &s.landscape.Listener, Priority: &c.priority,
					Conditions: []elbtypes.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/theirs"}}},
					Actions: []elbtypes.Action{{
						Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("200")},
					}},
				})
				if err != nil {
					t.Error(err)
				}
				return nil
			})
			_, err := s.manager.Apply(t.Context(), s.spec("1"), atOnce, nil)
			if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error that says %q%s", err, c.says, s.log())
			}
			if err == nil {
				if err := s.manager.Destroy(t.Context(), strawberry, s.known()); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"listener rule " + *taken.Rules[0].RuleArn}
			if left, err := rig.Leftovers(t.Context(), s.account, s.landscape); err != nil || !slices.Equal(left, want) {
				t.Errorf("got %v and %v, want only their rule, %v", left, err, want)
			}
		})
	}
}

// TestAccRollout_AnyPriority has another process take the priority that was chosen, just before
// it is used. The next one that is chosen stays over a rollout and a change of the conditions.
func TestAccRollout_AnyPriority(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 50, nil)
	host := rolloutHost
	s.change = func(spec *cluster.Spec) { spec.Listener.Rule = &cluster.Rule{Hosts: []string{host}} }
	var theirs []string
	s.proxy.Intercept(func(call rig.Call) *rig.Fault {
		if call.Action != "CreateRule" || len(theirs) == 2 {
			return nil
		}
		priority, err := strconv.ParseInt(call.Form.Get("Priority"), 10, 32)
		if err != nil {
			t.Error(err)
		}
		taken, err := s.balancing.CreateRule(t.Context(), &elb.CreateRuleInput{
			ListenerArn: &s.landscape.Listener, Priority: aws.Int32(int32(priority)), Conditions: hostCondition("theirs.example.com"),
			Actions: []elbtypes.Action{{
				Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("200")},
			}},
		})
		if err != nil {
			t.Error(err)
			return nil
		}
		theirs = append(theirs, "listener rule "+*taken.Rules[0].RuleArn)
		return nil
	})
	var chosen int32
	for _, change := range []func() string{
		func() string { return "1" },
		func() string { host = "other.example.com"; return "1" },
		func() string { return "2" },
	} {
		version := change()
		name := s.apply(version, atOnce)
		is, err := s.cloud.Observe(t.Context(), cluster.Generation{Cluster: strawberry, Name: name}, s.landscape.Listener)
		if err != nil || is.Listener == nil || is.Share != 100 || !is.Listener.Rule.SelectsSame(cluster.Rule{Hosts: []string{host}}) {
			t.Fatalf("version %s: got %+v at %d%% and %v", version, is.Listener, is.Share, err)
		}
		got := is.Listener.Rule.Priority
		if got < cluster.FirstFreePriority || got > cluster.LastFreePriority || chosen != 0 && got != chosen {
			t.Errorf("version %s: got priority %d after %d", version, got, chosen)
		}
		chosen = got
	}
	if len(theirs) != 2 {
		t.Errorf("the others took %d priorities, want 2", len(theirs))
	}
	if err := s.manager.Destroy(t.Context(), strawberry, s.known()); err != nil {
		t.Fatal(err)
	}
	left, err := rig.Leftovers(t.Context(), s.account, s.landscape)
	slices.Sort(theirs)
	if slices.Sort(left); err != nil || !slices.Equal(left, theirs) {
		t.Errorf("got %v and %v, want only their rules, %v", left, err, theirs)
	}
}

// TestAccRollout_OpenAlready continues and undoes a creation that an earlier
// build began, which connected the target group where requests reach it.
func TestAccRollout_OpenAlready(t *testing.T) {
	enter(t, 3)
	for name, defaultAction := range map[string]bool{"Rule": false, "DefaultAction": true} {
		for _, undone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/Undone=%t", name, undone), func(t *testing.T) {
				s := openSite(t, 100, nil)
				s.defaultAction = defaultAction
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.proxy.Intercept(func(call rig.Call) *rig.Fault {
					if call.Action != "CreateAutoScalingGroup" {
						return nil
					}
					cancel()
					return &rig.Fault{}
				})
				if _, err := s.manager.Apply(ctx, s.spec("1"), atOnce, nil); !errors.Is(err, context.Canceled) {
					t.Fatalf("got %v, want it interrupted", err)
				}
				s.proxy.Intercept(nil)
				s.openRule()
				if undone {
					if _, err := s.manager.Undo(t.Context(), strawberry); err != nil {
						t.Fatalf("%v%s", err, s.log())
					}
					if err := rig.NothingLeft(t.Context(), s.account, s.landscape); err != nil {
						t.Error(err)
					}
					return
				}
				if _, err := s.manager.Resume(t.Context(), strawberry); err != nil {
					t.Fatalf("%v%s", err, s.log())
				}
				s.sound("1", 2)
				s.destroy()
			})
		}
	}
}

// openRule has the only rule, or the default action, forward the cluster's
// requests already.
func (s *site) openRule() {
	s.Helper()
	out, err := s.balancing.DescribeRules(s.Context(), &elb.DescribeRulesInput{ListenerArn: &s.landscape.Listener})
	if err != nil {
		s.Fatal(err)
	}
	rules := slices.DeleteFunc(out.Rules, func(r elbtypes.Rule) bool { return aws.ToBool(r.IsDefault) })
	if len(rules) != 1 {
		s.Fatalf("got %d rules, want 1", len(rules))
	}
	if !s.defaultAction {
		_, err = s.balancing.ModifyRule(s.Context(), &elb.ModifyRuleInput{RuleArn: rules[0].RuleArn, Conditions: hostCondition(rolloutHost)})
	} else if _, err = s.balancing.DeleteRule(s.Context(), &elb.DeleteRuleInput{RuleArn: rules[0].RuleArn}); err == nil {
		_, err = s.balancing.ModifyListener(s.Context(), &elb.ModifyListenerInput{
			ListenerArn: &s.landscape.Listener, DefaultActions: rules[0].Actions,
		})
	}
	if err != nil {
		s.Fatal(err)
	}
}

func hostCondition(host string) []elbtypes.RuleCondition {
	return []elbtypes.RuleCondition{{
		Field: aws.String("host-header"), HostHeaderConfig: &elbtypes.HostHeaderConditionConfig{Values: []string{host}},
	}}
}

// legacy starts an existing service, which other tools made. It serves by a rule
// after that of the cluster.
func (s *site) legacy(host string) {
	s.Helper()
	check := func(err error) {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
	}
	name := aws.String("legacy")
	_, err := ec2.NewFromConfig(s.account.Config(rolloutRegion)).CreateLaunchTemplate(s.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: name,
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String(rig.BaseImage), InstanceType: ec2types.InstanceTypeT3Micro},
	})
	check(err)
	made, err := s.balancing.CreateTargetGroup(s.Context(), &elb.CreateTargetGroupInput{
		Name: name, Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &s.landscape.VPC, HealthCheckPath: aws.String("/health"),
	})
	check(err)
	arn := made.TargetGroups[0].TargetGroupArn
	_, err = s.balancing.CreateRule(s.Context(), &elb.CreateRuleInput{
		ListenerArn: &s.landscape.Listener, Priority: aws.Int32(200),
		Conditions: hostCondition(host),
		Actions:    []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: arn}},
	})
	check(err)
	_, err = s.scaling.CreateAutoScalingGroup(s.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: name, LaunchTemplate: &asgtypes.LaunchTemplateSpecification{LaunchTemplateName: name},
		MinSize: aws.Int32(2), MaxSize: aws.Int32(2), TargetGroupARNs: []string{*arn},
		VPCZoneIdentifier: aws.String(strings.Join(s.landscape.Subnets, ",")),
		Tags:              []asgtypes.Tag{{Key: aws.String("version"), Value: name, PropagateAtLaunch: aws.Bool(true)}},
	})
	check(err)
}
