package scm_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// environ keeps git from reading the configuration of the user.
func environ(t *testing.T) []string {
	t.Helper()
	return append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir(),
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
}

func git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder, "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = environ(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// origin makes a remote, and a clone of it with three pushed commits.
func origin(t *testing.T) (remote, clone string) {
	t.Helper()
	folder := t.TempDir()
	remote, clone = filepath.Join(folder, "remote.git"), filepath.Join(folder, "clone")
	git(t, folder, "init", "--quiet", "--bare", "--initial-branch=main", remote)
	git(t, folder, "clone", "--quiet", remote, clone)
	git(t, clone, "switch", "--quiet", "-c", "main")
	for _, text := range []string{"1", "2", "3"} {
		commit(t, clone, text)
	}
	git(t, clone, "push", "--quiet", "-u", "origin", "main")
	return remote, clone
}

func commit(t *testing.T, clone, text string) {
	t.Helper()
	write(t, filepath.Join(clone, "file"), text)
	git(t, clone, "add", "-A")
	git(t, clone, "commit", "--quiet", "-m", text)
}

func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name string
		// make returns the folder to inspect.
		make   func(t *testing.T) string
		says   string
		fix    string
		branch string
	}{
		{"Pushed", func(t *testing.T) string { _, clone := origin(t); return clone }, "", "", "main"},
		{"Subfolder", func(t *testing.T) string {
			_, clone := origin(t)
			folder := filepath.Join(clone, "sub")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			return folder
		}, "", "", "main"},
		{"PushedThenMoved", func(t *testing.T) string {
			_, clone := origin(t)
			git(t, clone, "switch", "--quiet", "--detach", "HEAD~1")
			return clone
		}, "", "", ""},
		{"NoRepository", func(t *testing.T) string { return t.TempDir() }, "it is not in a git repository", "git init", ""},
		{"NoCommit", func(t *testing.T) string {
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			return folder
		}, "nothing has been committed", "git commit", ""},
		{"Changed", func(t *testing.T) string {
			_, clone := origin(t)
			write(t, filepath.Join(clone, "file"), "changed")
			return clone
		}, "it differs from its revision", "git stash", "main"},
		{"Untracked", func(t *testing.T) string {
			_, clone := origin(t)
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				write(t, filepath.Join(clone, name), name)
			}
			return clone
		}, "a, b, c and 2 more", ".gitignore", "main"},
		{"Ignored", func(t *testing.T) string {
			_, clone := origin(t)
			write(t, filepath.Join(clone, ".git", "info", "exclude"), "built\n")
			write(t, filepath.Join(clone, "built"), "x")
			return clone
		}, "", "", "main"},
		{"MadeByTerraform", func(t *testing.T) string {
			_, clone := origin(t)
			if err := os.MkdirAll(filepath.Join(clone, "environment", ".terraform", "providers"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(clone, "environment", "main.tf"), "")
			git(t, clone, "add", "-A")
			git(t, clone, "commit", "--quiet", "-m", "4")
			git(t, clone, "push", "--quiet")
			write(t, filepath.Join(clone, "environment", ".terraform.lock.hcl"), "x")
			write(t, filepath.Join(clone, "environment", ".terraform", "providers", "x"), "x")
			return clone
		}, "", "", "main"},
		{"LockFileChanged", func(t *testing.T) string {
			_, clone := origin(t)
			write(t, filepath.Join(clone, ".terraform.lock.hcl"), "x")
			git(t, clone, "add", "-A")
			git(t, clone, "commit", "--quiet", "-m", "4")
			git(t, clone, "push", "--quiet")
			write(t, filepath.Join(clone, ".terraform.lock.hcl"), "y")
			return clone
		}, "it differs from its revision", "git stash", "main"},
		{"NoRemote", func(t *testing.T) string {
			folder := t.TempDir()
			git(t, folder, "init", "--quiet", "--initial-branch=main")
			commit(t, folder, "1")
			return folder
		}, "has no remote", "git remote add origin", "main"},
		{"Unpushed", func(t *testing.T) string {
			_, clone := origin(t)
			commit(t, clone, "4")
			return clone
		}, "has not been pushed", "git push", "main"},
		{"UnpushedDetached", func(t *testing.T) string {
			_, clone := origin(t)
			git(t, clone, "switch", "--quiet", "--detach")
			commit(t, clone, "4")
			return clone
		}, "has not been pushed", "git switch -c", ""},
		{"UnpushedBranch", func(t *testing.T) string {
			_, clone := origin(t)
			git(t, clone, "switch", "--quiet", "-c", "topic")
			commit(t, clone, "4")
			return clone
		}, "has not been pushed", "git push -u origin topic", "topic"},
		{"PushedElsewhere", func(t *testing.T) string {
			// By URL, so that no remote-tracking branch is updated.
			remote, clone := origin(t)
			commit(t, clone, "4")
			git(t, clone, "push", "--quiet", remote, "HEAD:refs/heads/other")
			return clone
		}, "", "", "main"},
		{"Shallow", func(t *testing.T) string {
			remote, _ := origin(t)
			folder := filepath.Join(t.TempDir(), "shallow")
			git(t, t.TempDir(), "clone", "--quiet", "--depth=1", "file://"+remote, folder)
			return folder
		}, "", "", "main"},
		{"CI", func(t *testing.T) string {
			// One commit, not the tip of a branch, fetched by its name, detached,
			// without remote-tracking branches.
			remote, clone := origin(t)
			git(t, remote, "config", "uploadpack.allowAnySHA1InWant", "true")
			revision := git(t, clone, "rev-parse", "HEAD~1")
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			git(t, folder, "remote", "add", "origin", "file://"+remote)
			git(t, folder, "fetch", "--quiet", "--depth=1", "origin", revision)
			git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
			return folder
		}, "", "", ""},
		{"CIBranchMovedOn", func(t *testing.T) string {
			// The server hands out no commit by its ID but those of refs.
			remote, clone := origin(t)
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			git(t, folder, "remote", "add", "origin", "file://"+remote)
			git(t, folder, "fetch", "--quiet", "--depth=1", "origin", "main")
			git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
			commit(t, clone, "4")
			git(t, clone, "push", "--quiet")
			return folder
		}, "", "", ""},
		{"Tag", func(t *testing.T) string {
			_, clone := origin(t)
			git(t, clone, "switch", "--quiet", "--detach")
			commit(t, clone, "4")
			git(t, clone, "tag", "-a", "v1", "-m", "v1")
			git(t, clone, "push", "--quiet", "origin", "v1")
			return clone
		}, "", "", ""},
		{"HandedOutByID", func(t *testing.T) string {
			// The remote has the commit, as of a fork that shares its objects, in no ref.
			remote, clone := origin(t)
			git(t, remote, "config", "uploadpack.allowAnySHA1InWant", "true")
			git(t, clone, "switch", "--quiet", "--detach")
			commit(t, clone, "4")
			git(t, clone, "push", "--quiet", "origin", "HEAD:refs/heads/gone")
			git(t, clone, "push", "--quiet", "origin", ":refs/heads/gone")
			return clone
		}, "has not been pushed", "git switch -c", ""},
		{"PullRequest", func(t *testing.T) string { return pullRequest(t, "+refs/heads/*:refs/remotes/origin/*") }, "has not been pushed", "", ""},
		{"PullRequestTracked", func(t *testing.T) string {
			return pullRequest(t, "+refs/pull/*/head:refs/remotes/origin/pr/*")
		}, "has not been pushed", "", ""},
		{"TrackedByNoRefspec", func(t *testing.T) string {
			folder := pullRequest(t, "+refs/heads/*:refs/remotes/origin/*")
			git(t, folder, "update-ref", "refs/remotes/pull/1/merge", "HEAD")
			return folder
		}, "has not been pushed", "", ""},
		{"OwnConfiguration", func(t *testing.T) string {
			// Only the configuration of the checkout knows where the remote is.
			remote, clone := origin(t)
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			git(t, folder, "config", "url.file://"+remote+".insteadOf", "company:app")
			git(t, folder, "remote", "add", "origin", "company:app")
			git(t, folder, "fetch", "--quiet", "--depth=1", "origin", "main")
			git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
			commit(t, clone, "4")
			git(t, clone, "push", "--quiet")
			return folder
		}, "", "", ""},
		{"OwnSSHCommand", func(t *testing.T) string {
			// Only the command in the checkout's configuration reaches the remote.
			remote, clone := origin(t)
			command := filepath.Join(t.TempDir(), "ssh")
			write(t, command, "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n")
			if err := os.Chmod(command, 0o700); err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			git(t, folder, "config", "core.sshCommand", command)
			git(t, folder, "config", "ssh.variant", "simple")
			git(t, folder, "remote", "add", "origin", "ssh://git@nowhere.invalid"+remote)
			git(t, folder, "fetch", "--quiet", "--depth=1", "origin", "main")
			git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
			commit(t, clone, "4")
			git(t, clone, "push", "--quiet")
			return folder
		}, "", "", ""},
		{"Submodule", func(t *testing.T) string { return submodule(t, true) }, "", "", "main"},
		{"SubmoduleUnpushed", func(t *testing.T) string {
			return submodule(t, false)
		}, "submodule libs/one: revision ", "cd libs/one\ngit push\ncd -\ngit push", "main"},
		{"SubmoduleNotCheckedOut", func(t *testing.T) string {
			folder := submodule(t, true)
			git(t, folder, "submodule", "deinit", "--quiet", "--all")
			return folder
		}, "", "", "main"},
		{"SubmoduleChangedSilently", func(t *testing.T) string {
			folder := submodule(t, true)
			git(t, folder, "config", "diff.ignoreSubmodules", "all")
			write(t, filepath.Join(folder, "libs", "one", "file"), "changed")
			return folder
		}, "it differs from its revision", "", "main"},
		{"NamesInOtherAlphabets", func(t *testing.T) string {
			_, clone := origin(t)
			git(t, clone, "mv", "file", "dossier été")
			write(t, filepath.Join(clone, "å ö.txt"), "x")
			return clone
		}, ": dossier été, å ö.txt", "git add -A", "main"},
		{"CIUnpushed", func(t *testing.T) string {
			remote, _ := origin(t)
			folder := t.TempDir()
			git(t, folder, "init", "--quiet")
			git(t, folder, "remote", "add", "origin", "file://"+remote)
			git(t, folder, "fetch", "--quiet", "--depth=1", "origin", "main")
			git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
			commit(t, folder, "by CI")
			return folder
		}, "has not been pushed", "git switch -c", ""},
		{"RemoteIsGone", func(t *testing.T) string {
			remote, clone := origin(t)
			commit(t, clone, "4")
			if err := os.RemoveAll(remote); err != nil {
				t.Fatal(err)
			}
			return clone
		}, "the remote could not be reached: origin: ", "git ls-remote", "main"},
		{"Worktree", func(t *testing.T) string {
			_, clone := origin(t)
			folder := filepath.Join(t.TempDir(), "worktree")
			git(t, clone, "worktree", "add", "--quiet", "--detach", folder, "HEAD~2")
			return folder
		}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := scm.Inspect(t.Context(), tt.make(t), environ(t), scm.Network{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.says == "" && got.Untraceable != "" || !strings.Contains(got.Untraceable, tt.says) ||
				!strings.Contains(strings.Join(got.Fix, "\n"), tt.fix) || got.Branch != tt.branch {
				t.Errorf("got %+v, want %q, a fix with %q, branch %q", got, tt.says, tt.fix, tt.branch)
			}
			if tt.says == "" && len(got.Revision) != 40 {
				t.Errorf("got revision %q", got.Revision)
			}
		})
	}
}

// submodule returns a pushed checkout with a submodule, whose commit was pushed or not.
func submodule(t *testing.T, pushed bool) (folder string) {
	t.Helper()
	inner, _ := origin(t)
	_, folder = origin(t)
	git(t, folder, "submodule", "--quiet", "add", "file://"+inner, "libs/one")
	sub := filepath.Join(folder, "libs", "one")
	commit(t, sub, "4")
	if pushed {
		git(t, sub, "push", "--quiet")
	}
	git(t, folder, "add", "-A")
	git(t, folder, "commit", "--quiet", "-m", "with a submodule")
	git(t, folder, "push", "--quiet", "--recurse-submodules=no")
	return folder
}

// A remote with thousands of refs is asked by a handful of processes.
func TestInspect_ManyRefs(t *testing.T) {
	remote, clone := origin(t)
	var branches strings.Builder
	for i := range 500 {
		fmt.Fprintf(&branches, "commit refs/heads/b%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\nfrom refs/heads/main^0\n\n", i, i)
	}
	input := exec.CommandContext(t.Context(), "git", "-C", remote, "fast-import", "--quiet")
	input.Stdin = strings.NewReader(branches.String())
	if out, err := input.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	git(t, clone, "fetch", "--quiet")
	git(t, clone, "switch", "--quiet", "--detach", "origin/b499")
	for _, ref := range strings.Fields(git(t, clone, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/b499")) {
		git(t, clone, "update-ref", "-d", ref)
	}
	for _, untraceable := range []bool{false, true} {
		t.Run(fmt.Sprintf("Untraceable=%t", untraceable), func(t *testing.T) {
			if untraceable {
				commit(t, clone, "4")
			}
			trace := filepath.Join(t.TempDir(), "trace")
			got, err := scm.Inspect(t.Context(), clone, append(environ(t), "GIT_TRACE2_EVENT="+trace), scm.Network{})
			if err != nil || (got.Untraceable != "") != untraceable {
				t.Errorf("got %+v and %v", got, err)
			}
			events, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(events), `"event":"start"`); n > 30 {
				t.Errorf("git was started %d times", n)
			}
		})
	}
}

// The folder that git wants to be told of is the top of the git repository.
func TestInspect_OtherOwner(t *testing.T) {
	_, clone := origin(t)
	folder := filepath.Join(clone, "services", "a")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := scm.Inspect(t.Context(), folder, append(environ(t), "GIT_TEST_ASSUME_DIFFERENT_OWNER=1"), scm.Network{})
	want := []string{"git config --global --add safe.directory " + clone}
	if err != nil || !strings.Contains(got.Untraceable, "belongs to another user") || !slices.Equal(got.Fix, want) {
		t.Errorf("got %+v and %v, want the fix %q", got, err, want)
	}
}

func TestInspect_NoGit(t *testing.T) {
	got, err := scm.Inspect(t.Context(), t.TempDir(), []string{"PATH=" + t.TempDir()}, scm.Network{})
	if err != nil || !strings.Contains(got.Untraceable, "git is not installed") {
		t.Errorf("got %+v and %v", got, err)
	}
	text := (&scm.UntraceableError{Folder: "/src", Checkout: got}).Error()
	for _, want := range []string{"/src: git is not installed", "To fix it:\n  install git"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want %q in it", text, want)
		}
	}
}

// Whether a silent remote has the revision is not known.
func TestInspect_SilentRemote(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // of a test
	_, clone := origin(t)
	commit(t, clone, "4")
	git(t, clone, "remote", "set-url", "origin", "http://"+listener.Addr().String()+"/remote.git")
	var reported []string
	got, err := scm.Inspect(t.Context(), clone, environ(t), scm.Network{
		Clock: clock.NewFake(time.Unix(0, 0)), Waiting: func(server string) { reported = append(reported, server) },
	})
	if err != nil || !strings.Contains(got.Untraceable, "it is unknown whether revision") ||
		!strings.Contains(got.Untraceable, "no answer from the remote origin within 10s") {
		t.Errorf("got %+v and %v", got, err)
	}
	if len(reported) != 1 || reported[0] != "the remote origin" {
		t.Errorf("reported %q", reported)
	}
}

// pullRequest returns a checkout of a commit that only a pull request of the remote has.
func pullRequest(t *testing.T, refspec string) (folder string) {
	t.Helper()
	remote, clone := origin(t)
	git(t, remote, "config", "uploadpack.allowAnySHA1InWant", "true")
	git(t, clone, "switch", "--quiet", "--detach")
	commit(t, clone, "4")
	git(t, clone, "push", "--quiet", "origin", "HEAD:refs/pull/1/head")
	folder = t.TempDir()
	git(t, folder, "init", "--quiet")
	git(t, folder, "remote", "add", "origin", "file://"+remote)
	git(t, folder, "config", "remote.origin.fetch", refspec)
	git(t, folder, "fetch", "--quiet", "origin")
	git(t, folder, "fetch", "--quiet", "origin", "refs/pull/1/head")
	git(t, folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
	return folder
}

// Pull requests count by a setting of the machine.
func TestInspect_PullRequestsAllowed(t *testing.T) {
	for name, refspec := range map[string]string{
		"Asked": "+refs/heads/*:refs/remotes/origin/*", "Tracked": "+refs/pull/*/head:refs/remotes/origin/pr/*",
	} {
		t.Run(name, func(t *testing.T) {
			folder := pullRequest(t, refspec)
			got, err := scm.Inspect(t.Context(), folder, append(environ(t), scm.PushedVariable+"=refs/pull/*"), scm.Network{})
			if err != nil || got.Untraceable != "" {
				t.Errorf("got %+v and %v, want that it counts as pushed", got, err)
			}
		})
	}
}

// Asking leaves nothing in the checkout, which would change how git works there.
func TestInspect_ChangesNothing(t *testing.T) {
	folder := pullRequest(t, "+refs/heads/*:refs/remotes/origin/*")
	before := git(t, folder, "for-each-ref") + git(t, folder, "config", "--list", "--local")
	if _, err := scm.Inspect(t.Context(), folder, environ(t), scm.Network{}); err != nil {
		t.Fatal(err)
	}
	if after := git(t, folder, "for-each-ref") + git(t, folder, "config", "--list", "--local"); after != before {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
}
