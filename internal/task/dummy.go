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

// dummy stands in for a task that does not exist yet.
func (r *Registry) dummy() pipe.Definition {
	do := func(c *pipe.Call) (pipe.Result, error) {
		result := pipe.Result{Message: cmp.Or(c.Args.Text("message"), "nothing to do"), Outputs: map[string]string{}}
		printf(c, "%s", result.Message)
		for _, name := range slices.Sorted(maps.Keys(c.Args.Table("set"))) {
			if why := pipe.NotSettable(name); why != "" {
				return result, fmt.Errorf("set: %q cannot be set: %s", name, why)
			}
			result.Outputs[name] = c.Args.Table("set")[name]
		}
		if c.Args.Switch("fail") {
			return result, errors.New("failed because of fail: true")
		}
		return result, nil
	}
	return pipe.Definition{
		Type: "mock.dummy", Summary: "Does nothing, or what its arguments say.",
		Arguments: []pipe.Argument{
			{Name: "message", Kind: pipe.Text, Summary: "The message to print."},
			{Name: "sleep", Kind: pipe.Duration, Summary: "How long to sleep."},
			{Name: "fail", Kind: pipe.Switch, Summary: "Whether to fail."},
			{Name: "set", Kind: pipe.Table, Summary: "Values to put on the context."},
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			if d := c.Args.Duration("sleep"); d > 0 {
				printf(c, "sleeping for %s", d)
				if err := r.Clock.Sleep(ctx, d); err != nil {
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
