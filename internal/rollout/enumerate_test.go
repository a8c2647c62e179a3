package rollout_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// only plays one interruption, as a failure of TestInterruptions names it.
var only = flag.String("only", "", "interruption to play, for example \"Plain/killedBefore 17/Undo\"")

func (f fault) String() string {
	return [...]string{"none", "killedBefore", "killedAfter", "failsBefore", "failsAfter", "pauses"}[f]
}

// continuation is what a user does after a process was interrupted.
type continuation struct {
	name string
	run  func(s *harness, y story) error
}

func continuations() []continuation {
	return []continuation{{"Again", again}, {"Undo", undo}, {"Third", third}, {"Destroy", destroy}}
}

// again applies the same configuration until nothing is left to do.
func again(s *harness, y story) error {
	m, _ := s.process(nil)
	play := y.play
	if y.goesBack {
		play = func(s *harness, m *rollout.Manager) error { return s.apply(m, y.spec, y.settings) }
	}
	err := play(s, m)
	if s.imported(err) {
		m, _ = s.process(nil)
		err = play(s, m)
	}
	if err != nil {
		switch {
		case y.gone:
			return err
		case y.dead && y.bad && outcome(err) == rollout.Stopped:
			if err := play(s, m); err != nil {
				return err
			}
		case y.kept && outcome(err) == rollout.Stopped:
			return undo(s, y)
		case !y.bad || outcome(err) != rollout.RolledBack:
			return err
		}
	}
	return s.converged(y.becomes())
}

// undo rolls the rollout back, or resumes it if that is refused.
func undo(s *harness, y story) error {
	p := s.status()
	m, _ := s.process(nil)
	if p.Open == nil {
		return again(s, y)
	}
	_, err := m.Undo(context.Background(), web)
	switch {
	case y.dead:
		return third(s, y) // there may be nothing to go back to
	case err == nil && y.gone:
		return again(s, y)
	case err == nil:
		return s.converged(y.was())
	case !strings.Contains(err.Error(), "cannot be rolled back"):
		return err
	}
	m, _ = s.process(nil)
	e, err := m.Resume(context.Background(), web)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	s.known = e.Serving
	return s.converged(y.becomes())
}

// third applies a configuration with another version.
func third(s *harness, y story) error {
	s.world.furtherEnds = true
	other := spec("3")
	if y.spec.Listener == nil {
		other = spec("3", worker)
	}
	settings := y.settings
	settings.Alarms = nil
	s.world.unreachable = false
	m, _ := s.process(nil)
	err := s.apply(m, other, settings)
	if s.imported(err) {
		m, _ = s.process(nil)
		err = s.apply(m, other, settings)
	}
	if err != nil {
		return err
	}
	return s.converged("3")
}

// destroy destroys everything.
func destroy(s *harness, _ story) error {
	s.world.furtherEnds = true
	m, _ := s.process(nil)
	if err := m.Destroy(context.Background(), web, s.refresh()); err != nil {
		return err
	}
	if left := s.world.names(); len(left) > 0 {
		return fmt.Errorf("left: %v", left)
	}
	return s.converged("")
}

// TestInterruptions kills the process before and after every single call of
// every story, fails every call before and after its effect, and then continues
// in every way.
func TestInterruptions(t *testing.T) {
	var points, continued, checks atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d points of interruption, %d continuations, %d checks", points.Load(), continued.Load(), checks.Load())
		if *only == "" && (points.Load() == 0 || continued.Load() == 0 || checks.Load() == 0) {
			t.Error("nothing was interrupted")
		}
	})
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for _, y := range stories() {
		t.Run(y.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(1)
			if err := y.begin(s); err != nil {
				t.Fatal(err)
			}
			m, whole := s.process(nil)
			_ = y.play(s, m)
			for k := 1; k <= whole.calls; k += stride {
				for _, f := range []fault{killedBefore, killedAfter, failsBefore, failsAfter} {
					points.Add(1)
					for i, c := range continuations() {
						if i%2 == 1 && (f == failsBefore || f == failsAfter) && !y.kept {
							continue // the process has rolled it back itself
						}
						name := fmt.Sprintf("%s/%s %d/%s", y.name, f, k, c.name)
						if *only != "" && *only != name {
							continue
						}
						s, err := interrupt(t, y, k, f, c)
						continued.Add(1)
						checks.Add(int64(s.checks))
						if err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				}
			}
		})
	}
}

// interrupt plays a story with one fault, and what comes after.
func interrupt(t *testing.T, y story, k int, f fault, c continuation) (*harness, error) {
	s := newHarness(1)
	if err := y.begin(s); err != nil {
		return s, err
	}
	if *only != "" {
		s.trace = t.Logf
	}
	m, _ := s.process(fixed(k, f))
	err := y.play(s, m)
	if s.trace != nil {
		s.trace("interrupted: %v", err)
	}
	if err := truthful(s, y, err); err != nil {
		return s, err
	}
	return s, c.run(s, y)
}

// truthful reports where an error contradicts what exists.
func truthful(s *harness, y story, err error) error {
	if s.world.fault != nil {
		return s.world.fault
	}
	var e *rollout.Error
	if !errors.As(err, &e) || errors.Is(err, errKilled) {
		return nil
	}
	p := s.status()
	switch e.Outcome {
	case rollout.Refused:
		if p.Open != nil {
			return fmt.Errorf("refused, but rollout %s is open: %w", p.Open.ID, err)
		}
	case rollout.RolledBack:
		if y.dead {
			break
		}
		if err := s.converged(y.was()); err != nil {
			return fmt.Errorf("said to be rolled back: %w", err)
		}
	case rollout.Stopped:
		if p.Open == nil && p.Last.Status != builddata.Succeeded && !errors.Is(err, errLostReply) {
			return fmt.Errorf("said to be stopped, but no rollout is open: %w", err)
		}
	}
	return nil
}
