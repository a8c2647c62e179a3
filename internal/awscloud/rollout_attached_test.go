package awscloud_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

const furtherHost = "further.example.com"

// attaches declares something of every kind.
func attaches(s *cluster.Spec) {
	five, six := 5.0, int32(6)
	self := map[string]string{cluster.DimensionGroup: cluster.Self}
	s.Attachments = cluster.Attachments{
		Policies: []cluster.Policy{
			{Name: "requests", Tracking: &cluster.TargetTracker{Predefined: cluster.RequestsPerTarget, Target: 1000, DisableScaleIn: true}},
			{Name: "network", Warmup: time.Minute, Tracking: &cluster.TargetTracker{Target: 5, Metric: &cluster.Metric{
				Namespace: "Custom", Name: "Load", Statistic: "Average", Dimensions: self,
			}}},
			{Name: "queue", Step: &cluster.StepScaler{
				Adjustment: "ChangeInCapacity", Steps: []cluster.StepRange{{Upper: &five, Change: 1}, {Lower: &five, Change: 2}},
				Alarm: cluster.StepAlarm{
					Metric: cluster.Metric{Namespace: "AWS/SQS", Name: "ApproximateNumberOfMessagesVisible", Statistic: "Average", Dimensions: self},
					Period: time.Minute, EvaluationPeriods: 2, Threshold: 10, Comparison: "GreaterThanThreshold", MissingData: "notBreaching",
				},
			}},
		},
		Schedules: []cluster.Schedule{{Name: "night", Recurrence: "0 20 * * *", Max: &six}},
		Hooks: []cluster.Hook{{
			Name: "warm", Transition: cluster.HookLaunching, Heartbeat: time.Minute, Default: "CONTINUE",
			NotificationTargetARN: "arn:aws:sqs:eu-north-1:123456789012:hooks", RoleARN: "arn:aws:iam::123456789012:role/hooks",
		}},
		Metrics: []string{"GroupInServiceInstances", "GroupDesiredCapacity"}, SuspendedProcesses: []string{"AZRebalance"},
		TerminationPolicies: []string{"OldestInstance", "Default"}, MaxInstanceLifetime: 168 * time.Hour,
	}
}

// withAttachments is a site whose cluster declares attachments, among them a further target group
// that the listener forwards another host to.
func (s *site) withAttachments() (targets string) {
	s.Helper()
	ctx := s.Context()
	through := func(o *elb.Options) { o.BaseEndpoint = &s.proxy.URL } // so that a data plane knows
	group, err := s.balancing.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: aws.String("further"), Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp, VpcId: &s.landscape.VPC,
		HealthCheckPath: aws.String("/health"), HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2),
		HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: &s.unhealthy,
	}, through)
	if err != nil {
		s.Fatal(err)
	}
	targets = aws.ToString(group.TargetGroups[0].TargetGroupArn)
	_, err = s.balancing.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: &targets, Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("60")}},
	}, through)
	if err != nil {
		s.Fatal(err)
	}
	rule, err := s.balancing.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: &s.landscape.Listener, Priority: aws.Int32(900),
		Conditions: []elbtypes.RuleCondition{{Field: aws.String("host-header"), HostHeaderConfig: &elbtypes.HostHeaderConditionConfig{Values: []string{furtherHost}}}},
		Actions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, ForwardConfig: &elbtypes.ForwardActionConfig{
			TargetGroups: []elbtypes.TargetGroupTuple{{TargetGroupArn: &targets, Weight: aws.Int32(1)}},
		}}},
	}, through)
	if err != nil {
		s.Fatal(err)
	}
	s.foreign = append(s.foreign, "target group further", "listener rule "+aws.ToString(rule.Rules[0].RuleArn))
	before := s.change
	s.change = func(spec *cluster.Spec) {
		if before != nil {
			before(spec)
		}
		attaches(spec)
		spec.Attachments.TargetGroupARNs = []string{targets}
	}
	return targets
}

// attachByHand attaches a policy, a hook and a schedule to a generation's group.
func (s *site) attachByHand(generation string) {
	s.Helper()
	if err := s.tryAttachByHand(generation); err != nil {
		s.Fatal(err)
	}
}

func (s *site) tryAttachByHand(generation string) error {
	suffix, err := s.targetSuffix(generation)
	if err != nil {
		return err
	}
	ctx := s.Context()
	scaling := autoscaling.NewFromConfig(s.account.Config(rolloutRegion), func(o *autoscaling.Options) { o.BaseEndpoint = &s.proxy.URL })
	_, err = scaling.PutScalingPolicy(ctx, &autoscaling.PutScalingPolicyInput{
		AutoScalingGroupName: &generation, PolicyName: aws.String("by-hand"), PolicyType: aws.String("TargetTrackingScaling"),
		TargetTrackingConfiguration: &asgtypes.TargetTrackingConfiguration{
			TargetValue: aws.Float64(7),
			CustomizedMetricSpecification: &asgtypes.CustomizedMetricSpecification{Metrics: []asgtypes.TargetTrackingMetricDataQuery{
				{Id: aws.String("m"), ReturnData: aws.Bool(false), MetricStat: &asgtypes.TargetTrackingMetricStat{
					Stat: aws.String("Sum"), Metric: &asgtypes.Metric{
						Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("RequestCount"),
						Dimensions: []asgtypes.MetricDimension{{Name: aws.String("TargetGroup"), Value: &suffix}},
					},
				}},
				{Id: aws.String("e"), Expression: aws.String("m / 60"), ReturnData: aws.Bool(true)},
			}},
		},
	})
	_, hookErr := scaling.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: &generation, LifecycleHookName: aws.String("log"), LifecycleTransition: aws.String(cluster.HookTerminating),
		HeartbeatTimeout: aws.Int32(30),
	})
	_, scheduleErr := scaling.PutScheduledUpdateGroupAction(ctx, &autoscaling.PutScheduledUpdateGroupActionInput{
		AutoScalingGroupName: &generation, ScheduledActionName: aws.String("sale"), Recurrence: aws.String("0 8 1 12 *"), MinSize: aws.Int32(3),
	})
	return errors.Join(err, hookErr, scheduleErr)
}

// targetSuffix is the end of the ARN of a generation's target group.
func (s *site) targetSuffix(generation string) (string, error) {
	out, err := s.balancing.DescribeTargetGroups(s.Context(), &elb.DescribeTargetGroupsInput{Names: []string{generation}})
	if err != nil {
		return "", err
	}
	arn := aws.ToString(out.TargetGroups[0].TargetGroupArn)
	return arn[strings.LastIndex(arn, ":")+1:], nil
}

// attached describes what a generation's group has, and checks that it is what it should have.
func (s *site) attached(generation string, byHand bool) cluster.Attachments {
	s.Helper()
	all, err := s.checkAttached(generation, byHand)
	if err != nil {
		s.Error(err)
	}
	return all
}

func (s *site) checkAttached(generation string, byHand bool) (cluster.Attachments, error) {
	got, err := s.cloud.Attached(s.Context(), cluster.Generation{Cluster: strawberry, Name: generation})
	if err != nil || len(got.Obstacles) > 0 {
		return got.Attachments, fmt.Errorf("%s has the obstacles %v: %w", generation, got.Obstacles, err)
	}
	declared := s.spec("").Attachments
	if own := got.Declared(declared, s.clock.Now()); !own.Same(declared) {
		return got.Attachments, fmt.Errorf("%s has (-), want (+):\n%s", generation, cmp.Diff(own, declared))
	}
	var want []string
	if byHand {
		want = []string{"scaling policy by-hand", "scheduled action sale", "lifecycle hook log"}
	}
	if others := got.Undeclared(declared).Titles(); !slices.Equal(others, want) {
		return got.Attachments, fmt.Errorf("%s has %q of others, want %q", generation, others, want)
	}
	return got.Attachments, nil
}

// alarmNames lists the alarms in the account.
func (s *site) alarmNames() (names []string) {
	s.Helper()
	out, err := s.account.CloudWatch(rolloutRegion).DescribeAlarms(s.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil {
		s.Fatal(err)
	}
	for _, a := range out.MetricAlarms {
		names = append(names, aws.ToString(a.AlarmName))
	}
	return names
}

// TestAccRollout_Attachments: what is attached to a group moves with the generation, declared or
// not, forward and back.
func TestAccRollout_Attachments(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	s.withAttachments()
	calls := s.recorder()
	first := s.apply("1", faultSettings)
	create := calls("CreateAutoScalingGroup")
	for key, want := range map[string]string{
		"LifecycleHookSpecificationList.member.1.LifecycleHookName":     "warm",
		"LifecycleHookSpecificationList.member.1.LifecycleTransition":   cluster.HookLaunching,
		"LifecycleHookSpecificationList.member.1.HeartbeatTimeout":      "60",
		"LifecycleHookSpecificationList.member.1.NotificationTargetARN": "arn:aws:sqs:eu-north-1:123456789012:hooks",
		"TerminationPolicies.member.1":                                  "OldestInstance",
		"MaxInstanceLifetime":                                           "604800",
	} {
		if create[key] != want {
			t.Errorf("the group is created with %s = %q, want %q", key, create[key], want)
		}
	}
	s.attached(first, false)
	if got, want := s.alarmNames(), []string{first + "/queue"}; !slices.Equal(got, want) {
		t.Errorf("there are the alarms %v, want %v", got, want)
	}
	s.attachByHand(first)

	second := s.apply("2", faultSettings)
	s.sound("2", 2)
	all := s.attached(second, true)
	for _, p := range all.Policies {
		if p.Name == "by-hand" && strings.Contains(p.Document, first) {
			t.Errorf("the policy refers to the generation before: %s", p.Document)
		}
	}
	if got, want := s.alarmNames(), []string{second + "/queue"}; !slices.Equal(got, want) {
		t.Errorf("there are the alarms %v, want %v", got, want)
	}
	s.hasAlarm(second)

	// A version that fails: everything is as before.
	settings := faultSettings
	settings.Alarms, settings.ObserveFor = []string{"errors"}, time.Second
	s.manager.Cloud = &alarmed{Cloud: s.cloud}
	_, err := s.manager.Apply(t.Context(), s.spec("3"), settings, s.known())
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack {
		t.Fatalf("got %v, want it rolled back", err)
	}
	s.manager.Cloud = s.cloud
	s.sound("2", 2)
	s.attached(second, true)
	s.hasAlarm(second)

	// Back to the version before, by its image.
	if _, err := s.manager.Undo(t.Context(), strawberry); err != nil {
		t.Fatalf("%v%s", err, s.log())
	}
	s.attached(s.known().Name, true)
	s.sound("1", 2)
	s.destroy()
	if got := s.alarmNames(); len(got) > 0 {
		t.Errorf("the alarms %v are left", got)
	}
}

// hasAlarm checks the alarm of the step policy, and whom it calls.
func (s *site) hasAlarm(generation string) {
	s.Helper()
	out, err := s.account.CloudWatch(rolloutRegion).DescribeAlarms(s.Context(), &cloudwatch.DescribeAlarmsInput{
		AlarmNames: []string{generation + "/queue"},
	})
	if err != nil || len(out.MetricAlarms) != 1 {
		s.Fatalf("got %v and %v, want the alarm of %s", out, err, generation)
	}
	a := out.MetricAlarms[0]
	if len(a.AlarmActions) != 1 || !strings.HasSuffix(a.AlarmActions[0], ":autoScalingGroupName/"+generation+":policyName/queue") {
		s.Errorf("the alarm calls %v, want the policy of %s", a.AlarmActions, generation)
	}
	if len(a.Dimensions) != 1 || aws.ToString(a.Dimensions[0].Value) != generation {
		s.Errorf("the alarm watches %+v, want %s", a.Dimensions, generation)
	}
}

// TestAccRollout_AttachedInPlace changes attachments without a rollout.
func TestAccRollout_AttachedInPlace(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	first := s.apply("1", faultSettings)
	known := s.known()
	s.withAttachments()
	apply := func() {
		t.Helper()
		i, err := s.manager.Apply(t.Context(), s.spec("1"), faultSettings, known)
		if err != nil || i.Serving.Name != first {
			t.Fatalf("got %+v and %v, want a change in place%s", i.Serving, err, s.log())
		}
		known = i.Serving
	}
	apply()
	s.attachByHand(first)
	s.attached(first, true)
	s.sound("1", 2)

	declared := s.change
	s.change = func(spec *cluster.Spec) {
		declared(spec)
		spec.Attachments.Policies = spec.Attachments.Policies[:2]
		spec.Attachments.Schedules, spec.Attachments.Hooks[0].Heartbeat = nil, 2*time.Minute
		spec.Attachments.Metrics, spec.Attachments.MaxInstanceLifetime = []string{"GroupDesiredCapacity"}, 0
		spec.Attachments.TargetGroupARNs = nil
	}
	apply()
	if got := s.alarmNames(); len(got) > 0 {
		t.Errorf("the alarms %v are left of a policy that is removed", got)
	}
	g := cluster.Generation{Cluster: strawberry, Name: first}
	got, err := s.cloud.Attached(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"scaling policy by-hand", "scaling policy network", "scaling policy requests", "scheduled action sale",
		"lifecycle hook log", "lifecycle hook warm",
	}
	for _, title := range want {
		if !slices.Contains(got.Titles(), title) {
			t.Errorf("there is %q, want %q, too", got.Titles(), title)
		}
	}
	if len(got.Policies) != 3 || len(got.Schedules) != 1 || got.MaxInstanceLifetime != 0 || len(got.TargetGroupARNs) > 0 {
		t.Errorf("there is %q, want what was removed gone", got.Titles())
	}
	s.destroy()
}

// TestAccRollout_Callers: an alarm of others that calls a policy is refused, or carried.
func TestAccRollout_Callers(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	first := s.apply("1", faultSettings)
	scaling := autoscaling.NewFromConfig(s.account.Config(rolloutRegion), func(o *autoscaling.Options) { o.BaseEndpoint = &s.proxy.URL })
	_, err := scaling.PutScalingPolicy(t.Context(), &autoscaling.PutScalingPolicyInput{
		AutoScalingGroupName: &first, PolicyName: aws.String("more"), PolicyType: aws.String("SimpleScaling"),
		AdjustmentType: aws.String("ChangeInCapacity"), ScalingAdjustment: aws.Int32(1), Cooldown: aws.Int32(60),
	})
	if err != nil {
		t.Fatal(err)
	}
	policies, err := scaling.DescribePolicies(t.Context(), &autoscaling.DescribePoliciesInput{AutoScalingGroupName: &first})
	if err != nil {
		t.Fatal(err)
	}
	watch := s.account.CloudWatch(rolloutRegion)
	alarm := &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("busy"), AlarmDescription: aws.String("Too busy."), Namespace: aws.String("Custom"), MetricName: aws.String("Load"),
		Statistic: cwtypes.StatisticMaximum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(3), DatapointsToAlarm: aws.Int32(2),
		Threshold: aws.Float64(5), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("ignore"),
		AlarmActions: []string{"arn:aws:sns:eu-north-1:123456789012:people", aws.ToString(policies.ScalingPolicies[0].PolicyARN)},
	}
	if _, err := watch.PutMetricAlarm(t.Context(), alarm); err != nil {
		t.Fatal(err)
	}
	_, err = s.manager.Apply(t.Context(), s.spec("2"), faultSettings, s.known())
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.Refused || !strings.Contains(err.Error(), "busy; set carry_alarm_actions") {
		t.Fatalf("got %v, want it refused because of the alarm", err)
	}
	s.sound("1", 2)

	settings := faultSettings
	settings.CarryAlarmActions = true
	second := s.apply("2", settings)
	s.sound("2", 2)
	described, err := watch.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"busy"}})
	if err != nil {
		t.Fatal(err)
	}
	a := described.MetricAlarms[0]
	if len(a.AlarmActions) != 2 || a.AlarmActions[0] != alarm.AlarmActions[0] || !strings.Contains(a.AlarmActions[1], "autoScalingGroupName/"+second+":") {
		t.Errorf("the alarm calls %v, want the policy of %s instead of that before", a.AlarmActions, second)
	}
	is := fmt.Sprint(aws.ToString(a.AlarmDescription), a.Statistic, aws.ToInt32(a.DatapointsToAlarm), aws.ToFloat64(a.Threshold), aws.ToString(a.TreatMissingData))
	if want := "Too busy.Maximum2 5ignore"; is != want {
		t.Errorf("the alarm is %q, want %q", is, want)
	}
	s.destroy()
}

// TestAccRollout_AttachedDenied: a denied read is never taken for nothing, and stops a rollout
// before it begins.
func TestAccRollout_AttachedDenied(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	s.apply("1", faultSettings)
	for _, action := range []string{"DescribePolicies", "DescribeScheduledActions", "DescribeLifecycleHooks"} {
		s.proxy.Intercept(func(c rig.Call) *rig.Fault {
			if c.Action == action {
				return &rig.Fault{Status: 403, Code: "AccessDenied"}
			}
			return nil
		})
		_, err := s.manager.Apply(t.Context(), s.spec("2"), faultSettings, s.known())
		var failure *rollout.Error
		if !errors.As(err, &failure) || failure.Outcome != rollout.Refused || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("%s is denied: got %v, want the rollout refused", action, err)
		}
	}
	s.proxy.Intercept(nil)
	s.sound("1", 2)
	s.destroy()
}
