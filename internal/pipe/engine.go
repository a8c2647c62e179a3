package pipe

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Engine runs pipes. One Engine may run several at a time.
type Engine struct {
	Library Library
	Clock   clock.Clock
	// Recorder takes what happens to the repository; nil records nothing.
	Recorder Recorder
	// Observer is told what happens while it does; nil is not told.
	Observer Observer
	// Mask hides secrets in everything that leaves the engine.
	Mask *Mask
	// Log opens the file that takes all that a step prints, and returns its
	// name; nil keeps no logs.
	Log func(step string) (io.WriteCloser, string, error)
	// NewID returns an id that is unique and sorts by time.
	NewID func() string
	// Folder is where the pipe runs, Environ the environment of what it starts;
	// Scratch is that of a Call.
	Folder, Scratch string
	Environ         []string
}

// Recorder brings what happens to the build data repository, now or later.
// Neither Run nor Event waits for the repository.
type Recorder interface {
	// Run is told of a run when it begins, has got its version, or has ended.
	Run(r builddata.Run)
	// Event is told of an event, once.
	Event(e builddata.Event)
	// Flush returns once the repository has all of it, or why it has not.
	Flush(ctx context.Context) error
}

// Observer is told what a run does while it does it, by several goroutines.
type Observer interface {
	// StepBegan is told of a step that is run.
	StepBegan(s StepSummary)
	// StepPrinted is told of each line that a step prints, clean and without
	// secrets.
	StepPrinted(step, line string)
	// StepEnded is told of each step, also of one that is skipped.
	StepEnded(s StepSummary)
}

// Request says what to run.
type Request struct {
	Pipe *Pipe
	// Run is the run's record: its ID, Service, Revision, Holder and the like.
	// The engine fills in the rest.
	Run builddata.Run
	// Version is the name of the existing version that the run is for, and
	// Run.Number its number, unless the repository could not be asked.
	Version string
	// Values are what the run begins with.
	Values Values
	// Secrets are the names of values that are never shown or stored.
	Secrets []string
	// To is the step after which Main ends; Only is the one step that runs.
	To, Only string
	// Mock has every task's mock run, and Fail names the steps whose mock fails.
	Mock bool
	Fail []string
	// Interrupt ends First and Main as Ctrl-C does, but not Last.
	Interrupt context.Context
}

// Run runs a pipe. It returns when everything that it started has ended. The
// end of ctx ends Last, too, which nothing else does.
func (e *Engine) Run(ctx context.Context, req Request) Summary {
	r := &run{engine: e, request: req, fails: map[string]bool{}, secret: map[string]bool{}, start: e.Clock.Now()}
	for _, step := range req.Fail {
		r.fails[step] = true
	}
	for _, name := range req.Secrets {
		r.secret[name] = true
		e.Mask.Add(req.Values[name])
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
		r.only(soft, req.Pipe, values)
		return r.end(soft)
	}
	toFirst, toMain := r.routes()
	failed := r.walk(soft, First, req.Pipe.First, toFirst, values, true)
	if !failed && soft.Err() == nil && toFirst == nil {
		r.walk(soft, Main, req.Pipe.Main, toMain, values, false)
	}
	// From here on there is nothing left for an interrupt to stop.
	r.evaluate(soft)
	values[ValueStatus], values[ValueFailedStep] = string(r.summary.Status), r.summary.FailedStep
	r.walk(ctx, Last, req.Pipe.Last, nil, values, true)
	return r.end(ctx)
}

// routes are the ways through First and Main to the step To.
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

// run is one execution.
type run struct {
	engine        *Engine
	request       Request
	fails, secret map[string]bool
	start         time.Time

	mu sync.Mutex
	// summary lists the steps that have ended, as they did; none of them
	// changes any more, so that it can be shared. The list steps has all, as
	// they began.
	summary Summary
	steps   []StepSummary
}

func (r *run) begin(values Values) {
	record := &r.request.Run
	record.Pipe, record.Status, record.StartedAt = r.request.Pipe.Name, builddata.Started, r.summary.StartedAt
	record.SeenAt = record.StartedAt
	record.Context = map[string]string{}
	for name, value := range values {
		if !r.secret[name] {
			record.Context[name] = r.engine.Mask.Text(value)
		}
	}
	definition, err := Encode(r.request.Pipe)
	if err != nil {
		definition = fmt.Appendf(nil, "%q", err) // cannot be: a pipe is data
	}
	record.Definition = r.engine.Mask.JSON(definition)
	r.record()
}

func (r *run) record() {
	if r.engine.Recorder == nil {
		return
	}
	r.mu.Lock()
	record := r.request.Run
	r.mu.Unlock()
	r.engine.Recorder.Run(record)
}

// evaluate sets how the run ends, by what has happened so far.
func (r *run) evaluate(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.summary
	stopped := ctx.Err() != nil || s.Status == builddata.Interrupted
	s.Elapsed, s.Status, s.FailedStep = r.elapsed(r.start), builddata.Succeeded, ""
	for _, status := range []builddata.Status{builddata.Failed, builddata.Interrupted} {
		i := slices.IndexFunc(s.Steps, func(step StepSummary) bool { return step.Status == status })
		if i >= 0 {
			s.Status, s.FailedStep = status, s.Steps[i].Name
		}
	}
	switch {
	case stopped && s.Status != builddata.Interrupted:
		s.Status, s.FailedStep = builddata.Interrupted, "" // between two steps
	case r.request.Only != "" && len(s.Steps) == 1 && s.Steps[0].Status == Skipped:
		s.Status = builddata.Failed // the only step was skipped
	}
}

func (r *run) end(ctx context.Context) Summary {
	r.evaluate(ctx)
	defer r.record()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Steps = r.steps
	record := &r.request.Run
	record.Status, record.EndedAt = r.summary.Status, builddata.Timestamp(r.engine.Clock.Now())
	record.SeenAt = record.EndedAt
	switch step := r.summary.Failed(); {
	case step != nil:
		record.Message = fmt.Sprintf("%s at %s: %s", record.Status, step.Name, step.Message)
	case record.Status == builddata.Interrupted:
		record.Message = "interrupted between two steps"
	case record.Status == builddata.Failed:
		record.Message = fmt.Sprintf("%s was skipped: %s", r.request.Only, r.steps[0].Message)
	}
	return r.summary
}

// elapsed is how long something took; a clock that was set back took no time.
func (r *run) elapsed(since time.Time) time.Duration { return max(0, r.engine.Clock.Now().Sub(since)) }

// walk runs steps that follow each other, as far as the path goes, and
// reports whether any failed. Unless all of them are to run, it stops there.
func (r *run) walk(ctx context.Context, section Section, steps []Step, path route, values Values, all bool) (failed bool) {
	for i := range steps {
		step := &steps[i]
		if ctx.Err() != nil && section == Last {
			r.abandon(ctx, step)
			continue
		}
		if ctx.Err() != nil || failed && !all {
			return failed
		}
		inside, ends := path.at(step)
		if step.Task != "" {
			failed = r.step(ctx, section, step, values) || failed
		} else {
			failed = r.parallel(ctx, section, step, inside, values, all) || failed
		}
		if ends {
			return failed
		}
	}
	return failed
}

// abandon reports the steps of Last that are not run because the run was
// stopped, so that what they would have removed is known.
func (r *run) abandon(ctx context.Context, step *Step) {
	for _, branch := range step.Parallel {
		for i := range branch {
			r.abandon(ctx, &branch[i])
		}
	}
	if step.Task != "" {
		s := StepSummary{
			Name: step.Name, Task: step.Task, Section: Last, Status: Skipped, Reason: ReasonAbandoned, StartedAt: builddata.Timestamp(r.engine.Clock.Now()),
			Message: context.Cause(ctx).Error(),
		}
		r.ended(r.add(s), step, s)
	}
}

// parallel runs branches at the same time. One that fails does not stop the
// others.
func (r *run) parallel(ctx context.Context, section Section, step *Step, inside route, values Values, all bool) bool {
	outcomes := make([]bool, len(step.Parallel))
	var wait sync.WaitGroup
	for i, branch := range step.Parallel {
		if !inside.enters(branch) {
			continue
		}
		wait.Add(1)
		own := values.Clone()
		go func() {
			defer wait.Done()
			outcomes[i] = r.walk(ctx, section, branch, inside, own, all)
		}()
		if r.request.Mock {
			wait.Wait() // so that the order is always the same
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

// only runs one step by itself.
func (r *run) only(ctx context.Context, p *Pipe, values Values) {
	for section, step := range p.Tasks() {
		if step.Name == r.request.Only {
			r.step(ctx, section, step, values)
		}
	}
}
