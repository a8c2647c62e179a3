package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// sampleSpec sets every field that a format has.
func sampleSpec(version string, format int) cluster.Spec {
	template := cluster.Template{ID: "lt-1", Version: "$Latest"}
	if format > 1 {
		template.Number = 7
	}
	s := cluster.Spec{
		ID: cluster.ID{Service: "strawberry", Environment: "prod"}, Version: version, ImageID: "ami-" + version,
		Servers: cluster.Servers{
			Template:     &template,
			InstanceType: "t3.micro", SubnetIDs: []string{"subnet-a", "subnet-b"}, SecurityGroupIDs: []string{"sg-1"},
			InstanceProfile: "web", UserData: "#!/bin/sh\necho \"<&>\"\n", RootVolumeSize: 20, OptionalTokens: true,
		},
		Size: cluster.Size{Min: 2, Max: 6},
		Listener: &cluster.Listener{
			ARN:  "arn:aws:elasticloadbalancing:eu-north-1:123456789012:listener/app/main/1/2",
			Rule: &cluster.Rule{Priority: 10, Hosts: []string{"strawberry.example.com"}, Paths: []string{"/api/*"}},
		},
		Target: &cluster.Target{
			Port: 8080, Protocol: "HTTP", DeregistrationDelay: 30 * time.Second, Stickiness: time.Hour,
			Health: cluster.HealthCheck{
				Path: "/health", Matcher: "200-299", Interval: 10 * time.Second, Timeout: 5 * time.Second,
				HealthyThreshold: 2, UnhealthyThreshold: 3, GracePeriod: 5 * time.Minute,
			},
		},
		Tags: tagging.Set{"owner_team": "fruit", "version": version},
	}
	if format > 3 {
		options := cluster.VolumeOptions{Type: "gp3", IOPS: 4000, Throughput: 250, Encrypted: true, KMSKeyID: "alias/web"}
		s.Servers.RootVolume = options
		s.Servers.Volumes = []cluster.Volume{{Device: "/dev/sdf", Size: 50, SnapshotID: "snap-1", VolumeOptions: options}}
		s.Servers.MetadataHopLimit, s.Servers.KeyName, s.Servers.DetailedMonitoring = 2, "admin", true
		s.Servers.CapacityRebalance = true
		s.Servers.Mixed = &cluster.Mixed{
			Types:        []cluster.MixedType{{InstanceType: "t3.small", Weight: 2}},
			OnDemandBase: 1, OnDemandPercentage: 20, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.LowestPrice,
			SpotPools: 3, SpotMaxPrice: "0.05",
		}
	}
	if format > 2 {
		rule := s.Listener.Rule
		rule.Headers = []cluster.Header{{Name: "X-Origin-Verify", Values: []string{"hunter2"}}}
		rule.Methods, rule.SourceIPs = []string{"GET", "HEAD"}, []string{"10.0.0.0/8"}
		rule.QueryStrings = []cluster.QueryString{{Key: "preview", Values: []string{"1"}}}
		s.Servers.UserDataBase64 = "H4sIAAAAAAAA/w=="
		s.IgnoredTags = tagging.Ignored{Keys: []string{"patch-group"}, KeyPrefixes: []string{"backup:"}}
	}
	if format > 3 {
		s.Target.Health.Port, s.Target.Health.Protocol = 9090, "HTTPS"
		s.Attachments, s.Carried = sampleAttachments(), sampleAttachments()
		s.FurtherRules = []cluster.FurtherRule{{
			Name: "internal", ListenerARN: "arn:aws:elasticloadbalancing:eu-north-1:123456789012:listener/app/main/1/3", Rule: *s.Listener.Rule,
		}}
		s.TakeOver = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:targetgroup/legacy/1234567890abcdef"
	}
	return s
}

func sampleAttachments() cluster.Attachments {
	metric := cluster.Metric{
		Namespace: "AWS/SQS", Name: "ApproximateNumberOfMessagesVisible", Statistic: "Average", Unit: "Count",
		Dimensions: map[string]string{"QueueName": "orders", "AutoScalingGroupName": cluster.Self},
	}
	lower, upper, size := 5.0, 100.0, int32(2)
	at := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	return cluster.Attachments{
		Policies: []cluster.Policy{{
			Name:     "orders",
			Tracking: &cluster.TargetTracker{Predefined: "ASGAverageCPUUtilization", Metric: &metric, Target: 12.5, DisableScaleIn: true},
			Step: &cluster.StepScaler{
				Adjustment: "PercentChangeInCapacity", MinMagnitude: 1, Steps: []cluster.StepRange{{Lower: &lower, Upper: &upper, Change: 20}},
				Alarm: cluster.StepAlarm{
					Metric: metric, Period: time.Minute, EvaluationPeriods: 3, Threshold: 100,
					Comparison: "GreaterThanThreshold", MissingData: "notBreaching",
				},
			},
			Warmup: 2 * time.Minute, Document: `{"PolicyName":"orders"}`,
		}},
		Schedules: []cluster.Schedule{{
			Name: "night", Recurrence: "0 20 * * *", TimeZone: "Europe/Stockholm", Start: at, End: at.AddDate(1, 0, 0),
			Min: &size, Max: &size, Desired: &size,
		}},
		Hooks: []cluster.Hook{{
			Name: "drain", Transition: cluster.HookTerminating, Heartbeat: 5 * time.Minute, Default: "CONTINUE",
			NotificationTargetARN: "arn:aws:sqs:eu-north-1:123456789012:hooks", RoleARN: "arn:aws:iam::123456789012:role/hooks", Metadata: "x",
		}},
		Metrics: []string{"GroupInServiceInstances"}, SuspendedProcesses: []string{"AZRebalance"},
		TerminationPolicies: []string{"OldestInstance"}, MaxInstanceLifetime: 168 * time.Hour,
		TargetGroupARNs: []string{"arn:aws:elasticloadbalancing:eu-north-1:123456789012:targetgroup/further/1234567890abcdef"},
	}
}

func samplePlan(format int) Plan {
	record := func(name, version string) *GenerationRecord {
		return &GenerationRecord{Name: "strawberry-prod-" + name, Spec: sampleSpec(version, format)}
	}
	settings := Settings{
		Steps: []int32{10, 50, 100}, HealthyWithin: 15 * time.Minute, ObserveFor: 90 * time.Second,
		Alarms: []string{"errors"}, MissingDataIsBad: true, Drain: 30 * time.Second, KeepPrevious: true, OnFailure: Keep, Protected: Ignore,
	}
	if format > 3 {
		ten, one := int32(10), int32(1)
		settings.TargetAlarms = &cluster.TargetAlarms{
			Errors5xx: &ten, Latency: 800 * time.Millisecond, LatencyStatistic: "p95", UnhealthyServers: &one,
			Period: time.Minute, EvaluationPeriods: 1,
		}
		settings.Preview = &cluster.Preview{
			Header: &cluster.Header{Name: "X-Preview", Values: []string{"sesame"}}, Host: "preview.example.com", Priority: 9,
		}
		settings.CheckURL, settings.Unreachable = "https://balancer.example.com", Continue
		settings.Checks = []Check{{
			Path: "/buy", Method: "POST", Headers: map[string]string{"Authorization": "hunter2"}, Status: "200-299",
			BodyContains: "thank you", BodyMatches: "^thank", Command: []string{"./smoke.sh"},
			Timeout: 5 * time.Second, Within: 30 * time.Second,
		}}
	}
	settings.CarryAlarmActions = format > 3
	return Plan{
		Account: "123456789012",
		From:    record("bcdf1234", "1.0.0"), To: record("ghjk5678", "1.1.0"), Stays: record("lmnp9012", "0.9.0"),
		FromComplete: true, Reused: true,
		Kept: record("qrst3456", "0.8.0"), Left: []GenerationRecord{*record("vwxy7890", "0.7.0")},
		Settings: settings,
		Steps: []Step{
			{Kind: PinCapacity, Generation: "strawberry-prod-bcdf1234"},
			{Kind: Shift, Generation: "strawberry-prod-ghjk5678", Percent: 10},
		},
	}
}

func sampleResult(format int) Inventory {
	p := samplePlan(format)
	return Inventory{Serving: p.To, Kept: p.From, Left: p.Left}
}

// unset names the fields of v that a sample does not set.
func unset(path string, v reflect.Value) (names []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return unset(path, v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			break
		}
		for i := range v.NumField() {
			names = append(names, unset(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
		return names
	case reflect.Slice:
		// Any one element may set a field, as the percentage of a step.
		if v.Len() > 0 {
			return unset(path+"[]", v.Index(v.Len()-1))
		}
	}
	if v.IsZero() {
		return []string{path}
	}
	return nil
}

// checkSamples compares stored values with testdata/<kind>-<format>.json, which no
// change may rewrite: another encoding is another format, and gets a sample of its
// own.
func checkSamples[T any](
	t *testing.T, kind string, sample func(format int) T, encode func(T) ([]byte, error), decode func([]byte) (T, error),
) {
	t.Helper()
	var stored []byte
	for f := earliest; f <= format; f++ {
		var err error
		if stored, err = os.ReadFile(filepath.Join("testdata", fmt.Sprintf("%s-%d.json", kind, f))); err != nil {
			t.Fatal(err)
		}
		got, err := decode(stored)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, sample(f)); diff != "" {
			t.Errorf("format %d: decoded (-), want (+):\n%s", f, diff)
		}
	}
	if names := unset("", reflect.ValueOf(sample(format))); len(names) > 0 {
		t.Errorf("the sample does not set %s: a new field is a new format", strings.Join(names, ", "))
	}
	encoded, err := encode(sample(format))
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, encoded, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	if diff := cmp.Diff(indented.String(), string(stored)); diff != "" {
		t.Errorf("encoded (-), stored (+):\n%s", diff)
	}
}

func TestFormat_Plan(t *testing.T) {
	checkSamples(t, "plan", samplePlan, encodePlan, func(b []byte) (Plan, error) { return decodePlan(builddata.Rollout{Plan: b}) })
}

func TestFormat_Result(t *testing.T) {
	checkSamples(t, "result", sampleResult, encodeResult, func(b []byte) (Inventory, error) {
		return decodeResult(builddata.Rollout{Result: b})
	})
}

func TestFormat_Refusals(t *testing.T) {
	for name, tt := range map[string]struct{ stored, says string }{
		"Later": {`{"format":5,"serving":{"generation":"x"}}`,
			"cannot be read: it has format 5, and this program knows formats up to 4; use the version of the delivery provider"},
		"Earlier":    {`{"Serving":null}`, "it has format 0, and this program knows formats from 1 on; start a new build data repository"},
		"UnknownKey": {`{"format":1,"spare":{}}`, `unknown field "spare"`},
		"NoJSON":     {`x`, "the result of rollout r1 cannot be read: invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeResult(builddata.Rollout{ID: "r1", Result: []byte(tt.stored)})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
			_, planErr := decodePlan(builddata.Rollout{ID: "r1", Plan: []byte(tt.stored)})
			if planErr == nil || strings.ReplaceAll(planErr.Error(), "the plan", "the result") != err.Error() {
				t.Errorf("got %v for a plan and %v for a result, want the same", planErr, err)
			}
		})
	}
}

// TestStep_Code: journals of all releases hold these codes.
func TestStep_Code(t *testing.T) {
	for code, step := range map[string]Step{
		"pin_capacity:web-prod-bcd12345": {Kind: PinCapacity, Generation: "web-prod-bcd12345"},
		"make_template:g":                {Kind: MakeTemplate, Generation: "g"},
		"make_targets:g":                 {Kind: MakeTargets, Generation: "g"},
		"connect:g":                      {Kind: Connect, Generation: "g"},
		"make_servers:g":                 {Kind: MakeServers, Generation: "g"},
		"scale_to_live:g":                {Kind: ScaleToLive, Generation: "g"},
		"wait_healthy:g":                 {Kind: WaitHealthy, Generation: "g"},
		"shift:g:25":                     {Kind: Shift, Generation: "g", Percent: 25},
		"serve:g":                        {Kind: Serve, Generation: "g"},
		"wait_open:g":                    {Kind: WaitOpen, Generation: "g"},
		"observe:g":                      {Kind: Observe, Generation: "g"},
		"observe:g:25":                   {Kind: Observe, Generation: "g", Percent: 25},
		"wait_drain:g":                   {Kind: WaitDrain, Generation: "g"},
		"unpin_capacity:g":               {Kind: UnpinCapacity, Generation: "g"},
		"disconnect:g":                   {Kind: Disconnect, Generation: "g"},
		"wait_sticky_expiry:g":           {Kind: WaitStickyExpiry, Generation: "g"},
		"remove_servers:g":               {Kind: RemoveServers, Generation: "g"},
		"remove_targets:g":               {Kind: RemoveTargets, Generation: "g"},
		"remove_template:g":              {Kind: RemoveTemplate, Generation: "g"},
		"restore_traffic:g":              {Kind: RestoreTraffic, Generation: "g"},
		"retag:g":                        {Kind: Retag, Generation: "g"},
		"attach:g":                       {Kind: Attach, Generation: "g"},
		"join_targets:g":                 {Kind: JoinTargets, Generation: "g"},
		"leave_targets:g":                {Kind: LeaveTargets, Generation: "g"},
		"remove_policy_alarms:g":         {Kind: RemovePolicyAlarms, Generation: "g"},
		"check_attached:g":               {Kind: CheckAttached, Generation: "g"},
		"open_preview:g":                 {Kind: OpenPreview, Generation: "g"},
		"wait_preview:g":                 {Kind: WaitPreview, Generation: "g"},
		"check:g":                        {Kind: RunChecks, Generation: "g"},
		"check:g:100":                    {Kind: RunChecks, Generation: "g", Percent: 100},
		"close_preview:g":                {Kind: ClosePreview, Generation: "g"},
		"make_alarms:g":                  {Kind: MakeAlarms, Generation: "g"},
		"remove_alarms:g":                {Kind: RemoveAlarms, Generation: "g"},
		"end_take_over:g":                {Kind: EndTakeOver, Generation: "g"},
		"begin_rollback":                 {Kind: beginRollback},
	} {
		got, err := ParseStep(code)
		if err != nil || got != step || step.Code() != code {
			t.Errorf("%s: parsed as %v (%v), and %v has the code %s", code, got, err, step, step.Code())
		}
		if title := step.Title(); title == code || strings.Contains(title, "_") {
			t.Errorf("%s has no title for people, but %q", code, title)
		}
	}
	for _, code := range []string{"shift:g:x", "shift:g:", "shift:g:0", "shift:", "shift:g:1:2"} {
		if got, err := ParseStep(code); err == nil {
			t.Errorf("%s: parsed as %v, want an error", code, got)
		}
	}
	later := Step{Kind: "bake_cake", Generation: "g"}
	if got, err := ParseStep("bake_cake:g"); err != nil || got != later || got.Title() != "bake_cake: g" {
		t.Errorf("a step of a later release: got %v (%v), titled %q", got, err, got.Title())
	}
}
