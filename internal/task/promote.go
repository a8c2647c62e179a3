package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// isUnavailable reports whether the repository could not be reached.
func isUnavailable(err error) bool { return errors.Is(err, builddata.ErrUnavailable) }

// releasePromote is the type of the task that promotes.
const releasePromote = "release.promote"

// promote promotes the run's version to a stage.
func (r *Registry) promote() pipe.Definition {
	return pipe.Definition{
		Type: releasePromote, Summary: "Promotes the run's version to a stage.",
		Arguments: []pipe.Argument{
			{Name: "stage", Kind: pipe.Text, Required: true, Summary: "The stage: passed_test, prod."},
			{
				Name: "requires", Kind: pipe.List,
				Summary: "The tasks or steps that must have succeeded for the version, in runs at its own revision; `deploy.apply` and " +
					"`verify.alarms` at any, if they are required by these names, also in one environment: `deploy.apply@prod`. " +
					"The latest result of each counts.",
			},
		},
		NeedsVersion: true,
		RequiredAlone: map[string]string{
			"requires": "without it, nothing would keep a version whose tests failed from being promoted; " +
				"list the tasks or steps that must have succeeded, and write an empty list if nothing is required",
		},
		Run: r.runPromote,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "promote the version to " + c.Args.Text("stage")
		}),
	}
}

func (r *Registry) runPromote(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	stage := c.Args.Text("stage")
	switch {
	case c.Run.Version == "":
		return pipe.Result{}, errors.New("the run has no version to promote")
	case c.Run.Untraceable != "":
		return pipe.Result{}, fmt.Errorf(
			"version %s cannot be promoted to %s, because it cannot be traced to a pushed revision: %s; push, and run the pipe again",
			c.Run.Version, stage, c.Run.Untraceable)
	}
	// The repository decides by what happened to the version, so it must know that.
	if err := c.Flush(ctx); err != nil {
		return pipe.Result{}, fmt.Errorf(
			"version %s was not promoted to %s, because the events of this run could not be sent to the build data repository: %w",
			c.Run.Version, stage, err)
	}
	store, err := r.Store(ctx)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s: %w", c.Run.Version, stage, err)
	}
	v, err := store.Version(ctx, c.Run.Service, c.Run.Version)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s: %w", c.Run.Version, stage, err)
	}
	own, err := ownRequirements(ctx, store, v, stage)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s: %w", c.Run.Version, stage, err)
	}
	requires := c.Args.List("requires")
	for _, requirement := range own {
		if !slices.Contains(requires, requirement) {
			requires = append(requires, requirement)
		}
	}
	p, err := store.Promote(ctx, builddata.Promotion{
		Service: v.Service, Number: v.Number, Stage: stage, Requires: requires, AnyRevision: r.anyRevision(), Run: c.Run.Run,
	})
	if err != nil {
		return pipe.Result{}, err
	}
	message := fmt.Sprintf("version %s is at %s", v.Name, p.Stage)
	if p.Run != c.Run.Run {
		message += " already, since " + p.At.UTC().Format("2006-01-02 15:04:05 MST")
	}
	printf(c, "%s", message)
	return pipe.Result{Message: message}, nil
}

// anyRevision returns the types of events that count from any revision. Only the built-in
// tasks say so, since an external task is a program that a branch can bring along.
func (r *Registry) anyRevision() []string {
	var types []string
	for _, d := range r.definitions {
		if d.AnyRevision {
			types = append(types, d.Type)
		}
	}
	slices.Sort(types)
	return types
}

// ownRequirements returns what the version's own pipe requires for a stage, by its definition
// in the version's first run.
func ownRequirements(ctx context.Context, store builddata.Runs, v builddata.Version, stage string) ([]string, error) {
	all, err := builddata.Collect(builddata.AllRuns(ctx, store, builddata.RunQuery{Service: v.Service, Number: v.Number}))
	if err != nil {
		return nil, err
	}
	first, found := builddata.FirstRun(v, all)
	if !found {
		return nil, nil
	}
	if first, err = store.Run(ctx, first.Service, first.ID); err != nil {
		return nil, err
	}
	own, err := pipe.Decode(first.Definition)
	if err != nil {
		return nil, fmt.Errorf("what its own pipe requires, by the run %s: %w", first.ID, err)
	}
	var requires []string
	for _, step := range own.Tasks() {
		if !strings.EqualFold(step.Task, releasePromote) {
			continue
		}
		at, known := pipe.Values(first.Context).Texts(expression.Language{}, step.Args["stage"])
		if known && !slices.Contains(at, stage) {
			continue
		}
		// An expression that is not known has no event of its name, so that it is not met.
		more, _ := pipe.Values(first.Context).Texts(expression.Language{}, step.Args["requires"])
		requires = append(requires, more...)
	}
	return requires, nil
}
