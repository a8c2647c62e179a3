package task

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// isUnavailable reports whether the repository could not be reached.
func isUnavailable(err error) bool { return errors.Is(err, builddata.ErrUnavailable) }

// promote puts the run's version at a stage.
func (l *Library) promote() pipe.Definition {
	return pipe.Definition{
		Type: "release.promote", Summary: "Puts the run's version at a stage.",
		Arguments: []pipe.Argument{
			{Name: "stage", Kind: pipe.Text, Required: true, Summary: "The stage: passed_test, prod."},
			{Name: "requires", Kind: pipe.List, Summary: "The tasks or steps that must have succeeded for the version, each the last time it was run."},
		},
		Run: l.runPromote,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "promote the version to " + c.Args.Text("stage")
		}),
	}
}

func (l *Library) runPromote(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	stage := c.Args.Text("stage")
	switch {
	case c.Run.Version == "":
		return pipe.Result{}, errors.New("the run has no version that could be promoted: let a step init.version come first, or bring one with --version")
	case c.Run.Untraceable != "":
		return pipe.Result{}, fmt.Errorf("version %s cannot be promoted to %s, because it cannot be traced to a pushed revision: %s; push, and run the pipe again", c.Run.Version, stage, c.Run.Untraceable)
	}
	// What the version has been through must be known where it is judged.
	if err := c.Flush(ctx); err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s, because the build data repository does not know yet what happened to it: %w", c.Run.Version, stage, err)
	}
	store, err := l.Store(ctx)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s: %w", c.Run.Version, stage, err)
	}
	v, err := store.Version(ctx, c.Run.Service, c.Run.Version)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("version %s was not promoted to %s: %w", c.Run.Version, stage, err)
	}
	p, err := store.Promote(ctx, builddata.Promotion{Service: v.Service, Number: v.Number, Stage: stage, Requires: c.Args.List("requires"), Run: c.Run.Run})
	if err != nil {
		return pipe.Result{}, err
	}
	message := fmt.Sprintf("version %s is at %s", v.Name, p.Stage)
	if p.Run != c.Run.Run {
		message += " already, since " + p.At.UTC().Format("2006-01-02 15:04:05 MST")
	}
	say(c, "%s", message)
	return pipe.Result{Message: message}, nil
}
