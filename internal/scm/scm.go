// Package scm finds out which revision a checkout is at and whether a remote has
// it, so that everyone can trace what was built to its source. It runs git.
package scm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
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
	return g.runWith(ctx, "", args...)
}

// runWith is run with a standard input.
func (g git) runWith(ctx context.Context, input string, args ...string) (string, bool, error) {
	var out, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args:    append([]string{"git", "-C", g.folder}, args...),
		Environ: g.environ, Stdin: strings.NewReader(input), Stdout: &out, Stderr: &problem, Grace: time.Second,
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

// Ignores reports whether the git repository that a folder is in ignores a folder at path,
// which need not exist.
func Ignores(ctx context.Context, folder string, environ []string, path string) (bool, error) {
	_, ok, err := git{folder: folder, environ: Environ(environ)}.run(ctx, "check-ignore", "--quiet", "--", strings.TrimSuffix(path, "/")+"/")
	return ok, err
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
			c.Fix = []string{"git config --global --add safe.directory " + text.ShellWord(refusedFolder(problem, g.folder))}
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
	changes, ok, err := g.run(ctx, "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none")
	if err != nil {
		return c, err
	}
	if !ok {
		return c, fmt.Errorf("git status: %s", changes)
	}
	if changed, untracked := changedFiles(changes); len(changed)+len(untracked) > 0 {
		c.Untraceable = fmt.Sprintf("it differs from its revision %s: %s",
			text.Revision(c.Revision), text.ListSome(append(changed, untracked...), 3))
		c.Fix = []string{"git add -A && git commit", "git push"}
		if len(untracked) > 0 { // a stash would put away a new .delivery.yml as well
			c.Fix = append(c.Fix, "or, for files that are made here, list them in .gitignore first")
		} else {
			c.Fix = append(c.Fix, "or set the changes aside: git stash")
		}
		return c, nil
	}
	if c, err = g.pushed(ctx, c); err != nil || c.Untraceable != "" {
		return c, err
	}
	return g.inspectSubmodules(ctx, c)
}

// refusedFolder returns the folder that git refuses because of its owner: that of the git
// repository, which may be above the folder that git runs in.
func refusedFolder(problem, folder string) string {
	_, after, _ := strings.Cut(problem, "repository at '")
	if named, _, ok := strings.Cut(after, "'"); ok {
		return named
	}
	return folder
}

// changedFiles returns the files that git status --porcelain -z lists, the untracked ones
// separately. Those that Terraform makes for itself do not count, as if git ignored them:
// what was downloaded, and a new lock file.
func changedFiles(status string) (changed, untracked []string) {
	entries := strings.Split(strings.TrimRight(status, "\x00"), "\x00")
	for i := 0; i < len(entries); i++ {
		entry := entries[i]
		name := entry[min(len(entry), 3):]
		switch base := path.Base(name); {
		case name == "":
		case !strings.HasPrefix(entry, "??"):
			changed = append(changed, name)
		case base != ".terraform" && base != ".terraform.lock.hcl":
			untracked = append(untracked, name)
		}
		if strings.ContainsAny(entry[:min(len(entry), 2)], "RC") {
			i++ // the next entry is the name before
		}
	}
	return changed, untracked
}

// inspectSubmodules returns c, untraceable if the commit of a submodule was not pushed to
// the submodule's own remote. A submodule that is not checked out is not part of what is
// built here.
func (g git) inspectSubmodules(ctx context.Context, c Checkout) (Checkout, error) {
	root, ok, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil || !ok {
		return c, err
	}
	index, ok, err := git{folder: root, environ: g.environ}.run(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return c, err
	}
	if !ok {
		return c, fmt.Errorf("git ls-files: %s", index)
	}
	for entry := range strings.SplitSeq(index, "\x00") {
		about, name, _ := strings.Cut(entry, "\t")
		if !strings.HasPrefix(about, submoduleMode) {
			continue
		}
		sub := git{folder: filepath.Join(root, filepath.FromSlash(name)), environ: g.environ, network: g.network}
		if _, err := os.Lstat(filepath.Join(sub.folder, ".git")); err != nil {
			continue // it is not checked out
		}
		inside, err := sub.inspect(ctx)
		if err != nil {
			return c, err
		}
		if inside.Untraceable != "" {
			c.Untraceable = fmt.Sprintf("submodule %s: %s", name, inside.Untraceable)
			c.Fix = append(inSubmodule(name, inside.Fix), "git push")
			return c, nil
		}
	}
	return c, nil
}

// submoduleMode is the mode of a submodule in git's index.
const submoduleMode = "160000 "

// inSubmodule returns commands that are to be run in a submodule.
func inSubmodule(name string, commands []string) []string {
	return append([]string{"cd " + text.ShellWord(name)}, append(slices.Clone(commands), "cd -")...)
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
		has, problem, err := g.has(ctx, remote, c.Revision)
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
