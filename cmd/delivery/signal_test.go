//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// program is the command line as a separate process.
type program struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr io.ReadCloser
	// lines reads stderr; read holds what it has read.
	lines *bufio.Scanner
	read  strings.Builder
}

// build builds the command line.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delivery")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// start starts the command line at path in the checkout.
func (c *checkout) start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)}
	p.cmd.Dir, p.cmd.Stdout = c.folder, &p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stderr, p.lines = stderr, bufio.NewScanner(stderr)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it may have ended
	return p
}

// waitFor reads stderr until a line contains the text.
func (p *program) waitFor(t *testing.T, text string) {
	t.Helper()
	for p.lines.Scan() {
		p.read.WriteString(p.lines.Text() + "\n")
		if strings.Contains(p.lines.Text(), text) {
			return
		}
	}
	t.Fatalf("stderr has no line with %q:\n%s", text, &p.read)
}

// wait reads the rest of stderr and returns the exit code.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	for p.lines.Scan() {
		p.read.WriteString(p.lines.Text() + "\n")
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ignoringPipe has a step that ignores SIGINT and SIGTERM.
const ignoringPipe = `
main:
  - name: compile
    do: build.command
    command: trap '' INT TERM; echo working; while :; do sleep 60; done
    timeout: 50ms
  - {name: never, do: mock.dummy}
`

// waitingPipe has a step that runs for ten minutes, with a child process.
const waitingPipe = `
first:
  - {name: version, do: init.version}
main:
  - name: compile
    do: build.command
    command: sleep 600 & echo $$ > ../pid; echo working; wait
  - {name: never, do: mock.dummy}
last:
  - {name: tidy, do: build.command, command: "echo tidying after ${{ status }}"}
`

// checkGroupEnded checks that no process is left of the process group that the step wrote
// to the file pid.
func (c *checkout) checkGroupEnded(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.folder, "..", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		line, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
		if fields[2] == strings.TrimSpace(string(text)) && fields[0] != "Z" {
			t.Errorf("%s is left", line)
		}
	}
}

func TestRun_Interrupted(t *testing.T) {
	path := build(t)
	for name, signal := range map[string]os.Signal{"CtrlC": os.Interrupt, "Terminate": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t, waitingPipe)
			p := c.start(t, path, "run")
			p.waitFor(t, "compile | working")
			p.signal(t, signal)
			if code := p.wait(t); code != exitcode.Interrupted {
				t.Errorf("got exit code %d:\n%s", code, &p.read)
			}
			contains(t, p.read.String(), "Stopping; the section last still runs. A second Ctrl-C stops it as well.", "compile interrupted",
				"tidy | tidying after interrupted")
			contains(t, p.stdout.String(), `app of strawberry 1 was interrupted at "compile"`, "delivery run --run-task compile --version 1")
			c.checkGroupEnded(t)
			runs, err := c.store(t).Runs(t.Context(), builddata.RunQuery{Service: "strawberry"})
			if err != nil || len(runs) != 1 || runs[0].Status != builddata.Interrupted {
				t.Errorf("got %+v and %v", runs, err)
			}
		})
	}
}

// A second Ctrl-C interrupts the section last as well. The steps that did not run are
// listed.
func TestRun_InterruptedTwice(t *testing.T) {
	c := newCheckout(t, strings.Replace(waitingPipe, "echo tidying after ${{ status }}", "echo tidying; sleep 600",
		1)+"  - {name: tell, do: mock.dummy}\n")
	p := c.start(t, build(t), "run")
	p.waitFor(t, "compile | working")
	p.signal(t, os.Interrupt)
	p.waitFor(t, "tidy | tidying")
	p.signal(t, os.Interrupt)
	p.waitFor(t, "Stopping at once.")
	if code := p.wait(t); code != exitcode.Interrupted {
		t.Errorf("got exit code %d:\n%s", code, &p.read)
	}
	contains(t, p.read.String(), "tidy interrupted in ", ": the section last was interrupted as well\n",
		"tell skipped: the section last was interrupted as well")
	contains(t, p.stdout.String(), `"tidy" was interrupted as well: the section last was interrupted as well`,
		`"tell" did not run: the section last was interrupted as well`)
}

// The first Ctrl-C while the section last is running has no effect on the run.
func TestRun_InterruptedInLast(t *testing.T) {
	path := build(t)
	for name, tt := range map[string]struct {
		command string
		code    int
		status  builddata.Status
	}{"Succeeded": {"true", 0, builddata.Succeeded}, "Failed": {"false", exitcode.Failed, builddata.Failed}} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t, `
main: [{name: compile, do: build.command, command: "`+tt.command+`"}]
last: [{name: tidy, do: build.command, command: "echo tidying; while ! test -e ../go; do sleep 0.02; done"}]
`)
			p := c.start(t, path, "run", "-o", "json")
			p.waitFor(t, "tidy | tidying")
			p.signal(t, os.Interrupt)
			p.waitFor(t, "The section last continues. A second Ctrl-C stops it.")
			if err := os.WriteFile(filepath.Join(c.folder, "..", "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(t); code != tt.code {
				t.Errorf("got exit code %d, want %d:\n%s", code, tt.code, &p.read)
			}
			runs, err := c.store(t).Runs(t.Context(), builddata.RunQuery{Service: "strawberry"})
			if err != nil || len(runs) != 1 || runs[0].Status != tt.status {
				t.Errorf("got %+v and %v", runs, err)
			}
		})
	}
}

// A step of last that is run alone is interrupted by the first Ctrl-C.
func TestRun_InterruptedAlone(t *testing.T) {
	path := build(t)
	c := newCheckout(t, strings.Replace(waitingPipe, "sleep 600 & echo $$ > ../pid; echo working; wait", "echo working", 1))
	c.run(t, 0)
	c.write(t, "pipes/app.yml", strings.Replace(waitingPipe, "echo tidying after ${{ status }}", "echo tidying; sleep 600", 1))
	c.push(t)
	p := c.start(t, path, "run", "--run-task", "tidy")
	p.waitFor(t, "tidy | tidying")
	p.signal(t, os.Interrupt)
	p.waitFor(t, "Stopping.")
	if code := p.wait(t); code != exitcode.Interrupted {
		t.Errorf("got exit code %d:\n%s", code, &p.read)
	}
}

// A step that ignores SIGINT and SIGTERM is killed.
func TestRun_IgnoringSignals(t *testing.T) {
	c := newCheckout(t, ignoringPipe)
	s := c.run(t, exitcode.Failed)
	step := s.Failed()
	if step == nil || !strings.Contains(step.Message, "timed out after 50ms") || len(step.Warnings) != 1 ||
		!strings.Contains(step.Warnings[0], "was killed") {
		t.Errorf("got %+v", s)
	}
}

func TestRun_LeavesChildrenBehind(t *testing.T) {
	c := newCheckout(t, "- {name: compile, do: build.command, command: \"echo $$ > ../pid; sleep 600 & echo done\"}")
	s := c.run(t, 0)
	if w := s.Steps[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "left processes running") {
		t.Errorf("got %q", w)
	}
	c.checkGroupEnded(t)
}

func TestRun_TwoInOneCheckout(t *testing.T) {
	c := newCheckout(t, waitingPipe)
	p := c.start(t, build(t), "run")
	p.waitFor(t, "compile | working")
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Busy {
		t.Errorf("got exit code %d, want %d", code, exitcode.Busy)
	}
	contains(t, stderr, "delivery, process", "is in progress in "+c.folder)
	if code, _, stderr := c.delivery(t, "run", "--mock"); code != 0 {
		t.Errorf("a mock run was refused, though it changes nothing: %s", stderr)
	}
	p.signal(t, os.Interrupt)
	p.wait(t)
}

// A run continues to its end after the reader of its stderr has closed it.
func TestRun_StderrClosed(t *testing.T) {
	c := newCheckout(t, strings.Replace(waitingPipe, "sleep 600 & echo $$ > ../pid; echo working; wait",
		"echo working; sleep 0.5; echo more; echo and more >&2", 1))
	p := c.start(t, build(t), "run")
	p.waitFor(t, "compile | working")
	if err := p.stderr.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("got %v", err)
	}
	runs, err := c.store(t).Runs(t.Context(), builddata.RunQuery{Service: "strawberry"})
	if err != nil || len(runs) != 1 || runs[0].Status != builddata.Succeeded {
		t.Errorf("got %+v and %v", runs, err)
	}
}

// After a runner was killed, the next run reports it, the run is shown as lost, and one of
// its steps can be run with its values.
func TestRun_Killed(t *testing.T) {
	c := newCheckout(t, waitingPipe)
	p := c.start(t, build(t), "run")
	p.waitFor(t, "compile | working")
	p.signal(t, os.Kill)
	p.wait(t)
	text, err := os.ReadFile(filepath.Join(c.folder, "..", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	// A killed runner cannot end the processes of its step.
	_ = syscall.Kill(-atoi(strings.TrimSpace(string(text))), syscall.SIGKILL)
	if left := c.scratch(t); len(left) != 1 {
		t.Errorf("got the scratch folders %v, want the one of the killed run", left)
	}
	code, _, stderr := c.delivery(t, "run", "--run-to", "version")
	if code != 0 {
		t.Fatal(stderr)
	}
	if left := c.scratch(t); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	report := regexp.MustCompile(`strawberry 1, run (\w+) \(app, begun at .* by .*, process \d+\) is lost: the runner died at compile`)
	lost := report.FindStringSubmatch(stderr)
	if lost == nil {
		t.Fatalf("stderr does not report the lost run:\n%s", stderr)
	}
	if diff := cmp.Diff(c.events(t, lost[1]), []string{"version started", "version succeeded", "compile started",
		"compile lost"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	_, out, _ := c.delivery(t, "run", "show", lost[1])
	contains(t, out, ": lost\n", "the runner died at compile")
	s := c.run(t, 0, "--run-task", "tidy", "--of", lost[1])
	log, err := os.ReadFile(s.Steps[0].Log)
	if err != nil || !strings.Contains(string(log), "tidying after lost") || s.Version != "1" {
		t.Errorf("got %s and %v", log, err)
	}
}

// scratch lists the scratch folders of runs.
func (c *checkout) scratch(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(c.state, "delivery", "scratch", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}
