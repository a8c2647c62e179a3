package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

const noKey = "The key pair 'admin' does not exist. Launching EC2 instance failed."

func scaledToZero(s *cluster.Spec) { s.Size.Min = 0 }

// weighted counts the capacity in units.
func weighted(s *cluster.Spec) {
	s.Size = cluster.Size{Min: 8, Max: 25}
	s.Servers.InstanceType, s.Servers.Mixed = "", &cluster.Mixed{Types: []cluster.MixedType{{InstanceType: "m5.large", Weight: 4}}}
}

func patient(s *rollout.Settings) { s.HealthyWithin = 15 * time.Minute }

// A launch that can never succeed is rolled back in minutes, with the cloud's reason.
func TestApply_HopelessLaunch(t *testing.T) {
	for name, before := range map[string][]cluster.Spec{"Rollout": {spec("1")}, "Creation": nil} {
		t.Run(name, func(t *testing.T) {
			s := begun(t, quick(), before...)
			s.world.behaviour["2"] = behaviour{hopeless: noKey}
			began := s.clock.Now()
			m, _ := s.process(nil)
			err := s.apply(m, spec("2"), quick(patient))
			var launch *rollout.LaunchError
			if outcome(err) != rollout.RolledBack || !errors.As(err, &launch) || launch.Reason != noKey {
				t.Fatalf("got %v, want it rolled back because of the key", err)
			}
			if !strings.Contains(err.Error(), `the step "wait for healthy servers: web-prod-`) ||
				!strings.Contains(err.Error(), "can be started, and waiting does not help: "+strings.TrimSuffix(noKey, ".")) {
				t.Errorf("got %v", err)
			}
			if took := s.clock.Now().Sub(began); took < 2*time.Minute || took > 3*time.Minute {
				t.Errorf("it took %s, want 2 to 3 minutes", took)
			}
			want := ""
			if before != nil {
				want = "1"
			}
			if err := s.converged(want); err != nil {
				t.Error(err)
			}
		})
	}
}

// What was made just before may be known everywhere only a minute later.
func TestApply_LaunchHeals(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	s.world.behaviour["2"] = behaviour{hopeless: noKey, heals: s.clock.Now().Add(100 * time.Second)}
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(patient)); err != nil {
		t.Fatal(err)
	}
	if err := s.converged("2"); err != nil {
		t.Error(err)
	}
}

// More servers of a cluster that had none.
func TestApply_HopelessLaunchInPlace(t *testing.T) {
	s := begun(t, quick(), spec("1", scaledToZero))
	s.world.behaviour["1"] = behaviour{hopeless: noKey}
	began := s.clock.Now()
	m, _ := s.process(nil)
	err := s.apply(m, spec("1"), quick(patient))
	if !errors.As(err, new(*rollout.LaunchError)) || s.clock.Now().Sub(began) > 3*time.Minute {
		t.Errorf("got %v after %s", err, s.clock.Now().Sub(began))
	}
}

// A rollout of a cluster that is scaled to 0 tries nothing, and says so.
func TestApply_ScaledToZero(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*cluster.Spec)
		untried bool
	}{
		"NoServers": {scaledToZero, true},
		"Servers":   {func(*cluster.Spec) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := begun(t, quick(), spec("1", tt.change))
			var said []string
			s.trace = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
			m, _ := s.process(nil)
			if err := s.apply(m, spec("2", tt.change), quick()); err != nil {
				t.Fatal(err)
			}
			if err := s.converged("2"); err != nil {
				t.Error(err)
			}
			const why = "no server was started, because the cluster is scaled to 0: the version was not tried"
			steps, err := rollout.Steps(s.store.rollouts()[0])
			if err != nil {
				t.Fatal(err)
			}
			notes := 0
			for _, step := range steps {
				if step.Note == "no_servers" && step.Detail == why && strings.HasPrefix(step.Step, "wait_healthy:") {
					notes++
				}
			}
			if (notes == 1) != tt.untried || strings.Contains(strings.Join(said, "\n"), why) != tt.untried {
				t.Errorf("got %d notes, and the progress %q", notes, said)
			}
			if got, err := rollout.Untried(t.Context(), s.store, web, region); err != nil || got != tt.untried {
				t.Errorf("got %t (%v), want %t", got, err, tt.untried)
			}
		})
	}
}

// The new generation counts its capacity in other units than the old one: it starts as large
// in its own range, and neither grows with every look at the other.
func TestApply_OtherUnits(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to func(*cluster.Spec)
		live     int32
		want     int32
	}{
		"ToWeights":   {func(*cluster.Spec) {}, weighted, 5, 21},
		"FromWeights": {weighted, func(*cluster.Spec) {}, 20, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := begun(t, quick(), spec("1", tt.from))
			s.world.scale(s.world.generations[s.known.Name], tt.live)
			s.clock.Set(s.clock.Now().Add(time.Minute))
			m, _ := s.process(nil)
			if err := s.apply(m, spec("2", tt.to), quick(steps(10, 50, 100))); err != nil {
				t.Fatal(err)
			}
			if got := s.world.generations[s.known.Name].group.desired; got != tt.want {
				t.Errorf("got a capacity of %d, want %d", got, tt.want)
			}
			if err := s.converged("2"); err != nil {
				t.Error(err)
			}
		})
	}
}
