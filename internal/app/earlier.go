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
	if o.Only != "" {
		earlier, err := earlierRun(ctx, store, project.Service, *o)
		if err != nil {
			return err
		}
		events, err := allEvents(ctx, store, earlier.ID)
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
