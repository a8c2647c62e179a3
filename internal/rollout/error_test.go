package rollout_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with testdata/<test>.golden.
func golden(t *testing.T, got string) {
	t.Helper()
	goldenFile(t, filepath.Base(t.Name())+".golden", got)
}

func goldenFile(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	got += "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
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
		t.Errorf("got (-) what %s has not (+):\n%s", file, diff)
	}
}

// at lets every call through, and calls do at the first one of that name from the
// k-th call on.
func at(k int, name string, do func() fault) func(int, string) fault {
	done := false
	return func(i int, called string) fault {
		if done || i < k || called != name {
			return none
		}
		done = true
		return do()
	}
}

// TestErrors checks the texts of failures.
func TestErrors(t *testing.T) {
	one, two := []cluster.Spec{spec("1")}, spec("2")
	missing := spec("2", func(s *cluster.Spec) { s.ImageID = "ami-missing" })
	firing := func(state cluster.AlarmState, reason string) func(*harness) {
		return func(s *harness) {
			s.world.alarms["errors"] = func() cluster.Alarm { return cluster.Alarm{State: state, Reason: reason} }
		}
	}
	apply := func(spec cluster.Spec, settings rollout.Settings) func(*harness) error {
		return func(s *harness) error {
			m, _ := s.process(nil)
			return s.apply(m, spec, settings)
		}
	}
	// fails applies version 2, and has the first call of that name fail.
	fails := func(name string, f fault) func(*harness) error {
		return func(s *harness) error {
			m, _ := s.process(at(1, name, func() fault { return f }))
			return s.apply(m, two, quick())
		}
	}
	for _, c := range []struct {
		name    string
		before  []cluster.Spec
		prepare func(*harness)
		do      func(*harness) error
		outcome rollout.Outcome
		serving string
	}{
		{"NeverHealthy", one, never("2"), apply(two, quick()), rollout.RolledBack, "1"},
		{"CreationNeverHealthy", nil, never("2"), apply(two, quick()), rollout.RolledBack, ""},
		{"AlarmFires", one, fires, apply(two, quick(alarms("errors"), steps(10))), rollout.RolledBack, "1"},
		{"AlarmFiresAlready", one, firing(cluster.AlarmFiring, "5 of 5 datapoints were above 1.0."),
			apply(two, quick(alarms("errors"))), rollout.Refused, "1"},
		{"AlarmMissing", one, nil, apply(two, quick(alarms("errors"))), rollout.Refused, "1"},
		{"AlarmWithoutData", one, firing(cluster.AlarmNoData, ""),
			apply(two, quick(alarms("errors"), func(s *rollout.Settings) { s.MissingDataIsBad = true })), rollout.Refused, "1"},
		{"ImageMissing", one, nil, apply(missing, quick()), rollout.Refused, "1"},
		{"DiesAfterTheSwitch", one, dies("2", 1500*time.Millisecond), apply(two, quick()), rollout.RolledBack, "1"},
		{"Kept", one, never("2"), apply(two, quick(keepOnFailure)), rollout.Stopped, "1"},
		{"OnlyTheNewIsHealthy", one, func(s *harness) {
			s.world.generations[s.known.Name].group = nil
			fires(s)
		}, apply(two, quick(alarms("errors"))), rollout.Stopped, "1"},
		{"Protected", one, protects, apply(two, quick()), rollout.Irreversible, "2"},
		{"ProtectedKept", []cluster.Spec{spec("1"), two}, func(s *harness) {
			protects(s)
		}, apply(two, quick()), rollout.Irreversible, "2"},
		{"Throttled", one, nil, fails("MakeTargets", failsBefore), rollout.RolledBack, "1"},
		{"RemovalFails", one, nil, fails("RemoveTargets", failsBefore), rollout.Irreversible, "2"},
		{"DestructionFails", one, nil, func(s *harness) error {
			m, _ := s.process(at(1, "RemoveTargets", func() fault { return failsBefore }))
			return m.Destroy(context.Background(), web, s.refresh())
		}, rollout.Irreversible, "1"},
		{"Interrupted", one, nil, func(s *harness) error {
			ctx, cancel := context.WithCancel(context.Background())
			m, _ := s.process(at(46, "Health", func() fault { cancel(); return none }))
			return s.applyIn(ctx, m, two, quick(steps(20), func(s *rollout.Settings) { s.ObserveFor = time.Minute }))
		}, rollout.Stopped, "1"},
		{"Aborted", one, nil, func(s *harness) error {
			m, _ := s.process(at(46, "Health", func() fault {
				_ = s.store.RequestAbort(context.Background(), web.Service, s.status().Open.ID, "ada")
				return none
			}))
			return s.apply(m, two, quick(steps(20), func(s *rollout.Settings) { s.ObserveFor = time.Minute }))
		}, rollout.RolledBack, "1"},
		{"Obstacle", one, func(s *harness) { s.world.obstacles = []string{"a warm pool: delete it"} }, apply(two, quick()), rollout.Refused, "1"},
		{"Called", []cluster.Spec{spec("1", declares)}, func(s *harness) { s.world.callers = []string{"orders-high"} },
			apply(spec("2", declares), quick()), rollout.Refused, "1"},
		{"AttachmentsDenied", one, nil, fails("Attached", failsBefore), rollout.Refused, "1"},
		{"CheckFails", one, answers500, apply(two, quick(preview)), rollout.RolledBack, "1"},
		{"CheckCommandFails", one, answers500, apply(two, quick(func(s *rollout.Settings) {
			preview(s)
			s.Checks = nil
			checkCommand(s)
		})), rollout.RolledBack, "1"},
		{"CheckUnreachable", one, unreachable, apply(two, quick(preview)), rollout.RolledBack, "1"},
		{"CheckUnreachableCreation", nil, unreachable, apply(two, quick(preview)), rollout.RolledBack, ""},
		{"PreviewHasNoPriority", one, nil,
			apply(spec("2", func(s *cluster.Spec) { s.ImageID = "ami-no-priority" }), quick(preview)), rollout.Refused, "1"},
		{"TargetAlarmFires", one, answers500, apply(two, quick(watched)), rollout.RolledBack, "1"},
		{"SameVersion", one, func(s *harness) { s.world.behaviour["1"] = behaviour{start: time.Hour} },
			apply(spec("1", func(s *cluster.Spec) { s.Servers.InstanceType = "t3.large" }), quick()), rollout.RolledBack, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newHarness(1)
			y := story{before: c.before, settings: quick(), prepare: c.prepare}
			if c.name == "ProtectedKept" {
				y.settings = quick(keepPrevious)
			}
			if err := y.begin(s); err != nil {
				t.Fatal(err)
			}
			err := c.do(s)
			if err == nil || outcome(err) != c.outcome {
				t.Fatalf("got outcome %d (%v), want %d", outcome(err), err, c.outcome)
			}
			if got := s.serving(); got != c.serving {
				t.Errorf("version %q serves by the record, want %q", got, c.serving)
			}
			golden(t, err.Error())
		})
	}
}

// TestRefusals checks the texts of refusals.
func TestRefusals(t *testing.T) {
	one, two := spec("1"), spec("2")
	begun := func(t *testing.T, before ...cluster.Spec) (*harness, *rollout.Manager) {
		s := newHarness(1)
		if err := (story{before: before, settings: quick()}).begin(s); err != nil {
			t.Fatal(err)
		}
		m, _ := s.process(nil)
		return s, m
	}
	t.Run("UndoOfTheFirst", func(t *testing.T) {
		_, m := begun(t, one)
		_, err := m.Undo(t.Context(), web)
		golden(t, err.Error())
	})
	t.Run("UndoOfNothing", func(t *testing.T) {
		_, m := begun(t)
		_, err := m.Undo(t.Context(), web)
		golden(t, err.Error())
	})
	t.Run("ResumeOfNothing", func(t *testing.T) {
		_, m := begun(t, one)
		_, err := m.Resume(t.Context(), web)
		golden(t, err.Error())
	})
	t.Run("UndoTooLate", func(t *testing.T) {
		s, _ := begun(t, one)
		m, _ := s.process(at(1, "RemoveTargets", func() fault { return failsBefore }))
		if err := s.apply(m, two, quick()); outcome(err) != rollout.Irreversible {
			t.Fatalf("got %v, want it irreversible", err)
		}
		m, _ = s.process(nil)
		_, err := m.Undo(t.Context(), web)
		golden(t, err.Error())
		if _, err := m.Resume(t.Context(), web); err != nil {
			t.Fatal(err)
		}
		if err := s.converged("2"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("AbortTooLate", func(t *testing.T) {
		s, _ := begun(t, one)
		var abortErr error
		m, _ := s.process(at(1, "RemoveTemplate", func() fault { return none }))
		aborter, _ := s.process(nil)
		waiting := &intervening{Clock: aborter.Clock, do: func() { _ = s.apply(m, two, quick()) }}
		aborter.Clock = waiting
		open, p := s.process(fixed(60, killedAfter))
		_ = s.apply(open, two, quick())
		if !p.dead || s.status().Open == nil {
			t.Fatal("nothing is open")
		}
		// The rollout is resumed while the abort waits, and so the request
		// comes too late.
		s.store.unheard = true
		_, abortErr = aborter.Abort(t.Context(), web)
		if abortErr == nil {
			t.Fatal("got no error")
		}
		golden(t, abortErr.Error())
	})
	t.Run("ExistsAlready", func(t *testing.T) {
		s, m := begun(t, one)
		s.known = nil
		golden(t, s.apply(m, two, quick()).Error())
		if err := s.converged("1"); err != nil {
			t.Fatal(err)
		}
	})
}
