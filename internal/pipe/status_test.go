package pipe_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestEngine_Interrupted(t *testing.T) {
	for section, p := range map[string]*pipe.Pipe{
		"First": {Name: "p", First: steps("work", "more"), Main: steps("never"), Last: steps("tidy")},
		"Main":  {Name: "p", Main: steps("work", "never"), Last: steps("tidy")},
	} {
		t.Run(section, func(t *testing.T) {
			s := newHarness()
			ctx, interrupt := context.WithCancelCause(t.Context())
			s.act["work"] = func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
				interrupt(errors.New("Ctrl-C"))
				<-ctx.Done()
				return pipe.Result{}, context.Cause(ctx)
			}
			var status string
			s.act["tidy"] = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
				status = c.Values[pipe.ValueStatus]
				return pipe.Result{}, ctx.Err()
			}
			summary := s.run(t, pipe.Request{Pipe: p, Interrupt: ctx})
			if diff := cmp.Diff(outcomes(summary), []string{"work interrupted", "tidy succeeded"}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			last := s.runs[len(s.runs)-1]
			if summary.Status != builddata.Interrupted || status != "interrupted" || last.Status != builddata.Interrupted ||
				!strings.Contains(last.Message, "Ctrl-C") {
				t.Errorf("got %s, status %q in the section last, recorded %+v", summary.Status, status, last)
			}
		})
	}
}

// An interrupt while Last is running has no effect. The end of the context interrupts Last,
// and the steps that follow are skipped.
func TestEngine_InterruptedInLast(t *testing.T) {
	for name, tt := range map[string]struct {
		hard bool
		want []string
		end  builddata.Status
	}{
		"Interrupt": {false, []string{"work succeeded", "tidy succeeded", "a succeeded", "b succeeded", "notify succeeded"}, builddata.Succeeded},
		"End":       {true, []string{"work succeeded", "tidy interrupted", "a skipped", "b skipped", "notify skipped"}, builddata.Interrupted},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			hard, end := context.WithCancelCause(t.Context())
			soft, interrupt := context.WithCancelCause(hard)
			s.act["tidy"] = func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
				interrupt(errors.New("Ctrl-C"))
				if tt.hard {
					end(errors.New("Ctrl-C again"))
				}
				return pipe.Result{}, context.Cause(ctx)
			}
			p := &pipe.Pipe{Name: "p", Main: steps("work"), Last: steps("tidy", "a|b", "notify")}
			p.NameSteps()
			if err := pipe.Check(p, s.tasks, expression.Language{}, nil); err != nil {
				t.Fatal(err)
			}
			summary := s.Engine.Run(hard, pipe.Request{Pipe: p, Interrupt: soft, Mock: true, Run: builddata.Run{ID: "run-1", Service: "strawberry"}})
			if diff := cmp.Diff(outcomes(summary), tt.want); diff != "" || summary.Status != tt.end {
				t.Errorf("got %s (-), want %s (+):\n%s", summary.Status, tt.end, diff)
			}
			if last := summary.Steps[4]; tt.hard && (last.Reason != pipe.ReasonStopped || last.Message != "Ctrl-C again" ||
				summary.FailedStep != "tidy") {
				t.Errorf("got %+v", summary)
			}
		})
	}
}

// The failed step is the first to fail, not the first to begin. In an interrupted run, it
// is a step that was interrupted.
func TestEngine_FailedStep(t *testing.T) {
	for _, want := range []string{"fast", "slow"} {
		t.Run(want, func(t *testing.T) {
			s := newHarness()
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer interrupt(nil)
			begun, over := make(chan struct{}), make(chan struct{})
			s.act["fast"] = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
				<-begun
				return fails(ctx, c)
			}
			s.act["slow"] = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
				close(begun)
				select {
				case <-over:
					return fails(ctx, c)
				case <-ctx.Done():
					return pipe.Result{}, context.Cause(ctx)
				}
			}
			s.after = map[string]func(){"fast": func() { close(over) }}
			if want == "slow" {
				s.after["fast"] = func() { interrupt(errors.New("Ctrl-C")) }
			}
			seen := ""
			s.act["notify"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
				seen = c.Values[pipe.ValueFailedStep]
				return pipe.Result{}, nil
			}
			summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("slow|fast"), Last: steps("notify")}, Interrupt: ctx})
			record := s.runs[len(s.runs)-1].Message
			if seen != want || summary.FailedStep != want || !strings.Contains(record, " at "+want+": ") {
				t.Errorf("the section last saw %q, the summary has %q, the record %q; want %s", seen, summary.FailedStep, record, want)
			}
		})
	}
}

// The failure of a best-effort task is a warning.
func TestEngine_BestEffort(t *testing.T) {
	yes, no := pipe.Value{Data: true}, pipe.Value{Data: false}
	for name, tt := range map[string]struct {
		args     map[string]pipe.Value
		want     builddata.Status
		attempts int
	}{
		"Warns":        {nil, builddata.Succeeded, 2},
		"NotRequired":  {map[string]pipe.Value{"required": no}, builddata.Succeeded, 2},
		"Required":     {map[string]pipe.Value{"required": yes}, builddata.Failed, 2},
		"ValueMissing": {map[string]pipe.Value{"recipient": {Data: "${{ env.MISSING }}"}}, builddata.Succeeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			s.act["notify"] = fails
			p := &pipe.Pipe{Name: "p", Main: []pipe.Step{{Name: "notify", Task: "notify", Args: tt.args, Retries: 1}}}
			step := s.run(t, pipe.Request{Pipe: p}).Steps[0]
			if warned := len(step.Warnings) > 0; step.Status != tt.want || step.Attempts != tt.attempts ||
				warned != (tt.want == builddata.Succeeded) {
				t.Errorf("got %+v, want it %s after %d attempts", step, tt.want, tt.attempts)
			}
		})
	}
}

// A run whose only step is skipped has failed.
func TestEngine_OnlyStepSkipped(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("a", "b")}
	p.Main[1].When = pipe.Value{Data: "false"}
	summary := s.run(t, pipe.Request{Pipe: p, Only: "b"})
	if last := s.runs[len(s.runs)-1]; summary.Status != builddata.Failed || last.Status != builddata.Failed ||
		last.Message != "b was skipped: its when is false" || len(s.events) > 0 {
		t.Errorf("got %+v, and %+v on record", summary, last)
	}
}
