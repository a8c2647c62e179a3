//go:build unix

package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// slowPipe has a step that takes five minutes while the file slow exists in the folder
// MARKS, with a child process. Each step creates a file there.
const slowPipe = `
first:
  - {name: version, do: init.version}
main:
  - name: compile
    do: build.command
    command: |
      env | grep -E '^(TF_)?PLUGIN_' >"$MARKS/plugin" || true
      if [ -e "$MARKS/slow" ]; then
        sleep 300 &
        echo "$!" >"$MARKS/child.new" && mv "$MARKS/child.new" "$MARKS/child"
        wait
      fi
  - {name: deploy, do: build.command, command: 'touch "$MARKS/deployed"'}
last:
  - {name: tidy, do: build.command, command: 'touch "$MARKS/tidied"'}
`

// fixture is a workspace whose configuration runs slowPipe.
type fixture struct {
	*acctest.Workspace
	env   *acctest.Env
	marks string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, slowPipe)
	s := &fixture{Workspace: acctest.NewWorkspace(t, e.Provider()+c.run("")), env: e, marks: t.TempDir()}
	s.Environ = []string{"XDG_STATE_HOME=" + t.TempDir(), "MARKS=" + s.marks}
	s.mark(t, "slow")
	return s
}

func (s *fixture) mark(t *testing.T, name string) {
	t.Helper()
	fatal(t, os.WriteFile(filepath.Join(s.marks, name), nil, 0o600))
}

func (s *fixture) marked(name string) bool {
	_, err := os.Stat(filepath.Join(s.marks, name))
	return err == nil
}

// waitUntil waits until a condition holds.
func waitUntil(ctx context.Context, what string, condition func() bool) error {
	return clock.Poll(ctx, clock.System{}, 100*time.Millisecond, 30*time.Second, func(context.Context, time.Duration) (bool, string, error) {
		return condition(), "waiting until " + what, nil
	})
}

// stop begins an apply, and calls f to stop it while the step compile is running. It
// returns the output of the apply, and the process that the step has started.
func (s *fixture) stop(t *testing.T, f func(*exec.Cmd) error) (output string, child int) {
	t.Helper()
	apply := s.Command(t.Context(), "apply", "-auto-approve", "-no-color")
	var out bytes.Buffer
	apply.Stdout, apply.Stderr = &out, &out
	fatal(t, apply.Start())
	err := waitUntil(t.Context(), "the step is running", func() bool { return s.marked("child") && len(runs(t, s.env)) > 0 })
	if err != nil {
		_ = acctest.Signal(apply, os.Kill)
		_ = apply.Wait()
		t.Fatalf("%v\n%s", err, &out)
	}
	text, err := os.ReadFile(filepath.Join(s.marks, "child"))
	fatal(t, err)
	child, err = strconv.Atoi(strings.TrimSpace(string(text)))
	fatal(t, err)
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) })
	fatal(t, f(apply))
	var exit *exec.ExitError
	if err := apply.Wait(); !errors.As(err, &exit) {
		t.Fatalf("got %v, want the apply to have been stopped\n%s", err, &out)
	}
	return out.String(), child
}

// applyAgain applies with a short step, which runs the pipe for the next version.
func (s *fixture) applyAgain(t *testing.T) (output string) {
	t.Helper()
	fatal(t, os.Remove(filepath.Join(s.marks, "slow")))
	out, err := s.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	_, err = s.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color")
	fatal(t, err)
	all := runs(t, s.env)
	if len(all) != 2 || all[0].Status != builddata.Succeeded || all[0].Number != 2 || !s.marked("deployed") {
		t.Errorf("got %+v on record after another apply", all)
	}
	return out
}

func alive(process int) bool { return syscall.Kill(process, 0) == nil && !zombie(process) }

// zombie reports whether a process has ended, but its parent has not waited for it.
func zombie(process int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(process) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 0 && fields[0] == "Z"
}

func TestAccPipeRun_CtrlC(t *testing.T) {
	s := newFixture(t)
	out, child := s.stop(t, func(c *exec.Cmd) error { return acctest.Signal(c, os.Interrupt) })
	for _, want := range []string{
		`The pipe app of strawberry 1 was interrupted`, `the step "compile" was interrupted after`, `s: Terraform was interrupted`,
		`is recorded as interrupted; its section last has run.`,
	} {
		if !matches(want).MatchString(out) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if r := runs(t, s.env)[0]; r.Status != builddata.Interrupted || r.Message != "interrupted at compile: Terraform was interrupted" {
		t.Errorf("got %+v on record", r)
	}
	if alive(child) || s.marked("deployed") || !s.marked("tidied") {
		t.Errorf("the step's child lives: %t; what follows it has run: %t; the section last has run: %t", alive(child), s.marked("deployed"),
			s.marked("tidied"))
	}
	if text, err := os.ReadFile(filepath.Join(s.marks, "plugin")); err != nil || len(text) > 0 {
		t.Errorf("the step gets the variables of the plugin protocol: %s %v", text, err)
	}
	s.applyAgain(t)
}

// Terraform and the provider are killed, as when the machine dies.
func TestAccPipeRun_Killed(t *testing.T) {
	s := newFixture(t)
	_, child := s.stop(t, func(c *exec.Cmd) error { return acctest.Signal(c, os.Kill) })
	lost := runs(t, s.env)[0]
	if lost.Status != builddata.Started || s.marked("tidied") {
		t.Errorf("got %+v on record, and that the section last has run: %t", lost, s.marked("tidied"))
	}
	t.Logf("the child of the step that was running lives on: %t", alive(child))
	out := s.applyAgain(t)
	if !matches(lost.ID+" (app, begun at").MatchString(out) || !matches("is lost: the runner died at compile").MatchString(out) {
		t.Errorf("the next apply does not report run %s:\n%s", lost.ID, out)
	}
	if r, err := s.env.Store.Run(t.Context(), lost.Service, lost.ID); err != nil || r.Status != builddata.Lost {
		t.Errorf("got %+v and %v on record, want it to be lost", r, err)
	}
}

// Only Terraform is killed. The provider notices and interrupts the run. Like any provider,
// it then keeps running without a Terraform.
func TestAccPipeRun_TerraformKilled(t *testing.T) {
	s := newFixture(t)
	_, child := s.stop(t, func(c *exec.Cmd) error { return c.Process.Kill() })
	_, after, _ := strings.Cut(runs(t, s.env)[0].Holder, "process ")
	provider, err := strconv.Atoi(after)
	fatal(t, err)
	defer syscall.Kill(provider, syscall.SIGKILL) //nolint:errcheck // it may have ended
	err = waitUntil(t.Context(), "the run has ended", func() bool { return runs(t, s.env)[0].Status != builddata.Started })
	if err != nil {
		t.Error(err)
	}
	if r := runs(t, s.env)[0]; r.Status != builddata.Interrupted || alive(child) || !s.marked("tidied") {
		t.Errorf("got %+v on record, and that the child lives: %t, the section last has run: %t", r, alive(child), s.marked("tidied"))
	}
	s.applyAgain(t)
}

// An import reads the record of the run. The next apply takes the other arguments from the
// configuration, and runs nothing.
func TestAccPipeRun_Import(t *testing.T) {
	s := newFixture(t)
	fatal(t, os.Remove(filepath.Join(s.marks, "slow")))
	run := func(args ...string) string {
		t.Helper()
		out, err := s.Run(t.Context(), append(args, "-no-color")...)
		fatal(t, err)
		return out
	}
	run("apply", "-auto-approve")
	id := "strawberry/" + runs(t, s.env)[0].ID
	run("state", "rm", address)
	run("import", address, id)
	if out := run("apply", "-auto-approve"); !matches("Plan: 0 to add, 1 to change, 0 to destroy.").MatchString(out) {
		t.Errorf("got, after the import\n%s", out)
	}
	run("plan", "-detailed-exitcode")
	if all := runs(t, s.env); len(all) != 1 {
		t.Errorf("got %d runs on record, want the one that was imported", len(all))
	}
	run("destroy", "-auto-approve")
	for _, none := range []string{"strawberry/mock", "strawberry/01KB3ZJ8T0QW4E5R6T7Y8U9I0P"} {
		if out, err := s.Run(t.Context(), "import", "-no-color", address, none); err == nil ||
			!strings.Contains(out, "Cannot import non-existent remote object") {
			t.Errorf("got %v for an import of %s", err, none)
		}
	}
}
