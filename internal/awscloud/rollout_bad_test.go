package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// TestAccRollout_BadVersions rolls out versions that do not work, under load.
// Each time, the version that works serves in the end.
func TestAccRollout_BadVersions(t *testing.T) {
	enter(t, 3)
	var table strings.Builder
	rows := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(rows, "version\trequests\tto it\tfailed\tfailures last for\toutcome")
	for _, c := range []struct {
		name string
		test func(t *testing.T) verdict
	}{
		{"NeverHealthy", neverHealthy},
		{"HealthyLate", healthyLate},
		{"Dies", dies},
		{"Fails", fails},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.test(t)
			_, _ = fmt.Fprintf(rows, "%s\t%d\t%d\t%d\t%s of AWS's time\t%s\n", c.name, v.Sent, v.ByVersion[v.version], v.Failed, v.lasted, v.outcome)
		})
	}
	if err := rows.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", &table)
}

// verdict is the result of a version under load.
type verdict struct {
	rig.Report
	version string
	// lasted is from the first failure to the last, at AWS's speed.
	lasted  time.Duration
	outcome string
	err     error
}

// trial is a cluster in which version 1 serves, and behaves.
func trial(t *testing.T, speed float64, behave func(version string) rig.Behaviour) *site {
	t.Helper()
	s := openSite(t, speed, &rig.Options{Behave: behave})
	s.apply("1", atOnce)
	s.reached()
	return s
}

// attempt rolls out a version under load, and reports on the load until the end
// of the rollout. After that, no request may fail.
func (s *site) attempt(load *rig.Load, version string, settings rollout.Settings) verdict {
	s.Helper()
	stop := s.send(load)
	s.eventually("requests come in", func() bool { return load.Snapshot().ByVersion["1"] > 0 })
	_, err := s.manager.Apply(s.Context(), s.spec(version), settings, s.known())
	v := verdict{Report: stop(), version: version, err: err, outcome: "succeeded"}
	v.lasted = time.Duration(float64(v.LastFailure.Sub(v.FirstFailure)) * s.speed).Round(time.Second)

	ctx, cancel := context.WithTimeout(s.Context(), 300*time.Millisecond)
	defer cancel()
	after := s.load().Run(ctx)
	if after.Failed > 0 || after.ByStatus[200] != after.Sent {
		s.Errorf("after the rollout: got %v of %d requests: %v", after.ByStatus, after.Sent, after.Errors)
	}
	return v
}

// rolledBack checks that a rollout failed and was rolled back, and what its error
// says.
func (s *site) rolledBack(v *verdict, says ...string) {
	s.Helper()
	var failure *rollout.Error
	if !errors.As(v.err, &failure) || failure.Outcome != rollout.RolledBack {
		s.Fatalf("got %v, want it rolled back%s", v.err, s.log())
	}
	v.outcome = "rolled back"
	for _, text := range append(says, "version 1 serves with 2 of 2 servers healthy", "made for this rollout") {
		if !strings.Contains(failure.Error(), text) {
			s.Errorf("the error does not say %q:\n%v", text, failure)
		}
	}
	if v.Failed >= v.Sent {
		s.Errorf("all of %d requests failed", v.Sent)
	}
	s.sound("1", 2)
}

func neverHealthy(t *testing.T) verdict {
	s := trial(t, 50, func(version string) rig.Behaviour { return rig.Behaviour{NeverHealthy: version != "1"} })
	settings := gradual
	settings.HealthyWithin = time.Minute
	v := s.attempt(s.load(), "2", settings)
	s.rolledBack(&v, rollout.WaitHealthy.Title(), "0 of 2 servers healthy", "Health checks failed with these codes: [503]")
	if v.Failed > 0 || v.ByVersion["2"] > 0 {
		t.Errorf("%d requests failed, and %d went to the version that was never healthy", v.Failed, v.ByVersion["2"])
	}
	return v
}

func healthyLate(t *testing.T) verdict {
	s := trial(t, 50, func(version string) rig.Behaviour {
		if version == "1" {
			return rig.Behaviour{}
		}
		return rig.Behaviour{HealthyAfter: time.Minute}
	})
	v := s.attempt(s.load(), "2", gradual)
	if v.err != nil || v.Failed > 0 || v.ByVersion["2"] == 0 {
		t.Errorf("got %v, %d failed requests and %d to the version: %v", v.err, v.Failed, v.ByVersion["2"], v.Errors)
	}
	s.sound("2", 2)
	return v
}

// dies rolls out a version whose servers die soon after their start. If the
// machine is so busy that they die before they serve, the next version's servers
// live longer.
func dies(t *testing.T) (v verdict) {
	s := trial(t, 10, func(version string) rig.Behaviour {
		return map[string]rig.Behaviour{
			"10s": {DiesAfter: 10 * time.Second}, "30s": {DiesAfter: 30 * time.Second}, "90s": {DiesAfter: 90 * time.Second},
		}[version]
	})
	settings := atOnce
	settings.HealthyWithin, settings.ObserveFor = 2*time.Minute, 2*time.Minute
	for _, version := range []string{"10s", "30s", "90s"} {
		v = s.attempt(s.load(), version, settings)
		if v.ByVersion[version] == 0 {
			s.rolledBack(&v)
			continue
		}
		s.rolledBack(&v, "do not stay healthy")
		return v
	}
	t.Error("no version came to serve before it died")
	return v
}

// putAlarm creates an alarm, which is OK.
func (s *site) putAlarm(name string) {
	s.Helper()
	watch := s.account.CloudWatch(rolloutRegion)
	_, err := watch.PutMetricAlarm(s.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"),
		Statistic: cwtypes.StatisticSum, Period: aws.Int32(10), EvaluationPeriods: aws.Int32(1),
		Threshold: aws.Float64(1), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold,
	})
	if err != nil {
		s.Fatal(err)
	}
}

// fails rolls out a version that answers 500 to everything but health checks. In
// place of CloudWatch, the test makes an alarm fire at the first such answer.
func fails(t *testing.T) verdict {
	const name = "strawberry-5xx"
	s := trial(t, 10, func(version string) rig.Behaviour { return rig.Behaviour{Fails: version != "1"} })
	s.putAlarm(name)
	watch := s.account.CloudWatch(rolloutRegion)
	set := func(state cwtypes.StateValue, reason string) {
		_, err := watch.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
			AlarmName: aws.String(name), StateValue: state, StateReason: &reason,
		})
		if err != nil {
			t.Error(err)
		}
	}
	set(cwtypes.StateValueOk, "no answer was a 5xx")
	load := s.load()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for load.Snapshot().ByStatus[500] == 0 {
			if (clock.System{}).Sleep(ctx, 10*time.Millisecond) != nil {
				return
			}
		}
		set(cwtypes.StateValueAlarm, "an answer was a 5xx")
	}()
	settings := gradual
	settings.Steps, settings.ObserveFor, settings.Alarms = []int32{10, 100}, time.Minute, []string{name}
	v := s.attempt(load, "2", settings)
	cancel()
	<-watched
	s.rolledBack(&v, `alarm "strawberry-5xx" fires: an answer was a 5xx`, "observe: ")
	if v.Failed == 0 || v.Failed != v.ByStatus[500] || v.Failed != v.ByVersion["2"] {
		t.Errorf("%d requests failed, %v, %d went to the version that fails", v.Failed, v.ByStatus, v.ByVersion["2"])
	}

	// As long as the alarm fires, no rollout begins.
	_, err := s.manager.Apply(t.Context(), s.spec("3"), settings, s.known())
	var failure *rollout.Error
	if !errors.As(err, &failure) || failure.Outcome != rollout.Refused {
		t.Errorf("got %v, want a refusal", err)
	}
	s.sound("1", 2)
	return v
}
