package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

var update = flag.Bool("update", false, "write the golden files")

// The golden files show which steps of the built-in pipes run, and in which order, if all
// steps succeed and if a step fails.
func TestBuiltInPipes(t *testing.T) {
	c := newCheckout(t, "- {do: mock.dummy}")
	c.write(t, ".delivery.yml", "pipe: app\nservice: strawberry\nqa_alarm: qa-errors\nprod_alarm: errors\n")
	for _, name := range []string{"ci", "cd", "cd-parallel", "release"} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			fails := []string{"", "clean", "version", "build", "unit tests"}
			switch name {
			case "release":
				fails = []string{"", "deploy to qa", "verify qa", "promote after qa", "deploy to prod", "verify prod", "promote after prod"}
			case "cd", "cd-parallel":
				fails = append(fails, "bake", "create test environment", "functional tests", "load tests", "promote", "destroy test environment")
			}
			for _, fail := range fails {
				args := []string{"pipe", "test", name}
				b.WriteString("$ delivery pipe test " + name)
				if fail != "" {
					args = append(args, "--fail", fail)
					b.WriteString(" --fail " + text.ShellWord(fail))
				}
				code, out, stderr := c.delivery(t, args...)
				if code != 0 {
					t.Fatal(stderr)
				}
				b.WriteString("\n" + out + "\n")
			}
			golden(t, b.String())
		})
	}
	t.Run("Mock", func(t *testing.T) {
		if s := c.run(t, 0, "--pipe", "cd-parallel", "--mock"); s.Failed() != nil || len(s.Steps) != 11 {
			t.Errorf("got %+v", s)
		}
	})
}

// golden compares a text with the golden file of the test.
func golden(t *testing.T, got string) {
	t.Helper()
	file := filepath.Join(rig.Root(), "cmd", "delivery", "testdata", filepath.FromSlash(t.Name())+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// articles is the folder of pipes that were published in 2014 and 2015. The lines that end
// with a colon and the indentation, which their text had lost, are restored.
const articles = "internal/pipefile/testdata/articles"

// article creates a checkout with the pipes of an article. The programs, which stand for
// the author's own tasks, record that they ran.
func article(t *testing.T, name string, programs ...string) *checkout {
	t.Helper()
	c := newCheckout(t, "- {do: mock.dummy}")
	if err := os.RemoveAll(filepath.Join(c.folder, "pipes")); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(rig.Root(), articles, name, ".delivery.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(c.folder, "pipes"), os.DirFS(filepath.Join(rig.Root(), articles, name, "pipes"))); err != nil {
		t.Fatal(err)
	}
	c.write(t, ".delivery.yml", "service: strawberry\n"+strings.ReplaceAll(string(settings), "service: strawberry\n", ""))
	bin := t.TempDir()
	for _, program := range programs {
		script := "#!/bin/sh\necho \"$(basename $0) $*\" >> " + filepath.Join(bin, "ran") + "\n"
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("RAN", filepath.Join(bin, "ran"))
	c.push(t)
	return c
}

func TestArticles(t *testing.T) {
	t.Run("2014Strawberry", func(t *testing.T) {
		s := article(t, "2014-strawberry").run(t, 0)
		var names []string
		for _, step := range s.Steps {
			names = append(names, step.Name)
		}
		if len(names) != 6 || names[0] != "Build" || names[5] != "Publish" || s.Pipe != "Strawberry" {
			t.Errorf("ran %v", names)
		}
		at := map[string]int{}
		for i, name := range names {
			at[name] = i
		}
		for _, branch := range []string{"A", "B"} {
			if at["Deploy "+branch] > at["Test "+branch] {
				t.Errorf("ran %v", names)
			}
		}
	})
	t.Run("2014Tasks", func(t *testing.T) {
		c := article(t, "2014-tasks", "gradle")
		s := c.run(t, 0)
		if s.Version != "1" {
			t.Errorf("got %+v", s)
		}
		ran(t, "gradle clean fatJar")
	})
	t.Run("2015Small", func(t *testing.T) {
		external := []string{"delivery-task-setup.Init", "delivery-task-build.Build", "delivery-task-test.Test",
			"delivery-task-log.ReportBuildStatus"}
		c := article(t, "2015-small", append(external, "delivery-task-notify.Email")...)
		_, out, stderr := c.delivery(t, "pipe", "test")
		if !strings.Contains(out, "succeeded") {
			t.Fatal(out, stderr)
		}
	})
	t.Run("2015Full", func(t *testing.T) {
		c := article(t, "2015-full", "delivery-task-setup.Init", "delivery-task-log.ReportBuildStatus")
		_, out, stderr := c.delivery(t, "pipe", "test")
		if stderr != "" {
			t.Fatal(stderr)
		}
		golden(t, out)
	})
}

// ran checks which programs ran.
func ran(t *testing.T, want ...string) {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("RAN"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(text)), "\n"), want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// A pipe can be printed as it is written, and tested for a branch.
func TestPipe_SourceAndBranch(t *testing.T) {
	c := newCheckout(t, "main:\n  - {name: ship, do: mock.dummy, when: \"${{ branch == 'main' }}\"} # only from main\n")
	_, out, _ := c.delivery(t, "pipe", "show", "--source")
	contains(t, out, "# only from main\n")
	_, out, _ = c.delivery(t, "pipe", "show", "bake", "--source")
	contains(t, out, "do: bake.packer\n", "# Values of .delivery.yml:")
	if code, _, stderr := c.delivery(t, "pipe", "show", "beke", "--source"); code == 0 || !strings.Contains(stderr, "did you mean bake") {
		t.Errorf("got %d: %s", code, stderr)
	}
	_, out, _ = c.delivery(t, "pipe", "test")
	contains(t, out, "ship: skipped")
	_, out, _ = c.delivery(t, "pipe", "test", "--branch", "main")
	contains(t, out, "ship\n")
}
