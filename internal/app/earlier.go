package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// settle completes what a run begins with by what the repository knows.
func (p *Pipes) settle(ctx context.Context, store builddata.Store, project *Project, loaded *pipe.Pipe, o *RunOptions, run *builddata.Run, values pipe.Values) error {
	var v builddata.Version
	var err error
	if o.Version != "" {
		if v, err = store.Version(ctx, project.Service, o.Version); errors.Is(err, builddata.ErrNotFound) {
			return fmt.Errorf("%w: \"delivery version list\" lists those of %s", err, project.Service)
		}
		if err == nil && o.Only == "" {
			_, err = builddata.Usable(v)
		}
		if err != nil {
			return err
		}
	}
	if o.Only != "" {
		earlier, err := earlierRun(ctx, store, project.Service, loaded, *o, v)
		if err != nil {
			return err
		}
		if err := p.takeContext(ctx, store, project, loaded, *o, earlier, values); err != nil {
			return err
		}
		if o.Version == "" && earlier.Number != 0 {
			if v, err = versionOf(ctx, store, earlier); err != nil {
				return err
			}
			o.Version = v.Name
		}
	}
	if o.Version == "" {
		return nil
	}
	if v.SourceRevision != "" && run.Revision != "" && v.SourceRevision != run.Revision {
		p.Warn("version %s was made from revision %s, and this checkout is at %s", v.Name, short(v.SourceRevision), short(run.Revision))
	}
	run.Number = v.Number
	values[pipe.ValueVersion], values[pipe.ValueNumber] = v.Name, fmt.Sprint(v.Number)
	return nil
}

// takeContext gives a single step the context that it had in an earlier run.
func (p *Pipes) takeContext(ctx context.Context, store builddata.Events, project *Project, loaded *pipe.Pipe, o RunOptions, earlier builddata.Run, values pipe.Values) error {
	events, err := builddata.Collect(builddata.AllEvents(ctx, store, builddata.EventQuery{Service: project.Service, Run: earlier.ID}))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(project.Values)) {
		if was, ok := earlier.Context[name]; ok && was != project.Values[name] && o.Values[name] == "" && !slices.Contains(project.Secrets, name) && !strings.Contains(was, pipe.Masked) {
			p.Warn("%s is %q in .delivery.yml by now, and was %q in the run whose context is taken, which counts; --set %s=… puts another over it", name, project.Values[name], was, name)
		}
	}
	own := map[string]bool{pipe.ValueStatus: true, pipe.ValueFailedStep: true}
	for name, value := range loaded.ContextAt(o.Only, earlier.Context, events) {
		// A secret was not stored; what is configured now has to do.
		if !own[name] && !strings.Contains(value, pipe.Masked) && !slices.Contains(project.Secrets, name) {
			values[name] = value
		}
	}
	maps.Copy(values, o.Values)
	values[pipe.ValueStatus], values[pipe.ValueFailedStep] = string(earlier.State(p.Clock.Now())), failedStep(events)
	return nil
}

// failedStep is the first step in which a run failed, was interrupted or died;
// empty if it did not.
func failedStep(events []builddata.Event) string {
	for _, e := range events {
		if e.Status == builddata.Failed || e.Status == builddata.Interrupted || e.Status == builddata.Lost {
			return e.Step
		}
	}
	return ""
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

// earlierRun is the run whose context a single step takes: the one that was
// named, or else the latest of the same pipe, and of the version if one was
// brought. A run of all steps is preferred to one that ended at a step, since
// it got further; what a single step had is not looked for.
func earlierRun(ctx context.Context, store builddata.Runs, service string, loaded *pipe.Pipe, o RunOptions, v builddata.Version) (builddata.Run, error) {
	if o.Of != "" {
		return namedRun(ctx, store, service, o.Of, v)
	}
	var partial string
	q := builddata.RunQuery{Service: service, Number: v.Number}
	for {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return builddata.Run{}, err
		}
		for _, r := range page {
			q.Before = r.ID
			switch {
			case r.Pipe != loaded.Name || r.Only != "":
			case r.To == "":
				return store.Run(ctx, service, r.ID)
			case partial == "":
				partial = r.ID
			}
		}
		if len(page) < builddata.DefaultPage {
			break
		}
	}
	if partial != "" {
		return store.Run(ctx, service, partial)
	}
	what := fmt.Sprintf("the pipe %s for %s", loaded.Name, service)
	if v.Name != "" {
		what += " " + v.Name
	}
	return builddata.Run{}, fmt.Errorf("%w: there is no earlier run of %s whose context the step %q could take: run the pipe first; \"delivery run list\" lists the runs, and --of takes one of them", builddata.ErrNotFound, what, o.Only)
}

// namedRun is the run of an id, if it is one of the service, and of the version
// that was brought.
func namedRun(ctx context.Context, store builddata.Runs, service, id string, v builddata.Version) (builddata.Run, error) {
	r, err := store.Run(ctx, service, id)
	switch {
	case errors.Is(err, builddata.ErrNotFound):
		return r, fmt.Errorf("%w: \"delivery run show %s\" shows which service it belongs to", err, id)
	case err != nil:
		return r, err
	case v.Number != 0 && r.Number != 0 && r.Number != v.Number:
		return r, fmt.Errorf("run %s is of another version than %s: leave --version out to run the step for the run's version, or --of to take the latest run of %s", id, v.Name, v.Name)
	}
	return r, nil
}

// versionOf returns the version of a run.
func versionOf(ctx context.Context, store builddata.Versions, r builddata.Run) (builddata.Version, error) {
	return store.VersionByNumber(ctx, r.Service, r.Number)
}
