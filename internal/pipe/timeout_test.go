package pipe_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// takes returns what a step does that takes some time, or hangs if that is 0.
func takes(d time.Duration) func(context.Context, *pipe.Call) (pipe.Result, error) {
	return func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
		if d > 0 && (clock.System{}).Sleep(ctx, d) == nil {
			return pipe.Result{}, nil
		}
		<-ctx.Done()
		return pipe.Result{}, context.Cause(ctx)
	}
}

// No step hangs forever: not in First, in Main, in a branch or in Last.
func TestEngine_StepTimeouts(t *testing.T) {
	for name, tt := range map[string]struct {
		pipe    pipe.Pipe
		want    []string
		message string
		elapsed time.Duration
	}{
		"DefaultInFirst": {
			pipe.Pipe{First: steps("hang"), Last: steps("tidy")},
			[]string{"hang failed", "tidy succeeded"}, "timed out after 2h0m0s, the default for a step: if", pipe.DefaultStepTimeout,
		},
		"DefaultInLast": {
			pipe.Pipe{Main: steps("a"), Last: steps("hang", "tidy")},
			[]string{"a succeeded", "hang failed", "tidy succeeded"}, "timed out after 2h0m0s, the default for a step: if", pipe.DefaultStepTimeout,
		},
		"OfThePipe": {
			pipe.Pipe{StepTimeout: time.Minute, Main: steps("a|hang,b", "c"), Last: steps("tidy")},
			[]string{"a succeeded", "hang failed", "tidy succeeded"}, "timed out after 1m0s, the step_timeout of the pipe: if", time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHarness()
				s.Clock = clock.System{}
				s.act["a"], s.act["hang"] = takes(time.Second), takes(0)
				summary := s.run(t, pipe.Request{Pipe: &tt.pipe})
				got := outcomes(summary)
				slices.Sort(got) // branches begin in any order
				slices.Sort(tt.want)
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("got (-) differs from want (+):\n%s", diff)
				}
				step := summary.Failed()
				if step == nil || step.Reason != pipe.ReasonTimedOut || !strings.HasPrefix(step.Message, tt.message) || step.Elapsed != tt.elapsed {
					t.Errorf("got %+v", summary)
				}
			})
		})
	}
}

// The pipe's timeout ends First and Main, and the run has failed. Last runs.
func TestEngine_PipeTimeout(t *testing.T) {
	const message = "the pipe timed out after 10m0s: if it needs longer, raise the timeout at the top of its file"
	for name, tt := range map[string]struct {
		pipe   pipe.Pipe
		want   []string
		failed string
	}{
		"First":    {pipe.Pipe{First: steps("hang", "b"), Main: steps("c"), Last: steps("long")}, []string{"hang failed", "long succeeded"}, "hang"},
		"Main":     {pipe.Pipe{First: steps("9m"), Main: steps("hang", "b"), Last: steps("long")}, []string{"9m succeeded", "hang failed", "long succeeded"}, "hang"},
		"Branches": {pipe.Pipe{Main: steps("9m|hang", "b"), Last: steps("long")}, []string{"9m succeeded", "hang failed", "long succeeded"}, "hang"},
		"Between":  {pipe.Pipe{Main: steps("11m", "b"), Last: steps("long")}, []string{"11m succeeded", "long succeeded"}, ""},
		"Retries":  {pipe.Pipe{Main: steps("retried"), Last: steps("long")}, []string{"retried failed", "long succeeded"}, "retried"},
		"NotLast":  {pipe.Pipe{Main: steps("9m"), Last: steps("long")}, []string{"9m succeeded", "long succeeded"}, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHarness()
				s.Clock = clock.System{}
				s.act["9m"], s.act["long"], s.act["hang"], s.act["retried"] = takes(9*time.Minute), takes(time.Hour), takes(0), fails
				s.act["11m"] = func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
					return pipe.Result{}, clock.System{}.Sleep(context.WithoutCancel(ctx), 11*time.Minute)
				}
				tt.pipe.Timeout = 10 * time.Minute
				for i := range tt.pipe.Main {
					tt.pipe.Main[i].Retries, tt.pipe.Main[i].RetryAfter = 9, time.Hour
				}
				summary := s.run(t, pipe.Request{Pipe: &tt.pipe})
				got := outcomes(summary)
				slices.Sort(got) // branches begin in any order
				slices.Sort(tt.want)
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("got (-) differs from want (+):\n%s", diff)
				}
				stored := s.runs[len(s.runs)-1]
				if tt.failed == "-" {
					if summary.Status != builddata.Succeeded || stored.Status != builddata.Succeeded {
						t.Errorf("got %+v", summary)
					}
					return
				}
				if summary.Status != builddata.Failed || summary.FailedStep != tt.failed || !strings.Contains(stored.Message, message) {
					t.Errorf("got %s at %q: %s", summary.Status, summary.FailedStep, stored.Message)
				}
				if step := summary.Failed(); step != nil && (step.Reason != pipe.ReasonTimedOut || !strings.Contains(step.Message, message)) {
					t.Errorf("got %+v", step)
				}
			})
		})
	}
}
