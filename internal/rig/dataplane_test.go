package rig_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestDataPlane_Health(t *testing.T) {
	s := newFixture(t, rig.Options{Behave: behaviours(map[string]rig.Behaviour{
		"never": {NeverHealthy: true},
		"late":  {HealthyAfter: 50 * time.Second},
		"dies":  {DiesAfter: 50 * time.Second},
		"hangs": {Hangs: true},
	})})
	arns := map[string]string{}
	weights := map[string]int32{}
	for _, version := range []string{"good", "never", "late", "dies", "hangs"} {
		arns[version] = s.generation(version, 1, nil)
		weights[arns[version]] = 1
	}
	unused := []types.TargetHealth{{
		State: "unused", Reason: types.TargetHealthReasonEnumNotInUse,
		Description: aws.String("Target group is not configured to receive traffic from the load balancer"),
	}}
	if diff := cmp.Diff(s.health(arns["good"]), unused, ignoreUnexported); diff != "" {
		t.Errorf("of a target group that no listener has (-got +want):\n%s", diff)
	}
	s.serve(weights, 0)
	for version, want := range map[string]types.TargetHealth{
		"good": {State: "healthy"},
		"late": {State: "healthy"},
		"never": {
			State: "unhealthy", Reason: types.TargetHealthReasonEnumResponseCodeMismatch,
			Description: aws.String("Health checks failed with these codes: [503]"),
		},
		"dies":  {State: "unhealthy", Reason: types.TargetHealthReasonEnumFailedHealthChecks, Description: aws.String("Health checks failed")},
		"hangs": {State: "unhealthy", Reason: types.TargetHealthReasonEnumTimeout, Description: aws.String("Request timed out")},
	} {
		s.await(arns[version], want.State)
		if diff := cmp.Diff(s.health(arns[version]), []types.TargetHealth{want}, ignoreUnexported); diff != "" {
			t.Errorf("%s (-got +want):\n%s", version, diff)
		}
	}
	out, err := s.balancing.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{
		TargetGroupArn: aws.String(arns["good"]), Targets: []types.TargetDescription{{Id: aws.String("i-0")}},
	})
	if err != nil || len(out.TargetHealthDescriptions) != 1 ||
		out.TargetHealthDescriptions[0].TargetHealth.Reason != types.TargetHealthReasonEnumNotRegistered {
		t.Errorf("of a target that is not there: got %+v and %v", out, err)
	}
	if _, err := s.balancing.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{
		TargetGroupArn: aws.String(arns["good"] + "0"),
	}); err == nil || !strings.Contains(err.Error(), "TargetGroupNotFound") {
		t.Errorf("of a target group that is not there: got %v", err)
	}
}

var ignoreUnexported = cmpopts.IgnoreUnexported(types.TargetHealth{})

func TestDataPlane_Drains(t *testing.T) {
	s := newFixture(t, rig.Options{Behave: behaviours(map[string]rig.Behaviour{
		"short": {Latency: 400 * time.Millisecond},
		"long":  {Latency: time.Minute},
	})})
	delay := map[string]string{"deregistration_delay.timeout_seconds": "80"}
	for version, want := range map[string]int{"short": http.StatusOK, "long": http.StatusBadGateway} {
		t.Run(version, func(t *testing.T) {
			arn := s.generation(version, 1, delay)
			s.serve(map[string]int32{arn: 1}, 0)
			s.await(arn, types.TargetHealthStateEnumHealthy)
			// One request, sent at once.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			under := make(chan rig.Report)
			go func() { under <- (&rig.Load{URL: s.URL, Rate: 1, Timeout: time.Minute}).Run(ctx) }()
			time.Sleep(200 * time.Millisecond)
			cancel()
			resized := time.Now()
			s.resize(version, 0)
			if h := s.health(arn); len(h) != 1 || h[0].State != types.TargetHealthStateEnumDraining ||
				h[0].Reason != types.TargetHealthReasonEnumDeregistrationInProgress {
				t.Errorf("the target's health is %+v, want draining", h)
			}
			if a := s.get(s.client(), "/", ""); a.status != http.StatusServiceUnavailable || a.version != "" {
				t.Errorf("a new request got %+v, want 503 from the load balancer", a)
			}
			if r := <-under; r.Sent != 1 || r.ByStatus[want] != 1 {
				t.Errorf("the request under way: %+v, want one %d", r, want)
			}
			if after := time.Since(resized); version == "long" && (after < 800*time.Millisecond || after > 3*time.Second) {
				t.Errorf("it was cut after %s, want 800ms", after)
			}
			s.eventually("the target is gone", func() bool { return len(s.health(arn)) == 0 })
		})
	}
}

func TestDataPlane_Deregistered(t *testing.T) {
	s := newFixture(t, rig.Options{})
	arn := s.generation("v1", 2, map[string]string{"deregistration_delay.timeout_seconds": "20"})
	s.serve(map[string]int32{arn: 1}, 0)
	s.await(arn, types.TargetHealthStateEnumHealthy)
	out, err := s.balancing.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	s.check(err)
	leaves := *out.TargetHealthDescriptions[0].Target.Id
	target := []types.TargetDescription{{Id: &leaves}}
	_, err = s.balancing.DeregisterTargets(t.Context(), &elb.DeregisterTargetsInput{TargetGroupArn: &arn, Targets: target})
	s.check(err)
	s.sync()
	for range 4 {
		if a := s.get(s.client(), "/", ""); a.status != http.StatusOK || a.instance == leaves {
			t.Errorf("got %+v, want an answer of the target that stays", a)
		}
	}
	s.eventually("the target is gone", func() bool { return len(s.health(arn)) == 1 })
	_, err = s.balancing.RegisterTargets(t.Context(), &elb.RegisterTargetsInput{TargetGroupArn: &arn, Targets: target})
	s.check(err)
	s.eventually("the target is healthy again", func() bool {
		h := s.health(arn)
		return len(h) == 2 && h[1].State == types.TargetHealthStateEnumHealthy
	})
	_, err = s.scaling.DeleteAutoScalingGroup(t.Context(), &autoscaling.DeleteAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("v1"), ForceDelete: aws.Bool(true),
	})
	s.check(err)
	s.eventually("the targets of a deleted group are gone", func() bool { return len(s.health(arn)) == 0 })
}

func TestDataPlane_Replace(t *testing.T) {
	s := newFixture(t, rig.Options{Replace: true, Behave: behaviours(map[string]rig.Behaviour{"v1": {NeverHealthy: true}})})
	arn := s.generation("v1", 1, map[string]string{"deregistration_delay.timeout_seconds": "0"})
	instances := func() (ids []string) {
		out, err := s.scaling.DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{
			AutoScalingGroupNames: []string{"v1"},
		})
		s.check(err)
		for _, i := range out.AutoScalingGroups[0].Instances {
			ids = append(ids, *i.InstanceId)
		}
		return ids
	}
	first := instances()
	s.serve(map[string]int32{arn: 1}, 0)
	s.eventually("the instance is replaced", func() bool { return !cmp.Equal(instances(), first) })
	_, err := s.scaling.SuspendProcesses(t.Context(), &autoscaling.SuspendProcessesInput{
		AutoScalingGroupName: aws.String("v1"), ScalingProcesses: []string{"ReplaceUnhealthy"},
	})
	s.check(err)
	s.sync()
	last := instances()
	if len(last) != 1 {
		t.Errorf("got instances %v, want one", last)
	}
	s.await(arn, types.TargetHealthStateEnumUnhealthy)
	time.Sleep(300 * time.Millisecond)
	if now := instances(); !cmp.Equal(now, last) {
		t.Errorf("while that is suspended, %v were replaced by %v", last, now)
	}
}

func TestDataPlane_Killed(t *testing.T) {
	s := newFixture(t, rig.Options{})
	arn := s.generation("v1", 1, nil)
	s.serve(map[string]int32{arn: 1}, 0)
	s.await(arn, types.TargetHealthStateEnumHealthy)
	client := s.client()
	id := s.get(client, "/", "").instance
	_, err := s.compute.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	s.check(err)
	if a := s.get(client, "/", ""); a.status < http.StatusInternalServerError || a.version != "" {
		t.Errorf("got %+v, want no answer of the server", a)
	}
}

func TestDataPlane_LeavesNothing(t *testing.T) {
	s := newFixture(t, rig.Options{})
	s.serve(map[string]int32{s.generation("good", 2, nil): 1, s.generation("hangs", 1, nil): 1}, 0)
	s.check(s.Close())
	time.Sleep(200 * time.Millisecond)
	before := runtime.NumGoroutine()

	again, err := rig.NewDataPlane(t.Context(), s.account, s.landscape, s.proxy, rig.Options{
		Speed: 100, Replace: true, Behave: behaviours(map[string]rig.Behaviour{"hangs": {Hangs: true}}),
	})
	s.check(err)
	s.DataPlane = again
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	load := &rig.Load{URL: again.URL, Rate: 100, Timeout: 300 * time.Millisecond}
	if r := load.Run(ctx); r.Failed == 0 || r.Failed == r.Sent {
		t.Errorf("got %+v, want some to fail", r)
	}
	s.resize("good", 1)
	s.check(again.Close())
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			all := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
		}
	}
}
