package task

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// externalPrefix begins the names of programs that are external tasks.
const externalPrefix = "delivery-task-"

// external returns the task whose program is on PATH. The program gets the call
// as JSON on its standard input, and sets outputs like a command.
func (r *Registry) external(name string) (pipe.Definition, bool) {
	if !typePattern.MatchString(name) {
		return pipe.Definition{}, false
	}
	for _, candidate := range slices.Compact([]string{name, strings.ToLower(name)}) {
		program := externalPrefix + candidate
		if _, err := r.LookPath(program); err != nil {
			continue
		}
		return pipe.Definition{
			Type: candidate, Summary: fmt.Sprintf("Runs the program %s.", program), AnyArgument: true,
			Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) { return r.runExternal(ctx, c, program) },
			Mock: mock(nil, func(*pipe.Call) string {
				return "run the program " + program
			}),
		}, true
	}
	return pipe.Definition{}, false
}

// externalCall is the input of an external task.
type externalCall struct {
	Task    string      `json:"task"`
	Step    string      `json:"step"`
	Args    pipe.Args   `json:"args"`
	Values  pipe.Values `json:"values"`
	Run     string      `json:"run"`
	Service string      `json:"service"`
	Version string      `json:"version"`
}

func (r *Registry) runExternal(ctx context.Context, c *pipe.Call, program string) (pipe.Result, error) {
	call, err := json.Marshal(externalCall{
		Task: c.Task, Step: c.Step, Args: c.Args, Values: c.Values,
		Run: c.Run.Run, Service: c.Run.Service, Version: c.Run.Version,
	})
	if err != nil {
		return pipe.Result{}, fmt.Errorf("encode the call of %s: %w", program, err)
	}
	printf(c, "$ %s", program)
	result, err := r.start(ctx, c, command{
		args: []string{program}, dir: c.Folder, environ: c.Environ, stdin: bytes.NewReader(append(call, '\n')),
	})
	if err != nil {
		return result, err
	}
	return result, checkDeclared(c, result.Outputs)
}
