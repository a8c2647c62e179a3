package pipe_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A step with allow_failure has failed, and the run goes on.
func TestEngine_AllowFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		pipe    pipe.Pipe
		fail    []string
		want    string
		status  builddata.Status
		message string
	}{
		"Main":     {pipe.Pipe{Main: steps("may", "b")}, []string{"may"}, "may! b tidy", builddata.Succeeded, "although may failed"},
		"First":    {pipe.Pipe{First: steps("may", "a"), Main: steps("b")}, []string{"may"}, "may! a b tidy", builddata.Succeeded, "although may failed"},
		"Branches": {pipe.Pipe{Main: steps("may,a|b", "c")}, []string{"may"}, "may! a b c tidy", builddata.Succeeded, "although may failed"},
		"Last":     {pipe.Pipe{Main: steps("a"), Last: steps("may")}, []string{"may"}, "a may! tidy", builddata.Succeeded, "although may failed"},
		"Succeeds": {pipe.Pipe{Main: steps("may", "b")}, nil, "may b tidy", builddata.Succeeded, ""},
		"Other":    {pipe.Pipe{Main: steps("may", "b", "c")}, []string{"may", "b"}, "may! b! tidy", builddata.Failed, "failed at b: failed by --fail"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			tt.pipe.Last = append(tt.pipe.Last, steps("tidy")...)
			tt.pipe.Last[len(tt.pipe.Last)-1].Args = map[string]pipe.Value{"text": {Data: "${{ status }} ${{ failed_step }}"}}
			for _, step := range tt.pipe.Tasks() {
				step.AllowFailure = step.Name == "may"
			}
			told := ""
			s.act["tidy"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
				told = c.Args.Text("text")
				return pipe.Result{}, nil
			}
			summary := s.run(t, pipe.Request{Pipe: &tt.pipe, Mock: true, Fail: tt.fail})
			var got []string
			for _, step := range summary.Steps {
				if step.Status == builddata.Failed {
					step.Name += "!"
				}
				if step.AllowedFailure != (step.Name == "may!") {
					t.Errorf("got %+v", step)
				}
				got = append(got, step.Name)
			}
			last := s.runs[len(s.runs)-1]
			if strings.Join(got, " ") != tt.want || summary.Status != tt.status || last.Status != tt.status || last.Message != tt.message {
				t.Errorf("got %v, %s: %s\nwant %s, %s: %s", got, last.Status, last.Message, tt.want, tt.status, tt.message)
			}
			failed := strings.TrimPrefix(strings.Split(tt.message, ":")[0], "although may failed")
			if want := string(tt.status) + " " + strings.TrimPrefix(failed, "failed at "); told != want {
				t.Errorf("the section last got %q, want %q", told, want)
			}
			recorded := slices.ContainsFunc(s.events, func(e builddata.Event) bool { return e.Step == "may" && e.Status == builddata.Failed })
			if recorded != slices.Contains(tt.fail, "may") {
				t.Errorf("recorded %+v", s.events)
			}
		})
	}
}

// An interrupt is not a failure that is allowed, nor is the failure of the only step.
func TestEngine_AllowFailureOnlyOfFailures(t *testing.T) {
	s := newHarness()
	interrupt, cancel := context.WithCancel(t.Context())
	s.act["may"] = func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
		cancel()
		<-ctx.Done()
		return pipe.Result{}, context.Cause(ctx)
	}
	p := &pipe.Pipe{Name: "p", Main: steps("may", "b")}
	p.Main[0].AllowFailure = true
	summary := s.run(t, pipe.Request{Pipe: p, Interrupt: interrupt})
	if summary.Status != builddata.Interrupted || len(summary.Steps) != 1 || summary.Steps[0].AllowedFailure {
		t.Errorf("got %+v", summary)
	}
	s.act["may"] = fails
	summary = s.run(t, pipe.Request{Pipe: p, Only: "may"})
	if summary.Status != builddata.Failed || summary.FailedStep != "may" {
		t.Errorf("got %+v", summary)
	}
}

// What a step that may fail sets is optional.
func TestCheck_AllowFailure(t *testing.T) {
	tasks := newHarness().tasks
	tasks["init.version"] = pipe.Definition{Type: "init.version", AllocatesVersion: true, Outputs: []string{pipe.ValueVersion}}
	const unsure = "${{ coverage }} may not be set: the step \"may\" may fail, since it has allow_failure; " +
		"give a default: ${{ coverage ?? 'text' }}"
	for name, tt := range map[string]struct {
		use    string
		values pipe.Values
		before []pipe.Step
		want   string
	}{
		"Required": {"${{ coverage }}", nil, nil, unsure},
		"Default":  {"${{ coverage ?? 'none' }}", nil, nil, ""},
		"Given":    {"${{ coverage }}", pipe.Values{"coverage": "80"}, nil, ""},
		"SetBySureStep": {
			"${{ coverage }}", nil, []pipe.Step{{Name: "sure", Task: "work", Outputs: []string{"coverage"}}}, "",
		},
		"Version": {
			"x", nil, []pipe.Step{{Name: "v", Task: "init.version", AllowFailure: true}},
			`step "v": allow_failure is not allowed: the run needs the version that it allocates`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pipe.Pipe{Name: "p", Main: append(tt.before,
				pipe.Step{Name: "may", Task: "work", AllowFailure: true, Outputs: []string{"coverage"}},
				pipe.Step{Name: "use", Task: "work", Args: map[string]pipe.Value{"text": {Data: tt.use}}})}
			err := pipe.Check(p, tasks, expression.Language{}, tt.values)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// As many branches run at the same time as are allowed, and the others after them.
func TestEngine_MaxParallel(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("a,aa|b|c|d|e", "after")}
	p.Main[0].MaxParallel = 2
	running, most := map[string]bool{}, 0
	begin, end := make(chan string), make(chan string)
	act := func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		begin <- c.Step
		end <- c.Step
		return pipe.Result{}, nil
	}
	for _, name := range strings.Fields("a aa b c d e") {
		s.act[name] = act
	}
	s.act["c"] = fails
	done := make(chan pipe.Summary)
	go func() { done <- s.run(t, pipe.Request{Pipe: p}) }()
	begun := []string{<-begin, <-begin} // both before one has ended
	running[begun[0]], running[begun[1]] = true, true
	for {
		select {
		case name := <-begin:
			running[name] = true
		case name := <-end:
			delete(running, name)
		case summary := <-done:
			slices.Sort(begun)
			if diff := cmp.Diff(begun, []string{"a", "b"}); diff != "" || most > 2 {
				t.Errorf("began with %v, at most %d at the same time", begun, most)
			}
			if len(summary.Steps) != 6 || summary.FailedStep != "c" {
				t.Errorf("got %v", outcomes(summary))
			}
			return
		}
		most = max(most, len(running))
	}
}
