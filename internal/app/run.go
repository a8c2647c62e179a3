package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
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
	// Values are put on the context, over those of .delivery.yml.
	Values pipe.Values

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

// Run runs a pipe of the project. What became of it is in the summary; the
// error says why it could not run, or, as an *spool.UnsentError, that the
// repository does not know of it yet.
func (p *Pipes) Run(ctx context.Context, project *Project, o RunOptions) (summary pipe.Summary, err error) {
	environ, err := p.environ()
	if err != nil {
		return summary, err
	}
	mask := pipe.NewMask(environ, project.Secrets)
	for _, name := range project.Secrets {
		mask.Add(project.Values[name])
		mask.Add(o.Values[name])
	}
	if o.Mock {
		return p.mock(ctx, project, o, mask, environ)
	}
	values := project.Begin(o.Values, o.Version)
	loaded, err := p.Pipe(ctx, project, o.Pipe, values)
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
	checkout, err := p.checkout(ctx, project, o)
	if err != nil {
		return summary, err
	}

	repository := &repository{open: func(ctx context.Context) (builddata.Store, error) { return OpenRepository(ctx, p.Repository, p.Clock) }}
	defer func() { err = errors.Join(err, repository.close()) }()
	unreachable := p.catchUp(ctx, project, repository)

	run := builddata.Run{
		ID: spool.NewID(p.Clock.Now()), Service: project.Service, Revision: checkout.Revision, Untraceable: checkout.Untraceable, Holder: p.Holder,
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
		store, err := repository.store(ctx)
		if err != nil {
			return summary, err
		}
		if err := p.settle(ctx, store, project, loaded, &o, &run, values); err != nil {
			return summary, err
		}
	case o.Only != "":
		return summary, &UnavailableError{Err: fmt.Errorf("the context of the earlier run cannot be read: %w", unreachable)}
	case o.Version == "" && allocates(loaded, library):
		return summary, &UnavailableError{Err: unreachable}
	default:
		p.Warn("%v; what happens is kept on this machine and sent later", unreachable)
	}
	if o.To != "" {
		run.Only = "to " + o.To
	} else if o.Only != "" {
		run.Only = "task " + o.Only
	}

	if err := pipe.Check(loaded, library, values); err != nil {
		return summary, err
	}
	connect := func(ctx context.Context) (spool.Repository, error) { return repository.store(ctx) }
	journals, err := p.journals(project.State)
	if err != nil {
		return summary, err
	}
	journal, err := spool.Begin(ctx, journals, run.ID, o.Version, connect, p.Clock)
	if err != nil {
		return summary, err
	}
	scratch, err := project.State.Scratch(run.ID)
	if err != nil {
		return summary, errors.Join(err, journal.Close(context.WithoutCancel(ctx)))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	engine := &pipe.Engine{
		Library: library, Clock: p.Clock, Recorder: journal, Observer: o.Observer, Mask: mask,
		Log: project.State.Logs(run.ID), NewID: func() string { return spool.NewID(p.Clock.Now()) },
		Folder: project.Root, Scratch: scratch, Environ: environ,
	}
	summary = engine.Run(ctx, pipe.Request{
		Pipe: loaded, Run: run, Version: o.Version, Values: values, Secrets: project.Secrets, To: o.To, Only: o.Only, Interrupt: o.Interrupt,
	})
	return summary, journal.Close(context.WithoutCancel(ctx))
}

// mock runs the mocks, which touch nothing, so that nothing has to be asked or
// recorded.
func (p *Pipes) mock(ctx context.Context, project *Project, o RunOptions, mask *pipe.Mask, environ []string) (pipe.Summary, error) {
	values := project.Begin(o.Values, o.Version)
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
	return engine.Run(ctx, pipe.Request{
		Pipe: loaded, Run: builddata.Run{ID: "mock", Service: project.Service}, Version: o.Version, Values: values, Secrets: project.Secrets,
		To: o.To, Only: o.Only, Mock: true, Fail: o.Fail, Interrupt: o.Interrupt,
	}), nil
}

// Narrow judges the names of steps that options have.
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
			return &pipe.Fault{At: step.At, Problem: fmt.Sprintf("the step %q is in the section last, which always runs: leave --run-to out", name)}
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
	checkout, err := scm.Look(ctx, project.Root, os.Environ())
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

// settle completes what a run begins with by what the repository knows.
func (p *Pipes) settle(ctx context.Context, store builddata.Store, project *Project, loaded *pipe.Pipe, o *RunOptions, run *builddata.Run, values pipe.Values) error {
	if o.Only != "" {
		earlier, err := earlierRun(ctx, store, project.Service, *o)
		if err != nil {
			return err
		}
		events, err := allEvents(ctx, store, earlier.ID)
		if err != nil {
			return err
		}
		own := map[string]bool{pipe.ValueStatus: true, pipe.ValueFailedStep: true}
		for name, value := range loaded.ContextAt(o.Only, earlier.Context, events) {
			// A secret was not stored; what is configured now has to do.
			if !own[name] && !strings.Contains(value, pipe.Masked) && !slices.Contains(project.Secrets, name) {
				values[name] = value
			}
		}
		maps.Copy(values, o.Values)
		values[pipe.ValueStatus], values[pipe.ValueFailedStep] = string(earlier.State(p.Clock.Now())), ""
		if o.Version == "" && earlier.Number != 0 {
			v, err := versionOf(ctx, store, earlier)
			if err != nil {
				return err
			}
			o.Version = v.Name
		}
	}
	if o.Version == "" {
		return nil
	}
	v, err := store.Version(ctx, project.Service, o.Version)
	if errors.Is(err, builddata.ErrNotFound) {
		return fmt.Errorf("%w: \"delivery version list\" lists those of %s", err, project.Service)
	}
	if err == nil && o.Only == "" {
		_, err = builddata.Usable(v)
	}
	if err != nil {
		return err
	}
	if v.SourceRevision != "" && run.Revision != "" && v.SourceRevision != run.Revision {
		p.Warn("version %s was made from revision %s, and this checkout is at %s", v.Name, short(v.SourceRevision), short(run.Revision))
	}
	run.Number = v.Number
	values[pipe.ValueVersion], values[pipe.ValueNumber] = v.Name, fmt.Sprint(v.Number)
	return nil
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

// earlierRun is the run whose context a single step takes.
func earlierRun(ctx context.Context, store builddata.Store, service string, o RunOptions) (builddata.Run, error) {
	if o.Of != "" {
		return store.Run(ctx, o.Of)
	}
	q := builddata.RunQuery{Service: service}
	if o.Version != "" {
		v, err := store.Version(ctx, service, o.Version)
		if err != nil {
			return builddata.Run{}, err
		}
		q.Number = v.Number
	}
	for {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return builddata.Run{}, err
		}
		for _, r := range page {
			q.Before = r.ID
			if !strings.HasPrefix(r.Only, "task ") {
				return store.Run(ctx, r.ID)
			}
		}
		if len(page) < builddata.DefaultPage {
			return builddata.Run{}, fmt.Errorf("%w: there is no earlier run of %s whose context the step %q could take: run the pipe first; \"delivery runs\" lists the runs", builddata.ErrNotFound, service, o.Only)
		}
	}
}

// versionOf returns the version of a run.
func versionOf(ctx context.Context, store builddata.Versions, r builddata.Run) (builddata.Version, error) {
	all, err := store.Versions(ctx, builddata.VersionQuery{Service: r.Service, IncludeRevoked: true, Before: r.Number + 1, Limit: 1})
	if err != nil {
		return builddata.Version{}, err
	}
	if len(all) == 0 || all[0].Number != r.Number {
		return builddata.Version{}, fmt.Errorf("number %d of %s: %w", r.Number, r.Service, builddata.ErrNotFound)
	}
	return all[0], nil
}

// allEvents reads all events of a run.
func allEvents(ctx context.Context, store builddata.Events, run string) (all []builddata.Event, err error) {
	q := builddata.EventQuery{Run: run, Limit: 1000}
	for {
		page, err := store.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// dependencies are what the tasks of a run need of the outside.
func (p *Pipes) dependencies(r *repository, values pipe.Values) task.Dependencies {
	config := awscloud.Config{Profile: p.Profile, Region: p.Region, Clock: p.Clock}
	return task.Dependencies{
		Clock: p.Clock,
		Store: func(ctx context.Context) (task.Repository, error) { return r.store(ctx) },
		Alarms: func(ctx context.Context) (task.Alarms, error) {
			return awscloud.Open(ctx, config)
		},
		Remove: func(ctx context.Context, service, environment string, progress func(format string, args ...any)) error {
			store, err := r.store(ctx)
			if err != nil {
				return err
			}
			return p.remove(ctx, store, service, environment, values, progress)
		},
		Files: func(ctx context.Context, region string) (task.Files, error) {
			config := config
			if region != "" {
				config.Region = region
			}
			return awscloud.OpenFiles(ctx, config)
		},
	}
}

// catchUp sends what earlier runs on this machine have left, and tells of those
// that died. The error is that the repository cannot be reached; other trouble
// is told only.
func (p *Pipes) catchUp(ctx context.Context, project *Project, r *repository) (unreachable error) {
	store, err := r.store(ctx)
	if err != nil {
		return err
	}
	journals, err := p.journals(project.State)
	if err != nil {
		return err
	}
	synced, err := spool.Sync(ctx, journals, store)
	for _, s := range synced {
		p.Warn("%s", Tell(ctx, store, s))
	}
	if err != nil {
		p.Warn("what earlier runs left on this machine could not all be sent: %v", err)
	}
	return nil
}

// Sync sends what earlier runs on this machine have left to the repository.
func (p *Pipes) Sync(ctx context.Context) (told []string, all []spool.Synced, err error) {
	state, err := OpenState()
	if err != nil {
		return nil, nil, err
	}
	journals, err := p.journals(state)
	if err != nil {
		return nil, nil, err
	}
	store, err := OpenRepository(ctx, p.Repository, p.Clock)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	all, err = spool.Sync(ctx, journals, store)
	for _, s := range all {
		told = append(told, Tell(ctx, store, s))
	}
	return told, all, err
}

// Tell says what became of a run whose journal was found.
func Tell(ctx context.Context, store builddata.Versions, s spool.Synced) string {
	what := fmt.Sprintf("%s, run %s", s.Run.Service, s.Run.ID)
	if v, err := versionOf(ctx, store, s.Run); err == nil {
		what = fmt.Sprintf("%s %s, run %s", s.Run.Service, v.Name, s.Run.ID)
	}
	if s.Run.Status != builddata.Lost {
		return fmt.Sprintf("%s (%s, %s): %d records that were kept on this machine are now in the repository", what, s.Run.Pipe, s.Run.Status, s.Entries)
	}
	text := fmt.Sprintf("%s (%s, begun at %s by %s) is lost: %s", what, s.Run.Pipe, s.Run.StartedAt.Format(time.RFC3339), s.Run.Holder, s.Run.Message)
	definition, err := pipe.Decode(s.Run.Definition)
	if err != nil || s.Run.Number == 0 {
		return text // without a version, nothing was made of one
	}
	var tidy []string
	for section, step := range definition.Tasks() {
		if section == pipe.Last && strings.EqualFold(step.Task, "provision.destroy") {
			tidy = append(tidy, fmt.Sprintf("\n  delivery run --of %s --run-task %q", s.Run.ID, step.Name))
		}
	}
	if len(tidy) > 0 {
		text += fmt.Sprintf("; what it may have made, in the environment %s, is removed by", s.Run.Context[pipe.ValueEnvironment]) + strings.Join(tidy, "")
	}
	return text
}
