package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

const (
	host = "strawberry.example.com"
	// rate is the number of requests per second.
	rate  = 500
	alarm = "strawberry-prod-5xx"
)

// traffic is the requests to production during a scene.
type traffic struct {
	load   *rig.Load
	cancel context.CancelFunc
	report chan rig.Report
}

func (s *harness) startTraffic(ctx context.Context) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{load: &rig.Load{URL: s.plane.URL, Host: host, Rate: rate}, cancel: cancel, report: make(chan rig.Report, 1)}
	go func() { t.report <- t.load.Run(ctx) }()
	return t
}

// stop ends the requests and returns their results.
func (t *traffic) stop() rig.Report {
	t.cancel()
	return <-t.report
}

// today sets up what exists before the demo begins.
func (s *harness) today(ctx context.Context) error {
	if err := s.setAlarm(ctx, types.StateValueOk); err != nil {
		return err
	}
	if _, err := s.commit(ctx, "first", "Red.\n"); err != nil {
		return err
	}
	first, err := s.pipeRun(ctx, "--run-to", "bake")
	if err != nil {
		return err
	}
	if _, err := s.pipeRun(ctx, "--pipe", "release", "--version", first.Version); err != nil {
		return err
	}
	s.printf("")
	s.printf("%s serves version %s from 2 servers, behind the shared load balancer.", host, first.Version)
	return nil
}

// release rolls the tested image out to production.
func (s *harness) release(ctx context.Context) error {
	t := s.startTraffic(ctx)
	_, err := s.pipeRun(ctx, "--pipe", "release", "--version", s.version)
	report := t.stop()
	if err != nil {
		return err
	}
	s.printReport(report)
	if report.Failed > 0 {
		return fmt.Errorf("%d requests failed: %v", report.Failed, report.Errors)
	}
	if report.ByVersion["1"] == 0 || report.ByVersion[s.version] == 0 {
		return fmt.Errorf("the versions answered %v, want both to", report.ByVersion)
	}
	return s.status(ctx, s.version)
}

// releaseBad rolls out a version that answers 500 and passes its health checks.
func (s *harness) releaseBad(ctx context.Context) error {
	if _, err := s.commit(ctx, "sour", "Sour.\n"); err != nil {
		return err
	}
	s.printf("The next version is built without its tests.")
	summary, err := s.pipeRun(ctx, "--run-to", "bake")
	if err != nil {
		return err
	}
	bad := summary.Version
	s.bad.Store(bad)
	s.printf("")
	s.printf("Version %s passes its health checks, but answers 500 to other requests. An alarm watches for that.", bad)
	s.alarmed, err = s.rollBack(ctx, bad)
	if err != nil {
		return err
	}
	if failed, sent := s.alarmed.Failed, s.alarmed.Sent; failed == 0 || failed > sent/4 {
		return fmt.Errorf("%d of %d requests failed, want some, but of a tenth only", failed, sent)
	}
	return s.status(ctx, s.version)
}

// releaseChecked rolls the bad version out again, with a check that its first request fails.
func (s *harness) releaseChecked(ctx context.Context) error {
	if err := s.setAlarm(ctx, types.StateValueOk); err != nil {
		return err
	}
	s.environ = append(s.environ, "STRAWBERRY_PREVIEW_TOKEN=open-sesame", "STRAWBERRY_CHECK_URL="+s.plane.URL)
	s.printf("A preview rule sends requests with a header that only the check knows to the new servers.")
	checked, err := s.rollBack(ctx, fmt.Sprint(s.bad.Load()))
	if err != nil {
		return err
	}
	if checked.Failed > 0 || checked.ByVersion[s.version] != checked.Sent {
		return fmt.Errorf("%d of %d requests failed, and %v answered: want none to fail", checked.Failed, checked.Sent, checked.ByVersion)
	}
	s.printf("")
	s.printf("The same bad version   failed requests   from healthy servers to the verdict")
	for _, row := range []struct {
		name string
		v    verdict
	}{{"with an alarm", s.alarmed}, {"with a check", checked}} {
		s.printf("  %-20s %6d of %-6d %6.1f s", row.name, row.v.Failed, row.v.Sent, row.v.after.Seconds())
	}
	return s.status(ctx, s.version)
}

// verdict is how the rollout of a bad version ended.
type verdict struct {
	rig.Report
	// after is how long it took from healthy servers to the decision to roll back.
	after time.Duration
}

// rollBack rolls a bad version out under load, which must be rolled back.
func (s *harness) rollBack(ctx context.Context, bad string) (verdict, error) {
	t := s.startTraffic(ctx)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- s.watch(watching, t.load) }()
	summary, err := s.pipeRun(ctx, "--pipe", "release", "--version", bad)
	stop()
	watchErr := <-watched
	report := t.stop()
	if watchErr != nil {
		return verdict{}, watchErr
	}
	if err == nil {
		return verdict{}, errors.New("the bad version was rolled out")
	}
	failed := summary.Failed()
	// Terraform breaks lines, and draws a border next to them.
	words := func(text string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(text, "│", "")), " ")
	}
	if failed == nil || failed.Name != "roll out" || !strings.Contains(words(failed.Tail), "nothing is left that was made for this rollout") {
		return verdict{}, err
	}
	_, text, _ := strings.Cut(failed.Tail, "Error: ")
	s.quote("Error: " + text)
	s.printReport(report)
	after, err := s.decided(ctx)
	return verdict{report, after}, err
}

// decided is how long the latest rollout took from healthy servers to the decision to roll
// it back, by its journal.
func (s *harness) decided(ctx context.Context) (time.Duration, error) {
	latest, err := s.store.Rollouts(ctx, builddata.RolloutQuery{Service: service, Environment: "prod", Region: home, Limit: 1})
	if err != nil || len(latest) == 0 {
		return 0, errors.Join(err, errors.New("no rollout is on record"))
	}
	r, err := s.store.Rollout(ctx, service, latest[0].ID)
	if err != nil {
		return 0, err
	}
	var healthy time.Time
	for _, e := range r.Entries {
		switch {
		case strings.HasPrefix(e.Step, string(rollout.WaitHealthy)+":") && e.Phase == builddata.Done:
			healthy = e.At
		case e.Undo:
			return e.At.Sub(healthy), nil
		}
	}
	return 0, fmt.Errorf("rollout %s was not rolled back", r.ID)
}

// watch stands in for CloudWatch: it makes the alarm fire once requests are answered
// with 500.
func (s *harness) watch(ctx context.Context, load *rig.Load) error {
	for ctx.Err() == nil {
		if load.Snapshot().ByStatus[500] > 0 {
			return s.setAlarm(context.WithoutCancel(ctx), types.StateValueAlarm)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func (s *harness) setAlarm(ctx context.Context, state types.StateValue) error {
	client := s.account.CloudWatch(home)
	_, err := client.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String(alarm), Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"),
		Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
	})
	if err != nil {
		return err
	}
	_, err = client.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String(alarm), StateValue: state, StateReason: aws.String("servers answer 500"),
	})
	return err
}

// printReport prints the results of the requests.
func (s *harness) printReport(r rig.Report) {
	s.printf("Meanwhile, %d requests per second: %d in total, %d failed. Answers by version:", rate, r.Sent, r.Failed)
	for _, version := range slices.Sorted(maps.Keys(r.ByVersion)) {
		s.printf("  %-3s %6d", version, r.ByVersion[version])
	}
}

// status prints the status by the command line, and checks that a version serves all
// requests.
func (s *harness) status(ctx context.Context, version string) error {
	s.command("delivery rollout status strawberry/prod")
	out, err := s.output(ctx, "", s.program, "rollout", "status", "strawberry/prod")
	if err != nil {
		return err
	}
	s.quote(out)
	if !strings.Contains(out, "version "+version+", from ami-") {
		return fmt.Errorf("version %s does not serve", version)
	}
	return nil
}
