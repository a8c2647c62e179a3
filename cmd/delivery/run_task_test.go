package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// partsPipe is a pipe whose steps are run one by one. FILE stands for the name of a file.
const partsPipe = `
first:
  - {name: version, do: init.version}
main:
  - {name: build, do: build.command, command: "echo file=FILE >> $DELIVERY_OUTPUT", outputs: [file]}
  - {name: check, do: build.command, command: "echo checking ${{ file }}"}
  - {name: fragile, do: build.command, command: test ! -e ../broken}
last:
  - {name: tell, do: build.command, command: "echo ${{ status }} at ${{ failed_step }}", when: "${{ failed_step }}"}
`

func newParts(t *testing.T) *checkout {
	t.Helper()
	c := newCheckout(t, strings.ReplaceAll(partsPipe, "FILE", "app.jar"))
	c.write(t, "pipes/other.yml", strings.ReplaceAll(partsPipe, "FILE", "other.jar"))
	c.push(t)
	return c
}

// printed returns the output of the only step of a run.
func printed(t *testing.T, s pipe.Summary) string {
	t.Helper()
	if len(s.Steps) != 1 {
		t.Fatalf("ran %+v, want one step", s.Steps)
	}
	log, err := os.ReadFile(s.Steps[0].Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// A single step takes its context from the latest earlier run of its pipe, or from the run
// that the flags name.
func TestRunTask_Context(t *testing.T) {
	c := newParts(t)
	c.run(t, 0)
	whole := c.run(t, 0, "--version", "1")
	c.run(t, 0, "--run-to", "version", "--version", "1")
	c.run(t, 0, "--run-task", "build", "--version", "1")
	other := c.run(t, 0, "--pipe", "other", "--version", "1")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"Latest":    {nil, "checking app.jar\n"},
		"OfVersion": {[]string{"--version", "1"}, "checking app.jar\n"},
		"OtherPipe": {[]string{"--version", "1", "--pipe", "other"}, "checking other.jar\n"},
		"Of":        {[]string{"--of", whole.Run, "--version", "1"}, "checking app.jar\n"},
		"OfOther":   {[]string{"--of", other.Run}, "checking other.jar\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.run(t, 0, append([]string{"--run-task", "check"}, tt.args...)...)
			if got := printed(t, s); !strings.Contains(got, tt.want) || s.Version != "1" {
				t.Errorf("got %q for version %q, want %q", got, s.Version, tt.want)
			}
		})
	}
}

// If no earlier run had all steps, a run that ended at a step is used.
func TestRunTask_ContextOfPart(t *testing.T) {
	c := newParts(t)
	c.run(t, 0, "--pipe", "other")
	code, _, stderr := c.delivery(t, "run", "--run-task", "check", "--version", "1")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, `there is no earlier run of the pipe app for strawberry 1 whose context the step "check" could take`)
	c.run(t, 0, "--run-to", "build", "--version", "1")
	if got := printed(t, c.run(t, 0, "--run-task", "check", "--version", "1")); !strings.Contains(got, "checking app.jar") {
		t.Errorf("got %q", got)
	}
}

// The run that --of names must be of the same version and service.
func TestRunTask_OfOther(t *testing.T) {
	c := newParts(t)
	one := c.run(t, 0)
	c.run(t, 0)
	code, _, stderr := c.delivery(t, "run", "--run-task", "check", "--of", one.Run, "--version", "2")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "run "+one.Run+" is of another version than 2")
	c.write(t, ".delivery.yml", "pipe: app\nservice: raspberry\n")
	c.push(t)
	code, _, stderr = c.delivery(t, "run", "--run-task", "check", "--of", one.Run)
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "run "+one.Run+" of raspberry: not found in the build data repository: "+
		"\"delivery run show "+one.Run+"\" shows which service it belongs to")
}

// A step of last gets the status of the earlier run.
func TestRunTask_StatusOfEarlier(t *testing.T) {
	c := newParts(t)
	broken := filepath.Join(c.folder, "..", "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(t, exitcode.Failed)
	if got := printed(t, c.run(t, 0, "--run-task", "tell")); !strings.Contains(got, "failed at fragile") {
		t.Errorf("got %q", got)
	}
}

// A single step that is skipped makes the run fail.
func TestRunTask_Skipped(t *testing.T) {
	c := newParts(t)
	c.run(t, 0)
	for name, args := range map[string][]string{"Run": {"--run-task", "tell"}, "Mock": {"--run-task", "tell", "--mock"}} {
		t.Run(name, func(t *testing.T) {
			if s := c.run(t, exitcode.Failed, args...); s.Status != builddata.Failed {
				t.Errorf("got status %s, want %s", s.Status, builddata.Failed)
			}
			code, out, stderr := c.delivery(t, append([]string{"run"}, args...)...)
			if code != exitcode.Failed || out != "" {
				t.Errorf("got exit code %d and %q", code, out)
			}
			contains(t, stderr, `Error: nothing was done: the step "tell" is the only one, and was skipped: its when is false`)
		})
	}
}

// The mock of a single step has the outputs of the mocks of the steps before it, including
// secrets. Those mocks are not shown.
func TestRunTask_Mock(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- {name: build, do: build.command, command: make, outputs: [file, NEXUS]}
- parallel:
    - - {name: own, do: mock.dummy, set: {colour: red}, outputs: [colour]}
      - {name: paint, do: build.command, command: "paint ${{ file }} of ${{ version }} ${{ colour }} for ${{ NEXUS }}"}
    - {name: other, do: mock.dummy, message: "${{ number }}"}
`)
	code, out, stderr := c.delivery(t, "run", "--mock", "--run-task", "paint")
	if code != 0 {
		t.Fatalf("got exit code %d: %s%s", code, out, stderr)
	}
	contains(t, stderr, "would run paint ${DELIVERY_VALUE_FILE} of ${DELIVERY_VALUE_VERSION} ${DELIVERY_VALUE_COLOUR} "+
		"for ${DELIVERY_VALUE_NEXUS} with DELIVERY_VALUE_FILE=mock-file, DELIVERY_VALUE_VERSION=0-mock, DELIVERY_VALUE_COLOUR=red, DELIVERY_VALUE_NEXUS=***")
	if strings.Contains(stderr, "build") {
		t.Errorf("the earlier steps are shown:\n%s", stderr)
	}
}

// A promotion that is run alone needs the argument requires, which can be an empty list.
func TestRunTask_Promote(t *testing.T) {
	c := newCheckout(t, `
first: [{name: version, do: init.version}]
main:
  - {name: unit tests, do: test.command, command: "false"}
  - {name: unguarded, do: Release.Promote, stage: passed_test}
  - {name: guarded, do: release.promote, stage: passed_test, requires: [unit tests]}
  - {name: free, do: release.promote, stage: seen, requires: []}
`)
	c.run(t, exitcode.Failed)
	for name, tt := range map[string]struct {
		step string
		code int
		want []string
	}{
		"RequiresMissing": {
			"unguarded", exitcode.Usage, []string{"pipes/app.yml:5:5: ", `the step "unguarded" needs the argument requires to be run alone`,
				"write an empty list if nothing is required"},
		},
		"NotMet":          {"guarded", exitcode.Failed, []string{"cannot be promoted to passed_test"}},
		"NothingRequired": {"free", 0, []string{"is at seen"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := c.delivery(t, "run", "--run-task", tt.step, "--version", "1")
			if code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			contains(t, stderr, tt.want...)
		})
	}
}

// Another branch can neither make the evidence that a promotion needs, nor lower what it
// requires.
func TestRunTask_PromoteFromAnotherBranch(t *testing.T) {
	const own = `
first: [{name: version, do: init.version, scheme: sequence}]
main:
  - {name: functional tests, do: test.command, command: "false"}
  - {name: promote, do: release.promote, stage: passed_test, requires: [functional tests]}
`
	c := newCheckout(t, own)
	c.run(t, exitcode.Failed)
	c.git(t, c.folder, "switch", "--quiet", "-c", "topic")
	promote := func(pipe, want string) {
		t.Helper()
		c.write(t, "pipes/app.yml", pipe)
		c.git(t, c.folder, "add", "-A")
		c.git(t, c.folder, "commit", "--quiet", "--allow-empty", "-m", "change")
		c.git(t, c.folder, "push", "--quiet", "-u", "origin", "topic")
		c.run(t, 0, "--run-task", "functional tests", "--version", "1")
		code, _, stderr := c.delivery(t, "run", "--run-task", "promote", "--version", "1")
		if code != exitcode.Failed {
			t.Errorf("got exit code %d", code)
		}
		contains(t, stderr, "version 1 of strawberry cannot be promoted to passed_test", want)
	}
	harmless := strings.ReplaceAll(own, `"false"`, `"true"`)
	promote(harmless, "cannot be promoted to passed_test: functional tests failed")
	promote(strings.ReplaceAll(harmless, "requires: [functional tests]", "requires: []"), "cannot be promoted to passed_test: functional tests failed")
	_, out, _ := c.delivery(t, "stage", "list")
	contains(t, out, "No version of strawberry was promoted to a stage.")
}
