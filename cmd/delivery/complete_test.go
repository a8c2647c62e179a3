package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// The shell completes each word with what is valid there, and offers files only where a
// file is expected.
func TestCompletion(t *testing.T) {
	c := newApplication(t)
	c.write(t, "pipes/small.yml", "- {name: one, do: mock.dummy}\n- {name: two, do: mock.dummy}")
	c.push(t)
	complete := func(args ...string) (words []string, directive string) {
		t.Helper()
		_, out, _ := c.delivery(t, append([]string{"__complete"}, args...)...)
		for line := range strings.Lines(out) {
			line = strings.TrimSpace(line)
			if number, ok := strings.CutPrefix(line, ":"); ok {
				return words, number
			}
			word, _, _ := strings.Cut(line, "\t")
			words = append(words, word)
		}
		t.Fatalf("completed %q", out)
		return nil, ""
	}
	if words, _ := complete("run", "show", ""); words != nil {
		t.Errorf("got runs %q without a repository", words)
	}
	if _, err := os.Stat(c.data); err == nil {
		t.Error("completing a word created the repository")
	}
	s := c.run(t, 0)
	const files, nothing, folders = "0", "4", "16"
	pipes := []string{"app", "bake", "build", "cd", "cd-parallel", "ci", "clean", "create-test-environment", "destroy-test-environment",
		"functional-tests", "load-tests", "notify", "promote", "release", "release-prod", "release-qa", "small", "unit-tests", "version"}
	steps := []string{"version", "build", "functional tests", "load tests", "promote", "tidy"}
	for line, want := range map[string][]string{
		"run --run-to |":                     steps,
		"run --pipe small --run-to |":        {"one", "two"},
		"run --pipe small --run-task |":      {"one", "two"},
		"run --pipe |":                       pipes,
		"run --version |":                    {"0.1.0"},
		"run --of |":                         {s.Run},
		"run --set |":                        nil,
		"run |":                              {"list", "show"},
		"run --output |":                     {"text", "json"},
		"pipe show |":                        pipes,
		"pipe test |":                        pipes,
		"pipe test cd |":                     nil,
		"pipe test --fail |":                 steps,
		"pipe test small --fail |":           {"one", "two"},
		"run show |":                         {s.Run},
		"run list --service |":               {"strawberry"},
		"run list --before |":                {s.Run},
		"event list --run |":                 {s.Run},
		"event list --version |":             {"0.1.0"},
		"version show |":                     {"0.1.0"},
		"version show --service raspberry |": nil,
		"version next --scheme |":            {"sequence", "semver", "calver"},
		"version next --bump |":              {"patch", "minor", "major"},
		"rollout undo |":                     nil,
	} {
		words, directive := complete(strings.Split(strings.ReplaceAll(line, "|", ""), " ")...)
		if diff := cmp.Diff(words, want); diff != "" || directive != nothing {
			t.Errorf("%s: directive %s, got (-) differs from want (+):\n%s", line, directive, diff)
		}
	}
	for line, want := range map[string]string{"pipe test --expect |": files, "run -C |": folders, "init -C |": folders} {
		if words, directive := complete(strings.Split(strings.ReplaceAll(line, "|", ""), " ")...); words != nil || directive != want {
			t.Errorf("%s: got %q and directive %s, want %s", line, words, directive, want)
		}
	}
	_, out, _ := c.delivery(t, "completion", "bash")
	contains(t, out, "bash completion")
}

// Completing a word asks no server, and does not wait for a repository that is locked.
func TestCompletion_DoesNotWait(t *testing.T) {
	c := newCheckout(t, "- {name: one, do: mock.dummy}")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		for {
			if _, err := listener.Accept(); err != nil {
				close(accepted)
				return
			}
			t.Error("the server of the library was asked")
		}
	}()
	c.write(t, ".delivery.yml", "pipe: app\nservice: strawberry\nlibrary: http://"+listener.Addr().String()+"/shared.git\n")
	for _, args := range [][]string{{"run", "--pipe", ""}, {"run", "--run-to", ""}, {"pipe", "show", ""}} {
		_, out, _ := c.delivery(t, append([]string{"__complete"}, args...)...)
		if !strings.Contains(out, "app\n") && !strings.Contains(out, "one\n") {
			t.Errorf("%v: got %q, want the checkout's own pipe or step", args, out)
		}
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	<-accepted

	c.store(t) // so that it exists
	waiting := &common{clock: clock.System{}, repository: c.repository()}
	words := waiting.withExisting(t.Context(), func(context.Context, builddata.Store) []string {
		select {} // an answer that never comes
	})
	if words != nil {
		t.Errorf("got %q", words)
	}
}
