package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// readRepository completes the values of the run from the repository: the number of its
// existing version, and for a single step the context of an earlier run.
func (p *prepared) readRepository(ctx context.Context, store builddata.Store) error {
	var v builddata.Version
	var err error
	if p.request.Version != "" {
		if v, err = store.Version(ctx, p.project.Service, p.request.Version); errors.Is(err, builddata.ErrNotFound) {
			return fmt.Errorf("%w: \"delivery version list\" lists the versions of %s", err, p.project.Service)
		}
		if err == nil && p.request.Only == "" {
			_, err = builddata.Usable(v)
		}
		if err != nil {
			return err
		}
	}
	if p.request.Only != "" {
		earlier, err := p.earlierRun(ctx, store, v)
		if err != nil {
			return err
		}
		if err := p.takeContext(ctx, store, earlier); err != nil {
			return err
		}
		if p.request.Version == "" && earlier.Number != 0 {
			if v, err = store.VersionByNumber(ctx, earlier.Service, earlier.Number); err != nil {
				return err
			}
			p.request.Version = v.Name
		}
	}
	if p.request.Version == "" {
		return nil
	}
	if err := p.checkRevision(v); err != nil {
		return err
	}
	p.record.Number = v.Number
	p.values[pipe.ValueVersion], p.values[pipe.ValueNumber] = v.Name, fmt.Sprint(v.Number)
	return nil
}

// checkRevision refuses steps that build the version if the checkout is at another
// revision, unless the request allows it. A step with a condition fails if it would run.
func (p *prepared) checkRevision(v builddata.Version) error {
	if v.SourceRevision == "" || p.record.Revision == "" || v.SourceRevision == p.record.Revision {
		return nil
	}
	differs := fmt.Sprintf("version %s is of revision %s, but this checkout is at %s",
		v.Name, text.Revision(v.SourceRevision), text.Revision(p.record.Revision))
	p.request.warn("%s", differs)
	if p.request.AllowOtherRevision {
		return nil
	}
	for section, step := range p.pipe.Tasks() {
		d, _ := p.tasks.Task(step.Task)
		if section != pipe.Last && d.BuildsCheckout && step.When.IsZero() && (p.request.Only == "" || p.request.Only == step.Name) {
			return &pipe.Diagnostic{At: step.At, Problem: fmt.Sprintf("the step %q cannot build: %s", step.Name, differs),
				Advice: pipe.HintAllowOtherRevision}
		}
		if step.Name == p.request.To {
			break
		}
	}
	p.tasks = notBuilding{p.tasks, p.pipe, differs}
	return nil
}

// notBuilding is a registry whose tasks do not build the checkout, except in the section
// last, which cleans up.
type notBuilding struct {
	pipe.Registry
	pipe *pipe.Pipe
	why  string
}

// Task implements pipe.Registry.
func (r notBuilding) Task(name string) (pipe.Definition, bool) {
	d, ok := r.Registry.Task(name)
	run := d.Run
	if d.BuildsCheckout {
		d.Run = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			if section, _, err := r.pipe.Find(c.Step); err != nil || section == pipe.Last {
				return run(ctx, c)
			}
			return pipe.Result{}, &notBuiltError{r.why}
		}
	}
	return d, ok
}

// notBuiltError says that a step did not build, since the checkout is at another revision.
type notBuiltError struct{ why string }

func (e *notBuiltError) Error() string { return "it did not build: " + e.why }

// Hint implements pipe.Hinted.
func (e *notBuiltError) Hint() pipe.Hint { return pipe.HintAllowOtherRevision }

// takeContext gives a single step the context that it had in an earlier run.
func (p *prepared) takeContext(ctx context.Context, store builddata.Events, earlier builddata.Run) error {
	events, err := builddata.Collect(builddata.AllEvents(ctx, store, builddata.EventQuery{Service: earlier.Service, Run: earlier.ID}))
	if err != nil {
		return err
	}
	was, err := pipe.Decode(earlier.Definition)
	if err != nil {
		return err
	}
	p.withheld = was.Withheld(events)
	for _, name := range slices.Sorted(maps.Keys(p.project.Values)) {
		was, ok := earlier.Context[name]
		if ok && was != p.project.Values[name] && p.request.Values[name] == "" && !slices.Contains(p.project.Secrets, name) {
			p.request.warn("%s is %q in .delivery.yml, but the step uses %q, the value of the earlier run; set it for this run to override it",
				name, p.project.Values[name], was)
		}
	}
	for name, value := range p.pipe.ContextAt(p.request.Only, earlier.Context, events) {
		if name != pipe.ValueStatus && name != pipe.ValueFailedStep && !slices.Contains(p.project.Secrets, name) {
			p.values[name] = value
		}
	}
	maps.Copy(p.values, p.request.Values)
	p.values[pipe.ValueStatus], p.values[pipe.ValueFailedStep] = string(earlier.State(p.Clock.Now())), failedStep(was, events)
	return nil
}

// failedStep returns the first step that failed, was interrupted or was lost; empty if
// there is none.
func failedStep(p *pipe.Pipe, events []builddata.Event) string {
	for _, e := range events {
		_, step, err := p.Find(e.Step)
		allowed := err == nil && step.AllowFailure
		if e.Status == builddata.Failed && !allowed || e.Status == builddata.Interrupted || e.Status == builddata.Lost {
			return e.Step
		}
	}
	return ""
}

// earlierRun returns the run whose context a single step takes: the requested run, or else
// the latest run of the same pipe and, if v is given, of that version. A run of all steps
// is preferred to one that ended at a step. Runs of a single step are not used.
func (p *prepared) earlierRun(ctx context.Context, store builddata.Runs, v builddata.Version) (builddata.Run, error) {
	service := p.project.Service
	if p.request.Of != "" {
		return namedRun(ctx, store, service, p.request.Of, v)
	}
	var partial string
	for r, err := range builddata.AllRuns(ctx, store, builddata.RunQuery{Service: service, Number: v.Number}) {
		switch {
		case err != nil:
			return builddata.Run{}, err
		case r.Pipe != p.pipe.Name || r.Only != "":
		case r.To == "":
			return store.Run(ctx, service, r.ID)
		case partial == "":
			partial = r.ID
		}
	}
	if partial != "" {
		return store.Run(ctx, service, partial)
	}
	which := fmt.Sprintf("the pipe %s for %s", p.pipe.Name, service)
	if v.Name != "" {
		which += " " + v.Name
	}
	return builddata.Run{}, fmt.Errorf("%w: there is no earlier run of %s whose context the step %q could take; run the pipe first, "+
		"or name one of the runs that \"delivery run list\" lists", builddata.ErrNotFound, which, p.request.Only)
}

// namedRun returns the run with an id. The run must be of the service and, if v is given,
// of that version.
func namedRun(ctx context.Context, store builddata.Runs, service, id string, v builddata.Version) (builddata.Run, error) {
	r, err := store.Run(ctx, service, id)
	switch {
	case errors.Is(err, builddata.ErrNotFound):
		return r, fmt.Errorf("%w: \"delivery run show %s\" shows which service it belongs to", err, id)
	case err != nil:
		return r, err
	case v.Number != 0 && r.Number != 0 && r.Number != v.Number:
		return r, fmt.Errorf("run %s is of another version than %s: name only the run, or only the version", id, v.Name)
	}
	return r, nil
}
