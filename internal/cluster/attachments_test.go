package cluster_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// attachments are valid ones of every kind.
func attachments() cluster.Attachments {
	two, five := int32(2), 5.0
	return cluster.Attachments{
		Policies: []cluster.Policy{
			{Name: "cpu", Tracking: &cluster.TargetTracker{Predefined: "ASGAverageCPUUtilization", Target: 50}},
			{Name: "queue", Step: &cluster.StepScaler{
				Adjustment: "ChangeInCapacity",
				Steps:      []cluster.StepRange{{Upper: &five, Change: 1}, {Lower: &five, Change: 3}},
				Alarm: cluster.StepAlarm{
					Metric: cluster.Metric{Namespace: "AWS/SQS", Name: "ApproximateNumberOfMessagesVisible", Statistic: "Average"},
					Period: time.Minute, EvaluationPeriods: 2, Threshold: 10, Comparison: "GreaterThanThreshold",
				},
			}},
		},
		Schedules:           []cluster.Schedule{{Name: "night", Recurrence: "0 20 * * MON-FRI", Min: &two}},
		Hooks:               []cluster.Hook{{Name: "warm", Transition: cluster.HookLaunching, Heartbeat: time.Minute, Default: "ABANDON"}},
		Metrics:             []string{"GroupInServiceInstances"},
		SuspendedProcesses:  []string{"AZRebalance"},
		TerminationPolicies: []string{"OldestInstance"},
		MaxInstanceLifetime: 168 * time.Hour,
		TargetGroupARNs:     []string{"arn:further"},
	}
}

func TestAttachments_Validate(t *testing.T) {
	if err := attachments().Validate(true); err != nil {
		t.Fatal(err)
	}
	one, five, four := int32(1), 5.0, 4.0
	for _, tt := range []struct {
		name   string
		change func(*cluster.Attachments)
		says   string
	}{
		{"SameName", func(a *cluster.Attachments) { a.Policies[1].Name = "cpu" }, `two blocks scaling_policy with the name "cpu"`},
		{"Neither", func(a *cluster.Attachments) { a.Policies[0].Tracking = nil }, "give either target_tracking or step_scaling"},
		{"NoMetric", func(a *cluster.Attachments) { a.Policies[0].Tracking.Predefined = "" }, "give either predefined_metric or metric"},
		{"OtherMetric", func(a *cluster.Attachments) { a.Policies[0].Tracking.Predefined = "CPU" }, `no predefined metric "CPU"`},
		{"NoTarget", func(a *cluster.Attachments) { a.Policies[0].Tracking.Target = 0 }, "only a positive one can be kept"},
		{"Requests", func(a *cluster.Attachments) { a.Policies[0].Tracking.Predefined = cluster.RequestsPerTarget }, "a cluster without a listener has none"},
		{"Colon", func(a *cluster.Attachments) { a.Policies[0].Name = "a:b" }, "no colon"},
		{"Gap", func(a *cluster.Attachments) { a.Policies[1].Step.Steps[0].Upper = &four }, "without a gap or an overlap"},
		{"Upside", func(a *cluster.Attachments) {
			a.Policies[1].Step.Steps = []cluster.StepRange{{Lower: &five, Upper: &four, Change: 1}}
		}, "it must end above its beginning"},
		{"NoSteps", func(a *cluster.Attachments) { a.Policies[1].Step.Steps = nil }, "0 blocks step"},
		{"Magnitude", func(a *cluster.Attachments) { a.Policies[1].Step.MinMagnitude = 2 }, "belongs to PercentChangeInCapacity"},
		{"Period", func(a *cluster.Attachments) { a.Policies[1].Step.Alarm.Period = 90 * time.Second }, "10s, 20s, 30s and whole minutes"},
		{"Window", func(a *cluster.Attachments) { a.Policies[1].Step.Alarm.EvaluationPeriods = 2000 }, "24h0m0s in all"},
		{"Self", func(a *cluster.Attachments) {
			a.Policies[1].Step.Alarm.Metric.Dimensions = map[string]string{"QueueName": "self"}
		}, `the dimension QueueName cannot be "self"`},
		{"SelfTargets", func(a *cluster.Attachments) {
			a.Policies[1].Step.Alarm.Metric.Dimensions = map[string]string{"TargetGroup": "self"}
		}, "no target group of its own"},
		{"Never", func(a *cluster.Attachments) { a.Schedules[0].Recurrence = "" }, "it never acts"},
		{"Cron", func(a *cluster.Attachments) { a.Schedules[0].Recurrence = "every night" }, "not a cron expression"},
		{"Nothing", func(a *cluster.Attachments) { a.Schedules[0].Min = nil }, "it changes nothing"},
		{"Sizes", func(a *cluster.Attachments) { a.Schedules[0].Max = &one }, "min_size is 2 and max_size is 1"},
		{"Zone", func(a *cluster.Attachments) {
			a.Schedules[0].Recurrence, a.Schedules[0].Start, a.Schedules[0].TimeZone = "", now, "Europe/Stockholm"
		}, "time_zone belongs to a recurrence"},
		{"End", func(a *cluster.Attachments) { a.Schedules[0].Start, a.Schedules[0].End = now, now }, "after its start_time"},
		{"HookName", func(a *cluster.Attachments) { a.Hooks[0].Name = "warm up" }, "letters, digits, hyphens"},
		{"Heartbeat", func(a *cluster.Attachments) { a.Hooks[0].Heartbeat = 3 * time.Hour }, "30s to 2h"},
		{"Role", func(a *cluster.Attachments) { a.Hooks[0].RoleARN = "arn:role" }, "belong together"},
		{"Lifetime", func(a *cluster.Attachments) { a.MaxInstanceLifetime = time.Hour }, "24h to 8760h"},
		{"Many", func(a *cluster.Attachments) { a.TargetGroupARNs = slices.Repeat(a.TargetGroupARNs, 50) }, "50 further target groups"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := attachments()
			tt.change(&a)
			if err := a.Validate(false); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}

// A group's attachments are those that the cluster declares and those of others.
func TestAttachments_DeclaredAndCarried(t *testing.T) {
	declared, group := attachments(), attachments()
	for i := range group.Policies {
		group.Policies[i].Document = "{}"
	}
	foreign := cluster.Attachments{
		Policies:        []cluster.Policy{{Name: "by-hand", Document: "{}"}},
		Hooks:           []cluster.Hook{{Name: "log", Transition: cluster.HookTerminating, Heartbeat: time.Minute}},
		TargetGroupARNs: []string{"arn:by-hand"},
	}
	group = group.And(foreign)
	if got := group.Undeclared(declared); !got.Same(foreign) {
		t.Errorf("undeclared (-), want (+):\n%s", cmp.Diff(got, foreign))
	}
	if got := group.Declared(declared, now); !got.Same(declared) {
		t.Errorf("declared (-), want (+):\n%s", cmp.Diff(got, declared))
	}
	if got := group.Surplus(declared); !got.Same(cluster.Attachments{Policies: foreign.Policies, Hooks: foreign.Hooks, TargetGroupARNs: foreign.TargetGroupARNs}) {
		t.Errorf("got %v as surplus", got.Titles())
	}
	// Without a declaration, everything is of others.
	var nothing cluster.Attachments
	if got := group.Undeclared(nothing); got.MaxInstanceLifetime == 0 || got.Metrics == nil || got.SuspendedProcesses == nil || len(got.Policies) != 3 {
		t.Errorf("got %v of others", got.Titles())
	}
	if got := group.Declared(nothing, now); !got.Empty() {
		t.Errorf("got %v declared, want nothing", got.Titles())
	}
	if got := nothing.Surplus(group); !got.Empty() {
		t.Errorf("got %v as surplus of nothing", got.Titles())
	}
}

// AWS forgets what is over, and tells the next time of what recurs.
func TestAttachments_Schedules(t *testing.T) {
	two := int32(2)
	once := cluster.Schedule{Name: "once", Start: now.Add(-time.Hour), Min: &two}
	again := cluster.Schedule{Name: "again", Recurrence: "0 20 * * *", Min: &two}
	later := cluster.Schedule{Name: "later", Start: now.Add(time.Hour), Min: &two}
	declared := cluster.Attachments{Schedules: []cluster.Schedule{once, again, later}}
	told := again
	told.Start = now.Add(8 * time.Hour)
	group := cluster.Attachments{Schedules: []cluster.Schedule{told, later}}
	if got := group.Declared(declared, now); !got.Same(declared) {
		t.Errorf("got (-), want (+):\n%s", cmp.Diff(got, declared))
	}
	if got := (cluster.Attachments{Schedules: []cluster.Schedule{told}}).Declared(declared, now); got.Same(declared) {
		t.Error("a schedule that is still to come is missing, and nothing shows it")
	}
	for s, over := range map[cluster.Schedule]bool{once: true, again: false, later: false} {
		if s.Over(now) != over {
			t.Errorf("%s is over: %t", s.Name, !over)
		}
	}
}

func TestAttachments_TerminatingWait(t *testing.T) {
	a := cluster.Attachments{Hooks: []cluster.Hook{
		{Transition: cluster.HookTerminating, Heartbeat: time.Minute}, {Transition: cluster.HookTerminating, Heartbeat: time.Hour},
		{Transition: cluster.HookLaunching, Heartbeat: 2 * time.Hour},
	}}
	if got := a.TerminatingWait(); got != time.Hour {
		t.Errorf("got %s, want the longest of the terminating hooks", got)
	}
}
