package awscloud_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// liveSize is what somebody has scaled the cluster to. It is not what the
// configuration says.
const liveSize = 3

// story is something that is killed, and what is wanted of it afterwards.
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
	// ends are the ways to go on. Each returns the version that has to serve
	// then; empty for none.
	ends map[string]func(v *victim, m *rollout.Manager) (string, error)
}

// All of the shifts and waits, but no look more than there has to be.
var killedSettings = rollout.Settings{
	Steps: []int32{50, 100}, HealthyWithin: 10 * time.Minute, Drain: 100 * time.Millisecond,
	OnFailure: rollout.Undo, Protected: rollout.Wait,
}

// rolloutEnds are the ways to go on with a rollout: Terraform's is to apply again.
var rolloutEnds = map[string]func(v *victim, m *rollout.Manager) (string, error){
	"Apply": func(v *victim, m *rollout.Manager) (string, error) {
		_, err := m.Apply(v.Context(), v.spec(v.next()), killedSettings, v.state)
		return v.next(), err
	},
	"Undo": func(v *victim, m *rollout.Manager) (string, error) { return v.undo(m, v.serving) },
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
		name: "WayBack", prepare: (*victim).replace, live: liveSize,
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
			return errors.Join(err, errors.New("it was not taken back"))
		},
		ends: rolloutEnds,
	},
	{
		name: "Creation", prepare: (*victim).clear,
		do: func(ctx context.Context, v *victim, m *rollout.Manager) error {
			_, err := m.Apply(ctx, v.spec(v.next()), killedSettings, nil)
			return err
		},
		ends: map[string]func(v *victim, m *rollout.Manager) (string, error){
			"Apply": func(v *victim, m *rollout.Manager) (string, error) {
				_, err := m.Apply(v.Context(), v.spec(v.next()), killedSettings, nil)
				return v.next(), err
			},
			"Undo": func(v *victim, m *rollout.Manager) (string, error) { return v.undo(m, "") },
		},
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
			// Somebody wants the cluster after all.
			"Apply": func(v *victim, m *rollout.Manager) (string, error) {
				_, err := m.Apply(v.Context(), v.spec(v.serving), killedSettings, v.state)
				return v.serving, err
			},
		},
	},
}

// TestAccRollout_KilledAtEveryCall kills the process before and after each call
// that it makes to AWS. What is killed writes nothing any more and does not
// give back its lease. Another process then goes on or takes it back, and finds
// all it needs in the repository.
func TestAccRollout_KilledAtEveryCall(t *testing.T) {
	enter(t, 1)
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { killAtEveryCall(t, s) })
	}
}

// reads reports whether a call changes nothing.
func reads(action string) bool { return strings.HasPrefix(action, "Describe") }

// alarmed is a cloud with an alarm that fires when it is looked at once more.
type alarmed struct {
	cluster.Cloud
	looks int
}

// Alarms implements cluster.Cloud.
func (a *alarmed) Alarms(_ context.Context, names []string) ([]cluster.Alarm, error) {
	a.looks++
	state := cluster.AlarmOK
	if a.looks > 1 {
		state = cluster.AlarmFiring
	}
	return []cluster.Alarm{{Name: names[0], State: state}}, nil
}

// killing is one interruption and how things go on.
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
					v = nil // the next one begins anew
				}
			}
		})
	}
	points := 0
	for at, action := range calls {
		for _, after := range []bool{false, true} {
			if after && reads(action) || s.spares != nil && s.spares(calls, at) {
				continue // after a call that reads, there is just what there was before
			}
			points++
			for way := range s.ends {
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
