package task

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// build runs a command, which is preset by default.
func (r *Registry) build(name, preset string) pipe.Definition {
	d := pipe.Definition{
		Type: name, BuildsCheckout: true, Summary: "Runs a command. The step fails if its exit code is not 0.",
		Arguments: []pipe.Argument{
			{
				Name: "command", Kind: pipe.Command, Required: preset == "",
				Summary: "The command: a text for the shell, or a list of a program and its arguments.",
			},
			shellArgument, folderArgument, envArgument, graceArgument,
		},
		Lacking: lacking(""),
	}
	if preset != "" {
		tool := strings.Fields(preset)[0]
		d.Summary = fmt.Sprintf("Builds with %s.", tool)
		d.Arguments[0].Summary = fmt.Sprintf("The command, by default %q.", preset)
	}
	if name == "build.gradle" {
		d.Arguments = append(d.Arguments, pipe.Argument{
			Name: "loglevel", Kind: pipe.Text, OneOf: []string{"quiet", "warn", "lifecycle", "info", "debug"},
			Summary: "How much Gradle prints: quiet, warn, lifecycle, info or debug; by default Gradle's own setting.",
		})
	}
	d.Run = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
		dir, err := folder(c)
		if err != nil {
			return pipe.Result{}, err
		}
		result, err := r.script(ctx, c, buildScript(c, preset), dir)
		if err != nil {
			return result, err
		}
		return result, checkDeclared(c, result.Outputs)
	}
	d.Mock = mock(nil, func(c *pipe.Call) string {
		return "run " + described(buildScript(c, preset))
	})
	return d
}

// buildScript returns the command with the log level added.
func buildScript(c *pipe.Call, preset string) pipe.Script {
	s := c.Args.Script("command")
	if !c.Args.Has("command") {
		s.Text = preset
	}
	level := c.Args.Text("loglevel")
	if level == "" || level == "lifecycle" { // lifecycle is the default, and has no option
		return s
	}
	option := "--" + level
	s.Text = strings.TrimRight(s.Text, "\n") + " " + option
	if len(s.Args) > 0 {
		s.Args = append(slices.Clone(s.Args), option)
	}
	return s
}
