package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// prepared is a run that is ready to begin, or on the way there.
type prepared struct {
	*Runner
	project *Project
	request Request

	environ []string
	mask    *pipe.Mask
	secrets []string
	// values are what the run begins with.
	values  pipe.Values
	pipe    *pipe.Pipe
	library pipe.Library
	// record is the record of the run.
	record     builddata.Run
	connection *connection
	// unreachable is why the repository cannot be reached; nil if it can.
	unreachable error
	// release are what is to be undone at the end, the last first.
	release []func() error
}

// prepare prepares a run. The caller closes it, also after an error.
func (r *Runner) prepare(ctx context.Context, project *Project, req Request) (*prepared, error) {
	p := &prepared{Runner: r, project: project, request: req, environ: r.environ(), secrets: slices.Concat(project.Secrets, req.Secrets)}
	p.mask = project.Mask(p.environ, req)
	for _, phase := range []func(ctx context.Context) error{
		p.load, p.narrow, p.checkKnown, p.lock, p.trace, p.name, p.connect, p.settle, p.check,
	} {
		if err := phase(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

// close releases what the phases have taken.
func (p *prepared) close() error {
	var errs []error
	for _, release := range slices.Backward(p.release) {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}

// load loads the pipe, and collects the values that it begins with.
func (p *prepared) load(ctx context.Context) (err error) {
	if p.values, err = p.project.begin(p.request.Values, p.request.Version); err != nil {
		return err
	}
	if p.pipe, err = p.project.load(ctx, p.request.Pipe); err != nil {
		return err
	}
	p.connection = &connection{open: p.Open}
	p.release = append(p.release, p.connection.close)
	dependencies := p.Tasks(TaskContext{Store: p.connection.get, OwnEnvironment: p.ownEnvironment})
	dependencies.Clock = p.Clock
	dependencies.Store = func(ctx context.Context) (task.Repository, error) { return p.connection.get(ctx) }
	p.library = task.New(dependencies)
	return nil
}

// narrow checks the steps that the request names.
func (p *prepared) narrow(context.Context) error { return narrow(p.pipe, p.library, p.request) }

// checkKnown checks the pipe before anything else is asked or changed. The
// values of a single step come from an earlier run, so that is checked later.
func (p *prepared) checkKnown(ctx context.Context) error {
	if p.request.Only != "" {
		return nil
	}
	return p.check(ctx)
}

func (p *prepared) check(context.Context) error { return pipe.Check(p.pipe, p.library, p.values) }

// lock keeps other runs out of the checkout.
func (p *prepared) lock(context.Context) error {
	release, err := p.project.State.LockCheckout(p.project.Root, p.Holder)
	if err == nil {
		p.release = append(p.release, release)
	}
	return err
}

// trace finds out at which revision the checkout is, and refuses one that
// cannot be traced.
func (p *prepared) trace(ctx context.Context) error {
	checkout, err := scm.Inspect(ctx, p.project.Root, os.Environ())
	if err != nil {
		return err
	}
	if checkout.Untraceable != "" {
		if !p.request.AllowUnpushed {
			return &scm.UntraceableError{Folder: p.project.Root, Checkout: checkout}
		}
		p.request.warn("the run is untraceable, and its version cannot be promoted: %s", checkout.Untraceable)
	}
	p.values[pipe.ValueBranch] = checkout.Branch
	p.record.Revision, p.record.Untraceable = checkout.Revision, checkout.Untraceable
	return nil
}

// name names the run and, if it has none, its environment.
func (p *prepared) name(context.Context) (err error) {
	p.record.ID, p.record.Service, p.record.Holder = id.New(p.Clock.Now()), p.project.Service, p.Holder
	p.record.To, p.record.Only = p.request.To, p.request.Only
	if p.values[pipe.ValueEnvironment] == "" {
		p.values[pipe.ValueEnvironment], err = newEnvironment()
	}
	return err
}

// connect opens the repository, and sends what earlier runs on this machine
// have left. That it cannot be reached is not an error yet.
func (p *prepared) connect(ctx context.Context) error {
	store, err := p.connection.get(ctx)
	if err != nil {
		if p.unreachable = err; errors.Is(err, builddata.ErrUnavailable) {
			return nil
		}
		return err
	}
	reports, _, err := p.send(ctx, p.project.State, store)
	for _, report := range reports {
		p.request.warn("%s", report)
	}
	if err != nil {
		p.request.warn("what earlier runs left on this machine is not all sent and removed: %v", err)
	}
	return nil
}

// settle completes what the run begins with by what the repository knows.
func (p *prepared) settle(ctx context.Context) error {
	switch {
	case p.unreachable == nil:
		store, err := p.connection.get(ctx)
		if err != nil {
			return err
		}
		return p.settleFrom(ctx, store)
	case p.request.Only != "":
		return &UnavailableError{Err: fmt.Errorf("the context of the earlier run cannot be read: %w", p.unreachable)}
	case p.request.Version == "" && allocates(p.pipe, p.library):
		return &UnavailableError{Err: p.unreachable, Allocates: true}
	}
	p.request.warn("%v; what happens is kept on this machine and sent later", p.unreachable)
	return nil
}

// ownEnvironment is the environment of the run if a run has invented its name.
func (p *prepared) ownEnvironment() string {
	if name := p.values[pipe.ValueEnvironment]; isOwnEnvironment(name) {
		return name
	}
	return ""
}

// narrow checks the steps that a request names, and whether a step can be run
// alone.
func narrow(p *pipe.Pipe, library pipe.Library, req Request) error {
	for _, name := range slices.Concat([]string{req.To, req.Only}, req.Fail) {
		if name == "" {
			continue
		}
		section, step, err := p.Find(name)
		if err != nil {
			return err
		}
		if section == pipe.Last && name == req.To {
			return &pipe.Diagnostic{
				At: step.At, Advice: pipe.HintLeaveOutRunTo,
				Problem: fmt.Sprintf("the step %q is in the section last, which always runs", name),
			}
		}
		if name != req.Only {
			continue
		}
		d, _ := library.Task(step.Task)
		for argument, why := range d.RequiredAlone {
			if _, ok := step.Args[argument]; !ok {
				return &pipe.Diagnostic{
					At: step.At, Problem: fmt.Sprintf("the step %q needs the argument %s to be run alone: %s", name, argument, why),
				}
			}
		}
	}
	return nil
}

// allocates reports whether a pipe gets its version from the repository.
func allocates(p *pipe.Pipe, library pipe.Library) bool {
	for _, step := range p.Tasks() {
		if d, _ := library.Task(step.Task); d.AllocatesVersion {
			return true
		}
	}
	return false
}

// UnavailableError says that a run cannot begin, because it needs the
// repository. It matches builddata.ErrUnavailable.
type UnavailableError struct {
	Err error
	// Allocates says that the run needs it to allocate its version.
	Allocates bool
}

func (e *UnavailableError) Error() string {
	if !e.Allocates {
		return fmt.Sprintf("%v\nNothing has run. Try again when the repository can be reached.", e.Err)
	}
	return fmt.Sprintf("%v\nNothing has run. The pipe allocates a version, which only the repository can do: try again when it can be reached. "+
		"A run for an existing version does not need it: what happens is kept on this machine and sent later.", e.Err)
}

// Unwrap returns why the repository could not be reached.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint implements pipe.Hinted.
func (e *UnavailableError) Hint() pipe.Hint {
	if e.Allocates {
		return pipe.HintVersion
	}
	return ""
}
