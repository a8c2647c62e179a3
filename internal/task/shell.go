package task

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// shellArgument is an argument of all tasks that run a command.
var shellArgument = pipe.Argument{
	Name: "shell", Kind: pipe.Shell,
	Summary: "The shell for a command that is a text: sh (the default) or bash, which end at the first command that fails, " +
		"or a list of a program and its options, such as [zsh, -e, -c].",
}

// script runs the step's command in a folder.
func (r *Registry) script(ctx context.Context, c *pipe.Call, s pipe.Script, dir string) (pipe.Result, error) {
	args, prompt := s.Args, ""
	if len(args) == 0 {
		shell, err := r.shell(ctx, c, s.Text)
		if err != nil {
			return pipe.Result{}, err
		}
		if args = strings.Fields(s.Text); len(shell) > 0 {
			args, prompt = append(shell, s.Text), strings.TrimSuffix(strings.Join(shell, " "), " -c")+" "
		}
	}
	for text := range strings.Lines(strings.TrimRight(s.Text, "\n")) {
		printf(c, "%s$ %s", prompt, strings.TrimRight(text, "\r\n"))
	}
	for _, variable := range s.Environ {
		printf(c, "  %s", shown(variable))
	}
	return r.start(ctx, c, command{
		args: args, dir: dir, environ: environ(c, s.Environ...), grace: c.Args.Duration(graceArgument.Name),
	})
}

// described returns a command and its variables on one line.
func described(s pipe.Script) string {
	line := text.Line(s.Text)
	for i, variable := range s.Environ {
		line += []string{" with ", ", "}[min(i, 1)] + shown(variable)
	}
	return line
}

// shown returns a variable with its value if that is short and on one line: a part of a secret
// would not be masked.
func shown(variable string) string {
	const limit = 200
	name, value, _ := strings.Cut(variable, "=")
	if len(value) > limit || strings.ContainsAny(value, "\r\n") {
		return name + ": " + text.Count(len(value), "byte")
	}
	return name + "=" + value
}

// shell returns the program and the options that a text for the shell follows. They are empty
// if the shell would only start a program: that is faster without it, and a missing program
// is found before the start.
func (r *Registry) shell(ctx context.Context, c *pipe.Call, text string) ([]string, error) {
	if c.Args.Has(shellArgument.Name) {
		return c.Args.List(shellArgument.Name), nil
	}
	if words := strings.Fields(text); plainCommand.MatchString(text) && !slices.Contains(shellWords, words[0]) {
		return nil, nil
	}
	has, err := r.pipefail(ctx, c)
	if err == nil && has {
		return []string{"sh", "-e", "-o", "pipefail", "-c"}, nil
	}
	return []string{"sh", "-e", "-c"}, err
}

// plainCommand matches a text that a shell would only split into words.
var plainCommand = regexp.MustCompile(`^[A-Za-z0-9_./-]+( +[A-Za-z0-9_@%+=:,./-]+)*$`)

// shellWords are the commands that are built into the shell.
var shellWords = strings.Fields(`. alias bg break case cd command continue do done elif else esac eval exec exit export fc fg fi for
	getopts hash if jobs local read readonly return set shift then times trap type ulimit umask unalias unset until wait while`)

// pipefail reports whether sh has the option pipefail, which POSIX has since 2024.
func (r *Registry) pipefail(ctx context.Context, c *pipe.Call) (bool, error) {
	_, err := process.Run(ctx, process.Command{
		Args: []string{"sh", "-c", "set -o pipefail"}, Dir: c.Folder, Environ: c.Environ, Stdout: io.Discard, Stderr: io.Discard,
	})
	var exit *process.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}
