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

// ownPrefix begins the names of programs that are tasks.
const ownPrefix = "delivery-task-"

// own is a task that is a program on PATH. It gets the call as JSON on its
// standard input, and gives values back like a command.
func (l *Library) own(name string) (pipe.Definition, bool) {
	if !typePattern.MatchString(name) {
		return pipe.Definition{}, false
	}
	for _, candidate := range slices.Compact([]string{name, strings.ToLower(name)}) {
		program := ownPrefix + candidate
		if _, err := l.LookPath(program); err != nil {
			continue
		}
		return pipe.Definition{
			Type: candidate, Summary: fmt.Sprintf("Runs the program %s.", program), AnyArgument: true,
			Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) { return l.runOwn(ctx, c, program) },
			Mock: mock(nil, func(*pipe.Call) string {
				return "run the program " + program
			}),
		}, true
	}
	return pipe.Definition{}, false
}

// ownCall is what an own task reads.
type ownCall struct {
	Task    string      `json:"task"`
	Step    string      `json:"step"`
	Args    pipe.Args   `json:"args"`
	Values  pipe.Values `json:"values"`
	Run     string      `json:"run"`
	Service string      `json:"service"`
	Version string      `json:"version"`
}

func (l *Library) runOwn(ctx context.Context, c *pipe.Call, program string) (pipe.Result, error) {
	call, err := json.Marshal(ownCall{
		Task: c.Task, Step: c.Step, Args: c.Args, Values: c.Values, Run: c.Run.Run, Service: c.Run.Service, Version: c.Run.Version,
	})
	if err != nil {
		return pipe.Result{}, fmt.Errorf("tell %s what to do: %w", program, err)
	}
	say(c, "$ %s", program)
	result, err := l.start(ctx, c, command{args: []string{program}, dir: c.Folder, environ: c.Environ, stdin: bytes.NewReader(append(call, '\n'))})
	if err != nil {
		return result, err
	}
	return result, checkDeclared(c, result.Outputs)
}
