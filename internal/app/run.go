package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// RunOptions say how to run a pipe.
type RunOptions struct {
	// Pipe is the name of the pipe; empty is the project's own.
	Pipe string
	// Version is one that exists, to run the pipe for; empty has the pipe
	// allocate one.
	Version string
	// To is the step to run to, Only the one step to run. Only takes the
	// context of an earlier run of the version: of Of, or else the latest.
	To, Only, Of string
	// Mock has every task's mock run, and Fail names steps whose mock fails.
	// Nothing is recorded.
	Mock bool
	Fail []string
	// AllowUnpushed runs it from a checkout that cannot be traced.
	AllowUnpushed bool
	// Values are put on the context, over those of .delivery.yml; those under the
	// names Secrets are never shown or stored.
	Values  pipe.Values
	Secrets []string

	Observer pipe.Observer
	// Interrupt ends the run as Ctrl-C does: its section last still runs.
	Interrupt context.Context
}

// UnavailableError says that a run cannot begin, because it needs the
// repository to get its version. It matches builddata.ErrUnavailable.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%v\nNothing has run. The pipe allocates a version, which only the repository can do: try again when it can be reached, or run it for a version that exists, with --version; what happens is then kept on this machine and sent later.", e.Err)
}

// Unwrap returns why the repository could not be reached.
func (e *UnavailableError) Unwrap() error { return e.Err }

// LeftOutError says that the one step that was asked for was left out, so that
// nothing was done.
type LeftOutError struct{ Step, Why string }

func (e *LeftOutError) Error() string {
	return fmt.Sprintf("nothing was done: the step %q is the only one, and was skipped: %s", e.Step, e.Why)
}

// Mask hides what is known to be secret before a run begins: variables of the
// environment, values of the project, and those that are put over them.
func (p *Project) Mask(environ []string, more pipe.Values) *pipe.Mask {
	mask := pipe.NewMask(environ, p.Secrets)
	for _, name := range p.Secrets {
		mask.Add(p.Values[name])
		mask.Add(more[name])
	}
	return mask
}

// Run runs a pipe of the project. What became of it is in the summary; the
// error says why it could not run, or, as an *spool.UnsentError, that the
// repository does not know of it yet, or, as a *LeftOutError, that the only
// step was skipped.
func (p *Pipes) Run(ctx context.Context, project *Project, o RunOptions) (summary pipe.Summary, err error) {
	environ, err := p.environ()
	if err != nil {
		return summary, err
	}
	mask := project.Mask(environ, o.Values)
	for _, name := range o.Secrets {
		mask.Add(o.Values[name])
	}
	secrets := slices.Concat(project.Secrets, o.Secrets)
	if o.Mock {
		return p.mock(ctx, project, o, mask, environ, secrets)
	}
	// Until the pipe runs, an interrupt ends everything.
	before := ctx
	if o.Interrupt != nil {
		before = o.Interrupt
	}
	values, err := project.Begin(o.Values, o.Version)
	if err != nil {
		return summary, err
	}
	loaded, err := p.Pipe(before, project, o.Pipe, values)
	if o.Only != "" && loaded != nil {
		err = nil // its values come from the earlier run; it is judged again below
	}
	if err != nil {
		return summary, err
	}
	if err := Narrow(loaded, o); err != nil {
		return summary, err
	}
	release, err := project.State.LockCheckout(project.Root, p.Holder)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, release()) }()
	checkout, err := p.checkout(before, project, o)
	if err != nil {
		return summary, err
	}

	repository := &repository{open: func(ctx context.Context) (builddata.Store, error) { return OpenRepository(ctx, p.Repository, p.Clock) }}
	defer func() { err = errors.Join(err, repository.close()) }()
	unreachable := p.catchUp(before, project, repository)
	if unreachable != nil && !errors.Is(unreachable, builddata.ErrUnavailable) {
		return summary, unreachable
	}

	run := builddata.Run{
		ID: id.New(p.Clock.Now()), Service: project.Service, Revision: checkout.Revision, Untraceable: checkout.Untraceable, Holder: p.Holder,
	}
	if values[pipe.ValueEnvironment] == "" {
		if values[pipe.ValueEnvironment], err = newEnvironment(); err != nil {
			return summary, err
		}
	}
	values[pipe.ValueBranch] = checkout.Branch
	library := task.New(p.dependencies(repository, values))
	switch {
	case unreachable == nil:
		store, err := repository.store(before)
		if err != nil {
			return summary, err
		}
		if err := p.settle(before, store, project, loaded, &o, &run, values); err != nil {
			return summary, err
		}
	case o.Only != "":
		return summary, &UnavailableError{Err: fmt.Errorf("the context of the earlier run cannot be read: %w", unreachable)}
	case o.Version == "" && allocates(loaded, library):
		return summary, &UnavailableError{Err: unreachable}
	default:
		p.Warn("%v; what happens is kept on this machine and sent later", unreachable)
	}
	run.To, run.Only = o.To, o.Only

	if err := pipe.Check(loaded, library, values); err != nil {
		return summary, err
	}
	journals, err := p.journals(project.State)
	if err != nil {
		return summary, err
	}
	connect := func(ctx context.Context) (spool.Repository, error) { return repository.store(ctx) }
	journal, err := spool.Create(ctx, journals, run.ID, o.Version, connect, p.Clock)
	if err != nil {
		return summary, err
	}
	summary, err = p.execute(ctx, project, &pipe.Engine{Library: library, Recorder: journal, Observer: o.Observer, Mask: mask, Environ: environ}, pipe.Request{
		Pipe: loaded, Run: run, Version: o.Version, Values: values, Secrets: secrets, To: o.To, Only: o.Only, Interrupt: o.Interrupt,
	})
	return summary, errors.Join(err, journal.Close(context.WithoutCancel(ctx)))
}

// execute completes an engine by what belongs to one run, and has it run.
func (p *Pipes) execute(ctx context.Context, project *Project, engine *pipe.Engine, req pipe.Request) (summary pipe.Summary, err error) {
	scratch, err := project.State.Scratch(req.Run.ID)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	engine.Clock, engine.NewID = p.Clock, func() string { return id.New(p.Clock.Now()) }
	engine.Folder, engine.Scratch, engine.Log = project.Root, scratch, project.State.Logs(req.Run.ID)
	summary = engine.Run(ctx, req)
	return summary, leftOut(summary, req.Only)
}

// leftOut is why the run of a single step has failed if that was left out.
func leftOut(s pipe.Summary, only string) error {
	if only == "" || len(s.Steps) != 1 || s.Steps[0].Status != pipe.Skipped {
		return nil
	}
	return &LeftOutError{Step: only, Why: s.Steps[0].Message}
}

// mock runs the mocks, which touch nothing, so that nothing has to be asked or
// recorded.
func (p *Pipes) mock(ctx context.Context, project *Project, o RunOptions, mask *pipe.Mask, environ, secrets []string) (pipe.Summary, error) {
	values, err := project.Begin(o.Values, o.Version)
	if err != nil {
		return pipe.Summary{}, err
	}
	values[pipe.ValueBranch], values[pipe.ValueVersion], values[pipe.ValueNumber] = "mock", "0-mock", "0"
	if o.Version != "" {
		values[pipe.ValueVersion] = o.Version
	}
	if values[pipe.ValueEnvironment] == "" {
		values[pipe.ValueEnvironment] = environmentPrefix + "mock"
	}
	known := values.Clone()
	if o.Version == "" {
		delete(known, pipe.ValueVersion)
		delete(known, pipe.ValueNumber)
	}
	loaded, err := p.Pipe(ctx, project, o.Pipe, known)
	if err != nil {
		return pipe.Summary{}, err
	}
	if err := Narrow(loaded, o); err != nil {
		return pipe.Summary{}, err
	}
	engine := &pipe.Engine{
		Library: task.New(task.Dependencies{}), Clock: p.Clock, Observer: o.Observer, Mask: mask, Folder: project.Root, Environ: environ,
	}
	req := pipe.Request{
		Pipe: loaded, Run: builddata.Run{ID: "mock", Service: project.Service}, Version: o.Version, Values: values, Secrets: secrets,
		To: o.To, Only: o.Only, Mock: true, Fail: o.Fail, Interrupt: o.Interrupt,
	}
	if o.Only != "" {
		req.Values = mockedContext(ctx, *engine, req)
	}
	summary := engine.Run(ctx, req)
	return summary, leftOut(summary, o.Only)
}

// mockedContext is the context that a single step has after the mocks of those
// before it, which nobody sees run.
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

// Narrow judges the names of steps that options have, and whether a step can
// be run alone.
func Narrow(p *pipe.Pipe, o RunOptions) error {
	for _, name := range slices.Concat([]string{o.To, o.Only}, o.Fail) {
		if name == "" {
			continue
		}
		section, step, err := p.Find(name)
		if err != nil {
			return err
		}
		if section == pipe.Last && name == o.To {
			return &pipe.Diagnostic{At: step.At, Problem: fmt.Sprintf("the step %q is in the section last, which always runs: leave --run-to out", name)}
		}
		if _, ok := step.Args["requires"]; !ok && name == o.Only && strings.EqualFold(step.Task, "release.promote") {
			return &pipe.Diagnostic{At: step.At, Problem: fmt.Sprintf("the step %q cannot be run alone, because it does not say what it requires, so that nothing would keep a version that failed its tests from being promoted: add requires: [...], with the tasks or steps that must have succeeded; an empty list says that nothing is required", name)}
		}
	}
	return nil
}

// allocates reports whether a pipe gets its version from the repository.
func allocates(p *pipe.Pipe, library pipe.Library) bool {
	for _, step := range p.Tasks() {
		if d, _ := library.Task(step.Task); d.Type == "init.version" {
			return true
		}
	}
	return false
}

// checkout looks which revision the checkout is at, and refuses one that
// cannot be traced.
func (p *Pipes) checkout(ctx context.Context, project *Project, o RunOptions) (scm.Checkout, error) {
	checkout, err := scm.Inspect(ctx, project.Root, os.Environ())
	if err != nil {
		return checkout, err
	}
	if checkout.Untraceable == "" {
		return checkout, nil
	}
	if !o.AllowUnpushed {
		return checkout, &scm.UntraceableError{Folder: project.Root, Checkout: checkout}
	}
	p.Warn("the run is untraceable, and its version cannot be promoted: %s", checkout.Untraceable)
	return checkout, nil
}
