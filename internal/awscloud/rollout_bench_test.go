package awscloud_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// BenchmarkRollout counts and times the calls that a rollout makes to AWS, next
// to the natural alternative and in turns with it: a second cluster with the
// new version, and then the end of the first. The metrics "x-calls" and
// "x-seconds" are ours divided by theirs. All waits take no time, so the
// seconds are moto's and ours.
func BenchmarkRollout(b *testing.B) {
	enter(b, 3)
	for _, servers := range []int32{2, 20, 200} {
		b.Run(fmt.Sprintf("servers=%d", servers), func(b *testing.B) { benchmarkRollout(b, servers) })
	}
}

// cost is what something took.
type cost struct {
	calls int
	took  time.Duration
}

func benchmarkRollout(b *testing.B, servers int32) {
	moto, err := rig.Shared()
	if err != nil {
		b.Fatal(err)
	}
	settings := rollout.Settings{HealthyWithin: rollout.DefaultHealthyWithin, OnFailure: rollout.Undo, Protected: rollout.Wait}
	var ours, theirs cost
	for b.Loop() {
		s, err := newSite(b, moto, clock.NewFake(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
		if err != nil {
			b.Fatal(err)
		}
		blue, green := s.spec("1"), s.spec("3")
		blue.Size = cluster.Size{Min: servers, Max: servers}
		green.Environment, green.Size = "green", blue.Size
		green.Listener = &cluster.Listener{ARN: s.landscape.Listener, Rule: &cluster.Rule{Priority: 101, Hosts: []string{"green.example.com"}}}
		apply := func(spec cluster.Spec, from *rollout.GenerationRecord) *rollout.GenerationRecord {
			e, err := s.manager.Apply(b.Context(), spec, settings, from)
			if err != nil {
				b.Fatalf("%v%s", err, s.log())
			}
			return e.Serving
		}
		serving := apply(blue, nil)
		blue.Version, blue.Tags = "2", s.spec("2").Tags
		s.measure(&ours, func() { serving = apply(blue, serving) })
		s.measure(&theirs, func() {
			apply(green, nil)
			if err := s.manager.Destroy(b.Context(), blue.ID, serving); err != nil {
				b.Fatal(err)
			}
		})
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.calls)/n, "calls/rollout")
	b.ReportMetric(float64(theirs.calls)/n, "calls/second-cluster")
	b.ReportMetric(float64(ours.calls)/float64(theirs.calls), "x-calls")
	b.ReportMetric(ours.took.Seconds()/n, "s/rollout")
	b.ReportMetric(theirs.took.Seconds()/n, "s/second-cluster")
	b.ReportMetric(ours.took.Seconds()/theirs.took.Seconds(), "x-seconds")
}

// measure adds what something costs.
func (s *site) measure(c *cost, do func()) {
	calls := 0
	s.proxy.Intercept(func(rig.Call) *rig.Fault {
		calls++
		return nil
	})
	began := time.Now()
	do()
	c.took += time.Since(began)
	s.proxy.Intercept(nil)
	c.calls += calls
}
