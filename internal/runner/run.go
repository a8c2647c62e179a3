package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// SkippedError says that the only step of a run was skipped, so that nothing was done.
type SkippedError struct{ Step, Why string }

func (e *SkippedError) Error() string {
	return fmt.Sprintf("nothing was done: the step %q is the only one, and was skipped: %s", e.Step, e.Why)
}

// Run runs a pipe of the project and returns its summary. A failed step is not an error. A
// *spool.UnsentError says that records of the run have not reached the repository yet, and
// a *SkippedError that the only step was skipped; any other error, that the pipe did not
// run.
func (r *Runner) Run(ctx context.Context, project *Project, req Request) (summary pipe.Summary, err error) {
	defer func() { err = masked(err, project, r.environ(), req) }()
	if req.Mock {
		return r.mock(ctx, project, req)
	}
	// Before the first step, an interrupt ends the preparation.
	before := ctx
	if req.Interrupt != nil {
		before = req.Interrupt
	}
	p, err := r.prepare(before, project, req)
	defer func() { err = errors.Join(err, p.close()) }()
	if err != nil {
		return summary, err
	}
	return p.run(ctx)
}

// maskedError is an error whose text holds no secret.
type maskedError struct {
	error
	text string
}

func (e *maskedError) Error() string { return e.text }

// Unwrap returns the error as it was.
func (e *maskedError) Unwrap() error { return e.error }

// masked hides the secrets in an error, such as in the address of a remote.
func masked(err error, project *Project, environ []string, req Request) error {
	if err == nil {
		return nil
	}
	if text := project.Mask(environ, req).Text(err.Error()); text != err.Error() {
		return &maskedError{err, text}
	}
	return err
}

// run runs the pipe with the engine.
func (p *prepared) run(ctx context.Context) (summary pipe.Summary, err error) {
	scratch, err := p.project.State.Scratch(p.record.ID)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	var repository string
	if p.unreachable == nil {
		store, err := p.connection.get(ctx)
		if err == nil {
			repository, err = store.ID(ctx)
		}
		if err != nil {
			return summary, err
		}
	}
	connect := func(ctx context.Context) (spool.Repository, error) { return p.connection.get(ctx) }
	file, err := spool.Create(ctx, p.project.State.Spool(p.RepositoryKey), p.record.ID, p.request.Version, repository, connect, p.Clock)
	if err != nil {
		return summary, err
	}
	engine := &pipe.Engine{
		Registry: p.tasks, Language: expression.Language{}, Recorder: file, Clock: p.Clock, Observer: p.request.Observer, Mask: p.mask,
		Environ: p.environ, Folder: p.project.Root, Scratch: scratch, Log: p.project.State.Logs(p.record.ID, DefaultLogLimits),
		LogStore: p.logs, NewID: func() string { return id.New(p.Clock.Now()) },
	}
	summary = engine.Run(ctx, pipe.Request{
		Pipe: p.pipe, Run: p.record, Version: p.request.Version, Values: p.values, Secrets: p.secrets, Withheld: p.withheld,
		To: p.request.To, Only: p.request.Only, Interrupt: p.request.Interrupt,
	})
	return summary, errors.Join(skippedOnly(summary, p.request.Only), file.Close(context.WithoutCancel(ctx)))
}

// skippedOnly returns a *SkippedError if the single step of a run was skipped.
func skippedOnly(s pipe.Summary, only string) error {
	if only == "" || len(s.Steps) != 1 || s.Steps[0].Status != pipe.Skipped {
		return nil
	}
	return &SkippedError{Step: only, Why: s.Steps[0].Message}
}

// mock runs the mocks of a pipe's tasks. They change nothing, so the repository is not
// needed.
func (r *Runner) mock(ctx context.Context, project *Project, req Request) (pipe.Summary, error) {
	loaded, err := project.Load(ctx, req)
	if err != nil {
		return pipe.Summary{}, err
	}
	values, err := project.initialValues(req.Values, req.Version)
	if err != nil {
		return pipe.Summary{}, err
	}
	values[pipe.ValueBranch], values[pipe.ValueNumber] = cmp.Or(req.Branch, "mock"), "0"
	if req.Version == "" {
		values[pipe.ValueVersion] = mockVersion
	}
	if values[pipe.ValueEnvironment] == "" {
		values[pipe.ValueEnvironment] = environmentPrefix + "mock"
	}
	environ := r.environ()
	engine := &pipe.Engine{
		Registry: task.New(task.Dependencies{}), Language: expression.Language{}, Clock: r.Clock, Observer: req.Observer,
		Mask: newMask(project, environ, req), Folder: project.Root, Environ: environ,
	}
	run := pipe.Request{
		Pipe: loaded, Run: builddata.Run{ID: "mock", Service: project.Service}, Version: req.Version, Values: values,
		Secrets: slices.Concat(project.Secrets, req.Secrets), To: req.To, Only: req.Only, Mock: true, Fail: req.Fail, Interrupt: req.Interrupt,
	}
	if req.Only != "" {
		run.Values = mockedContext(ctx, *engine, run)
	}
	summary := engine.Run(ctx, run)
	return summary, skippedOnly(summary, req.Only)
}

// mockedContext returns the context that a single step has after the mocks of the steps
// before it, which it runs without an observer.
func mockedContext(ctx context.Context, engine pipe.Engine, req pipe.Request) pipe.Values {
	step := req.Only
	engine.Observer, engine.Mask = nil, &pipe.Mask{}
	req.Only, req.Secrets = "", nil
	s := engine.Run(ctx, req)
	events := make([]builddata.Event, len(s.Steps))
	for i, done := range s.Steps {
		events[i] = builddata.Event{Step: done.Name, Status: done.Status, Outputs: done.Outputs}
	}
	values := req.Pipe.ContextAt(step, req.Values, events)
	values[pipe.ValueStatus], values[pipe.ValueFailedStep] = string(s.Status), ""
	return values
}
