package cluster

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Attachments are what an Auto Scaling group has beside its servers. A rollout makes another
// group, so they move with the generation.
//
// A Spec declares some, and a nil list or a zero lifetime declares nothing: whatever the group
// has then stays as it is, and is carried to the next generation.
type Attachments struct {
	Policies  []Policy   `json:"policies,omitempty"`
	Schedules []Schedule `json:"schedules,omitempty"`
	Hooks     []Hook     `json:"hooks,omitempty"`
	// Metrics are the group metrics that are collected.
	Metrics []string `json:"metrics,omitempty"`
	// SuspendedProcesses are those of Auto Scaling. They are suspended once the servers are
	// healthy.
	SuspendedProcesses []string `json:"suspended_processes,omitempty"`
	// TerminationPolicies say which server is terminated first. Their order matters.
	TerminationPolicies []string      `json:"termination_policies,omitempty"`
	MaxInstanceLifetime time.Duration `json:"max_instance_lifetime_ns,omitempty"`
	// TargetGroupARNs are further target groups. Servers join them when they get all of the
	// cluster's requests.
	TargetGroupARNs []string `json:"target_group_arns,omitempty"`
}

// Self stands for the name of the generation's group or target group, as the value of a
// metric's dimension AutoScalingGroupName or TargetGroup.
const Self = "self"

// The dimensions that may be Self.
const (
	DimensionGroup       = "AutoScalingGroupName"
	DimensionTargetGroup = "TargetGroup"
)

// Policy is a scaling policy. One that a Spec declares has either Tracking or Step.
type Policy struct {
	Name     string         `json:"name"`
	Tracking *TargetTracker `json:"tracking,omitempty"`
	Step     *StepScaler    `json:"step,omitempty"`
	// Warmup is how long the metrics of a new server do not count; 0 for the group's default.
	Warmup time.Duration `json:"warmup_ns,omitempty"`
	// Document is the policy in the cloud's own words, for one that was made by other means and
	// may have what the other fields cannot express.
	Document string `json:"document,omitempty"`
}

// RequestsPerTarget is the predefined metric that counts the requests of the cluster's target
// group for each server.
const RequestsPerTarget = "ALBRequestCountPerTarget"

// TargetTracker keeps a metric at a value. It has either Predefined or Metric.
type TargetTracker struct {
	Predefined     string  `json:"predefined,omitempty"`
	Metric         *Metric `json:"metric,omitempty"`
	Target         float64 `json:"target"`
	DisableScaleIn bool    `json:"disable_scale_in,omitempty"`
}

// Metric is a metric of CloudWatch.
type Metric struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Statistic  string            `json:"statistic"`
	Unit       string            `json:"unit,omitempty"`
	Dimensions map[string]string `json:"dimensions,omitempty"`
}

// StepScaler changes the capacity by steps while its alarm fires. The alarm is part of it,
// since it names the policy of one group.
type StepScaler struct {
	// Adjustment is the kind of Steps: ChangeInCapacity, ExactCapacity or
	// PercentChangeInCapacity.
	Adjustment string `json:"adjustment"`
	// MinMagnitude is the least number of servers that PercentChangeInCapacity changes; 0 for
	// one.
	MinMagnitude int32       `json:"min_magnitude,omitempty"`
	Steps        []StepRange `json:"steps"`
	Alarm        StepAlarm   `json:"alarm"`
}

// StepRange changes the capacity by Change while the metric is between the bounds, which are
// relative to the alarm's threshold. A nil bound is infinite.
type StepRange struct {
	Lower  *float64 `json:"lower,omitempty"`
	Upper  *float64 `json:"upper,omitempty"`
	Change int32    `json:"change"`
}

// StepAlarm is the alarm of a StepScaler.
type StepAlarm struct {
	Metric Metric        `json:"metric"`
	Period time.Duration `json:"period_ns"`
	// EvaluationPeriods is how many periods the metric has to be beyond the threshold.
	EvaluationPeriods int32   `json:"evaluation_periods"`
	Threshold         float64 `json:"threshold"`
	// Comparison and MissingData are CloudWatch's ComparisonOperator and TreatMissingData.
	Comparison  string `json:"comparison"`
	MissingData string `json:"missing_data,omitempty"`
}

// Schedule changes the bounds or the desired capacity at a time, once or again and again.
type Schedule struct {
	Name string `json:"name"`
	// Recurrence is a cron expression of five fields; empty for once.
	Recurrence string `json:"recurrence,omitempty"`
	// TimeZone is that of the recurrence; empty for UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Start is when it acts for the first time, and End for the last; zero for no limit.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	// What it changes; nil for what stays.
	Min     *int32 `json:"min,omitempty"`
	Max     *int32 `json:"max,omitempty"`
	Desired *int32 `json:"desired,omitempty"`
}

// Over reports whether the schedule has nothing left to do. The cloud forgets it then.
func (s Schedule) Over(now time.Time) bool {
	if !s.End.IsZero() && !now.Before(s.End) {
		return true
	}
	return s.Recurrence == "" && !now.Before(s.Start)
}

// Hook has a server wait while something else prepares it, before it serves, or finishes with
// it, before it is terminated.
type Hook struct {
	Name       string `json:"name"`
	Transition string `json:"transition"`
	// Heartbeat is how long a server waits, and Default what happens then.
	Heartbeat             time.Duration `json:"heartbeat_ns"`
	Default               string        `json:"default"`
	NotificationTargetARN string        `json:"notification_target_arn,omitempty"`
	RoleARN               string        `json:"role_arn,omitempty"`
	Metadata              string        `json:"metadata,omitempty"`
}

// The transitions of a Hook.
const (
	HookLaunching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	HookTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// Empty reports whether there is nothing.
func (a Attachments) Empty() bool { return reflect.ValueOf(a.normal()).IsZero() }

// HasAlarms reports whether policies have alarms of the cluster's own.
func (a Attachments) HasAlarms() bool {
	return slices.ContainsFunc(a.Policies, func(p Policy) bool { return p.Step != nil })
}

// TerminatingWait is how long a hook may keep a server from being terminated.
func (a Attachments) TerminatingWait() time.Duration {
	var longest time.Duration
	for _, h := range a.Hooks {
		if h.Transition == HookTerminating {
			longest = max(longest, h.Heartbeat)
		}
	}
	return longest
}

// names of what has one.
func policyName(p Policy) string     { return p.Name }
func scheduleName(s Schedule) string { return s.Name }
func hookName(h Hook) string         { return h.Name }

// without returns those of all that have no namesake among the others.
func without[T any](all, others []T, name func(T) string) []T {
	return slices.DeleteFunc(slices.Clone(all), func(a T) bool {
		return slices.ContainsFunc(others, func(other T) bool { return name(other) == name(a) })
	})
}

// named returns those of all that have a namesake among the others.
func named[T any](all, others []T, name func(T) string) []T {
	return slices.DeleteFunc(slices.Clone(all), func(a T) bool {
		return !slices.ContainsFunc(others, func(other T) bool { return name(other) == name(a) })
	})
}

// Undeclared returns what a group has and declared does not name: it was attached by other
// means. Policies are in the cloud's words.
func (a Attachments) Undeclared(declared Attachments) Attachments {
	foreign := Attachments{
		Policies:        without(a.Policies, declared.Policies, policyName),
		Schedules:       without(a.Schedules, declared.Schedules, scheduleName),
		Hooks:           without(a.Hooks, declared.Hooks, hookName),
		TargetGroupARNs: subtract(a.TargetGroupARNs, declared.TargetGroupARNs),
	}
	for i, p := range foreign.Policies {
		if p.Step == nil { // otherwise the cluster made its alarm, so the policy as well
			foreign.Policies[i] = Policy{Name: p.Name, Document: p.Document}
		} else {
			foreign.Policies[i].Document = ""
		}
	}
	if declared.Metrics == nil {
		foreign.Metrics = a.Metrics
	}
	if declared.SuspendedProcesses == nil {
		foreign.SuspendedProcesses = a.SuspendedProcesses
	}
	if declared.TerminationPolicies == nil {
		foreign.TerminationPolicies = a.TerminationPolicies
	}
	if declared.MaxInstanceLifetime == 0 {
		foreign.MaxInstanceLifetime = a.MaxInstanceLifetime
	}
	return foreign.normal()
}

// Declared returns what a group has of what declared names.
//
// The cloud forgets a schedule that is over, which is then taken to be there. Of one that
// recurs, it gives the next time as the start, so a start that has passed is taken as declared.
func (a Attachments) Declared(declared Attachments, now time.Time) Attachments {
	own := Attachments{
		Policies:        named(a.Policies, declared.Policies, policyName),
		Schedules:       named(a.Schedules, declared.Schedules, scheduleName),
		Hooks:           named(a.Hooks, declared.Hooks, hookName),
		TargetGroupARNs: subtract(a.TargetGroupARNs, subtract(a.TargetGroupARNs, declared.TargetGroupARNs)),
	}
	if declared.Metrics != nil {
		own.Metrics = a.Metrics
	}
	if declared.SuspendedProcesses != nil {
		own.SuspendedProcesses = a.SuspendedProcesses
	}
	if declared.TerminationPolicies != nil {
		own.TerminationPolicies = a.TerminationPolicies
	}
	if declared.MaxInstanceLifetime != 0 {
		own.MaxInstanceLifetime = a.MaxInstanceLifetime
	}
	for i := range own.Policies {
		own.Policies[i].Document = ""
	}
	for _, s := range declared.Schedules {
		i := slices.IndexFunc(own.Schedules, func(is Schedule) bool { return is.Name == s.Name })
		switch {
		case i < 0 && s.Over(now):
			own.Schedules = append(own.Schedules, s)
		case i >= 0 && s.Recurrence != "" && own.Schedules[i].Recurrence != "" && !s.Start.After(now):
			own.Schedules[i].Start = s.Start
		}
	}
	return own.normal()
}

// And returns both. Where both name the same, a's is taken.
func (a Attachments) And(others Attachments) Attachments {
	both := Attachments{
		Policies:            append(slices.Clone(a.Policies), without(others.Policies, a.Policies, policyName)...),
		Schedules:           append(slices.Clone(a.Schedules), without(others.Schedules, a.Schedules, scheduleName)...),
		Hooks:               append(slices.Clone(a.Hooks), without(others.Hooks, a.Hooks, hookName)...),
		Metrics:             a.Metrics,
		SuspendedProcesses:  a.SuspendedProcesses,
		TerminationPolicies: a.TerminationPolicies,
		MaxInstanceLifetime: cmp.Or(a.MaxInstanceLifetime, others.MaxInstanceLifetime),
		TargetGroupARNs:     append(slices.Clone(a.TargetGroupARNs), subtract(others.TargetGroupARNs, a.TargetGroupARNs)...),
	}
	if both.Metrics == nil {
		both.Metrics = others.Metrics
	}
	if both.SuspendedProcesses == nil {
		both.SuspendedProcesses = others.SuspendedProcesses
	}
	if both.TerminationPolicies == nil {
		both.TerminationPolicies = others.TerminationPolicies
	}
	return both.normal()
}

// Surplus returns what a group has and should does not, to be removed from it.
func (a Attachments) Surplus(should Attachments) Attachments {
	surplus := Attachments{
		Policies:           without(a.Policies, should.Policies, policyName),
		Schedules:          without(a.Schedules, should.Schedules, scheduleName),
		Hooks:              without(a.Hooks, should.Hooks, hookName),
		Metrics:            subtract(a.Metrics, should.Metrics),
		SuspendedProcesses: subtract(a.SuspendedProcesses, should.SuspendedProcesses),
		TargetGroupARNs:    subtract(a.TargetGroupARNs, should.TargetGroupARNs),
	}
	if len(should.TerminationPolicies) == 0 {
		surplus.TerminationPolicies = a.TerminationPolicies
	}
	if should.MaxInstanceLifetime == 0 {
		surplus.MaxInstanceLifetime = a.MaxInstanceLifetime
	}
	return surplus.normal()
}

// WithoutNamed returns what has no name: what is set as a whole, not part by part.
func (a Attachments) WithoutNamed() Attachments {
	a.Policies, a.Schedules, a.Hooks = nil, nil, nil
	return a
}

// Same reports whether both attach the same. The order matters among termination policies only.
func (a Attachments) Same(other Attachments) bool {
	return reflect.DeepEqual(a.normal(), other.normal())
}

// normal returns a sorted copy, in which empty lists are nil.
func (a Attachments) normal() Attachments {
	a.Policies = sortedByName(a.Policies, policyName)
	a.Schedules = sortedByName(a.Schedules, scheduleName)
	a.Hooks = sortedByName(a.Hooks, hookName)
	for _, values := range []*[]string{&a.Metrics, &a.SuspendedProcesses, &a.TargetGroupARNs} {
		*values = sorted(*values)
	}
	if len(a.TerminationPolicies) == 0 {
		a.TerminationPolicies = nil
	}
	return a
}

func sortedByName[T any](all []T, name func(T) string) []T {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return all
}

// subtract returns the values of all that others has not.
func subtract(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(value string) bool { return slices.Contains(others, value) })
}

// Titles describes each attachment for people: "scaling policy cpu".
func (a Attachments) Titles() []string {
	var titles []string
	for _, p := range a.Policies {
		titles = append(titles, "scaling policy "+p.Name)
	}
	for _, s := range a.Schedules {
		titles = append(titles, "scheduled action "+s.Name)
	}
	for _, h := range a.Hooks {
		titles = append(titles, "lifecycle hook "+h.Name)
	}
	if len(a.Metrics) > 0 {
		titles = append(titles, "collected metrics: "+strings.Join(a.Metrics, ", "))
	}
	if len(a.SuspendedProcesses) > 0 {
		titles = append(titles, "suspended processes: "+strings.Join(a.SuspendedProcesses, ", "))
	}
	if len(a.TerminationPolicies) > 0 {
		titles = append(titles, "termination policies: "+strings.Join(a.TerminationPolicies, ", "))
	}
	if a.MaxInstanceLifetime > 0 {
		titles = append(titles, "maximum instance lifetime: "+a.MaxInstanceLifetime.String())
	}
	for _, arn := range a.TargetGroupARNs {
		titles = append(titles, "target group "+arn)
	}
	return titles
}
