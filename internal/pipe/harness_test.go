package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// registry is a registry of tasks for tests.
type registry map[string]pipe.Definition

func (r registry) Task(name string) (pipe.Definition, bool) {
	d, ok := r[strings.ToLower(name)]
	return d, ok
}

func (r registry) Types() []string { return slices.Sorted(maps.Keys(r)) }

// harness runs pipes in a test, and records what happens.
type harness struct {
	*pipe.Engine
	tasks registry
	// act holds what the steps of these names do; all others do nothing.
	act map[string]func(ctx context.Context, c *pipe.Call) (pipe.Result, error)
	// after is called when a step of that name has ended.
	after map[string]func()

	mu     sync.Mutex
	ran    []string
	events []builddata.Event
	runs   []builddata.Run
	lines  []string
}

func newHarness() *harness {
	s := &harness{act: map[string]func(context.Context, *pipe.Call) (pipe.Result, error){}}
	perform := func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
		s.mu.Lock()
		s.ran = append(s.ran, c.Step)
		s.mu.Unlock()
		if act := s.act[c.Step]; act != nil {
			return act(ctx, c)
		}
		return pipe.Result{}, nil
	}
	s.tasks = registry{
		"work": {
			Type: "work", AnyArgument: true, Run: perform, Mock: perform,
			Arguments: []pipe.Argument{
				{Name: "text", Kind: pipe.Text}, {Name: "number", Kind: pipe.Number}, {Name: "switch", Kind: pipe.Switch},
				{Name: "duration", Kind: pipe.Duration}, {Name: "list", Kind: pipe.List}, {Name: "table", Kind: pipe.Table},
				{Name: "command", Kind: pipe.Command},
			},
		},
		"strict": {
			Type: "strict", Run: perform, Mock: perform, Outputs: []string{"made"},
			Arguments: []pipe.Argument{
				{Name: "needed", Kind: pipe.Text, Required: true, Summary: "what is needed"}, {Name: "count", Kind: pipe.Number},
				{Name: "word", Kind: pipe.Text, OneOf: []string{"this", "that"}},
			},
		},
		"notify": {
			Type: "notify", Run: perform, Mock: perform, BestEffort: true,
			Arguments: []pipe.Argument{{Name: "recipient", Kind: pipe.Text}, {Name: pipe.ArgRequired, Kind: pipe.Switch}},
		},
	}
	ids := 0
	s.Engine = &pipe.Engine{
		Registry: s.tasks, Language: expression.Language{}, Clock: clock.NewFake(noon), Recorder: s, Observer: s,
		Mask: pipe.NewMask(nil, nil), Folder: "/nowhere",
		NewID: func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			ids++
			return fmt.Sprintf("e-%03d", ids)
		},
	}
	return s
}

func (s *harness) Run(r builddata.Run) { s.mu.Lock(); defer s.mu.Unlock(); s.runs = append(s.runs, r) }

func (s *harness) Event(e builddata.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *harness) Flush(context.Context) error { return nil }

func (s *harness) StepBegan(pipe.StepSummary) {}

func (s *harness) StepPrinted(step, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, step+": "+line)
}

func (s *harness) StepEnded(step pipe.StepSummary) {
	if after := s.after[step.Name]; after != nil {
		after()
	}
}

// run checks a pipe and runs it.
func (s *harness) run(t *testing.T, req pipe.Request) pipe.Summary {
	t.Helper()
	req.Pipe.NameSteps()
	if err := pipe.Check(req.Pipe, s.tasks, expression.Language{}, req.Values); err != nil {
		t.Fatal(err)
	}
	req.Run.ID, req.Run.Service = "run-1", "strawberry"
	return s.Engine.Run(t.Context(), req)
}

// fails is what a failing step does.
func fails(context.Context, *pipe.Call) (pipe.Result, error) {
	return pipe.Result{}, errors.New("it broke")
}

// steps returns steps with these names. "a,b|c" is a parallel step with the branches a,b
// and c.
func steps(names ...string) []pipe.Step {
	var all []pipe.Step
	for i, name := range names {
		at := pipe.Position{Path: "pipe.yml", Line: i + 1, Column: 1}
		branches := strings.Split(name, "|")
		if len(branches) == 1 {
			all = append(all, pipe.Step{Name: name, Task: "work", At: at})
			continue
		}
		parallel := pipe.Step{At: at}
		for _, branch := range branches {
			parallel.Parallel = append(parallel.Parallel, steps(strings.Split(branch, ",")...))
		}
		all = append(all, parallel)
	}
	return all
}

// outcomes lists the status of each step: "build succeeded".
func outcomes(s pipe.Summary) []string {
	var all []string
	for _, step := range s.Steps {
		all = append(all, step.Name+" "+string(step.Status))
	}
	return all
}
