package scm

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// PushedVariable is the environment variable with further patterns of refs whose commits count
// as pushed: "refs/pull/*". It is not a setting of .delivery.yml, because a pull request could
// change that.
const PushedVariable = "DELIVERY_PUSHED_REFS"

// pushedRefs returns the patterns of a remote's refs whose commits count as pushed: branches
// and tags, which only those who may push can change. That a server hands a commit out by its
// ID proves nothing: it may be that of a pull request, or of a fork.
func (g git) pushedRefs() []string {
	refs := []string{"refs/heads/*", "refs/tags/*"}
	for _, entry := range g.environ {
		if name, value, _ := strings.Cut(entry, "="); name == PushedVariable {
			for _, pattern := range strings.Fields(strings.ReplaceAll(value, ",", " ")) {
				if strings.HasPrefix(pattern, "refs/") {
					refs = append(refs, pattern)
				}
			}
		}
	}
	return refs
}

// matches reports whether a ref matches one of the patterns. A * matches slashes, too, as in
// the refspecs of git.
func matches(patterns []string, ref string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		before, after, wild := strings.Cut(pattern, "*")
		return ref == pattern || wild && len(ref) >= len(before)+len(after) && strings.HasPrefix(ref, before) && strings.HasSuffix(ref, after)
	})
}

// tracks reports whether a remote-tracking ref of a remote contains a revision, and stands for
// a ref whose commits count as pushed. By its refspecs, refs/remotes may hold pull requests.
func (g git) tracks(ctx context.Context, remote, revision string) (bool, error) {
	refs, ok, err := g.run(ctx, "for-each-ref", "--format=%(refname)", "--contains", revision, "refs/remotes")
	if err != nil || !ok || refs == "" {
		return false, err
	}
	specs, ok, err := g.run(ctx, "config", "--get-all", "remote."+remote+".fetch")
	if err != nil || !ok {
		return false, err
	}
	patterns := g.pushedRefs()
	for _, ref := range strings.Split(refs, "\n") {
		for _, spec := range strings.Split(specs, "\n") {
			if source, ok := sourceOf(spec, ref); ok && matches(patterns, source) {
				return true, nil
			}
		}
	}
	return false, nil
}

// sourceOf returns the ref of the remote that a refspec maps to a remote-tracking ref.
func sourceOf(spec, ref string) (source string, ok bool) {
	from, to, ok := strings.Cut(strings.TrimPrefix(spec, "+"), ":")
	if !ok {
		return "", false
	}
	before, after, wild := strings.Cut(to, "*")
	if !wild {
		return from, to == ref
	}
	if len(ref) < len(before)+len(after) || !strings.HasPrefix(ref, before) || !strings.HasSuffix(ref, after) {
		return "", false
	}
	return strings.Replace(from, "*", ref[len(before):len(ref)-len(after)], 1), true
}

// has asks a remote whether a revision is reachable from a ref whose commits count as pushed.
// The problem is why that is unknown.
func (g git) has(ctx context.Context, remote, revision string) (has bool, problem string, err error) {
	patterns := g.pushedRefs()
	var refs string
	answered := false
	err = g.network.Ask(ctx, "the remote "+remote, AnswerLimit, func(ctx context.Context) (err error) {
		refs, answered, err = g.run(ctx, append([]string{"ls-remote", "--quiet", remote}, patterns...)...)
		return err
	})
	if err != nil || !answered {
		return false, lastLine(refs), err
	}
	var tips []string
	for line := range strings.Lines(refs) {
		tip, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if matches(patterns, strings.TrimSuffix(ref, "^{}")) { // ls-remote matches the end of a name as well
			tips = append(tips, tip)
		}
	}
	if len(tips) == 0 || slices.Contains(tips, revision) {
		return len(tips) > 0, "", nil
	}
	if has, err := g.contained(ctx, revision, tips); err != nil || has {
		return has, "", err
	}
	err = g.network.Ask(ctx, "the commits of the remote "+remote, FetchLimit, func(ctx context.Context) (err error) {
		has, problem, err = g.reachable(ctx, remote, revision, patterns)
		return err
	})
	return has, problem, err
}

// contained reports whether the history of one of the tips contains a revision, as far as
// the clone has them. One process answers for all tips: a remote may have thousands.
func (g git) contained(ctx context.Context, revision string, tips []string) (bool, error) {
	input := revision + "\n^" + strings.Join(tips, "\n^") + "\n"
	// It prints the revision unless a tip has it.
	out, ok, err := g.runWith(ctx, input, "rev-list", "--max-count=1", "--ignore-missing", "--stdin")
	return ok && out == "", err
}

// reachable fetches the commits of a remote's refs, without trees and files, and reports
// whether they contain a revision. The clone may not have them: CI systems fetch one commit.
// They go to a git repository of their own, so that the checkout stays as it is.
func (g git) reachable(ctx context.Context, remote, revision string, patterns []string) (has bool, problem string, err error) {
	folder, err := os.MkdirTemp("", "delivery-fetch-")
	if err != nil {
		return false, "", err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is a temporary folder
	root, ok, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil || !ok {
		return false, root, err
	}
	settings, err := g.settings(ctx)
	if err != nil {
		return false, "", err
	}
	// Relative URLs of remotes are relative to the root of the checkout.
	fetching := git{folder: root, environ: slices.Concat(g.environ, settings, []string{"GIT_NO_LAZY_FETCH=1"})}
	if text, ok, err := (git{folder: folder, environ: g.environ}).run(ctx, "init", "--quiet", "--bare"); err != nil || !ok {
		return false, lastLine(text), err
	}
	args := []string{"--git-dir=" + folder, "fetch", "--quiet", "--no-tags", "--refmap=", "--filter=tree:0", "--no-recurse-submodules",
		"--no-auto-maintenance", "--no-write-fetch-head", remote}
	for _, pattern := range patterns {
		args = append(args, "+"+pattern+":refs/delivery/"+strings.TrimPrefix(pattern, "refs/"))
	}
	if text, ok, err := fetching.run(ctx, args...); err != nil || !ok {
		return false, lastLine(text), err
	}
	found, ok, err := fetching.run(ctx, "--git-dir="+folder, "for-each-ref", "--count=1", "--contains", revision)
	return ok && found != "", "", err // it fails if no ref has the commit
}

// settings returns the effective git configuration of the checkout as an environment, so that
// another git repository reaches its remotes with the same proxies and credentials. It does
// not show in the list of processes.
func (g git) settings(ctx context.Context) (environ []string, err error) {
	list, ok, err := g.run(ctx, "config", "--list", "--null", "--includes")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("git config: %s", lastLine(list))
	}
	n := 0
	add := func(key, value string) {
		environ = append(environ, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, value))
		n++
	}
	for _, entry := range strings.Split(list, "\x00") {
		key, value, set := strings.Cut(entry, "\n")
		if key == "" || aboutCheckout(key) {
			continue
		}
		if !set {
			value = "true"
		}
		add(key, value)
	}
	add("core.hooksPath", os.DevNull)
	return append(environ, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1"), nil
}

// aboutCheckout reports whether a setting describes the checkout itself.
func aboutCheckout(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	name := path.Ext(key)
	switch section {
	case "core":
		return slices.Contains([]string{".bare", ".worktree", ".repositoryformatversion", ".hookspath", ".fsmonitor", ".sparsecheckout"}, name)
	case "remote":
		return slices.Contains([]string{".promisor", ".partialclonefilter", ".fetch", ".mirror", ".prune", ".tagopt"}, name)
	case "extensions", "fetch", "include", "includeif", "submodule", "gc", "maintenance":
		return true
	}
	return false
}
