package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

func full() *pipe.Pipe {
	return &pipe.Pipe{
		Name: "full", First: steps("clean", "version"), Main: steps("build", "functional,report|load", "promote"),
		Last: steps("destroy", "notify"),
	}
}

// Which steps run: if all succeed, if one fails, and in runs of a part of the pipe.
func TestEngine_Order(t *testing.T) {
	for _, tt := range []struct {
		name   string
		req    pipe.Request
		want   string
		status builddata.Status
	}{
		{"All", pipe.Request{}, "clean version build functional report load promote destroy notify", builddata.Succeeded},
		{"FirstFails", pipe.Request{Fail: []string{"clean"}}, "clean! version destroy notify", builddata.Failed},
		{"MainFails", pipe.Request{Fail: []string{"build"}}, "clean version build! destroy notify", builddata.Failed},
		{"BranchFails", pipe.Request{Fail: []string{"functional"}}, "clean version build functional! load destroy notify", builddata.Failed},
		{
			"OtherBranchFails", pipe.Request{Fail: []string{"load"}}, "clean version build functional report load! destroy notify", builddata.Failed,
		},
		{
			"LastFails", pipe.Request{Fail: []string{"destroy"}}, "clean version build functional report load promote destroy! notify",
			builddata.Failed,
		},
		{"ToFirst", pipe.Request{To: "clean"}, "clean destroy notify", builddata.Succeeded},
		{"ToBuild", pipe.Request{To: "build"}, "clean version build destroy notify", builddata.Succeeded},
		{"ToBranch", pipe.Request{To: "functional"}, "clean version build functional destroy notify", builddata.Succeeded},
		{"ToEndOfBranch", pipe.Request{To: "report"}, "clean version build functional report destroy notify", builddata.Succeeded},
		{
			"ToStepAfterBranches", pipe.Request{To: "promote"}, "clean version build functional report load promote destroy notify",
			builddata.Succeeded,
		},
		{"Only", pipe.Request{Only: "load"}, "load", builddata.Succeeded},
		{"OnlyLast", pipe.Request{Only: "destroy", Fail: []string{"destroy"}}, "destroy!", builddata.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newHarness()
			tt.req.Pipe, tt.req.Mock = full(), true // mocks run one branch after the other
			summary := s.run(t, tt.req)
			var got []string
			for _, step := range summary.Steps {
				if step.Status == builddata.Failed {
					step.Name += "!"
				}
				got = append(got, step.Name)
			}
			if strings.Join(got, " ") != tt.want || summary.Status != tt.status {
				t.Errorf("got %v, %s\nwant %s, %s", got, summary.Status, tt.want, tt.status)
			}
		})
	}
}

// Each branch has its own copy of the context, which the steps after the branches do not
// see.
func TestEngine_ContextOfBranches(t *testing.T) {
	s := newHarness()
	set := func(value string) func(context.Context, *pipe.Call) (pipe.Result, error) {
		return func(context.Context, *pipe.Call) (pipe.Result, error) {
			return pipe.Result{Outputs: map[string]string{"value": value}}, nil
		}
	}
	seen := map[string]string{}
	record := func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		seen[c.Step] = c.Values["value"]
		return pipe.Result{}, nil
	}
	s.act["before"], s.act["left"], s.act["right"] = set("common"), set("left"), set("right")
	s.act["seen left"], s.act["seen right"], s.act["after"] = record, record, record
	s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("before", "left,seen left|right,seen right", "after")}})
	if diff := cmp.Diff(seen, map[string]string{"seen left": "left", "seen right": "right", "after": "common"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// Branches run at the same time, and a failing branch does not stop the others.
func TestEngine_BranchesAreParallel(t *testing.T) {
	s := newHarness()
	met := make(chan struct{})
	s.act["a"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		met <- struct{}{}
		return pipe.Result{}, errors.New("broken")
	}
	s.act["b"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		<-met
		return pipe.Result{}, nil
	}
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("a|b", "after")}})
	got := outcomes(summary)
	slices.Sort(got)
	if diff := cmp.Diff(got, []string{"a failed", "b succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// The results of mocks do not depend on environment variables.
func TestEngine_MockEnvironment(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("a")}
	p.Main[0].Args = map[string]pipe.Value{"list": {Data: []pipe.Value{{Data: "${{ env.NOT_HERE }}"}, {Data: "${{ env.NOR_HERE ?? 'but' }}"}}}}
	var got []string
	s.act["a"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Args.List("list")
		return pipe.Result{}, nil
	}
	if s.run(t, pipe.Request{Pipe: p, Mock: true}); !cmp.Equal(got, []string{"mock-NOT_HERE", "but"}) {
		t.Errorf("got %q", got)
	}
}

func TestEngine_TimeoutAndRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHarness()
		s.Clock = clock.System{}
		attempts := 0
		s.act["slow"] = func(ctx context.Context, _ *pipe.Call) (pipe.Result, error) {
			attempts++
			if attempts == 3 {
				return pipe.Result{Message: "at last"}, nil
			}
			<-ctx.Done()
			return pipe.Result{}, context.Cause(ctx)
		}
		p := &pipe.Pipe{Name: "p", Main: steps("slow")}
		p.Main[0].Timeout, p.Main[0].Retries, p.Main[0].RetryAfter = time.Minute, 2, 10*time.Second
		summary := s.run(t, pipe.Request{Pipe: p})
		got := summary.Steps[0]
		if got.Status != builddata.Succeeded || got.Attempts != 3 || got.Elapsed != 2*time.Minute+20*time.Second {
			t.Errorf("got %+v", got)
		}
		if len(s.lines) != 2 || s.lines[0] != "slow: attempt 1 of 3 failed: timed out after 1m0s" {
			t.Errorf("printed %q", s.lines)
		}
	})
}

// If a task panics, its step fails, and the run continues.
func TestEngine_TaskPanics(t *testing.T) {
	s := newHarness()
	s.act["bad"] = func(context.Context, *pipe.Call) (pipe.Result, error) { panic("oh") }
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("bad"), Last: steps("tidy")}})
	if diff := cmp.Diff(outcomes(summary), []string{"bad failed", "tidy succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if m := summary.Steps[0].Message; !strings.Contains(m, "panicked: oh") {
		t.Errorf("got %q", m)
	}
}

// A step of Last is skipped if it needs a value that was not set.
func TestEngine_LastSkips(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("make"), Last: steps("remove", "always")}
	p.Main[0].Outputs = []string{"thing"}
	p.Last[0].Args = map[string]pipe.Value{"text": {Data: "${{ thing }}"}}
	s.act["make"] = fails
	summary := s.run(t, pipe.Request{Pipe: p})
	if diff := cmp.Diff(outcomes(summary), []string{"make failed", "remove skipped", "always succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if summary.Status != builddata.Failed || !strings.Contains(summary.Steps[1].Message, "thing is not set") {
		t.Errorf("got %+v", summary)
	}
}

func TestEngine_When(t *testing.T) {
	for value, want := range map[string]builddata.Status{"": pipe.Skipped, "false": pipe.Skipped, "https://example.com": builddata.Succeeded} {
		s := newHarness()
		p := &pipe.Pipe{Name: "p", Main: steps("notify")}
		p.Main[0].When = pipe.Value{Data: "${{ hook ?? '' }}"}
		summary := s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{"hook": value}})
		if got := summary.Steps[0].Status; got != want || summary.Status != builddata.Succeeded {
			t.Errorf("with %q got %s and %s, want %s", value, got, summary.Status, want)
		}
	}
}

// Conditions compare texts; a text alone is false if it says so.
func TestEngine_Conditions(t *testing.T) {
	for when, want := range map[string]builddata.Status{
		"${{ branch == 'main' }}": builddata.Succeeded, "${{ branch != 'main' }}": pipe.Skipped, "${{ !off }}": builddata.Succeeded,
		"${{ off }}": pipe.Skipped, "${{ no }}": pipe.Skipped, "${{ zero }}": pipe.Skipped, "${{ upper }}": pipe.Skipped,
		"${{ empty }}": pipe.Skipped, "${{ yes && branch }}": builddata.Succeeded, "${{ missing ?? '' }}": pipe.Skipped,
		"${{ missing ?? 'other' }}": builddata.Succeeded, "${{ branch in ['main', 'release'] && !(skip ?? '') }}": builddata.Succeeded,
		"true": builddata.Succeeded, "false": pipe.Skipped, " ${{ no }} ": pipe.Skipped, "${{ zeros }}": builddata.Succeeded,
	} {
		s := newHarness()
		p := &pipe.Pipe{Name: "p", Main: steps("step")}
		p.Main[0].When = pipe.Value{Data: when}
		summary := s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{
			"branch": "main", "off": "off", "no": "no", "zero": "0", "zeros": "00", "upper": "FALSE", "empty": "", "yes": "yes",
		}})
		if got := summary.Steps[0].Status; got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
}

// $${{ stands for ${{ as a text.
func TestEngine_LiteralExpression(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("step")}
	p.Main[0].Args = map[string]pipe.Value{"text": {Data: "$${{ github.ref }} $$ $$${{ a }} ${{ service }}$${{"}}
	var got string
	s.act["step"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Args.Text("text")
		return pipe.Result{}, nil
	}
	s.run(t, pipe.Request{Pipe: p})
	if want := "${{ github.ref }} $$ $${{ a }} strawberry${{"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEngine_Arguments(t *testing.T) {
	s := newHarness()
	s.Environ = []string{"HOME=/home/ada"}
	p := &pipe.Pipe{Name: "p", Main: steps("step")}
	value := func(data any) pipe.Value { return pipe.Value{Data: data} }
	p.Main[0].Args = map[string]pipe.Value{
		"text": value("${{ service }} of ${{ team ?? 'no team' }} in ${{ env.HOME }}"), "number": value("${{ size }}"), "switch": value(true),
		"duration": value("90s"), "list": value([]pipe.Value{value("a"), value(int64(2))}),
		"table":   value(map[string]pipe.Value{"k": value("${{ size }}")}),
		"command": value("echo $HOME ${{ size }} \"${{ evil }}\""),
		"other":   value([]pipe.Value{value(map[string]pipe.Value{"deep": value("${{ size }}")})}),
	}
	var got pipe.Args
	s.act["step"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Args
		return pipe.Result{}, nil
	}
	s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{"size": "3", "evil": "; rm -rf /"}})
	want := pipe.Args{
		"text": "strawberry of no team in /home/ada", "number": int64(3), "switch": true, "duration": 90 * time.Second,
		"list": []string{"a", "2"}, "table": map[string]string{"k": "3"},
		"command": pipe.Script{
			Text:    `echo $HOME ${DELIVERY_VALUE_SIZE} "${DELIVERY_VALUE_EVIL}"`,
			Environ: []string{"DELIVERY_VALUE_SIZE=3", "DELIVERY_VALUE_EVIL=; rm -rf /"},
		},
		"other": []any{map[string]any{"deep": "3"}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// Values whose variables would have the same name get different variables.
func TestEngine_VariablesOfValues(t *testing.T) {
	s := newHarness()
	p := &pipe.Pipe{Name: "p", Main: steps("step")}
	p.Main[0].Args = map[string]pipe.Value{"command": {Data: "${{ a.b }} ${{ a_b }} ${{ A_b }} ${{ a.b }} ${{ same }}"}}
	var got pipe.Script
	s.act["step"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Args.Script("command")
		return pipe.Result{}, nil
	}
	s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{"a.b": "1", "a_b": "2", "A_b": "1", "same": "3"}})
	if diff := cmp.Diff(got.Environ, []string{"DELIVERY_VALUE_A_B=1", "DELIVERY_VALUE_A_B_=2", "DELIVERY_VALUE_SAME=3"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	want := "${DELIVERY_VALUE_A_B} ${DELIVERY_VALUE_A_B_} ${DELIVERY_VALUE_A_B} ${DELIVERY_VALUE_A_B} ${DELIVERY_VALUE_SAME}"
	if got.Text != want {
		t.Errorf("got %q, want %q", got.Text, want)
	}
}

// Secrets are masked in everything that the engine records, prints or returns: lines,
// messages, reports, outputs, the context and the definition.
func TestEngine_Secrets(t *testing.T) {
	s := newHarness()
	s.Mask = pipe.NewMask([]string{"NEXUS_PASSWORD=hunter22", "HOME=/home/ada"}, nil)
	log := &strings.Builder{}
	s.Log = func(string) (io.WriteCloser, string, error) { return nopCloser{log}, "step.log", nil }
	p := &pipe.Pipe{Name: "p", Main: steps("give", "use")}
	p.Main[0].Args = map[string]pipe.Value{"text": {Data: "literal hunter22"}}
	s.act["give"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		return pipe.Result{
			Outputs: map[string]string{"password": "s3cr3t-output", "token": "listed-output", "note": "has hunter22"}, Secrets: []string{"password"},
			Message: "used hunter22", Report: `{"with":"hunter22"}`, Warnings: []string{"hunter22?"},
		}, nil
	}
	s.act["use"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		for _, b := range []byte("a s3cr3t-output, a hunter22, a listed-one, a listed-output\n") { // in pieces
			if _, err := c.Output.Write([]byte{b}); err != nil {
				return pipe.Result{}, err
			}
		}
		return pipe.Result{}, fmt.Errorf("no %s", c.Values["password"])
	}
	summary := s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{"listed": "listed-one"}, Secrets: []string{"listed", "token"}})
	all := fmt.Sprintf("%+v %+v %+v %q %s", summary, s.events, s.runs, s.lines, log)
	for _, run := range s.runs {
		all += string(run.Definition)
	}
	for _, secret := range []string{"hunter22", "s3cr3t-output", "listed-one", "listed-output"} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is not masked: …%s…", secret, all[max(0, i-60):min(len(all), i+40)])
		}
	}
	if len(s.lines) != 1 || s.lines[0] != "use: a ***, a ***, a ***, a ***" {
		t.Errorf("got %q", s.lines)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestEngine_Records(t *testing.T) {
	s := newHarness()
	s.act["version"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		return pipe.Result{Version: &builddata.Version{Service: "strawberry", Number: 17, Name: "1.7.0"}}, nil
	}
	s.act["build"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		if c.Values["version"] != "1.7.0" || c.Values["number"] != "17" || !slices.Contains(c.Environ, "DELIVERY_VERSION=1.7.0") {
			t.Errorf("got %v with %v", c.Values, c.Environ)
		}
		return pipe.Result{Message: "built", Report: "r", Outputs: map[string]string{"file": "a.jar"}}, nil
	}
	s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", First: steps("version"), Main: steps("build")}})
	var got []string
	for _, e := range s.events {
		got = append(got, fmt.Sprintf("%d %s %s %s %q %q %v", e.Number, e.Run, e.Step, e.Status, e.Message, e.Report, e.Outputs))
	}
	if diff := cmp.Diff(got, []string{
		`0 run-1 version started "" "" map[]`,
		`17 run-1 version succeeded "" "" map[]`,
		`17 run-1 build started "" "" map[]`,
		`17 run-1 build succeeded "built" "r" map[file:a.jar]`,
	}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	got = nil
	for _, r := range s.runs {
		got = append(got, fmt.Sprintf("%d %s %s", r.Number, r.Status, r.Context["service"]))
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(got, []string{"0 started strawberry", "17 started strawberry", "17 succeeded strawberry"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// The events of a step that acts on an environment name it; those of others name the
// runner.
func TestEngine_EventsNameTheEnvironment(t *testing.T) {
	s := newHarness()
	deploy := s.tasks["work"]
	deploy.Environment = func(pipe.Args) string { return "prod" }
	s.tasks["deploy"] = deploy
	s.act["build"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		return pipe.Result{}, fmt.Errorf("no lease: %w", &builddata.HeldError{})
	}
	s.act["tidy"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		return pipe.Result{Warnings: []string{"a process was left"}}, nil
	}
	p := &pipe.Pipe{Name: "p", Main: []pipe.Step{{Name: "build", Task: "deploy"}}, Last: steps("tidy")}
	summary := s.run(t, pipe.Request{Pipe: p, Run: builddata.Run{Holder: "ci-7"}})
	var got []string
	for _, e := range s.events {
		got = append(got, fmt.Sprintf("%s %s %q %q", e.Step, e.Status, e.Location, e.Reason))
	}
	want := []string{`build started "prod" ""`, `build failed "prod" "busy"`, `tidy started "ci-7" ""`, `tidy succeeded "ci-7" ""`}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if summary.Steps[0].Environment != "prod" {
		t.Errorf("got %+v", summary.Steps[0])
	}
	if last := s.events[len(s.events)-1]; last.Message != "warning: a process was left" { // it has no other message
		t.Errorf("got the message %q", last.Message)
	}
}

// If the clock is set back, durations are 0, not negative.
func TestEngine_ClockJumpsBack(t *testing.T) {
	s := newHarness()
	fake := clock.NewFake(noon)
	s.Clock = fake
	s.act["work"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		fake.Set(noon.Add(-time.Hour))
		return pipe.Result{}, nil
	}
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("work")}})
	if summary.Elapsed != 0 || summary.Steps[0].Elapsed != 0 || summary.Status != builddata.Succeeded {
		t.Errorf("got %+v", summary)
	}
}

// If the log cannot be written, the step has a warning.
func TestEngine_LogFails(t *testing.T) {
	s := newHarness()
	s.Log = func(string) (io.WriteCloser, string, error) { return nil, "", errors.New("no space left on device") }
	s.act["work"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		_, err := fmt.Fprintln(c.Output, "hello\nthere")
		return pipe.Result{}, err
	}
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("work")}})
	got := summary.Steps[0]
	if got.Status != builddata.Succeeded || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "no space left") {
		t.Errorf("got %+v", got)
	}
}

func TestPipe_ContextAt(t *testing.T) {
	p := full()
	event := func(step, value string, status builddata.Status) builddata.Event {
		return builddata.Event{Step: step, Status: status, Outputs: map[string]string{step: value}}
	}
	events := []builddata.Event{
		event("version", "17", builddata.Succeeded), event("build", "old", builddata.Succeeded), event("build", "new", builddata.Succeeded),
		event("functional", "f", builddata.Succeeded), event("load", "l", builddata.Failed), event("promote", "p", builddata.Succeeded),
	}
	began := map[string]string{"service": "strawberry"}
	for step, want := range map[string]pipe.Values{
		"clean":  {"service": "strawberry"},
		"load":   {"service": "strawberry", "version": "17", "build": "new"},
		"report": {"service": "strawberry", "version": "17", "build": "new", "functional": "f"},
		"notify": {"service": "strawberry", "version": "17", "build": "new", "promote": "p"},
	} {
		if diff := cmp.Diff(p.ContextAt(step, began, events), want); diff != "" {
			t.Errorf("%s: got (-) differs from want (+):\n%s", step, diff)
		}
	}
}

// An omitted argument takes the first of its From values that is set.
func TestEngine_ArgumentFrom(t *testing.T) {
	s := newHarness()
	s.Environ = []string{"WEBHOOK=from-the-environment"}
	work := s.tasks["work"]
	work.Arguments = append(work.Arguments, pipe.Argument{Name: "url", Kind: pipe.Text, From: []string{"hook", "env.WEBHOOK"}})
	s.tasks["work"] = work
	for _, tt := range []struct {
		name    string
		values  pipe.Values
		written any
		want    string
	}{
		{"Written", pipe.Values{"hook": "from-a-value"}, "written", "written"},
		{"Value", pipe.Values{"hook": "from-a-value"}, nil, "from-a-value"},
		{"Environment", pipe.Values{"hook": ""}, nil, "from-the-environment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &pipe.Pipe{Name: "p", Main: steps("step")}
			if tt.written != nil {
				p.Main[0].Args = map[string]pipe.Value{"url": {Data: tt.written}}
			}
			s.act["step"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
				if got := c.Args.Text("url"); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				return pipe.Result{}, nil
			}
			s.run(t, pipe.Request{Pipe: p, Values: tt.values})
		})
	}
}
