package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of one Auto Scaling group,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-quotas.html.
const (
	maxPolicies        = 50
	maxStepRanges      = 20
	maxSchedules       = 125
	maxHooks           = 50
	maxTargetGroups    = 50
	minInstanceLife    = 24 * time.Hour // https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-max-instance-lifetime.html
	maxInstanceLife    = 365 * 24 * time.Hour
	minHeartbeat       = 30 * time.Second // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
	maxHeartbeat       = 2 * time.Hour
	maxAlarmEvaluation = 24 * time.Hour     // for periods of less than an hour
	maxLongEvaluation  = 7 * 24 * time.Hour // for longer ones
)

// GroupMetrics are those of an Auto Scaling group,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnableMetricsCollection.html.
var GroupMetrics = []string{
	"GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances",
	"GroupStandbyInstances", "GroupTerminatingInstances", "GroupTotalInstances", "GroupInServiceCapacity", "GroupPendingCapacity",
	"GroupStandbyCapacity", "GroupTerminatingCapacity", "GroupTotalCapacity", "WarmPoolDesiredCapacity", "WarmPoolWarmedCapacity",
	"WarmPoolPendingCapacity", "WarmPoolTerminatingCapacity", "WarmPoolTotalCapacity", "GroupAndWarmPoolDesiredCapacity",
	"GroupAndWarmPoolTotalCapacity",
}

// Processes are those that can be suspended,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SuspendProcesses.html.
// Launch and Terminate are not among them for a cluster: without them, no rollout could start
// or end servers.
var Processes = []string{
	"AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions",
}

// TerminationPolicies are AWS's own,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html.
var TerminationPolicies = []string{
	"Default", "AllocationStrategy", "OldestLaunchTemplate", "OldestLaunchConfiguration", "ClosestToNextInstanceHour", "NewestInstance",
	"OldestInstance",
}

// PredefinedMetrics are those of target tracking,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PredefinedMetricSpecification.html.
var PredefinedMetrics = []string{
	"ASGAverageCPUUtilization", "ASGAverageCPUUtilizationHighResolution", "ASGAverageNetworkIn", "ASGAverageNetworkOut", RequestsPerTarget,
}

var (
	hookNamePattern = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,255}$`)
	plainName       = regexp.MustCompile(`^[ -~]{1,200}$`)
	cronField       = regexp.MustCompile(`^[0-9A-Za-z*,/#L-]+$`)
)

// Validate reports what AWS would refuse, and what contradicts itself. balanced says that the
// cluster has a target group.
func (a Attachments) Validate(balanced bool) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	atMost := func(n, most int, what string) {
		if n > most {
			add("the cluster has %d %s, but an Auto Scaling group allows at most %d", n, what, most)
		}
	}
	atMost(len(a.Policies), maxPolicies, "scaling policies")
	atMost(len(a.Schedules), maxSchedules, "scheduled actions")
	atMost(len(a.Hooks), maxHooks, "lifecycle hooks")
	atMost(len(a.TargetGroupARNs), maxTargetGroups-1, "further target groups")
	unique(add, a.Policies, policyName, "scaling_policy")
	unique(add, a.Schedules, scheduleName, "scheduled_action")
	unique(add, a.Hooks, hookName, "lifecycle_hook")
	for _, p := range a.Policies {
		for _, problem := range p.problems(balanced) {
			add("scaling_policy %q: %s", p.Name, problem)
		}
	}
	for _, s := range a.Schedules {
		for _, problem := range s.problems() {
			add("scheduled_action %q: %s", s.Name, problem)
		}
	}
	for _, h := range a.Hooks {
		for _, problem := range h.problems() {
			add("lifecycle_hook %q: %s", h.Name, problem)
		}
	}
	if l := a.MaxInstanceLifetime; l != 0 && (l < minInstanceLife || l > maxInstanceLife) {
		add("max_instance_lifetime is %s, but an Auto Scaling group allows 24h to 8760h", l)
	}
	return errors.Join(errs...)
}

func unique[T any](add func(string, ...any), all []T, name func(T) string, block string) {
	seen := map[string]bool{}
	for _, one := range all {
		if seen[name(one)] {
			add("there are two blocks %s with the name %q", block, name(one))
		}
		seen[name(one)] = true
	}
}

func (p Policy) problems(balanced bool) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !plainName.MatchString(p.Name) || strings.Contains(p.Name, ":") {
		add("a name has 1 to 200 visible ASCII characters and no colon")
	}
	switch {
	case (p.Tracking == nil) == (p.Step == nil):
		add("give either target_tracking or step_scaling")
	case p.Tracking != nil:
		t := p.Tracking
		switch {
		case (t.Predefined == "") == (t.Metric == nil):
			add("give either predefined_metric or metric")
		case t.Metric != nil:
			problems = append(problems, t.Metric.problems(balanced)...)
		case !slices.Contains(PredefinedMetrics, t.Predefined):
			add("there is no predefined metric %q; choose one of %s", t.Predefined, strings.Join(PredefinedMetrics, ", "))
		case t.Predefined == RequestsPerTarget && !balanced:
			add("%s counts the requests of a target group, and a cluster without a listener has none", RequestsPerTarget)
		}
		if t.Target <= 0 {
			add("the target is %v, but only a positive one can be kept", t.Target)
		}
	case p.Step != nil:
		problems = append(problems, p.Step.problems(balanced)...)
	}
	return problems
}

func (m Metric) problems(balanced bool) (problems []string) {
	if m.Namespace == "" || m.Name == "" {
		problems = append(problems, "a metric needs a namespace and a name")
	}
	for name, value := range m.Dimensions {
		switch {
		case value == "" || name == "":
			problems = append(problems, fmt.Sprintf("the dimension %q is empty", name))
		case value == Self && name == DimensionTargetGroup && !balanced:
			problems = append(problems, "a cluster without a listener has no target group of its own")
		case value == Self && name != DimensionGroup && name != DimensionTargetGroup:
			problems = append(problems, fmt.Sprintf("the dimension %s cannot be %q: only %s and %s can",
				name, Self, DimensionGroup, DimensionTargetGroup))
		}
	}
	return problems
}

// problems follow https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-simple-step.html
// and https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html.
func (s StepScaler) problems(balanced bool) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if s.MinMagnitude != 0 && s.Adjustment != "PercentChangeInCapacity" {
		add("min_adjustment_magnitude belongs to PercentChangeInCapacity, but the adjustment_type is %s", s.Adjustment)
	}
	if len(s.Steps) == 0 || len(s.Steps) > maxStepRanges {
		add("it has %d blocks step, but 1 to %d are needed", len(s.Steps), maxStepRanges)
	}
	steps := slices.Clone(s.Steps)
	slices.SortStableFunc(steps, func(a, b StepRange) int {
		switch {
		case a.Lower == nil || b.Lower != nil && *a.Lower < *b.Lower:
			return -1
		case b.Lower == nil || *a.Lower > *b.Lower:
			return 1
		}
		return 0
	})
	for i, step := range steps {
		if step.Lower != nil && step.Upper != nil && *step.Lower >= *step.Upper {
			add("a step begins at %v and ends at %v: it must end above its beginning", *step.Lower, *step.Upper)
		}
		if i == 0 {
			continue
		}
		before := steps[i-1].Upper
		if before == nil || step.Lower == nil || *before != *step.Lower {
			add("the steps must follow each other without a gap or an overlap; " +
				"only the first may have no lower bound, and only the last no upper bound")
			break
		}
	}
	a := s.Alarm
	problems = append(problems, a.Metric.problems(balanced)...)
	short := a.Period == 10*time.Second || a.Period == 20*time.Second || a.Period == 30*time.Second
	if !short && (a.Period <= 0 || a.Period%time.Minute != 0) {
		add("the alarm's period is %s, but CloudWatch allows 10s, 20s, 30s and whole minutes", a.Period)
	}
	most := maxAlarmEvaluation
	if a.Period >= time.Hour {
		most = maxLongEvaluation
	}
	if window := a.Period * time.Duration(a.EvaluationPeriods); a.EvaluationPeriods < 1 || window > most {
		add("the alarm evaluates %d periods of %s, but CloudWatch allows at least one, and %s in all", a.EvaluationPeriods, a.Period, most)
	}
	return problems
}

func (s Schedule) problems() (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !plainName.MatchString(s.Name) || strings.Contains(s.Name, ":") {
		add("a name has 1 to 200 visible ASCII characters and no colon")
	}
	if s.Min == nil && s.Max == nil && s.Desired == nil {
		add("it changes nothing: give min_size, max_size or desired_capacity")
	}
	for _, size := range []*int32{s.Min, s.Max, s.Desired} {
		if size != nil && *size < 0 {
			add("a size is %d", *size)
		}
	}
	if s.Min != nil && s.Max != nil && *s.Min > *s.Max {
		add("min_size is %d and max_size is %d", *s.Min, *s.Max)
	}
	if s.Desired != nil && (s.Min != nil && *s.Desired < *s.Min || s.Max != nil && *s.Desired > *s.Max) {
		add("desired_capacity is %d, which is not between min_size and max_size", *s.Desired)
	}
	if s.Recurrence == "" && s.Start.IsZero() {
		add("it never acts: give recurrence or start_time")
	}
	if s.Recurrence != "" && !validRecurrence(s.Recurrence) {
		add("the recurrence %q is not a cron expression of five fields, such as \"0 20 * * MON-FRI\"", s.Recurrence)
	}
	if s.Recurrence == "" && s.TimeZone != "" {
		add("time_zone belongs to a recurrence; start_time has a zone of its own")
	}
	if !s.End.IsZero() && (s.Recurrence == "" || !s.End.After(s.Start)) {
		add("end_time belongs to a recurrence, after its start_time")
	}
	return problems
}

func validRecurrence(expression string) bool {
	fields := strings.Fields(expression)
	return len(fields) == 5 && !slices.ContainsFunc(fields, func(f string) bool { return !cronField.MatchString(f) })
}

func (h Hook) problems() (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !hookNamePattern.MatchString(h.Name) {
		add("a name has 1 to 255 letters, digits, hyphens, underscores and slashes")
	}
	if h.Heartbeat < minHeartbeat || h.Heartbeat > maxHeartbeat {
		add("heartbeat_timeout is %s, but an Auto Scaling group allows 30s to 2h", h.Heartbeat)
	}
	if (h.NotificationTargetARN == "") != (h.RoleARN == "") {
		add("notification_target_arn and role_arn belong together; without both, Amazon EventBridge tells of the hook")
	}
	if len(h.Metadata) > 4000 {
		add("notification_metadata has %d characters, but at most 4000 are allowed", len(h.Metadata))
	}
	return problems
}
