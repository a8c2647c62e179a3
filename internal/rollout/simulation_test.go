package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// dice decide what happens in a simulation.
type dice interface{ IntN(n int) int }

// bytesDice are a fuzzer's bytes; all zero once they are used up.
type bytesDice struct{ left []byte }

func (d *bytesDice) IntN(n int) int {
	if len(d.left) == 0 {
		return 0
	}
	b := d.left[0]
	d.left = d.left[1:]
	return int(b) % n
}

// simulation is the history of a cluster in which much goes wrong.
type simulation struct {
	*harness
	dice dice
	// shape is what all specs of the cluster have in common.
	shape    []func(*cluster.Spec)
	takes    bool // creations take something over
	settings rollout.Settings
	version  int
	spec     cluster.Spec
	bad      map[string]bool
	// halved says that a destruction did not finish, so that the generation before
	// may be incomplete.
	halved bool
}

func newSimulation(d dice) *simulation {
	v := &simulation{harness: newHarness(byte(d.IntN(256))), dice: d, bad: map[string]bool{}}
	v.world.lag = d.IntN(3)
	v.world.ending = time.Duration(1+d.IntN(20)) * time.Second
	v.world.deleting = time.Duration(d.IntN(20)) * time.Second
	if d.IntN(2) == 0 {
		v.world.scaling = rand.New(rand.NewPCG(1, uint64(d.IntN(256))))
	}
	switch d.IntN(6) {
	case 0:
		v.shape = append(v.shape, worker)
	case 1:
		v.shape = append(v.shape, defaultAction)
	case 2:
		v.takes, v.shape = true, append(v.shape, takesOver)
	case 3:
		v.takes, v.shape = true, append(v.shape, takesOver, anyPriority)
	}
	if d.IntN(3) == 0 {
		v.shape = append(v.shape, declares)
		v.world.furtherEnds = true // versions may die that have replaced good ones
	}
	if d.IntN(4) == 0 && !slices.ContainsFunc(v.shape, func(f func(*cluster.Spec)) bool { s := spec("0", f); return s.Listener == nil }) {
		v.shape = append(v.shape, hasFurther("a", "b"))
	}
	v.world.alarms["errors"] = v.alarm
	v.choose()
	v.spec = v.next(true)
	return v
}

// alarm fires while a version that is bad that way gets requests.
func (v *simulation) alarm() cluster.Alarm {
	for name, g := range v.world.generations {
		if !g.gone() && v.bad[g.spec.Version] && v.world.share(name) > 0 {
			return cluster.Alarm{State: cluster.AlarmFiring}
		}
	}
	return cluster.Alarm{State: cluster.AlarmOK}
}

// choose chooses new settings.
func (v *simulation) choose() {
	d := v.dice
	v.settings = quick(func(s *rollout.Settings) {
		s.HealthyWithin = time.Duration(30+d.IntN(60)) * time.Second
		s.ObserveFor = time.Duration(d.IntN(20)) * time.Second
		s.Drain = time.Duration(d.IntN(20)) * time.Second
		if v.takes { // what was taken over answers again within that time
			s.Drain = max(s.Drain, time.Second)
		}
		s.KeepPrevious = d.IntN(3) == 0
		if d.IntN(3) == 0 {
			s.Steps = [][]int32{{10, 50, 100}, {50}, {1, 99}}[d.IntN(3)]
		}
		if d.IntN(4) == 0 {
			s.OnFailure = rollout.Keep
		}
		s.Protected = []rollout.Protected{rollout.Force, rollout.Ignore}[d.IntN(2)]
		if s.ObserveFor > 0 {
			s.Alarms = []string{"errors"}
		}
		if serves := v.shape == nil || spec("", v.shape...).Listener != nil; serves && d.IntN(3) == 0 {
			preview(s)
			watched(s)
		}
	})
}

// next is a spec with a new version.
func (v *simulation) next(good bool) cluster.Spec {
	d := v.dice
	v.version++
	name := fmt.Sprint(10 + v.version)
	b := behaviour{start: time.Duration(d.IntN(25)) * time.Second}
	if !good {
		switch d.IntN(8) {
		case 0:
			b.never = true
		case 1:
			b.dies = b.start + time.Duration(1+d.IntN(60))*time.Second
		case 2:
			b.flaky = 1 + d.IntN(2)
		case 3:
			b.protected = 1
		case 4:
			v.bad[name] = true
		case 5:
			b.fails = true
		}
	}
	v.world.behaviour[name] = b
	s := spec(name, v.shape...)
	s.Size.Min = int32(d.IntN(4))
	s.Size.Max = s.Size.Min + int32(1+d.IntN(5))
	if s.Listener != nil && s.Listener.Rule != nil && d.IntN(6) == 0 {
		priority(int32(1 + d.IntN(3)))(&s)
	}
	return s
}

// wrong chooses what goes wrong with a process.
func (v *simulation) wrong() func(int, string) fault {
	d := v.dice
	switch d.IntN(6) {
	case 0:
		return fixed(1+d.IntN(128), killedBefore)
	case 1:
		return fixed(1+d.IntN(128), killedAfter)
	case 2:
		return fixed(1+d.IntN(128), pauses)
	case 3:
		often, first := 1+d.IntN(3), 1+d.IntN(100)
		return func(k int, _ string) fault {
			if k < first || often == 0 || d.IntN(2) == 0 {
				return none
			}
			often--
			return failsBefore + fault(d.IntN(2))
		}
	}
	return nil
}

// act does something to the cluster in a new process, and reports what it broke.
// During a pause of that process, another one may take over.
func (v *simulation) act(depth int) error {
	d := v.dice
	var f func(int, string) fault
	if depth == 0 {
		f = v.wrong()
	}
	m, p := v.process(f)
	var during error
	p.during = func() {
		// Longer than the lease, or not.
		_ = v.clock.Sleep(context.Background(), time.Duration(5+d.IntN(60))*time.Second)
		v.world.move()
		during = v.act(depth + 1)
	}
	ctx := context.Background()
	var err error
	var doing string
	switch n := d.IntN(20); {
	case n < 10:
		doing = "apply another"
		v.choose()
		v.spec = v.next(false)
		err = v.apply(m, v.spec, v.settings)
	case n < 13:
		doing = "apply again"
		err = v.apply(m, v.spec, v.settings)
	case n < 14:
		doing = "resize"
		v.spec.Size.Max++
		v.spec.Size.Min = v.spec.Size.Max - 1
		err = v.apply(m, v.spec, v.settings)
	case n < 16:
		doing = "undo"
		_, err = m.Undo(ctx, web)
	case n < 17:
		doing = "resume"
		_, err = m.Resume(ctx, web)
	case n < 18:
		doing = "abort"
		_, err = m.Abort(ctx, web)
	case n < 19:
		doing = "ask for an abort"
		if open := v.status().Open; open != nil {
			err = v.store.RequestAbort(ctx, web.Service, open.ID, "a user")
		}
	default:
		doing, v.halved = "destroy", true
		if err = m.Destroy(ctx, web, v.refresh()); err == nil {
			v.known = nil
		}
		v.halved = err != nil
	}
	if v.trace != nil {
		v.trace("%s: %s: %v", p.holder, doing, err)
	}
	if p.paused || v.halved {
		err = nil // things may have changed since, or be incomplete
	}
	return errors.Join(during, v.world.fault, v.truthful(err), v.journals())
}

// truthful reports where an error contradicts what exists.
func (v *simulation) truthful(err error) error {
	var e *rollout.Error
	injected := slices.ContainsFunc([]error{errKilled, errThrottled, errLostReply, builddata.ErrConflict}, func(target error) bool {
		return errors.Is(err, target)
	})
	if !errors.As(err, &e) || injected {
		return nil
	}
	switch e.Outcome {
	case rollout.RolledBack:
		if err := v.converged(e.From); err != nil {
			return fmt.Errorf("said to be rolled back: %w: %w", err, e)
		}
	case rollout.Stopped:
		if v.status().Open == nil {
			return fmt.Errorf("said to be stopped, but no rollout is open: %w", e)
		}
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(e.Serving, "version "), " with ")
	version, serves := strings.CutSuffix(version, " serves")
	if !serves || v.spec.Listener == nil {
		return nil
	}
	for _, name := range v.world.names() {
		if v.world.generations[name].spec.Version == version && v.world.share(name) == 100 {
			return nil
		}
	}
	return fmt.Errorf("said that version %s serves, but it does not: %w", version, e)
}

// run lets a few things happen. In the end, it checks that a good version can be
// rolled out and everything be removed.
func (v *simulation) run() error {
	for range 3 + v.dice.IntN(4) {
		if err := v.act(0); err != nil {
			return err
		}
	}
	settings := v.settings
	settings.Alarms, settings.Protected, settings.HealthyWithin = nil, rollout.Force, 10*time.Minute
	settings.Unreachable = rollout.Continue // it may be scaled to no servers
	settings.Checks = slices.Clone(settings.Checks)
	for i := range settings.Checks {
		settings.Checks[i].Within = time.Minute // and then to some
	}
	last := v.next(true)
	m, _ := v.process(nil)
	err := v.apply(m, last, settings)
	if v.imported(err) {
		m, _ = v.process(nil)
		err = v.apply(m, last, settings)
	}
	if err != nil {
		return fmt.Errorf("at last: %w", err)
	}
	if err := v.converged(last.Version); err != nil {
		return fmt.Errorf("at last: %w", err)
	}
	m, _ = v.process(nil)
	if err := m.Destroy(context.Background(), web, v.known); err != nil {
		return fmt.Errorf("the destruction: %w", err)
	}
	if left := v.world.names(); len(left) > 0 || len(v.world.routes)+len(v.world.previews)+len(v.world.made) > 0 {
		return fmt.Errorf("the destruction left %v %v", left, v.world.routes)
	}
	return v.converged("")
}

// seeds is how many simulations TestSimulation runs. Each has several rollouts.
const seeds = 3000

// TestSimulation runs many random histories. ROLLOUT_SEED runs one of them and
// logs everything.
func TestSimulation(t *testing.T) {
	if seed, err := strconv.ParseUint(os.Getenv("ROLLOUT_SEED"), 10, 64); err == nil {
		v := newSimulation(rand.New(rand.NewPCG(seed, 2)))
		v.trace = t.Logf
		if err := v.run(); err != nil {
			t.Error(err)
		}
		return
	}
	n := seeds
	if testing.Short() {
		n /= 10
	}
	const shards = 4
	var rollouts, checks, failed atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d rollouts, %d checks in %d simulations", rollouts.Load(), checks.Load(), n)
		if least := int64(n) * 4; rollouts.Load() < least {
			t.Errorf("got %d rollouts, want at least %d", rollouts.Load(), least)
		}
	})
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < n && failed.Load() < 10; seed += shards {
				v := newSimulation(rand.New(rand.NewPCG(uint64(seed), 2)))
				if err := v.run(); err != nil {
					failed.Add(1)
					t.Errorf("ROLLOUT_SEED=%d: %v", seed, err)
				}
				rollouts.Add(int64(len(v.store.rollouts())))
				checks.Add(int64(v.checks))
			}
		})
	}
}

// FuzzRollout drives the simulation by bytes.
func FuzzRollout(f *testing.F) {
	f.Add([]byte("a quick brown fox jumps over the lazy dog"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, throws []byte) {
		if err := newSimulation(&bytesDice{left: throws}).run(); err != nil {
			t.Error(err)
		}
	})
}
