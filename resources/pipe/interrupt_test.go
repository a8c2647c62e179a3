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

// slow has a step that takes long while there is a file slow, with a child of
// a child. What its steps do is in other files beside it.
const slow = `
first:
  - {name: version, do: init.version}
main:
  - name: work
    do: build.command
    command: |
      env | grep -E '^(TF_)?PLUGIN_' >"$MARKS/plugin"
      if [ -e "$MARKS/slow" ]; then
        sleep 300 &
        echo "$!" >"$MARKS/child.new" && mv "$MARKS/child.new" "$MARKS/child"
        wait
      fi
  - {name: deploy, do: build.command, command: 'touch "$MARKS/deployed"'}
last:
  - {name: tidy, do: build.command, command: 'touch "$MARKS/tidied"'}
`

// stage is a configuration that runs the pipe slow.
type stage struct {
	*acctest.Workspace
	env   *acctest.Env
	marks string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, slow)
	s := &stage{Workspace: acctest.NewWorkspace(t, e.Provider()+c.run("")), env: e, marks: t.TempDir()}
	s.Environ = []string{"XDG_STATE_HOME=" + t.TempDir(), "MARKS=" + s.marks}
	s.mark(t, "slow")
	return s
}

func (s *stage) mark(t *testing.T, name string) {
	t.Helper()
	fatal(t, os.WriteFile(filepath.Join(s.marks, name), nil, 0o600))
}

func (s *stage) marked(name string) bool {
	_, err := os.Stat(filepath.Join(s.marks, name))
	return err == nil
}

// wait waits until something is so.
func wait(ctx context.Context, what string, so func() bool) error {
	return clock.Poll(ctx, clock.System{}, 100*time.Millisecond, 30*time.Second, func(context.Context, time.Duration) (bool, string, error) {
		return so(), "waiting until " + what, nil
	})
}

// stop begins an apply, and stops it by f while the step work is at work. It
// returns what was printed, and the process that work had started.
func (s *stage) stop(t *testing.T, f func(*exec.Cmd) error) (printed string, child int) {
	t.Helper()
	apply := s.Command(t.Context(), "apply", "-auto-approve", "-no-color")
	var out bytes.Buffer
	apply.Stdout, apply.Stderr = &out, &out
	fatal(t, apply.Start())
	err := wait(t.Context(), "the step is at work", func() bool { return s.marked("child") && len(runs(t, s.env)) > 0 })
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

// again applies without the long step, which runs the pipe for the next version.
func (s *stage) again(t *testing.T) (printed string) {
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

// zombie reports whether a process has ended, but nobody has asked how.
func zombie(process int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(process) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 0 && fields[0] == "Z"
}

func TestAccPipeRun_CtrlC(t *testing.T) {
	s := newStage(t)
	out, child := s.stop(t, func(c *exec.Cmd) error { return acctest.Signal(c, os.Interrupt) })
	for _, want := range []string{
		`The pipe app of strawberry 1 was interrupted`, `the step "work" was interrupted after`, `s: somebody stopped Terraform`,
		`is on record as interrupted; its section last has been run.`,
	} {
		if !says(want).MatchString(out) {
			t.Errorf("got no %q in\n%s", want, out)
		}
	}
	if r := runs(t, s.env)[0]; r.Status != builddata.Interrupted || r.Message != "interrupted at work: somebody stopped Terraform" {
		t.Errorf("got %+v on record", r)
	}
	if alive(child) || s.marked("deployed") || !s.marked("tidied") {
		t.Errorf("the step's child lives: %t; what follows it has run: %t; the section last has run: %t", alive(child), s.marked("deployed"), s.marked("tidied"))
	}
	if text, err := os.ReadFile(filepath.Join(s.marks, "plugin")); err != nil || len(text) > 0 {
		t.Errorf("the step sees how Terraform speaks with the provider: %s %v", text, err)
	}
	s.again(t)
}

// Terraform and the provider are killed, as when the machine dies.
func TestAccPipeRun_Killed(t *testing.T) {
	s := newStage(t)
	_, child := s.stop(t, func(c *exec.Cmd) error { return acctest.Signal(c, os.Kill) })
	lost := runs(t, s.env)[0]
	if lost.Status != builddata.Started || s.marked("tidied") {
		t.Errorf("got %+v on record, and that the section last has run: %t", lost, s.marked("tidied"))
	}
	t.Logf("the child of the step that was at work lives on: %t", alive(child))
	out := s.again(t)
	if !says(lost.ID+" (app, begun at").MatchString(out) || !says("is lost: the runner died at work").MatchString(out) {
		t.Errorf("the next apply does not say what became of run %s:\n%s", lost.ID, out)
	}
	if r, err := s.env.Store.Run(t.Context(), lost.Service, lost.ID); err != nil || r.Status != builddata.Lost {
		t.Errorf("got %+v and %v on record, want it to be lost", r, err)
	}
}

// Terraform alone is killed. The provider notices, and ends the run. As all
// providers, it then waits for a Terraform that does not come.
func TestAccPipeRun_TerraformKilled(t *testing.T) {
	s := newStage(t)
	_, child := s.stop(t, func(c *exec.Cmd) error { return c.Process.Kill() })
	_, after, _ := strings.Cut(runs(t, s.env)[0].Holder, "process ")
	provider, err := strconv.Atoi(after)
	fatal(t, err)
	defer syscall.Kill(provider, syscall.SIGKILL) //nolint:errcheck // it may have ended
	err = wait(t.Context(), "the run has ended", func() bool { return runs(t, s.env)[0].Status != builddata.Started })
	if err != nil {
		t.Error(err)
	}
	if r := runs(t, s.env)[0]; r.Status != builddata.Interrupted || alive(child) || !s.marked("tidied") {
		t.Errorf("got %+v on record, and that the child lives: %t, the section last has run: %t", r, alive(child), s.marked("tidied"))
	}
	s.again(t)
}

// An import knows what is on record; the next apply takes the rest over from
// the configuration, and runs nothing.
func TestAccPipeRun_Import(t *testing.T) {
	s := newStage(t)
	fatal(t, os.Remove(filepath.Join(s.marks, "slow")))
	run := func(args ...string) string {
		t.Helper()
		out, err := s.Run(t.Context(), append(args, "-no-color")...)
		fatal(t, err)
		return out
	}
	run("apply", "-auto-approve")
	id := runs(t, s.env)[0].ID
	run("state", "rm", address)
	run("import", address, id)
	if out := run("apply", "-auto-approve"); !says("Plan: 0 to add, 1 to change, 0 to destroy.").MatchString(out) {
		t.Errorf("got, after the import\n%s", out)
	}
	run("plan", "-detailed-exitcode")
	if all := runs(t, s.env); len(all) != 1 {
		t.Errorf("got %d runs on record, want the one that was imported", len(all))
	}
	run("destroy", "-auto-approve")
	for _, none := range []string{"mock", "01KB3ZJ8T0QW4E5R6T7Y8U9I0P"} {
		if out, err := s.Run(t.Context(), "import", "-no-color", address, none); err == nil || !strings.Contains(out, "Cannot import non-existent remote object") {
			t.Errorf("got %v for an import of %s", err, none)
		}
	}
}
