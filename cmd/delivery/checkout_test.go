package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

// checkout is a pushed checkout with a pipe, and its build data repository.
type checkout struct {
	folder string
	// data is the folder of the repository, and state the folder of runs on this machine.
	data, state string
}

// newCheckout creates a checkout with the given pipe, and sets the environment of the
// command line for it.
func newCheckout(t *testing.T, pipe string) *checkout {
	t.Helper()
	root := t.TempDir()
	c := &checkout{folder: filepath.Join(root, "checkout"), data: filepath.Join(root, "data"), state: filepath.Join(root, "state")}
	for name, value := range map[string]string{
		"DELIVERY_REPOSITORY": c.repository(), "XDG_STATE_HOME": c.state, "XDG_DATA_HOME": filepath.Join(root, "elsewhere"),
		"DELIVERY_LOGS":     "",
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
	} {
		t.Setenv(name, value)
	}
	remote := filepath.Join(root, "remote.git")
	c.git(t, root, "init", "--quiet", "--bare", "--initial-branch=main", remote)
	c.git(t, root, "init", "--quiet", "--initial-branch=main", c.folder)
	c.git(t, c.folder, "remote", "add", "origin", remote)
	c.write(t, ".delivery.yml", "pipe: app\nservice: strawberry\nsecrets: [NEXUS, code]\ncode: nuclear-launch\n")
	c.write(t, "pipes/app.yml", pipe)
	c.push(t)
	return c
}

func (c *checkout) repository() string {
	return "sqlite://" + filepath.ToSlash(filepath.Join(c.data, "delivery.db"))
}

func (c *checkout) git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *checkout) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// push commits everything and pushes it.
func (c *checkout) push(t *testing.T) {
	t.Helper()
	c.git(t, c.folder, "add", "-A")
	c.git(t, c.folder, "commit", "--quiet", "--allow-empty", "-m", "change")
	c.git(t, c.folder, "push", "--quiet", "-u", "origin", "main")
}

// delivery runs the command line in the checkout.
func (c *checkout) delivery(t *testing.T, args ...string) (code int, out, stderr string) {
	t.Helper()
	t.Chdir(c.folder)
	return delivery(t, args...)
}

// run runs "delivery run" with arguments, checks its exit code, and returns the summary.
func (c *checkout) run(t *testing.T, want int, args ...string) pipe.Summary {
	t.Helper()
	code, out, stderr := c.delivery(t, append([]string{"run", "-o", "json"}, args...)...)
	if code != want {
		t.Fatalf("run %v: got exit code %d, want %d:\n%s", args, code, want, stderr)
	}
	var s pipe.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v in %q; stderr:\n%s", err, out, stderr)
	}
	return s
}

// store opens the repository until the end of the test.
func (c *checkout) store(t *testing.T) builddata.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(c.data, "delivery.db"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// events lists the events of a run: "build succeeded".
func (c *checkout) events(t *testing.T, run string) []string {
	t.Helper()
	all, err := c.store(t).Events(t.Context(), builddata.EventQuery{Service: "strawberry", Run: run})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range all {
		texts = append(texts, e.Step+" "+string(e.Status))
	}
	return texts
}
