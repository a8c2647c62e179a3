package awscloud_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// liveSize is the size that the cluster is scaled to. The configuration has
// another one.
const liveSize = 3

// story is something that is killed, and what has to be true afterwards.
type story struct {
	name string
	// prepare leaves what the story begins with.
	prepare func(v *victim) error
	// live is how many servers the requests must find at all times; 0 if there
	// need not be any.
	live int32
	// spares, if set, leaves out calls that another story is killed at.
	spares func(calls []string, at int) bool
	// do is what is killed.
	do func(ctx context.Context, v *victim, m *rollout.Manager) error
	// ends are the ways to continue. Each returns the version that has to serve
	// then; empty for none.
	ends map[string]func(v *victim, m *rollout.Manager) (string, error)
	// also checks what only the story has; nil for nothing.
	also func(v *victim) error
}

// killedSettings have all kinds of steps, and as few calls as possible.
var killedSettings = rollout.Settings{
	Steps: []int32{50, 100}, HealthyWithin: 10 * time.Minute, Drain: 100 * time.Millisecond,
	OnFailure: rollout.Undo, Protected: rollout.Wait,
}

// checkedSettings also have a preview, a check, and all alarms on the new target group.
func checkedSettings() rollout.Settings {
	none := int32(0)
	settings := killedSettings
	settings.Preview = &cluster.Preview{Header: &cluster.Header{Name: "X-Preview", Values: []string{"open sesame"}}}
	settings.Checks = []rollout.Check{{Path: "/buy", Method: "GET", Status: "200", Timeout: 5 * time.Second}}
	settings.TargetAlarms = &cluster.TargetAlarms{
		Errors5xx: &none, Latency: 800 * time.Millisecond, LatencyStatistic: "p95", UnhealthyServers: &none,
		Period: time.Minute, EvaluationPeriods: 2,
	}
	return settings
}

// good passes every check.
type good struct{}

func (good) Request(context.Context, rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
	return rollout.ProbeAnswer{Status: 200}, nil
}

func (good) Command(context.Context, []string, []string) error { return nil }

// rolloutEnds are the ways to continue a rollout. Terraform applies again.
var rolloutEnds = map[string]func(v *victim, m *rollout.Manager) (string, error){
	"Apply": func(v *victim, m *rollout.Manager) (string, error) {
		_, err := m.Apply(v.Context(), v.spec(v.next()), killedSettings, v.state)
		return v.next(), err
	},
	"Undo": func(v *victim, m *rollout.Manager) (string, error) { return v.undo(m, v.serving) },
}

func create(ctx context.Context, v *victim, m *rollout.Manager) error {
	_, err := m.Apply(ctx, v.spec(v.next()), killedSettings, nil)
	return err
}

// creationEnds are the ways to continue a creation.
var creationEnds = map[string]func(v *victim, m *rollout.Manager) (string, error){
	"Apply": func(v *victim, m *rollout.Manager) (string, error) { return v.next(), create(v.Context(), v, m) },
	"Undo":  func(v *victim, m *rollout.Manager) (string, error) { return v.undo(m, "") },
}

var stories = []story{
	{
		name: "Rollout", prepare: (*victim).replace, live: liveSize,
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			_, err := m.Apply(ctx, v.spec(v.next()), killedSettings, v.state)
			return err
		},
		ends: rolloutEnds,
	},
	{
		// An alarm fires once the new version has half of the requests.
		name: "Rollback", prepare: (*victim).replace, live: liveSize,
		spares: func(calls []string, at int) bool {
			shifted := slices.DeleteFunc(slices.Clone(calls[:at]), func(action string) bool { return action != "ModifyRule" })
			return len(shifted) < 2 || reads(calls[at])
		},
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			m.Cloud = &alarmed{Cloud: m.Cloud}
			settings := killedSettings
			settings.ObserveFor, settings.Alarms = time.Second, []string{"5xx"}
			_, err := m.Apply(ctx, v.spec(v.next()), settings, v.state)
			var failure *rollout.Error
			if errors.As(err, &failure) && failure.Outcome == rollout.RolledBack {
				return nil
			}
			return errors.Join(err, errors.New("it was not rolled back"))
		},
		ends: rolloutEnds,
	},
	{
		// With a preview, checks, and alarms on the new target group. They change nothing
		// else, so only what they do is killed.
		name: "Checked", prepare: (*victim).replace, live: liveSize,
		spares: func(calls []string, at int) bool {
			opened := slices.Index(calls, "CreateRule")
			removed := slices.Index(calls, "DeleteAlarms")
			return at < opened || at > removed+3 || reads(calls[at])
		},
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			m.Prober = good{}
			_, err := m.Apply(ctx, v.spec(v.next()), checkedSettings(), v.state)
			return err
		},
		ends: map[string]func(v *victim, m *rollout.Manager) (string, error){
			"Apply": func(v *victim, m *rollout.Manager) (string, error) {
				m.Prober = good{}
				_, err := m.Apply(v.Context(), v.spec(v.next()), checkedSettings(), v.state)
				return v.next(), err
			},
			"Undo": rolloutEnds["Undo"],
			"Destroy": func(v *victim, m *rollout.Manager) (string, error) {
				v.proxy.Notify(nil) // nothing serves in the end
				return "", m.Destroy(v.Context(), strawberry, v.state)
			},
		},
	},
	{
		// With attachments, declared and by others. Only what changes something is killed.
		name: "Attachments", prepare: (*victim).attach, live: liveSize,
		spares: func(calls []string, at int) bool { return reads(calls[at]) },
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			_, err := m.Apply(ctx, v.spec(v.next()), killedSettings, v.state)
			return err
		},
		ends: rolloutEnds, also: (*victim).stillAttached,
	},
	{name: "Creation", prepare: (*victim).clear, do: create, ends: creationEnds},
	{
		name: "CreationDefaultAction",
		prepare: func(v *victim) error {
			v.defaultAction = true
			return v.clear()
		},
		do: create, ends: creationEnds,
	},
	{
		name: "Destruction", prepare: (*victim).create,
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			return m.Destroy(ctx, strawberry, v.state)
		},
		ends: map[string]func(v *victim, m *rollout.Manager) (string, error){
			"Destroy": func(v *victim, m *rollout.Manager) (string, error) {
				return "", m.Destroy(v.Context(), strawberry, v.state)
			},
			// The cluster is to exist after all.
			"Apply": func(v *victim, m *rollout.Manager) (string, error) {
				_, err := m.Apply(v.Context(), v.spec(v.serving), killedSettings, v.state)
				return v.serving, err
			},
		},
	},
}

// TestAccRollout_KilledAtEveryCall kills the process before and after each call
// that it makes to AWS. A killed process writes nothing any more and does not
// release its lease. Another process then resumes or rolls back, and finds
// everything that it needs in the repository.
func TestAccRollout_KilledAtEveryCall(t *testing.T) {
	enter(t, 1)
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { killAtEveryCall(t, s) })
	}
}

// reads reports whether a call changes nothing.
func reads(action string) bool { return strings.HasPrefix(action, "Describe") }

// alarmed is a cloud with an alarm that fires from the second call on.
type alarmed struct {
	cluster.Cloud
	calls int
}

// Alarms implements cluster.Cloud.
func (a *alarmed) Alarms(_ context.Context, names []string) ([]cluster.Alarm, error) {
	a.calls++
	state := cluster.AlarmOK
	if a.calls > 1 {
		state = cluster.AlarmFiring
	}
	return []cluster.Alarm{{Name: names[0], State: state}}, nil
}

// killing is one interruption and the way to continue.
type killing struct {
	at    int
	after bool
	way   string
}

func killAtEveryCall(t *testing.T, s story) {
	began := clock.System{}.Now()
	motos, err := twoMotos()
	if err != nil {
		t.Fatal(err)
	}
	calls, err := undisturbed(t, motos[0], s)
	if err != nil {
		t.Fatal(err)
	}
	todo := make(chan killing)
	var continued, checked atomic.Int64
	var working sync.WaitGroup
	for i := range 4 {
		working.Go(func() {
			var v *victim
			for k := range todo {
				var err error
				var log string
				if v, err = v.orAnother(t, motos[i%len(motos)]); err == nil {
					err, log = v.kill(s, k), v.log()
					continued.Add(1)
					checked.Add(v.checked.Swap(0))
				}
				if err != nil {
					when := map[bool]string{false: "before", true: "after"}[k.after]
					t.Errorf("killed %s call %d, %s, then %s: %v%s", when, k.at, calls[k.at-1], k.way, err, log)
					v = nil // the next one starts afresh
				}
			}
		})
	}
	points := 0
	for at, action := range calls {
		for _, after := range []bool{false, true} {
			if after && reads(action) || s.spares != nil && s.spares(calls, at) {
				continue // a call that reads leaves what there was before it
			}
			ways := slices.Sorted(maps.Keys(s.ends))
			if !rig.Long() { // one way after the other
				ways = ways[points%len(ways):][:1]
			}
			points++
			for _, way := range ways {
				todo <- killing{at + 1, after, way}
			}
		}
	}
	close(todo)
	working.Wait()
	t.Logf("%d calls to AWS: %s", len(calls), strings.Join(calls, " "))
	t.Logf("%d interruption points, %d continuations, %d checks of the live capacity, in %s",
		points, continued.Load(), checked.Load(), clock.System{}.Now().Sub(began).Round(time.Second))
}
