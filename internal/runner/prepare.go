package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// prepared is a run that is being prepared, or is ready to begin.
type prepared struct {
	*Runner
	project *Project
	request Request

	environ []string
	mask    *pipe.Mask
	secrets []string
	// values are the values that the run begins with, and withheld those of an earlier run
	// that were not stored.
	values   pipe.Values
	withheld map[string]pipe.Withheld
	pipe     *pipe.Pipe
	tasks    pipe.Registry
	// logs is the store for the logs of steps; nil if there is none.
	logs pipe.LogStore
	// record is the record of the run, without what the engine sets.
	record     builddata.Run
	connection *connection
	// unreachable is why the repository cannot be reached; nil if it can.
	unreachable error
	// release holds the functions that close calls, in reverse order.
	release []func() error
}

// newMask returns the mask of a run, after warnings of the secrets that it cannot mask.
func newMask(project *Project, environ []string, req Request) *pipe.Mask {
	mask := project.Mask(environ, req)
	for _, warning := range mask.Warnings() {
		req.warn("%s", warning)
	}
	return mask
}

// prepare prepares a run. The caller closes it, even after an error.
func (r *Runner) prepare(ctx context.Context, project *Project, req Request) (*prepared, error) {
	p := &prepared{Runner: r, project: project, request: req, environ: r.environ(), secrets: slices.Concat(project.Secrets, req.Secrets)}
	p.mask = newMask(project, p.environ, req)
	p.request.Warn = func(format string, args ...any) { req.warn("%s", p.mask.Text(fmt.Sprintf(format, args...))) }
	for _, phase := range []func(ctx context.Context) error{
		p.load, p.checkSteps, p.checkEarly, p.lock, p.inspectCheckout, p.identify, p.connect, p.complete, p.check, p.checkMachine,
	} {
		if err := phase(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

// close releases the resources that the phases have acquired.
func (p *prepared) close() error {
	var errs []error
	for _, release := range slices.Backward(p.release) {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}

// load loads the pipe and the values that the run begins with.
func (p *prepared) load(ctx context.Context) (err error) {
	if p.values, err = p.project.initialValues(p.request.Values, p.request.Version); err != nil {
		return err
	}
	if p.pipe, err = p.project.load(ctx, p.request.Pipe); err != nil {
		return err
	}
	p.connection = &connection{open: p.Open}
	p.release = append(p.release, p.connection.close)
	if p.logs, err = p.Logs(); err != nil {
		return err
	}
	dependencies := p.Tasks(TaskContext{Store: p.connection.get, OwnEnvironment: p.ownEnvironment})
	dependencies.Clock, dependencies.Holder, dependencies.AllowOlder = p.Clock, p.Holder, p.request.AllowOlder
	dependencies.Store = func(ctx context.Context) (task.Repository, error) { return p.connection.get(ctx) }
	p.tasks = task.New(dependencies)
	return nil
}

// checkSteps checks the steps that the request names.
func (p *prepared) checkSteps(context.Context) error { return checkSteps(p.pipe, p.tasks, p.request) }

// checkEarly checks the pipe before anything is read or changed. For a single step this is
// not possible: its values come from an earlier run.
func (p *prepared) checkEarly(ctx context.Context) error {
	if p.request.Only != "" {
		return nil
	}
	return p.check(ctx)
}

// check checks the pipe with all values that the run begins with.
func (p *prepared) check(context.Context) error {
	return pipe.Check(p.pipe, p.tasks, expression.Language{}, p.values)
}

// checkMachine checks what the steps need of the machine. A folder that git ignores may be
// made by an earlier step, and a program installed.
func (p *prepared) checkMachine(ctx context.Context) error {
	var missing pipe.Diagnostics
	call := pipe.Call{Values: p.values, Folder: p.project.Root, Environ: p.environ}
	for _, lacks := range p.pipe.Lacking(p.tasks, expression.Language{}, call, p.request.To, p.request.Only) {
		if lacks.Program != "" {
			p.request.warn("the step %q needs %s, which is not on PATH: install it, unless an earlier step does", lacks.Step.Name, lacks.Program)
		}
		if lacks.Folder == "" {
			continue
		}
		ignored, err := scm.Ignores(ctx, p.project.Root, os.Environ(), lacks.Folder)
		if err != nil {
			return fmt.Errorf("find out whether git ignores %s: %w", lacks.Folder, err)
		}
		if !ignored {
			missing.Add(lacks.At, "the step %q needs the folder %s, which does not exist in %s", lacks.Step.Name, lacks.Folder, p.project.Root)
		}
	}
	return missing.Err()
}

// lock prevents other runs in the same checkout.
func (p *prepared) lock(context.Context) error {
	release, err := p.project.State.LockCheckout(p.project.Root, p.Holder)
	if err == nil {
		p.release = append(p.release, release)
	}
	return err
}

// inspectCheckout determines the revision of the checkout. An untraceable checkout is an
// error, unless the request allows it.
func (p *prepared) inspectCheckout(ctx context.Context) error {
	checkout, err := scm.Inspect(ctx, p.project.Root, os.Environ(), p.project.loader.Network)
	if err != nil {
		return err
	}
	if checkout.Untraceable != "" {
		if !p.request.AllowUnpushed {
			return &scm.UntraceableError{Folder: p.project.Root, Checkout: checkout}
		}
		p.request.warn("the run is untraceable, and its version cannot be promoted: %s", checkout.Untraceable)
	}
	p.values[pipe.ValueBranch] = checkout.BranchIn(p.environ)
	p.record.Revision, p.record.Untraceable = checkout.Revision, checkout.Untraceable
	return nil
}

// identify gives the run its ID and, if it has no environment, the name of one.
func (p *prepared) identify(context.Context) (err error) {
	p.record.ID, p.record.Service, p.record.Holder = id.New(p.Clock.Now()), p.project.Service, p.Holder
	p.record.To, p.record.Only = p.request.To, p.request.Only
	if p.values[pipe.ValueEnvironment] == "" {
		p.values[pipe.ValueEnvironment], err = newEnvironment()
	}
	return err
}

// connect opens the repository and sends the remaining records of earlier runs on this
// machine. A repository that cannot be reached is not an error yet.
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
		p.request.warn("some records or files of earlier runs on this machine could not be sent or removed: %v", err)
	}
	return nil
}

// complete completes the values of the run from the repository, if it can be reached. It is
// an error if the run needs a repository that cannot be reached.
func (p *prepared) complete(ctx context.Context) error {
	switch {
	case p.unreachable == nil:
		store, err := p.connection.get(ctx)
		if err != nil {
			return err
		}
		return p.readRepository(ctx, store)
	case p.request.Only != "":
		return &UnavailableError{Err: fmt.Errorf("the context of the earlier run cannot be read: %w", p.unreachable)}
	case p.request.Version == "" && allocatesVersion(p.pipe, p.tasks):
		return &UnavailableError{Err: p.unreachable, Allocates: true}
	}
	p.request.warn("%v; the records of this run are kept on this machine and sent later", p.unreachable)
	return nil
}

// ownEnvironment returns the environment of the run if a run has generated its name; empty
// otherwise.
func (p *prepared) ownEnvironment() string {
	if name := p.values[pipe.ValueEnvironment]; isGeneratedEnvironment(name) {
		return name
	}
	return ""
}

// checkSteps checks that the steps which a request names exist, that the run can end at To,
// and that Only can be run alone.
func checkSteps(p *pipe.Pipe, tasks pipe.Registry, req Request) error {
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
				At: step.At, Advice: pipe.HintOmitRunTo,
				Problem: fmt.Sprintf("the step %q is in the section last, which always runs", name),
			}
		}
		if name != req.Only {
			continue
		}
		d, _ := tasks.Task(step.Task)
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

// allocatesVersion reports whether a pipe has a step that allocates a version.
func allocatesVersion(p *pipe.Pipe, tasks pipe.Registry) bool {
	for _, step := range p.Tasks() {
		if d, _ := tasks.Task(step.Task); d.AllocatesVersion {
			return true
		}
	}
	return false
}

// UnavailableError says that a run cannot begin, because it needs the repository and the
// repository cannot be reached. It matches builddata.ErrUnavailable.
type UnavailableError struct {
	Err error
	// Allocates says that the run needs the repository to allocate its version.
	Allocates bool
}

func (e *UnavailableError) Error() string {
	if !e.Allocates {
		return fmt.Sprintf("%v\nNothing has run. Try again when the repository can be reached.", e.Err)
	}
	return fmt.Sprintf("%v\nNothing has run. The pipe allocates a version in the repository: try again when it can be reached. "+
		"A run for an existing version does not need the repository: its records are kept on this machine and sent later.", e.Err)
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
