package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

// Arguments of all tasks that run programs.
var (
	folderArgument = pipe.Argument{Name: "folder", Kind: pipe.Text, Summary: "The folder to run in, from the root of the checkout, which is the default."}
	envArgument    = pipe.Argument{Name: "env", Kind: pipe.Table, Summary: "Variables to add to the environment."}
	graceArgument  = pipe.Argument{Name: "grace", Kind: pipe.Duration, Summary: "How long it has to end after it was interrupted, by default 10s; more for one that has to save something first, such as Terraform."}
)

// folder returns the folder to run in, which has to be there.
func folder(c *pipe.Call) (string, error) {
	path := within(c.Folder, c.Args.Text(folderArgument.Name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("the folder %s does not exist in %s", c.Args.Text(folderArgument.Name), c.Folder)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", path)
	}
	return path, nil
}

// within returns a path that is meant from a folder.
func within(folder, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(folder, path)
}

// program returns how to start a program that an argument names: a path is
// meant from the root of the checkout, anything else is looked for on PATH.
func program(c *pipe.Call, name string) string {
	if strings.ContainsRune(filepath.ToSlash(name), '/') {
		return within(c.Folder, name)
	}
	return name
}

// environ is the environment of a program that a task starts.
func environ(c *pipe.Call, more ...string) []string {
	all := slices.Clone(c.Environ)
	all = append(all, more...)
	env := c.Args.Table("env")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// command is a program that gives values back.
type command struct {
	args    []string
	dir     string
	environ []string
	stdin   io.Reader
	grace   time.Duration
}

// start runs a command with what it prints going to the step's output, and
// returns the values that it gave back.
func (l *Library) start(ctx context.Context, c *pipe.Call, cmd command) (result pipe.Result, err error) {
	file, err := l.outputs.take(c.Scratch)
	if err != nil {
		return result, err
	}
	ended, err := process.Run(ctx, process.Command{
		Args: cmd.args, Dir: cmd.dir, Environ: append(slices.Clone(cmd.environ), outputVariable+"="+file),
		Stdin: cmd.stdin, Stdout: c.Output, Stderr: c.Output, Grace: cmd.grace,
	})
	if ended.LeftBehind {
		result.Warnings = append(result.Warnings, "it ended while processes that it had started were still at work; they were ended, too")
	}
	if ended.Forced {
		result.Warnings = append(result.Warnings, "it did not end when it was interrupted, and was killed")
	}
	var readErr error
	if result.Outputs, readErr = readOutputs(file); err == nil {
		err = readErr
	}
	if err != nil {
		result.Outputs = nil
	}
	return result, errors.Join(err, l.outputs.put(file, c.Scratch, ended))
}

// script runs the step's command in a folder.
func (l *Library) script(ctx context.Context, c *pipe.Call, s pipe.Script, dir string) (pipe.Result, error) {
	for text := range strings.Lines(strings.TrimRight(s.Text, "\n")) {
		say(c, "$ %s", strings.TrimRight(text, "\r\n"))
	}
	return l.start(ctx, c, command{args: s.Args, dir: dir, environ: environ(c, s.Environ...), grace: c.Args.Duration(graceArgument.Name)})
}
