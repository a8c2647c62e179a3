package examples_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

var update = flag.Bool("update", false, "write the table of tasks into the guide")

// guide is the template of the page in the documentation.
const guide = "../templates/guides/pipes.md"

const (
	tasksBegin = "<!-- tasks: written by \"go test ./examples -run Guide -update\" -->\n"
	tasksEnd   = "<!-- end of tasks -->"
)

func readGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The guide describes each task as its definition does.
func TestGuide_Tasks(t *testing.T) {
	text := readGuide(t)
	before, rest, found := strings.Cut(text, tasksBegin)
	_, after, closed := strings.Cut(rest, tasksEnd)
	if !found || !closed {
		t.Fatalf("%s does not have the lines %q and %q", guide, tasksBegin, tasksEnd)
	}
	want := before + tasksBegin + tasks() + tasksEnd + after
	if *update {
		if err := os.WriteFile(guide, []byte(want), 0o644); err != nil { //nolint:gosec // a page of the documentation
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Errorf("the tasks in %s differ from the built-in tasks: run \"go test ./examples -run Guide -update\" and tools/generate.sh", guide)
	}
}

// tasks describes all tasks in Markdown.
func tasks() string {
	library := task.New(task.Dependencies{})
	var b strings.Builder
	for _, name := range library.Types() {
		d, _ := library.Task(name)
		fmt.Fprintf(&b, "\n### `%s`\n\n%s", d.Type, d.Summary)
		if len(d.Outputs) > 0 {
			fmt.Fprintf(&b, " It sets `%s`.", strings.Join(d.Outputs, "` and `"))
		}
		b.WriteString("\n\n")
		if len(d.Arguments) == 0 {
			b.WriteString("It takes no arguments.\n")
			continue
		}
		b.WriteString("| argument | is a | |\n|---|---|---|\n")
		for _, a := range d.Arguments {
			name := "`" + a.Name + "`"
			if a.Required {
				name = "**" + name + "**"
			}
			kind := string(a.Kind)
			if a.Kind == pipe.Switch {
				kind = "`true` or `false`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, kind, strings.NewReplacer("|", `\|`, "*", `\*`).Replace(a.Summary))
		}
	}
	return b.String() + "\n"
}

// yamlFile matches a file in the guide. Its first line is a comment with its path.
var yamlFile = regexp.MustCompile("(?s)```yaml\n# ([^\n]+)\n(.*?)```")

// The pipes in the guide can be run without changes.
func TestGuide_Pipes(t *testing.T) {
	root := t.TempDir()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("DELIVERY_REPOSITORY", "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "delivery.db")))
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "delivery-task-measure.size"), []byte("#!/bin/sh\n"),
		0o700); err != nil { //nolint:gosec // it has to be executable
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+string(filepath.ListSeparator)+os.Getenv("PATH"))
	text := readGuide(t)
	for _, m := range yamlFile.FindAllStringSubmatch(text, -1) {
		path := filepath.Join(root, filepath.FromSlash(m[1]))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs := &runner.Runner{Holder: "a test", Clock: clock.System{}}
	for _, name := range []string{"", "application", "measure", "Strawberry"} {
		project, err := runner.OpenProject(root, scm.Network{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := runs.Run(t.Context(), project, runner.Request{Pipe: name, Mock: true, Warn: t.Errorf})
		if err != nil || s.Status != builddata.Succeeded {
			t.Errorf("the pipe %q: %s, %v", name, s.Status, err)
			continue
		}
		if name != "application" {
			continue
		}
		var ran strings.Builder
		for _, step := range s.Steps {
			fmt.Fprintf(&ran, "%-5s  %s", step.Section, step.Name)
			if step.Status != builddata.Succeeded {
				fmt.Fprintf(&ran, ": %s", step.Status)
			}
			ran.WriteByte('\n')
		}
		if !strings.Contains(text, "```\n"+ran.String()+"succeeded\n```") {
			t.Errorf("the guide does not show that the pipe %s runs\n%s", name, &ran)
		}
	}
}

// codeBlock matches a block of YAML or HCL in a guide.
var codeBlock = regexp.MustCompile("(?s)```(?:yaml|hcl)\n(.*?)```")

// What the guide shows of quince is in the example, which a test runs.
func TestGuide_Quince(t *testing.T) {
	guide, err := os.ReadFile("../templates/guides/your-service.md")
	if err != nil {
		t.Fatal(err)
	}
	var files strings.Builder
	err = filepath.WalkDir("quince", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	blocks := codeBlock.FindAllStringSubmatch(string(guide), -1)
	for _, block := range blocks {
		if !strings.Contains(files.String(), block[1]) {
			t.Errorf("no file of the example contains\n%s", block[1])
		}
	}
	if len(blocks) < 6 {
		t.Errorf("found %d blocks in the guide", len(blocks))
	}
}
