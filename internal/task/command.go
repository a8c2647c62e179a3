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
	"syscall"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

// Arguments of all tasks that run programs.
var (
	folderArgument = pipe.Argument{
		Name: "folder", Kind: pipe.Text, Summary: "The folder to run in, relative to the root of the checkout, which is the default.",
	}
	envArgument   = pipe.Argument{Name: "env", Kind: pipe.Variables, Summary: "Environment variables to add."}
	graceArgument = pipe.Argument{
		Name: "grace", Kind: pipe.Duration,
		Summary: "How long the command may take to end after an interrupt, by default 10s. Give more time to one that saves its work first.",
	}
)

// folder returns the folder to run in, which has to exist.
func folder(c *pipe.Call) (string, error) {
	path := resolve(c.Folder, c.Args.Text(folderArgument.Name))
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

// lacking returns what finds a step's missing folder and program. The program is that of
// the argument, or else one of the defaults; without defaults, none is looked for. One that
// is named by a path may be made by an earlier step.
func lacking(argument string, defaults ...string) func(c *pipe.Call, known func(name string) bool) pipe.Lacking {
	return func(c *pipe.Call, known func(name string) bool) (lacks pipe.Lacking) {
		if known(folderArgument.Name) {
			named := c.Args.Text(folderArgument.Name)
			if _, err := os.Stat(resolve(c.Folder, named)); errors.Is(err, os.ErrNotExist) {
				lacks.Folder = named
			}
		}
		if len(defaults) == 0 || !known(argument) {
			return lacks
		}
		names := defaults
		if named := c.Args.Text(argument); named != "" {
			names = []string{named}
		}
		if _, err := findProgram(c, names); err != nil && !strings.ContainsRune(filepath.ToSlash(names[0]), '/') {
			lacks.Program = strings.Join(names, " or ")
		}
		return lacks
	}
}

// resolve returns a path that may be relative to a folder.
func resolve(folder, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(folder, path)
}

// program returns how to start a program that an argument names: a path is
// relative to the root of the checkout, any other name is looked up on PATH.
func program(c *pipe.Call, name string) string {
	if strings.ContainsRune(filepath.ToSlash(name), '/') {
		return resolve(c.Folder, name)
	}
	return name
}

// environ returns the environment of a program that a task starts.
func environ(c *pipe.Call, more ...string) []string {
	all := slices.Clone(c.Environ)
	all = append(all, more...)
	env := c.Args.Table("env")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// command is a program that may set outputs.
type command struct {
	args    []string
	dir     string
	environ []string
	stdin   io.Reader
	grace   time.Duration
}

// start runs a command, which prints to the step's output, and returns the
// outputs that it set.
func (r *Registry) start(ctx context.Context, c *pipe.Call, cmd command) (result pipe.Result, err error) {
	file, err := r.outputs.take(c.Scratch)
	if err != nil {
		return result, err
	}
	secretsFile, err := r.outputs.take(c.Scratch)
	if err != nil {
		return result, err
	}
	secrets, err := readSecrets(secretsFile, c.AddSecret, c.Output)
	if err != nil {
		return result, err
	}
	ended, err := process.Run(ctx, process.Command{
		Args: cmd.args, Dir: cmd.dir,
		Environ: append(slices.Clone(cmd.environ), outputVariable+"="+file, secretsVariable+"="+secretsFile),
		Stdin:   cmd.stdin, Stdout: secrets, Stderr: secrets, Grace: cmd.grace,
	})
	err = errors.Join(secrets.Close(), err)
	if ended.LeftBehind {
		result.Warnings = append(result.Warnings, "it left processes running when it ended; they were ended too")
	}
	if ended.Forced {
		result.Warnings = append(result.Warnings, "it did not end when it was interrupted, and was killed")
	}
	if err == nil {
		result.Outputs, err = readOutputs(ctx, file, c.Mask)
	}
	err = tooLong(c, err, slices.Concat(cmd.args, cmd.environ))
	return result, errors.Join(err, r.outputs.put(file, c.Scratch, ended), r.outputs.put(secretsFile, c.Scratch, ended))
}

// tooLong explains the error of a program that was not started since its arguments and
// variables are too long for the system.
func tooLong(c *pipe.Call, err error, texts []string) error {
	if !errors.Is(err, syscall.E2BIG) {
		return err
	}
	longest := ""
	for _, text := range texts {
		if len(text) > len(longest) {
			longest = text
		}
	}
	what := "one of them"
	if name, _, ok := strings.Cut(longest, "="); ok && len(name) < 100 {
		what = name
	}
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		if value := c.Values[name]; len(value) > len(longest)/2 && strings.Contains(longest, value) {
			what = "the value " + name
		}
	}
	return fmt.Errorf("the arguments and variables of the command are too long for the system; the longest is %s, with %d bytes: "+
		"write it to a file in the step that makes it, and give the command the name of the file (%w)", what, len(longest), err)
}
