package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// TestDoubleInterruptions kills a process after one of its calls, and the next
// process, which resumes or rolls back, after one of its own. The third succeeds.
func TestDoubleInterruptions(t *testing.T) {
	stories := stories()
	second := []struct {
		name string
		do   func(s *harness, y story, m *rollout.Manager) error
	}{
		{name: "Again", do: func(s *harness, y story, m *rollout.Manager) error { return y.play(s, m) }},
		{name: "Undo", do: func(_ *harness, _ story, m *rollout.Manager) error {
			_, err := m.Undo(context.Background(), web)
			return err
		}},
		{name: "Third", do: func(s *harness, y story, m *rollout.Manager) error { return s.apply(m, spec("3"), y.settings) }},
		{name: "Destroy", do: func(s *harness, _ story, m *rollout.Manager) error {
			return m.Destroy(context.Background(), web, s.refresh())
		}},
	}
	stride := 41
	if testing.Short() {
		stride = 97
	}
	var pairs, checks atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d pairs of interruptions, %d checks", pairs.Load(), checks.Load())
		if pairs.Load() == 0 {
			t.Error("nothing was interrupted")
		}
	})
	for _, name := range []string{"Creation", "Steps", "AlarmFires", "BackToKept", "KeepOnFailure", "OtherPriorityAlarm", "TakeOver"} {
		y := stories[slices.IndexFunc(stories, func(y story) bool { return y.name == name })]
		for _, then := range second {
			t.Run(name+"/"+then.name, func(t *testing.T) {
				t.Parallel()
				for first, more := 1, true; more; first++ {
					more = false
					for again := 1 + first%stride; ; again += stride {
						s := newHarness(1)
						if err := y.begin(s); err != nil {
							t.Fatal(err)
						}
						m, p := s.process(fixed(first, killedAfter))
						_ = y.play(s, m)
						if !p.dead {
							break // the story was over before
						}
						more = true
						m, p = s.process(fixed(again, killedAfter))
						_ = then.do(s, y, m)
						if !p.dead {
							break
						}
						pairs.Add(1)
						if err := third(s, y); err != nil {
							t.Errorf("killed after %d and %d: %v", first, again, err)
						}
						checks.Add(int64(s.checks))
					}
				}
			})
		}
	}
}

// TestEveryEnd kills a rollout twice, for one pair of calls in each phase, and
// continues it in every way.
func TestEveryEnd(t *testing.T) {
	for _, y := range stories() {
		t.Run(y.name, func(t *testing.T) {
			t.Parallel()
			for first := 5; first < 200; first += 23 {
				for _, c := range continuations() {
					s := newHarness(1)
					if err := y.begin(s); err != nil {
						t.Fatal(err)
					}
					m, p := s.process(fixed(first, killedBefore))
					_ = y.play(s, m)
					if !p.dead {
						return
					}
					m, _ = s.process(fixed(9+first%7, killedBefore))
					_, _ = m.Resume(context.Background(), web)
					if err := c.run(s, y); err != nil {
						t.Error(fmt.Errorf("killed before %d, and again while resuming, then %s: %w", first, c.name, err))
					}
				}
			}
		})
	}
}
