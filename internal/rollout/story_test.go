package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// story is something that happens to a cluster.
type story struct {
	name string
	// before are the specs applied first, each to its end.
	before []cluster.Spec
	// prepare changes the world after that.
	prepare func(*harness)
	// spec and settings are what is applied, unless act does something else.
	spec     cluster.Spec
	settings rollout.Settings
	act      func(*harness, *rollout.Manager) error
	// bad says that the version fails and the one before continues to serve; kept
	// says that the new one stays to be examined.
	bad, kept bool
	// gone says that nothing is to be left.
	gone bool
	// dead says that the version before no longer exists, so that it cannot serve
	// again.
	dead bool
	// goesBack says that act undoes what was before.
	goesBack bool
}

// was is the version before; empty for none.
func (y story) was() string {
	if len(y.before) == 0 {
		return ""
	}
	return y.before[len(y.before)-1].Version
}

// becomes is the version after.
func (y story) becomes() string {
	switch {
	case y.gone:
		return ""
	case y.bad && !y.dead:
		return y.was()
	}
	return y.spec.Version
}

// begin plays what is before the story.
func (y story) begin(s *harness) error {
	for _, spec := range y.before {
		m, _ := s.process(nil)
		settings := y.settings
		settings.Alarms = nil
		if err := s.apply(m, spec, settings); err != nil {
			return err
		}
	}
	if y.prepare != nil {
		y.prepare(s)
	}
	return nil
}

// play plays the story in one process.
func (y story) play(s *harness, m *rollout.Manager) error {
	if y.act != nil {
		return y.act(s, m)
	}
	return s.apply(m, y.spec, y.settings)
}

func carryActions(s *rollout.Settings) { s.CarryAlarmActions = true }

// Preparations.

func never(version string) func(*harness) {
	return func(s *harness) { s.world.behaviour[version] = behaviour{never: true} }
}

func dies(version string, after time.Duration) func(*harness) {
	return func(s *harness) { s.world.behaviour[version] = behaviour{start: time.Second, dies: after} }
}

// fires has an alarm fire while version 2 gets requests.
func fires(s *harness) {
	s.world.alarms["errors"] = func() cluster.Alarm {
		for name, g := range s.world.generations {
			if !g.gone() && g.spec.Version == "2" && s.world.share(name) > 0 {
				return cluster.Alarm{State: cluster.AlarmFiring, Reason: "5 of 5 datapoints were above 1.0."}
			}
		}
		return cluster.Alarm{State: cluster.AlarmOK}
	}
}

// protects has one server of version 1 be protected from scale-in.
func protects(s *harness) {
	for _, g := range s.world.generations {
		if g.group != nil && g.spec.Version == "1" {
			g.group.servers[0].protected = true
		}
	}
}

func live(n int32) func(*harness) {
	return func(s *harness) {
		for _, g := range s.world.generations {
			if g.group != nil && s.world.share(g.name) > 0 {
				s.world.scale(g, n)
			}
		}
		_ = s.clock.Sleep(context.Background(), time.Minute)
	}
}

// answers500 has version 2 answer 500 to everything but health checks.
func answers500(s *harness) {
	s.world.behaviour["2"] = behaviour{start: time.Second, fails: true}
}

func unreachable(s *harness) { s.world.unreachable = true }

// checkedStories test the new generation before it gets requests, and watch it alone.
func checkedStories() []story {
	one, two := spec("1"), spec("2")
	before := []cluster.Spec{one}
	return []story{
		{name: "Checked", before: before, prepare: live(4), spec: two, settings: quick(steps(50), preview, checkCommand, watched)},
		{name: "CheckedBad", before: before, spec: two, settings: quick(steps(50), preview, watched), prepare: answers500, bad: true},
		{name: "CheckedCreation", spec: one, settings: quick(preview, watched)},
		{name: "CheckedCreationBad", spec: two, settings: quick(preview), prepare: answers500, bad: true},
		{name: "CheckedCreationDefaultAction", spec: spec("1", defaultAction), settings: quick(preview)},
		{name: "CheckedWorker", before: []cluster.Spec{spec("1", worker)}, spec: spec("2", worker), settings: quick(checkCommand)},
		{name: "CheckedWorkerBad", before: []cluster.Spec{spec("1", worker)}, spec: spec("2", worker), settings: quick(checkCommand),
			prepare: answers500, bad: true},
		{name: "CheckedUnreachable", before: before, spec: two, settings: quick(preview), bad: true, prepare: unreachable},
		{name: "CheckedUnreachableContinues", before: before, spec: two, prepare: unreachable,
			settings: quick(preview, func(s *rollout.Settings) { s.Unreachable = rollout.Continue })},
		{name: "CheckedOtherListener", before: before, spec: spec("2", listener("arn:listener/2")), settings: quick(steps(50), preview, watched)},
		{name: "CheckedOtherPriorityAlarm", before: before, spec: spec("2", priority(5)),
			settings: quick(preview, watched, alarms("errors")), prepare: fires, bad: true},
		{name: "CheckedBackToKept", before: []cluster.Spec{spec("2"), one}, spec: two, settings: quick(keepPrevious, preview, watched)},
		{name: "CheckedBackToKeptBad", before: []cluster.Spec{spec("2"), one}, spec: two, settings: quick(keepPrevious, preview, watched),
			prepare: answers500, bad: true},
		{name: "Watched", before: before, spec: two, settings: quick(watched), prepare: func(s *harness) { s.world.lag = 2 }},
		{name: "WatchedBad", before: before, spec: two, settings: quick(watched), prepare: answers500, bad: true},
		{name: "CheckedKeepOnFailure", before: before, spec: two,
			settings: quick(keepOnFailure, preview, watched, alarms("errors")), prepare: fires, bad: true, kept: true},
		{name: "CheckedDeadPredecessorBad", before: before, spec: two,
			settings: quick(preview, watched, alarms("errors")), bad: true, dead: true, prepare: func(s *harness) {
				s.world.generations[s.known.Name].group = nil
				fires(s)
			}},
		{name: "CheckedDestroyOfOpen", before: before, spec: two, settings: quick(keepOnFailure, preview, watched, alarms("errors")), gone: true,
			prepare: func(s *harness) {
				fires(s)
				m, _ := s.process(nil)
				_ = s.apply(m, spec("2"), quick(keepOnFailure, preview, watched, alarms("errors")))
			},
			act: func(s *harness, m *rollout.Manager) error { return m.Destroy(context.Background(), web, s.known) }},
	}
}

func stories() []story { return append(plainStories(), checkedStories()...) }

func plainStories() []story {
	one, two := spec("1"), spec("2")
	sudden := quick(func(s *rollout.Settings) { s.HealthyWithin = 2 * time.Second })
	return []story{
		{name: "Creation", spec: one, settings: quick()},
		{name: "CreationNeverHealthy", spec: one, settings: sudden, prepare: never("1"), bad: true},
		{name: "CreationWorker", spec: spec("1", worker), settings: quick()},
		{name: "CreationDefaultAction", spec: spec("1", defaultAction), settings: quick()},
		{name: "CreationDefaultActionNeverHealthy", spec: spec("1", defaultAction), settings: sudden, prepare: never("1"), bad: true},
		{name: "Plain", before: []cluster.Spec{one}, spec: two, settings: quick()},
		{name: "Steps", before: []cluster.Spec{one}, prepare: live(4), spec: two, settings: quick(steps(10, 50, 100))},
		{name: "Worker", before: []cluster.Spec{spec("1", worker)}, spec: spec("2", worker), settings: quick()},
		{name: "KeepPrevious", before: []cluster.Spec{one}, prepare: live(5), spec: two, settings: quick(keepPrevious)},
		{name: "BackToKept", before: []cluster.Spec{spec("2"), one}, prepare: live(4), settings: quick(keepPrevious),
			spec: spec("2", func(s *cluster.Spec) { s.Tags = tagging.Set{"version": "2", "x": "y"} })},
		{name: "BackToKeptByUndo", before: []cluster.Spec{spec("2"), one}, spec: two, settings: quick(keepPrevious), goesBack: true,
			act: func(s *harness, m *rollout.Manager) error {
				e, err := m.Undo(context.Background(), web)
				if err == nil {
					s.known = e.Serving
				}
				return err
			}},
		{name: "BackToKeptAlarm", before: []cluster.Spec{spec("2"), one}, prepare: fires, bad: true,
			settings: quick(keepPrevious, alarms("errors")),
			spec: spec("2", func(s *cluster.Spec) {
				s.Size, s.Tags = cluster.Size{Min: 3, Max: 8}, tagging.Set{"version": "2", "x": "y"}
			})},
		{name: "InPlaceWithKept", before: []cluster.Spec{one, two}, settings: quick(keepPrevious), spec: spec("2", priority(7))},
		{name: "KeptNoMore", before: []cluster.Spec{spec("2"), one, two}, spec: two, settings: quick(keepPrevious),
			act: func(s *harness, m *rollout.Manager) error { return s.apply(m, two, quick()) }},
		{name: "NeverHealthy", before: []cluster.Spec{one}, spec: two, settings: sudden, prepare: never("2"), bad: true},
		{name: "DiesAfterTheSwitch", before: []cluster.Spec{one}, spec: two, settings: quick(),
			prepare: dies("2", 1500*time.Millisecond), bad: true},
		{name: "AlarmFires", before: []cluster.Spec{one}, spec: two, settings: quick(steps(20), alarms("errors")), prepare: fires, bad: true},
		{name: "KeepOnFailure", before: []cluster.Spec{one}, spec: two,
			settings: quick(keepOnFailure, alarms("errors")), prepare: fires, bad: true, kept: true},
		{name: "KeepNeverHealthy", before: []cluster.Spec{one}, spec: two,
			settings: quick(keepOnFailure, func(s *rollout.Settings) { s.HealthyWithin = 2 * time.Second }),
			prepare:  never("2"), bad: true, kept: true},
		{name: "OtherPriority", before: []cluster.Spec{one}, spec: spec("2", priority(5)), settings: quick(steps(50))},
		{name: "OtherPriorityKeepPrevious", before: []cluster.Spec{one}, spec: spec("2", priority(5)), settings: quick(keepPrevious)},
		{name: "OtherPriorityAlarm", before: []cluster.Spec{one}, spec: spec("2", priority(5)),
			settings: quick(alarms("errors")), prepare: fires, bad: true},
		{name: "CreationAnyPriority", spec: spec("1", priority(0)), settings: quick()},
		{name: "CreationAnyPriorityNeverHealthy", spec: spec("1", priority(0)), settings: sudden, prepare: never("1"), bad: true},
		{name: "TakeOver", spec: spec("1", takesOver), settings: quick(steps(10, 50, 100))},
		{name: "TakeOverAtOnce", spec: spec("1", takesOver), settings: quick()},
		{name: "TakeOverAnyPriority", spec: spec("1", takesOver, anyPriority), settings: quick(steps(50))},
		{name: "TakeOverNeverHealthy", spec: spec("1", takesOver), settings: sudden, prepare: never("1"), bad: true},
		{name: "TakeOverAlarm", spec: spec("2", takesOver), settings: quick(steps(20), alarms("errors"), keepOnFailure), prepare: fires, bad: true},
		{name: "TakeOverWatched", spec: spec("2", takesOver), settings: quick(steps(20), watched)},
		{name: "TakeOverWatchedBad", spec: spec("2", takesOver), settings: quick(steps(20), watched), prepare: answers500, bad: true},
		{name: "TakeOverChecked", spec: spec("2", takesOver), settings: quick(steps(20), preview)},
		{name: "TakeOverDies", spec: spec("2", takesOver), settings: quick(), prepare: dies("2", 1500*time.Millisecond), bad: true},
		{name: "TakenOver", before: []cluster.Spec{spec("1", takesOver)}, spec: spec("2", takesOver), settings: quick(steps(50))},
		{name: "TakenOverDestroy", before: []cluster.Spec{spec("1", takesOver)}, spec: one, settings: quick(), gone: true,
			act: func(s *harness, m *rollout.Manager) error { return m.Destroy(context.Background(), web, s.known) }},
		{name: "AnyPriority", before: []cluster.Spec{spec("1", priority(0))}, spec: spec("2", priority(0)), settings: quick(steps(50))},
		{name: "ToAnyPriority", before: []cluster.Spec{spec("1", defaultAction)}, spec: spec("2", priority(0)),
			settings: quick(keepPrevious, steps(50))},
		{name: "OtherListenerAnyPriorityAlarm", before: []cluster.Spec{one}, spec: spec("2", listener("arn:listener/2"), anyPriority),
			settings: quick(alarms("errors")), prepare: fires, bad: true},
		{name: "OtherListener", before: []cluster.Spec{one}, spec: spec("2", listener("arn:listener/2")), settings: quick(steps(50))},
		{name: "OtherListenerNeverHealthy", before: []cluster.Spec{one}, spec: spec("2", listener("arn:listener/2")),
			settings: sudden, prepare: never("2"), bad: true},
		{name: "OtherListenerBackToKept", before: []cluster.Spec{two, spec("1", listener("arn:listener/2"))}, spec: two,
			settings: quick(keepPrevious)},
		{name: "OtherListenerBackToKeptNeverHealthy", before: []cluster.Spec{two, spec("1", listener("arn:listener/2"))}, spec: two,
			settings: quick(keepPrevious, func(s *rollout.Settings) { s.HealthyWithin = 10 * time.Second }), bad: true,
			prepare: func(s *harness) {
				live(4)(s)
				never("2")(s)
			}},
		{name: "ToDefaultAction", before: []cluster.Spec{one}, spec: spec("2", defaultAction), settings: quick(steps(50))},
		{name: "ToDefaultActionNeverHealthy", before: []cluster.Spec{one}, spec: spec("2", defaultAction),
			settings: sudden, prepare: never("2"), bad: true},
		{name: "FromDefaultAction", before: []cluster.Spec{spec("1", defaultAction)}, spec: two, settings: quick(steps(50))},
		{name: "OtherDefaultAction", before: []cluster.Spec{spec("1", defaultAction)},
			spec: spec("2", listener("arn:listener/2"), defaultAction), settings: quick(steps(50))},
		{name: "InPlace", before: []cluster.Spec{one}, settings: quick(),
			spec: spec("1", priority(7), func(s *cluster.Spec) {
				s.Size, s.Tags = cluster.Size{Min: 3, Max: 8}, tagging.Set{"version": "1", "x": "y"}
			})},
		{name: "FlakyServers", before: []cluster.Spec{one}, spec: two, settings: quick(), prepare: func(s *harness) {
			s.world.behaviour["2"] = behaviour{start: time.Second, flaky: 1}
			s.world.lag = 2
		}},
		{name: "ProtectedForce", before: []cluster.Spec{one}, spec: two, settings: quick(protected(rollout.Force)), prepare: protects},
		{name: "ProtectedIgnore", before: []cluster.Spec{one}, spec: two, settings: quick(protected(rollout.Ignore)), prepare: protects},
		{name: "ScaledToZero", before: []cluster.Spec{spec("1", scaledToZero)}, spec: spec("2", scaledToZero), settings: quick()},
		{name: "OtherUnits", before: []cluster.Spec{one}, spec: spec("2", weighted), settings: quick(steps(50, 100))},
		{name: "HopelessLaunch", before: []cluster.Spec{one}, spec: two, settings: quick(patient), bad: true, prepare: func(s *harness) {
			s.world.behaviour["2"] = behaviour{hopeless: noKey}
		}},
		{name: "DeadPredecessor", before: []cluster.Spec{one}, spec: two, settings: quick(), dead: true, prepare: func(s *harness) {
			s.world.generations[s.known.Name].group = nil
		}},
		{name: "DeadPredecessorBad", before: []cluster.Spec{one}, spec: two,
			settings: quick(alarms("errors")), bad: true, dead: true, prepare: func(s *harness) {
				s.world.generations[s.known.Name].group = nil
				fires(s)
			}},
		{name: "DeadPredecessorKept", before: []cluster.Spec{one}, spec: spec("2", priority(5)),
			settings: quick(keepOnFailure, alarms("errors")), bad: true, dead: true, prepare: func(s *harness) {
				s.world.generations[s.known.Name].group = nil
				fires(s)
			}},
		{name: "FurtherRules", before: []cluster.Spec{spec("1", hasFurther("a", "b"))}, prepare: live(4),
			spec: spec("2", hasFurther("a", "c")), settings: quick(steps(50))},
		{name: "FurtherRulesAlarm", before: []cluster.Spec{spec("1", hasFurther("a", "b"))}, prepare: fires, bad: true,
			spec: spec("2", hasFurther("a", "c")), settings: quick(steps(50), alarms("errors"))},
		{name: "FurtherRulesCreation", spec: spec("1", hasFurther("a")), settings: quick()},
		{name: "FurtherRulesInPlace", before: []cluster.Spec{spec("1", hasFurther("a", "b"))}, settings: quick(),
			spec: spec("1", hasFurther("b", "c"))},
		{name: "FurtherRulesKeepPrevious", before: []cluster.Spec{spec("1", hasFurther("a", "b"))}, settings: quick(keepPrevious),
			spec: spec("2", hasFurther("b"))},
		{name: "FurtherRulesOtherPriority", before: []cluster.Spec{spec("1", hasFurther("a"))}, settings: quick(steps(50)),
			spec: spec("2", priority(5), hasFurther("a"))},
		{name: "Attachments", before: []cluster.Spec{spec("1", declares)}, prepare: byHand,
			spec: spec("2", declares), settings: quick(steps(50))},
		{name: "AttachmentsWorker", before: []cluster.Spec{spec("1", worker, declares)}, prepare: byHand,
			spec: spec("2", worker, declares), settings: quick()},
		{name: "AttachmentsAlarm", before: []cluster.Spec{spec("1", declares)}, spec: spec("2", declares),
			settings: quick(steps(50), alarms("errors")), bad: true, prepare: func(s *harness) {
				fires(s)
				byHand(s)
			}},
		{name: "AttachmentsBackToKept", before: []cluster.Spec{spec("2", declares), spec("1", declares)}, prepare: byHandEverywhere,
			spec: spec("2", declares), settings: quick(keepPrevious)},
		{name: "AttachmentsBackToKeptAlarm", before: []cluster.Spec{spec("2", declares), spec("1", declares)},
			prepare: func(s *harness) {
				fires(s)
				byHandEverywhere(s)
			},
			spec: spec("2"), settings: quick(keepPrevious, alarms("errors")), bad: true},
		{name: "AttachmentsInPlace", before: []cluster.Spec{one}, spec: spec("1", declares), settings: quick(), prepare: func(s *harness) {
			byHand(s)
			s.world.halfAttached = true
		}},
		{name: "AttachmentsCalled", before: []cluster.Spec{spec("1", declares)}, spec: spec("2", declares), settings: quick(carryActions),
			prepare: func(s *harness) {
				byHand(s)
				s.world.callers = []string{"errors-by-others"}
				s.world.generations[s.known.Name].called = true
			}},

		{name: "AttachmentsGone", before: []cluster.Spec{spec("1", declares)}, spec: one, settings: quick(), prepare: func(s *harness) {
			byHand(s)
			s.world.furtherEnds = true
		}},
		{name: "OtherTemplate", before: []cluster.Spec{one}, settings: quick(),
			spec: spec("1", func(s *cluster.Spec) { s.Servers.InstanceType = "t3.large" })},
		{name: "Destroy", before: []cluster.Spec{one}, spec: one, settings: quick(), gone: true,
			act: func(s *harness, m *rollout.Manager) error { return m.Destroy(context.Background(), web, s.known) }},
		{name: "DestroyWithKept", before: []cluster.Spec{one, two}, spec: two, settings: quick(keepPrevious), gone: true,
			act: func(s *harness, m *rollout.Manager) error { return m.Destroy(context.Background(), web, s.known) }},
		{name: "DestroyOfOpen", before: []cluster.Spec{one}, spec: two, settings: quick(keepOnFailure, alarms("errors")), gone: true,
			prepare: func(s *harness) {
				fires(s)
				m, _ := s.process(nil)
				_ = s.apply(m, spec("2"), quick(keepOnFailure, alarms("errors")))
			},
			act: func(s *harness, m *rollout.Manager) error { return m.Destroy(context.Background(), web, s.known) }},
	}
}

func TestStories(t *testing.T) {
	for _, y := range stories() {
		t.Run(y.name, func(t *testing.T) {
			s := newHarness(1)
			if err := y.begin(s); err != nil {
				t.Fatal(err)
			}
			s.trace = t.Logf
			m, p := s.process(nil)
			err := y.play(s, m)
			t.Logf("%d calls, ended with %v", p.calls, err)
			if (err != nil) != y.bad {
				t.Fatalf("got %v, want an error: %t", err, y.bad)
			}
			if y.dead && y.bad {
				// The only healthy servers are not removed, and continue to serve if that
				// is configured.
				if outcome(err) != rollout.Stopped || !strings.Contains(err.Error(), "the new ones keep the requests") {
					t.Fatalf("got %v, want it stopped", err)
				}
				if err := y.play(s, m); err != nil {
					t.Fatal(err)
				}
			} else if y.kept {
				if outcome(err) != rollout.Stopped || s.status().Open == nil {
					t.Fatalf("got %v, want the new generation kept", err)
				}
				if _, err := m.Undo(context.Background(), web); err != nil {
					t.Fatal(err)
				}
			} else if y.bad && outcome(err) != rollout.RolledBack {
				t.Fatalf("got %v, want it rolled back", err)
			}
			if err := s.converged(y.becomes()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
