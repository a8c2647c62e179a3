// Package scm says which revision a checkout is at, and whether a remote has
// it, so that what is built can be traced to what everybody can see. It asks git.
package scm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

// Checkout is what is known of a folder.
type Checkout struct {
	// Revision is the commit; empty if there is none.
	Revision string
	// Branch is empty where no branch is checked out, as by many CI systems.
	Branch string
	// Untraceable says why what is built here cannot be traced to a revision
	// that a remote has; empty if it can.
	Untraceable string
	// Mend are commands that would change that.
	Mend []string
}

// UntraceableError says that a checkout must not be built from.
type UntraceableError struct {
	Folder string
	Checkout
}

func (e *UntraceableError) Error() string {
	s := fmt.Sprintf("%s: %s", e.Folder, e.Untraceable)
	if len(e.Mend) > 0 {
		s += "\nTo mend it:\n  " + strings.Join(e.Mend, "\n  ")
	}
	return s + "\nOr run it with --allow-unpushed: it is then marked as untraceable, and its version cannot be promoted."
}

// repositoryVariables would have git work on another repository than that of
// the folder it runs in: whoever runs this may be a hook of one.
var repositoryVariables = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
}

// Environ is an environment to run git in: on the repository of the folder, by
// nobody who could be asked for a password, and with messages in English.
func Environ(environ []string) []string {
	own := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(repositoryVariables, name)
	})
	return append(own, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
}

// git runs git in a folder.
type git struct {
	folder  string
	environ []string
}

// errNoGit says that the program is missing.
var errNoGit = errors.New("git: command not found")

// run returns what git prints, and whether it said yes.
func (g git) run(ctx context.Context, args ...string) (string, bool, error) {
	var out, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args: append([]string{"git", "-C", g.folder}, args...), Environ: g.environ, Stdout: &out, Stderr: &problem, Grace: time.Second,
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

// networkPatience is how long a remote may take to answer.
const networkPatience = 30 * time.Second

// Look looks at the checkout that a folder is in. The error is only that it
// could not look; what is wrong with the checkout is in it.
//
// A revision counts as pushed if a remote-tracking branch or a ref of the
// remote holds it, or the remote hands it out when asked for it by name. The
// last is for shallow clones at no branch's end, as CI systems make them.
func Look(ctx context.Context, folder string, environ []string) (Checkout, error) {
	g := git{folder: folder, environ: Environ(environ)}
	c, err := g.look(ctx)
	if errors.Is(err, errNoGit) {
		return Checkout{Untraceable: "git is not installed, so the revision is unknown", Mend: []string{"install git"}}, nil
	}
	if err != nil {
		return c, fmt.Errorf("look at the checkout %s: %w", folder, err)
	}
	return c, nil
}

func (g git) look(ctx context.Context) (c Checkout, err error) {
	problem, ok, err := g.run(ctx, "rev-parse", "--is-inside-work-tree")
	if err != nil {
		return c, err
	}
	if !ok {
		c.Untraceable, c.Mend = "it is in no git repository", []string{"git init && git add -A && git commit -m 'first'", "git remote add origin URL", "git push -u origin HEAD"}
		if strings.Contains(problem, "dubious ownership") {
			c.Untraceable, c.Mend = "git refuses the repository, because it belongs to another user", []string{"git config --global --add safe.directory " + g.folder}
		}
		return c, nil
	}
	c.Revision, ok, err = g.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		return c, err
	}
	if !ok {
		c.Revision, c.Untraceable, c.Mend = "", "nothing has been committed yet", []string{"git add -A && git commit -m 'first'", "git push -u origin HEAD"}
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
		c.Untraceable, c.Mend = "it differs from its revision "+c.Revision[:12]+": "+few(changes), []string{"git add -A && git commit", "git push", "or put it aside: git stash --include-untracked"}
		return c, nil
	}
	return g.pushed(ctx, c)
}

// few lists some of the changed files.
func few(changes string) string {
	lines := strings.Split(changes, "\n")
	files := make([]string, 0, 4)
	for _, line := range lines[:min(len(lines), 3)] {
		files = append(files, strings.TrimSpace(line[min(len(line), 3):]))
	}
	s := strings.Join(files, ", ")
	if more := len(lines) - len(files); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func (g git) pushed(ctx context.Context, c Checkout) (Checkout, error) {
	remotes, _, err := g.run(ctx, "remote")
	if err != nil {
		return c, err
	}
	if remotes == "" {
		c.Untraceable, c.Mend = "the repository has no remote, so nobody else can see revision "+c.Revision[:12], []string{"git remote add origin URL", "git push -u origin HEAD"}
		return c, nil
	}
	tracked, ok, err := g.run(ctx, "for-each-ref", "--count=1", "--contains", c.Revision, "refs/remotes")
	if err != nil {
		return c, err
	}
	if ok && tracked != "" {
		return c, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, networkPatience, errors.New("it took too long"))
	defer cancel()
	var unreachable []string
	for _, remote := range g.order(ctx, strings.Fields(remotes), c.Branch) {
		has, problem, err := g.has(ctx, remote, c.Revision)
		switch {
		case err != nil:
			return c, err
		case has:
			return c, nil
		case problem != "":
			unreachable = append(unreachable, remote+": "+problem)
		}
	}
	c.Untraceable = "revision " + c.Revision[:12] + " has not been pushed"
	c.Mend = []string{"git push"}
	if c.Branch == "" {
		c.Mend = []string{"git switch -c BRANCH && git push -u origin BRANCH"}
	} else if _, ok, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "@{upstream}"); err == nil && !ok {
		c.Mend = []string{"git push -u origin " + c.Branch}
	}
	if len(unreachable) > 0 {
		c.Untraceable = "it is not known whether revision " + c.Revision[:12] + " was pushed, because the remote could not be asked: " + strings.Join(unreachable, "; ")
		c.Mend = append(c.Mend, "or look why it could not be asked: git ls-remote")
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

// has asks a remote for a revision; problem says why it could not be asked.
func (g git) has(ctx context.Context, remote, revision string) (has bool, problem string, err error) {
	refs, ok, err := g.run(ctx, "ls-remote", "--quiet", remote)
	if err != nil || !ok {
		return false, lastLine(refs), err
	}
	for line := range strings.Lines(refs) {
		tip, _, _ := strings.Cut(line, "\t")
		if tip == revision {
			return true, "", nil
		}
		// Of a tip that is not here, this says no.
		if _, ok, err := g.run(ctx, "merge-base", "--is-ancestor", revision, tip); err != nil || ok {
			return ok, "", err
		}
	}
	// In an empty repository, since a fetch passes over what is here already.
	url, ok, err := g.run(ctx, "remote", "get-url", remote)
	if err != nil || !ok {
		return false, url, err
	}
	if !strings.Contains(url, "://") && !strings.Contains(url, ":") && !strings.HasPrefix(url, "/") {
		if root, ok, err := g.run(ctx, "rev-parse", "--show-toplevel"); err == nil && ok {
			url = root + "/" + url
		}
	}
	empty, err := os.MkdirTemp("", "delivery-ask-")
	if err != nil {
		return false, "", err
	}
	defer os.RemoveAll(empty) //nolint:errcheck // in the folder for what may be removed at any time
	asking := git{folder: empty, environ: g.environ}
	if _, ok, err := asking.run(ctx, "init", "--quiet", "--bare"); err != nil || !ok {
		return false, "", err
	}
	_, ok, err = asking.run(ctx, "fetch", "--quiet", "--no-tags", "--depth=1", "--filter=tree:0", url, revision)
	return ok, "", err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
