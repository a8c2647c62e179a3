package pipe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Engine runs pipes. One Engine may run several at a time.
type Engine struct {
	// Registry holds the tasks that steps can use.
	Registry Registry
	// Language evaluates the expressions of steps.
	Language Language
	Clock    clock.Clock
	// Recorder records what happens; it may be nil.
	Recorder Recorder
	// Observer is told what happens, while it happens; it may be nil.
	Observer Observer
	// Mask hides secrets in everything that the engine records, prints or returns.
	Mask *Mask
	// Log opens the file for all output of a step, and returns its name; it may be nil.
	Log func(step string) (io.WriteCloser, string, error)
	// LogStore is sent the log of each step that has one; it may be nil.
	LogStore LogStore
	// NewID returns a unique ID that sorts by time.
	NewID func() string
	// Folder is the folder in which the pipe runs, and Environ the environment of the
	// programs that it starts. Scratch is passed to each Call.
	Folder, Scratch string
	Environ         []string
}

// Recorder stores what happens in the build data repository, now or later. Neither Run nor
// Event waits for the repository.
type Recorder interface {
	// Run records a run: when it begins, when it gets its version, and when it ends.
	Run(r builddata.Run)
	// Event records an event.
	Event(e builddata.Event)
	// Flush returns nil when the repository has all records.
	Flush(ctx context.Context) error
}

// Observer is told what a run does. Several goroutines may call it at once.
type Observer interface {
	// StepBegan is called when a step begins.
	StepBegan(s StepSummary)
	// StepPrinted is called for each line that a step prints, without control characters
	// and secrets.
	StepPrinted(step, line string)
	// StepEnded is called for each step that has ended or is skipped.
	StepEnded(s StepSummary)
}

// Request says which pipe to run, and how.
type Request struct {
	Pipe *Pipe
	// Run is the record of the run with its ID, Service, Revision, Holder and the like. The
	// engine sets the other fields.
	Run builddata.Run
	// Version is the name of the existing version that the run is for; empty if there is
	// none. Run.Number is its number, or 0 if the repository could not be reached.
	Version string
	// Values are the values that the run begins with.
	Values Values
	// Secrets are the names of values that are never shown or stored.
	Secrets []string
	// Withheld are the values of an earlier run that were not stored, by their names.
	Withheld map[string]Withheld
	// To is the step to run to, and Only the only step to run.
	To, Only string
	// Mock runs the mock of every task, and Fail names steps whose mock fails.
	Mock bool
	Fail []string
	// Interrupt ends to interrupt First and Main as Ctrl-C does. Last still runs.
	Interrupt context.Context
}

// Run runs a pipe and returns when all its steps have ended. When ctx ends, the run is
// interrupted, including the section Last.
func (e *Engine) Run(ctx context.Context, req Request) Summary {
	r := &run{engine: e, request: req, fails: map[string]bool{}, secret: map[string]bool{}, start: e.Clock.Now()}
	for _, step := range req.Fail {
		r.fails[step] = true
	}
	for _, name := range req.Secrets {
		r.secret[name] = true
		e.Mask.Add(name, req.Values[name])
	}
	for name, value := range req.Values {
		e.Mask.AddValue(name, value)
	}
	r.summary = Summary{
		Run: req.Run.ID, Pipe: req.Pipe.Name, Service: req.Run.Service, Version: req.Version, Number: req.Run.Number,
		Revision: req.Run.Revision, Untraceable: req.Run.Untraceable, Status: builddata.Started, StartedAt: builddata.Timestamp(r.start),
	}
	values := req.Values.Clone()
	maps.Copy(values, Values{ValueService: req.Run.Service, ValueRun: req.Run.ID, ValuePipe: req.Pipe.Name, ValueRevision: req.Run.Revision})
	if req.Version != "" {
		values[ValueVersion] = req.Version
	}
	r.begin(values)

	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if req.Interrupt != nil {
		defer context.AfterFunc(req.Interrupt, func() { stop(context.Cause(req.Interrupt)) })()
	}
	if req.Only != "" {
		r.runOnly(soft, req.Pipe, values)
		return r.finish(soft)
	}
	toFirst, toMain := r.routes()
	bounded, cancel := withTimeout(soft, req.Pipe.timeout())
	defer cancel()
	failed := r.runSteps(bounded, First, req.Pipe.First, toFirst, values, true)
	if !failed && bounded.Err() == nil && toFirst == nil {
		r.runSteps(bounded, Main, req.Pipe.Main, toMain, values, false)
	}
	// From here on, neither an interrupt nor the pipe's timeout has an effect.
	r.timedOut = pipeTimeout(bounded)
	r.updateStatus(soft)
	values[ValueStatus], values[ValueFailedStep] = string(r.summary.Status), r.summary.FailedStep
	r.runSteps(ctx, Last, req.Pipe.Last, nil, values, true)
	return r.finish(ctx)
}

// routes returns the routes in First and Main to the step To; nil for a whole section.
func (r *run) routes() (first, main route) {
	if r.request.To == "" {
		return nil, nil
	}
	_, to, err := r.request.Pipe.Find(r.request.To)
	if err != nil {
		return nil, nil
	}
	return routeTo(r.request.Pipe.First, to), routeTo(r.request.Pipe.Main, to)
}

// run is one run of a pipe.
type run struct {
	engine        *Engine
	request       Request
	fails, secret map[string]bool
	start         time.Time
	// timedOut is the pipe's timeout if First and Main took longer; nil if they did not.
	timedOut *TimeoutError

	mu sync.Mutex
	// summary lists the steps that have ended, in that order. They do not change any more,
	// so the list can be shared. The list steps holds all steps, in the order in which they
	// began.
	summary Summary
	steps   []StepSummary
}

// begin records the beginning of the run.
func (r *run) begin(values Values) {
	record := &r.request.Run
	record.Pipe, record.Status, record.StartedAt = r.request.Pipe.Name, builddata.Started, r.summary.StartedAt
	record.SeenAt = record.StartedAt
	record.Context = map[string]string{}
	for name, value := range values {
		if !r.withheld(name, value) {
			record.Context[name] = value
		}
	}
	definition, err := Encode(r.request.Pipe)
	if err != nil {
		definition = fmt.Appendf(nil, "%q", err) // not expected: every pipe can be encoded
	}
	record.Definition = []byte(r.engine.Mask.JSON(string(definition)))
	r.record()
}

// record passes the run to the recorder.
func (r *run) record() {
	if r.engine.Recorder == nil {
		return
	}
	r.mu.Lock()
	record := r.request.Run
	r.mu.Unlock()
	r.engine.Recorder.Run(record)
}

// updateStatus sets the status and the message of the run from the steps that have ended.
func (r *run) updateStatus(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.summary
	stopped := ctx.Err() != nil || s.Status == builddata.Interrupted
	s.Elapsed, s.Status, s.FailedStep = r.elapsed(r.start), builddata.Succeeded, ""
	for _, status := range []builddata.Status{builddata.Failed, builddata.Interrupted} {
		i := slices.IndexFunc(s.Steps, func(step StepSummary) bool { return step.Status == status && !step.AllowedFailure })
		if i >= 0 {
			s.Status, s.FailedStep = status, s.Steps[i].Name
		}
	}
	switch {
	case r.timedOut != nil && s.Status == builddata.Succeeded:
		s.Status = builddata.Failed // between two steps
	case stopped && s.Status != builddata.Interrupted:
		s.Status, s.FailedStep = builddata.Interrupted, "" // between two steps
	case r.request.Only != "" && len(s.Steps) == 1 && s.Steps[0].Status == Skipped:
		s.Status = builddata.Failed // the only step was skipped
	}
	s.Message = r.message()
}

// message returns what there is to say about the status of the run.
func (r *run) message() string {
	s := &r.summary
	switch step := s.Failed(); {
	case step != nil:
		return fmt.Sprintf("%s at %s: %s", s.Status, step.Name, step.Message)
	case s.Status == builddata.Interrupted:
		return "interrupted between two steps"
	case r.timedOut != nil:
		return r.timedOut.Error()
	case s.Status == builddata.Failed:
		return fmt.Sprintf("%s was skipped: %s", r.request.Only, s.Steps[0].Message)
	}
	var failed []string
	for _, step := range s.Steps {
		if step.AllowedFailure {
			failed = append(failed, step.Name)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	return "although " + text.List(failed) + " failed"
}

// finish completes the summary and records the end of the run.
func (r *run) finish(ctx context.Context) Summary {
	r.updateStatus(ctx)
	defer r.record()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Steps = r.steps
	record := &r.request.Run
	record.Status, record.EndedAt = r.summary.Status, builddata.Timestamp(r.engine.Clock.Now())
	record.SeenAt, record.Message = record.EndedAt, r.summary.Message
	return r.summary
}

// elapsed returns the time since a start; 0 if the clock was set back.
func (r *run) elapsed(since time.Time) time.Duration { return max(0, r.engine.Clock.Now().Sub(since)) }

// runSteps runs steps one after another, to the end of the route, and reports whether any
// of them failed. Unless all is set, it stops after a failed step.
func (r *run) runSteps(ctx context.Context, section Section, steps []Step, to route, values Values, all bool) (failed bool) {
	for i := range steps {
		step := &steps[i]
		if ctx.Err() != nil && section == Last {
			r.skipStopped(ctx, step)
			continue
		}
		if ctx.Err() != nil || failed && !all {
			return failed
		}
		inside, ends := to.enter(step)
		if step.Task != "" {
			failed = r.runStep(ctx, section, step, values) || failed
		} else {
			failed = r.runParallel(ctx, section, step, inside, values, all) || failed
		}
		if ends {
			return failed
		}
	}
	return failed
}

// skipStopped reports a step of Last that does not run because the run was stopped, so that
// users know what was not removed.
func (r *run) skipStopped(ctx context.Context, step *Step) {
	for _, branch := range step.Parallel {
		for i := range branch {
			r.skipStopped(ctx, &branch[i])
		}
	}
	if step.Task != "" {
		s := StepSummary{
			Name: step.Name, Task: step.Task, Section: Last, Status: Skipped, Reason: ReasonStopped,
			StartedAt: builddata.Timestamp(r.engine.Clock.Now()),
			Message:   context.Cause(ctx).Error(),
		}
		r.endStep(r.addStep(s), step, s)
	}
}

// runParallel runs branches at the same time, as many as are allowed, in their order. It
// reports whether any of them failed. A failed branch does not stop the others.
func (r *run) runParallel(ctx context.Context, section Section, step *Step, inside route, values Values, all bool) bool {
	outcomes := make([]bool, len(step.Parallel))
	var wait sync.WaitGroup
	slots := make(chan struct{}, cmp.Or(step.MaxParallel, len(step.Parallel)))
	for i, branch := range step.Parallel {
		if !inside.includes(branch) {
			continue
		}
		wait.Add(1)
		own := values.Clone()
		slots <- struct{}{}
		go func() {
			defer wait.Done()
			defer func() { <-slots }()
			outcomes[i] = r.runSteps(ctx, section, branch, inside, own, all)
		}()
		if r.request.Mock {
			wait.Wait() // one after another, so that the order is always the same
		}
	}
	wait.Wait()
	for _, failed := range outcomes {
		if failed {
			return true
		}
	}
	return false
}

// runOnly runs the only step of the request.
func (r *run) runOnly(ctx context.Context, p *Pipe, values Values) {
	for section, step := range p.Tasks() {
		if step.Name == r.request.Only {
			r.runStep(ctx, section, step, values)
		}
	}
}
