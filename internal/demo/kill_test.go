package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// The runner is killed in each step of the application pipe, and the pipe is run
// again: the lost run is reported and recorded, and the printed command removes
// everything in its environment.
func TestAccPipe_KilledAtEachStep(t *testing.T) {
	rig.Acceptance(t)
	s, err := setUp(t.Context())
	t.Cleanup(func() {
		if err := s.takeDown(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.commit(t.Context(), "first", "Red.\n"); err != nil {
		t.Fatal(err)
	}
	before, err := rig.Leftovers(t.Context(), s.account, s.landscape)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []moment{
		{step: "clean"}, {step: "version"}, {step: "build"}, {step: "unit tests"}, {step: "bake"}, {step: "create test environment"},
		{step: "create test environment", call: "CreateLaunchTemplate"},
		{step: "create test environment", call: "CreateRule"},
		{step: "create test environment", call: "CreateAutoScalingGroup"},
		{step: "functional tests"}, {step: "load tests"}, {step: "promote"}, {step: "destroy test environment"},
		{step: "destroy test environment", call: "DeleteAutoScalingGroup"},
		{step: "notify"},
	} {
		t.Run(strings.ReplaceAll(strings.TrimSpace(at.step+" "+at.call), " ", "_"), func(t *testing.T) {
			s.killAt(t, at)
			// The next run, of which one step is enough, reports the lost one.
			output := &strings.Builder{}
			if _, err := s.run(t.Context(), output, s.example(), s.program, "run", "--run-to", "clean"); err != nil {
				t.Fatal(err)
			}
			report := regexp.MustCompile(`run (\S+) \(application, begun at .*\) is lost: the runner died at ([a-z ]+)`)
			lost := report.FindStringSubmatch(output.String())
			if lost == nil {
				t.Fatalf("got\n%s\nwant that a run is lost", output)
			}
			run, err := s.store.Run(t.Context(), service, lost[1])
			if err != nil || run.Status != builddata.Lost {
				t.Fatalf("got %+v and %v, want a lost run", run, err)
			}
			events, err := s.store.Events(t.Context(), builddata.EventQuery{Service: service, Run: run.ID, Limit: 1000})
			isLost := func(e builddata.Event) bool { return e.Step == at.step && e.Status == builddata.Lost }
			if err != nil || !slices.ContainsFunc(events, isLost) {
				t.Errorf("got %+v and %v, want an event that %q is lost", events, err, at.step)
			}
			// The printed command removes everything.
			command := regexp.MustCompile(`delivery (run --of \S+ --run-task) '(destroy test environment)'`).FindStringSubmatch(output.String())
			if (command == nil) != (run.Number == 0) {
				t.Fatalf("got\n%s\nwant a command to remove the environment if the run had a version", output)
			}
			out := "nothing"
			if command != nil {
				if out, err = s.output(t.Context(), s.example(), s.program, append(strings.Fields(command[1]), command[2])...); err != nil {
					t.Error(err)
				}
			}
			after, err := rig.Leftovers(t.Context(), s.account, s.landscape)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(after, before) {
				t.Errorf("the account holds %v, want %v; removing printed\n%s", after, before, out)
			}
		})
	}
}

// moment is when the runner is killed: at the beginning of a step, or at a call
// of AWS in it.
type moment struct{ step, call string }

// killAt runs the pipe and kills the runner, and no other process.
func (s *harness) killAt(t *testing.T, at moment) {
	t.Helper()
	var inStep, killed atomic.Bool
	var cmd *exec.Cmd
	kill := func() {
		if killed.CompareAndSwap(false, true) {
			_ = cmd.Process.Kill() // an error is detected below
		}
	}
	s.proxy.Intercept(func(c rig.Call) *rig.Fault {
		if at.call != "" && inStep.Load() && c.Action == at.call {
			kill()
		}
		return nil
	})
	defer s.proxy.Intercept(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd = exec.CommandContext(ctx, s.program, "run")
	cmd.Dir, cmd.Env, cmd.Stdout = s.example(), s.environ, io.Discard
	rig.Separate(cmd)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	defer reader.Close() //nolint:errcheck // only read
	all := &strings.Builder{}
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.HasSuffix(lines.Text(), "  "+at.step+" …") {
			inStep.Store(true)
			if at.call == "" {
				kill()
			}
		}
	}
	if err := cmd.Wait(); !killed.Load() || err == nil {
		t.Fatalf("the runner was not killed at %+v (%v):\n%s", at, err, all)
	}
}
