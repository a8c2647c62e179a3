package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// intervening is a clock that calls do in the first sleep.
type intervening struct {
	clock.Clock
	do func()
}

func (c *intervening) Sleep(ctx context.Context, d time.Duration) error {
	if do := c.do; do != nil {
		c.do = nil
		do()
	}
	return c.Clock.Sleep(ctx, d)
}

// begun returns a harness on which the specs were applied.
func begun(t *testing.T, settings rollout.Settings, before ...cluster.Spec) *harness {
	t.Helper()
	s := newHarness(1)
	if err := (story{before: before, settings: settings}).begin(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestApply_GroupDeletedWhileObserved(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	m.Clock = &intervening{Clock: m.Clock}
	deleted := false
	m.Progress = func(_ context.Context, format string, args ...any) {
		if strings.HasPrefix(format, "%s") && len(args) == 1 && !deleted {
			for _, g := range s.world.generations {
				if text, ok := args[0].(string); ok && strings.HasPrefix(text, rollout.Observe.Title()) && g.spec.Version == "2" {
					g.group, deleted = nil, true
				}
			}
		}
	}
	err := s.apply(m, spec("2"), quick())
	if !deleted || outcome(err) != rollout.RolledBack {
		t.Fatalf("got %v, want it rolled back", err)
	}
	if err := s.converged("1"); err != nil {
		t.Fatal(err)
	}
}

// expiring is a context whose deadline passes when done is closed.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.done }

func (e expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestApply_DeadlineDoesNotStopTheRollback(t *testing.T) {
	for _, settings := range []rollout.Settings{quick(), quick(keepOnFailure)} {
		for k := 11; k < 61; k++ {
			s := begun(t, quick(), spec("1"))
			ctx := expiring{Context: t.Context(), done: make(chan struct{})}
			m, _ := s.process(func(i int, _ string) fault {
				if i == k {
					close(ctx.done)
				}
				return none
			})
			err := s.applyIn(ctx, m, spec("2"), settings)
			p := s.status()
			switch outcome(err) {
			case rollout.RolledBack:
				if err := s.converged("1"); err != nil {
					t.Fatalf("expired at call %d: %v", k, err)
				}
			case rollout.Stopped:
				if settings.OnFailure != rollout.Keep || p.Open == nil || s.world.share(firstGeneration(t, p.Open)) != 100 {
					t.Fatalf("expired at call %d: got %v, want all requests sent back", k, err)
				}
			case rollout.Refused:
			default:
				if err == nil || p.Serving == nil {
					t.Fatalf("expired at call %d: got %v", k, err)
				}
			}
		}
	}
}

// firstGeneration names the generation of the first step in the journal, whose
// capacity is pinned.
func firstGeneration(t *testing.T, r *builddata.Rollout) string {
	t.Helper()
	step, err := rollout.ParseStep(r.Entries[0].Step)
	if err != nil || step.Kind != rollout.PinCapacity {
		t.Fatalf("got the first step %v (%v), want the old generation's capacity pinned", step, err)
	}
	return step.Generation
}

func TestApply_DesiredIsNeverReset(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	live(5)(s)
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(steps(10, 50))); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
	if got := s.world.generations[s.known.Name].group.desired; got != 5 {
		t.Errorf("got %d servers, want the 5 there were", got)
	}
}

func TestApply_ScalingInWaits(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	live(5)(s)
	old := s.world.generations[s.known.Name]
	checks := 0
	m, _ := s.process(func(_ int, name string) fault {
		// Scaling in is allowed only before and after the rollout.
		if p := s.status(); p.Open != nil && name == "Health" && len(p.Open.Entries) > 1 {
			checks++
			if old.group != nil && old.group.size.Min < old.group.desired {
				t.Errorf("after %d checks, the old generation may be scaled in to %d servers, and has %d",
					checks, old.group.size.Min, old.group.desired)
			}
		}
		return none
	})
	never("2")(s)
	if err := s.apply(m, spec("2"), quick()); outcome(err) != rollout.RolledBack {
		t.Fatal(err)
	}
	if checks == 0 || old.group.size.Min != 2 {
		t.Errorf("got %d checks and a smallest size of %d in the end, want some and 2", checks, old.group.size.Min)
	}
}

func TestApply_OtherRuleIsDisconnectedBeforeTheDrain(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	fires(s)
	m, _ := s.process(nil)
	drained := false
	m.Progress = func(_ context.Context, _ string, args ...any) {
		text, _ := args[0].(string)
		if !strings.HasPrefix(text, rollout.WaitDrain.Title()) {
			return
		}
		drained = true
		for name, g := range s.world.generations {
			if g.spec.Version == "2" && s.world.share(name) > 0 {
				t.Errorf("%s gets %d%% of the requests while they may finish", name, s.world.share(name))
			}
		}
	}
	if err := s.apply(m, spec("2", priority(5)), quick(alarms("errors"))); outcome(err) != rollout.RolledBack || !drained {
		t.Fatalf("got %v, want it rolled back", err)
	}
}

// hanging is a cloud some of whose first Health calls last as long as their
// context.
type hanging struct {
	cluster.Cloud
	times *int
}

func (c hanging) Health(ctx context.Context, g ...cluster.Generation) ([]cluster.Health, error) {
	if *c.times++; *c.times > 5 && *c.times < 9 {
		return nil, fmt.Errorf("read health: %w", context.DeadlineExceeded)
	}
	return c.Cloud.Health(ctx, g...)
}

func TestApply_RepeatsCallThatHangs(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	times := 0
	m.Cloud = hanging{m.Cloud, &times}
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
}

func TestApply_ScalingOutMeanwhile(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	old := s.world.generations[s.known.Name]
	m, _ := s.process(at(60, "Health", func() fault { s.world.scale(old, 6); return none }))
	if err := s.apply(m, spec("2"), quick(steps(50), func(s *rollout.Settings) { s.ObserveFor = time.Minute })); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
	if got := s.world.generations[s.known.Name].group.desired; got != 6 {
		t.Errorf("got %d servers, want the 6 that the old generation was scaled to", got)
	}
}

func TestApply_ResumesFailedGenerationThatWasKept(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	fires(s)
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(keepOnFailure, alarms("errors"))); outcome(err) != rollout.Stopped {
		t.Fatalf("got %v, want it stopped", err)
	}
	// Once the cause is fixed, it is resumed: health first, and every step again.
	s.world.alarms["errors"] = func() cluster.Alarm { return cluster.Alarm{State: cluster.AlarmOK} }
	if err := s.apply(m, spec("2"), quick(keepOnFailure, alarms("errors"))); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
}

// Ignored tags alone change nothing, and a rollout back to an earlier version ignores those
// that are ignored now.
func TestApply_IgnoresTags(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	for _, g := range s.world.generations {
		g.tags["backup:plan"] = "daily"
	}
	ignored := tagging.Ignored{KeyPrefixes: []string{"backup:"}}
	ignore := func(s *cluster.Spec) { s.IgnoredTags = ignored }
	m, _ := s.process(nil)
	if err := s.apply(m, spec("1", ignore, func(s *cluster.Spec) { s.Size.Max++ }), quick()); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.world.generations {
		if g.tags["backup:plan"] != "daily" {
			t.Errorf("got the tags %v, want the ignored one left alone", g.tags)
		}
	}
	if err := s.apply(m, spec("2", ignore), quick()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Undo(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	if got := s.status().Serving.Spec; got.Version != "1" || !reflect.DeepEqual(got.IgnoredTags, ignored) {
		t.Errorf("version %s serves and ignores %v", got.Version, got.IgnoredTags)
	}
}

func TestUndo_Repeatedly(t *testing.T) {
	s := begun(t, quick(), spec("1"), spec("2"))
	// Changes in place since then are not rolled back.
	m, _ := s.process(nil)
	larger := spec("2", func(s *cluster.Spec) { s.Size = cluster.Size{Min: 3, Max: 9} }, priority(7))
	if err := s.apply(m, larger, quick()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "1"} {
		e, err := m.Undo(t.Context(), web)
		if err != nil {
			t.Fatal(err)
		}
		s.known = e.Serving
		if err := s.converged(want); err != nil {
			t.Fatal(err)
		}
		if e.Serving.Spec.Size != larger.Size || e.Serving.Spec.Listener.Rule.Priority != 7 {
			t.Errorf("got %s at priority %d, want it as it was changed in place", e.Serving.Spec.Size, e.Serving.Spec.Listener.Rule.Priority)
		}
	}
}

func TestUndo_DespiteFiringAlarm(t *testing.T) {
	s := begun(t, quick(keepPrevious), spec("1"))
	s.world.alarms["errors"] = func() cluster.Alarm { return cluster.Alarm{State: cluster.AlarmOK} }
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(keepPrevious, alarms("errors"))); err != nil {
		t.Fatal(err)
	}
	s.world.alarms["errors"] = func() cluster.Alarm { return cluster.Alarm{State: cluster.AlarmFiring} }
	e, err := m.Undo(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	s.known = e.Serving
	if err := s.converged("1"); err != nil {
		t.Fatal(err)
	}
}

func TestUndo_OfAListener(t *testing.T) {
	s := begun(t, quick(), spec("1", worker), spec("2"))
	m, _ := s.process(nil)
	e, err := m.Undo(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if s.known = e.Serving; e.Serving.Spec.Target == nil || e.Serving.Spec.Listener == nil {
		t.Errorf("got listener %v and target %v, want both", e.Serving.Spec.Listener, e.Serving.Spec.Target)
	}
	if err := s.converged("1"); err != nil {
		t.Fatal(err)
	}
}

func TestUndo_RevokedVersion(t *testing.T) {
	s := begun(t, quick(), spec("1"), spec("2"))
	if _, err := s.store.Revoke(t.Context(), web.Service, "1", "leaks"); err != nil {
		t.Fatal(err)
	}
	m, _ := s.process(nil)
	if _, err := m.Undo(t.Context(), web); err == nil || !strings.Contains(err.Error(), "leaks") {
		t.Errorf("got %v, want it refused because the version was revoked", err)
	}
}

func TestAbort_OfADeadProcess(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(fixed(40, killedAfter))
	_ = s.apply(m, spec("2"), quick())
	m, _ = s.process(nil)
	if _, err := m.Abort(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("1"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Abort(t.Context(), web); err != nil {
		t.Errorf("got %v, want nothing to do", err)
	}
}

func TestHistory_HasEachRolloutOnce(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(at(30, "Record", func() fault { return killedAfter }))
	_ = s.apply(m, spec("2"), quick())
	m, _ = s.process(nil)
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Fatal(err)
	}
	var got []builddata.Status
	events, err := s.store.Events(t.Context(), builddata.EventQuery{Service: web.Service, Number: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		got = append(got, e.Status)
	}
	if want := []builddata.Status{builddata.Started, builddata.Succeeded}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestProtected_Ignore(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	protects(s)
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(protected(rollout.Ignore))); err != nil {
		t.Fatal(err)
	}
	if p := s.status(); len(p.Left) != 1 || len(s.world.names()) != 2 {
		t.Fatalf("got %d left on record and %v, want one left", len(p.Left), s.world.names())
	}
	// Once its protection has ended, the next rollout removes it.
	for _, g := range s.world.generations {
		if g.group != nil {
			g.group.servers[0].protected = false
		}
	}
	if err := s.apply(m, spec("3"), quick(protected(rollout.Ignore))); err != nil {
		t.Fatal(err)
	}
	if p := s.status(); len(p.Left) != 0 || len(s.world.names()) != 1 {
		t.Errorf("got %d left on record and %v, want none left", len(p.Left), s.world.names())
	}
}

// TestSQLite plays a few stories on the real store, killed and resumed.
func TestSQLite(t *testing.T) {
	for _, y := range stories() {
		if !slices.Contains([]string{"Steps", "AlarmFires", "BackToKept"}, y.name) {
			continue
		}
		t.Run(y.name, func(t *testing.T) {
			for _, k := range []int{0, 30, 60} {
				s := newHarness(1)
				store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "builddata.db"), s.clock)
				if err != nil {
					t.Fatal(err)
				}
				s.real = store
				if err := y.begin(s); err != nil {
					t.Fatal(err)
				}
				m, p := s.process(fixed(k, killedAfter))
				if err = y.play(s, m); p.dead {
					m, _ = s.process(nil)
					err = y.play(s, m)
				}
				if (err != nil) != y.bad {
					t.Fatalf("killed after call %d: got %v", k, err)
				}
				if err := s.converged(y.becomes()); err != nil {
					t.Errorf("killed after call %d: %v", k, err)
				}
				if err := errors.Join(store.Close()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// With credentials of another account, the cluster would seem to be gone.
func TestManager_OtherAccount(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	there := len(s.world.names())
	s.world.account = "another"
	for name, do := range map[string]func(m *rollout.Manager) error{
		"Apply":   func(m *rollout.Manager) error { return s.apply(m, spec("2"), quick()) },
		"Undo":    func(m *rollout.Manager) error { _, err := m.Undo(t.Context(), web); return err },
		"Resume":  func(m *rollout.Manager) error { _, err := m.Resume(t.Context(), web); return err },
		"Destroy": func(m *rollout.Manager) error { return m.Destroy(t.Context(), web, s.known) },
		"Status":  func(m *rollout.Manager) error { _, err := m.Status(t.Context(), web); return err },
	} {
		m, _ := s.process(nil)
		if err := do(m); err == nil || !strings.Contains(err.Error(), "but the credentials are of account another; nothing was changed") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got := len(s.world.names()); got != there {
		t.Errorf("got %d generations, want %d", got, there)
	}
}

// A repository that does not know an existing generation is not the one that the
// cluster was created with.
func TestManager_OtherRepository(t *testing.T) {
	s := begun(t, quick(keepPrevious), spec("1"))
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(keepPrevious)); err != nil {
		t.Fatal(err)
	}
	known := s.known
	s.store = newMemory(s.clock)
	s.known = known
	for name, do := range map[string]func(m *rollout.Manager) error{
		"Apply":   func(m *rollout.Manager) error { return s.apply(m, spec("3"), quick()) },
		"Destroy": func(m *rollout.Manager) error { return m.Destroy(t.Context(), web, known) },
	} {
		m, _ := s.process(nil)
		if err := do(m); err == nil || !strings.Contains(err.Error(), "that this build data repository does not know; nothing was changed") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The removal of the kept generation is interrupted, and another Terraform state
// creates the cluster: resuming the removal does not resume a creation.
func TestApply_RefusesExistingClusterAfterRemovalOfKept(t *testing.T) {
	s := begun(t, quick(keepPrevious), spec("1"))
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(keepPrevious)); err != nil {
		t.Fatal(err)
	}
	m, _ = s.process(at(1, "RemoveTargets", func() fault { return failsBefore }))
	if err := s.apply(m, spec("2"), quick()); outcome(err) != rollout.Irreversible {
		t.Fatalf("got %v, want the removal to stop", err)
	}
	s.known = nil
	m, _ = s.process(nil)
	if err := s.apply(m, spec("2"), quick()); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// The number that "$Latest" means is found out when a rollout is planned. It stays on
// record through changes in place, although the caller does not know it, and a way
// back takes it again.
func TestApply_RecordsTheVersionOfALaunchTemplate(t *testing.T) {
	latest := func(version string, changes ...func(*cluster.Spec)) cluster.Spec {
		s := spec(version, changes...)
		s.Servers = cluster.Servers{SubnetIDs: s.Servers.SubnetIDs, Template: &cluster.Template{ID: "lt-1", Version: "$Latest"}}
		return s
	}
	for name, settings := range map[string]rollout.Settings{"Removed": quick(), "Kept": quick(keepPrevious)} {
		t.Run(name, func(t *testing.T) {
			s := newHarness(1)
			m, _ := s.process(nil)
			expect := func(i rollout.Inventory, err error, want int64) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				made := s.world.generations[i.Serving.Name].spec.Servers.Template.Number
				if got := i.Serving.Spec.Servers.Template.Number; got != want || made != want {
					t.Fatalf("got version %d on record, and servers made from %d, want %d", got, made, want)
				}
				s.known = i.Serving
			}
			apply := func(latestTemplate int64, spec cluster.Spec, want int64) {
				t.Helper()
				s.world.latestTemplate = latestTemplate
				known := s.refresh()
				if known != nil { // as in Terraform's state
					known.Spec.Servers.Template = &cluster.Template{ID: "lt-1", Version: "$Latest"}
				}
				i, err := m.Apply(t.Context(), spec, settings, known)
				expect(i, err, want)
			}
			apply(3, latest("1"), 3)
			apply(4, latest("1", func(s *cluster.Spec) { s.Size.Max = 9 }), 3)
			apply(5, latest("2"), 5)
			apply(6, latest("2", func(s *cluster.Spec) { s.Size.Max = 7 }), 5)
			for _, want := range []int64{3, 5} {
				i, err := m.Undo(t.Context(), web)
				expect(i, err, want)
			}
			if settings.KeepPrevious { // the kept servers were made from version 3
				apply(7, latest("1", func(s *cluster.Spec) { s.Size.Max = 7 }), 3)
			}
		})
	}
}

// TestRollback_RuleShowsLate loses the reply to the call that creates the rule,
// which the cloud does not show at once.
func TestRollback_RuleShowsLate(t *testing.T) {
	s := newHarness(1)
	m, _ := s.process(func(_ int, name string) fault {
		if name != "Connect" {
			return none
		}
		s.world.routesShow = s.clock.Now().Add(3 * time.Second)
		return failsAfter
	})
	if err := s.apply(m, spec("1"), quick()); outcome(err) != rollout.RolledBack {
		t.Fatalf("got %v, want it rolled back", err)
	}
	if err := s.converged(""); err != nil {
		t.Error(err)
	}
}

// TestApply_CreationWaitsUntilOpen: a test that runs after the creation is to
// find the cluster.
func TestApply_CreationWaitsUntilOpen(t *testing.T) {
	for drain, want := range map[time.Duration]time.Duration{0: 0, time.Second: time.Second, time.Minute: 10 * time.Second} {
		s := newHarness(1)
		var opened time.Time
		m, _ := s.process(func(_ int, name string) fault {
			if name == "Serve" {
				opened = s.clock.Now()
			}
			return none
		})
		if err := s.apply(m, spec("1"), quick(func(s *rollout.Settings) { s.Drain = drain })); err != nil {
			t.Fatal(err)
		}
		if took := s.clock.Now().Sub(opened); took < want || took > want+time.Second {
			t.Errorf("drain %s: the creation ended %s after it was opened, want %s", drain, took, want)
		}
	}
}
