package awscloud_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// TestAccRollout_Calls counts the calls of rollouts, which do not grow with the servers.
func TestAccRollout_Calls(t *testing.T) {
	enter(t, 1)
	observed := rollout.Settings{
		Steps: []int32{10, 100}, HealthyWithin: rollout.DefaultHealthyWithin, ObserveFor: 5 * time.Minute, Drain: 30 * time.Second,
		OnFailure: rollout.Undo, Protected: rollout.Wait,
	}
	quick := atOnce
	quick.Drain = 0
	alarmed := observed
	alarmed.Alarms = []string{"errors"}
	for name, c := range map[string]callsCase{
		"AtOnce":      {settings: quick, most: 78},
		"Attachments": {settings: quick, change: fewAttachments, byHand: true, most: 90},
		"Observed":    {settings: observed, most: 480},
		"Alarms":      {settings: alarmed, most: 600},
	} {
		t.Run(name, func(t *testing.T) {
			counts := map[int32]int{}
			for _, servers := range []int32{2, 20} {
				counts[servers] = c.count(t, servers)
			}
			t.Logf("%d calls with 2 servers, %d with 20", counts[2], counts[20])
			if counts[2] != counts[20] || counts[2] > c.most {
				t.Errorf("%d calls with 2 servers and %d with 20, want as many, at most %d", counts[2], counts[20], c.most)
			}
		})
	}
}

// callsCase is a rollout, and the most calls that it may make.
type callsCase struct {
	change   func(*cluster.Spec)
	settings rollout.Settings
	byHand   bool
	most     int
}

// fewAttachments are what a production cluster usually has.
func fewAttachments(s *cluster.Spec) {
	s.Attachments = cluster.Attachments{
		Policies: []cluster.Policy{{Name: "cpu", Tracking: &cluster.TargetTracker{Predefined: "ASGAverageCPUUtilization", Target: 50}}},
		Metrics:  []string{"GroupInServiceInstances"},
	}
}

func (c callsCase) count(t *testing.T, servers int32) int {
	t.Helper()
	moto, err := rig.Shared()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t, moto, clock.NewFake(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	s.change = func(spec *cluster.Spec) {
		spec.Size = cluster.Size{Min: servers, Max: servers}
		if c.change != nil {
			c.change(spec)
		}
	}
	s.putAlarm("errors")
	first := s.apply("1", atOnce)
	if c.byHand {
		s.attachByHand(first)
	}
	known := s.known()
	var mu sync.Mutex
	calls := 0
	s.proxy.Intercept(func(rig.Call) *rig.Fault {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return nil
	})
	if _, err := s.manager.Apply(t.Context(), s.spec("2"), c.settings, known); err != nil {
		t.Fatal(err)
	}
	s.proxy.Intercept(nil)
	s.destroy()
	return calls
}
