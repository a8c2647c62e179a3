// Package scm finds out which revision a checkout is at and whether a remote has
// it, so that everyone can trace what was built to its source. It runs git.
package scm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Checkout is the state of a folder.
type Checkout struct {
	// Revision is the commit; empty if there is none.
	Revision string
	// Branch is empty if no branch is checked out, as in many CI systems.
	Branch string
	// Untraceable is why a build of this checkout cannot be traced to a revision
	// that a remote has; empty if it can.
	Untraceable string
	// Fix lists commands that would change that.
	Fix []string
}

// UntraceableError means that nothing may be built from a checkout, unless the
// run is allowed to be untraceable.
type UntraceableError struct {
	Folder string
	Checkout
}

func (e *UntraceableError) Error() string {
	s := fmt.Sprintf("%s: %s", e.Folder, e.Untraceable)
	if len(e.Fix) > 0 {
		s += "\nTo fix it:\n  " + strings.Join(e.Fix, "\n  ")
	}
	return s
}

// ExitCode is that of the command line.
func (e *UntraceableError) ExitCode() int { return exitcode.Untraceable }

// Hint implements pipe.Hinted.
func (e *UntraceableError) Hint() pipe.Hint { return pipe.HintAllowUnpushed }

// repositoryVariables would make git use another git repository than that of
// the folder it runs in. They are set if a git hook starts the run.
var repositoryVariables = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
	"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
}

// Environ returns an environment to run git in: with the git repository of the
// folder, without asking for passwords, and with messages in English.
func Environ(environ []string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(repositoryVariables, name)
	})
	return append(kept, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
}

// git runs git in a folder.
type git struct {
	folder  string
	environ []string
	network Network
}

// errNoGit means that git is not installed.
var errNoGit = errors.New("git: command not found")

// run returns what git prints, and whether it succeeded.
func (g git) run(ctx context.Context, args ...string) (string, bool, error) {
	var out, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args:    append([]string{"git", "-C", g.folder}, args...),
		Environ: g.environ, Stdout: &out, Stderr: &problem, Grace: time.Second,
	})
	var exit *process.ExitError
	var missing *process.NotFoundError
	switch {
	case errors.As(err, &missing):
		return "", false, errNoGit
	case errors.As(err, &exit):
		return strings.TrimSpace(problem.String()), false, nil
	case err != nil:
		return "", false, err
	}
	return strings.TrimRight(out.String(), "\n"), true, nil
}

// Inspect returns the state of the checkout that a folder is in. Problems of the
// checkout are part of its state; the error means that git could not be run.
//
// A revision counts as pushed if a branch or a tag of a remote contains it; see pushed.go.
func Inspect(ctx context.Context, folder string, environ []string, network Network) (Checkout, error) {
	g := git{folder: folder, environ: Environ(environ), network: network}
	c, err := g.inspect(ctx)
	if errors.Is(err, errNoGit) {
		return Checkout{Untraceable: "git is not installed, so the revision is unknown", Fix: []string{"install git"}}, nil
	}
	if err != nil {
		return c, fmt.Errorf("inspect the checkout %s: %w", folder, err)
	}
	return c, nil
}

func (g git) inspect(ctx context.Context) (c Checkout, err error) {
	problem, ok, err := g.run(ctx, "rev-parse", "--is-inside-work-tree")
	if err != nil {
		return c, err
	}
	if !ok {
		c.Untraceable = "it is not in a git repository"
		c.Fix = []string{"git init && git add -A && git commit -m 'first'", "git remote add origin URL", "git push -u origin HEAD"}
		if strings.Contains(problem, "dubious ownership") {
			c.Untraceable = "git refuses the git repository because it belongs to another user"
			c.Fix = []string{"git config --global --add safe.directory " + g.folder}
		}
		return c, nil
	}
	c.Revision, ok, err = g.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		return c, err
	}
	if !ok {
		c.Revision, c.Untraceable = "", "nothing has been committed yet"
		c.Fix = []string{"git add -A && git commit -m 'first'", "git push -u origin HEAD"}
		return c, nil
	}
	if branch, ok, err := g.run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD"); err != nil {
		return c, err
	} else if ok {
		c.Branch = branch
	}
	changes, ok, err := g.run(ctx, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return c, err
	}
	if !ok {
		return c, fmt.Errorf("git status: %s", changes)
	}
	if changes != "" {
		c.Untraceable = fmt.Sprintf("it differs from its revision %s: %s", text.Revision(c.Revision), text.ListSome(changedFiles(changes), 3))
		c.Fix = []string{"git add -A && git commit", "git push", "or set the changes aside: git stash --include-untracked"}
		return c, nil
	}
	return g.pushed(ctx, c)
}

// changedFiles returns the files that git status --porcelain lists.
func changedFiles(status string) []string {
	files := strings.Split(status, "\n")
	for i, line := range files {
		files[i] = strings.TrimSpace(line[min(len(line), 3):])
	}
	return files
}

func (g git) pushed(ctx context.Context, c Checkout) (Checkout, error) {
	remotes, _, err := g.run(ctx, "remote")
	if err != nil {
		return c, err
	}
	if remotes == "" {
		c.Untraceable = fmt.Sprintf("the git repository has no remote, so others cannot see revision %s", text.Revision(c.Revision))
		c.Fix = []string{"git remote add origin URL", "git push -u origin HEAD"}
		return c, nil
	}
	all := strings.Fields(remotes)
	for _, remote := range all {
		if has, err := g.tracks(ctx, remote, c.Revision); err != nil || has {
			return c, err
		}
	}
	var unreachable []string
	for _, remote := range g.order(ctx, all, c.Branch) {
		var has bool
		var problem string
		err := g.network.Ask(ctx, "the remote "+remote, func(ctx context.Context) (err error) {
			has, problem, err = g.has(ctx, remote, c.Revision)
			return err
		})
		var silent *SilentError
		switch {
		case errors.As(err, &silent):
			unreachable = append(unreachable, err.Error())
		case err != nil:
			return c, err
		case has:
			return c, nil
		case problem != "":
			unreachable = append(unreachable, remote+": "+problem)
		}
	}
	c.Untraceable = fmt.Sprintf("revision %s has not been pushed", text.Revision(c.Revision))
	c.Fix = []string{"git push"}
	if c.Branch == "" {
		c.Fix = []string{"git switch -c BRANCH && git push -u origin BRANCH"}
	} else if _, ok, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "@{upstream}"); err == nil && !ok {
		c.Fix = []string{"git push -u origin " + c.Branch}
	}
	if len(unreachable) > 0 {
		c.Untraceable = fmt.Sprintf("it is unknown whether revision %s was pushed, because the remote could not be reached: %s",
			text.Revision(c.Revision), strings.Join(unreachable, "; "))
		c.Fix = append(c.Fix, "or find out why the remote could not be reached: git ls-remote")
	}
	return c, nil
}

// order puts the remote that the branch is pushed to first, then origin.
func (g git) order(ctx context.Context, remotes []string, branch string) []string {
	first := "origin"
	if name, ok, err := g.run(ctx, "config", "--get", "branch."+branch+".remote"); err == nil && ok {
		first = name
	}
	slices.SortStableFunc(remotes, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == first:
			return -1
		case b == first:
			return 1
		}
		return 0
	})
	return remotes
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
