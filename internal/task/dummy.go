package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// dummy stands in for a task that is not there yet.
func (l *Library) dummy() pipe.Definition {
	do := func(c *pipe.Call) (pipe.Result, error) {
		result := pipe.Result{Message: cmp.Or(c.Args.Text("message"), "nothing to do"), Outputs: map[string]string{}}
		say(c, "%s", result.Message)
		for _, name := range slices.Sorted(maps.Keys(c.Args.Table("set"))) {
			if why := pipe.NotSettable(name); why != "" {
				return result, fmt.Errorf("set: %q cannot be set: %s", name, why)
			}
			result.Outputs[name] = c.Args.Table("set")[name]
		}
		if c.Args.Switch("fail") {
			return result, errors.New("made to fail")
		}
		return result, nil
	}
	return pipe.Definition{
		Type: "mock.dummy", Summary: "Does nothing, or what it is told to pretend.",
		Arguments: []pipe.Argument{
			{Name: "message", Kind: pipe.Text, Summary: "What it prints."},
			{Name: "sleep", Kind: pipe.Duration, Summary: "How long it takes."},
			{Name: "fail", Kind: pipe.Switch, Summary: "Whether it fails."},
			{Name: "set", Kind: pipe.Table, Summary: "Values to put on the context."},
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			if d := c.Args.Duration("sleep"); d > 0 {
				say(c, "sleeping for %s", d)
				if err := l.Clock.Sleep(ctx, d); err != nil {
					return pipe.Result{}, context.Cause(ctx)
				}
			}
			return do(c)
		},
		Mock: func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
			result, err := do(c)
			for _, name := range c.Declared {
				if _, ok := result.Outputs[name]; !ok && err == nil {
					result.Outputs[name] = "mock-" + name
				}
			}
			return result, err
		},
	}
}
