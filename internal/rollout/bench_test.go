package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// usual are settings as a service in production may have them.
func usual() rollout.Settings {
	return quick(func(s *rollout.Settings) {
		s.HealthyWithin, s.ObserveFor, s.Drain = 30*time.Minute, 2*time.Minute, time.Minute
	})
}

func sized(n int32) func(*cluster.Spec) {
	return func(s *cluster.Spec) { s.Size = cluster.Size{Min: n, Max: 2 * n} }
}

// BenchmarkRollout reports, by the simulated time, what a rollout adds to the
// waits that nothing can avoid, in percent of those, the same of making another
// cluster and destroying the old one, and the calls that a rollout takes.
func BenchmarkRollout(b *testing.B) {
	for _, start := range []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute} {
		b.Run(fmt.Sprintf("Start%s", start), func(b *testing.B) {
			var added, again float64
			for b.Loop() {
				added, again = rolled(b, start), recreated(b, start)
			}
			b.ReportMetric(added, "%added")
			b.ReportMetric(again, "%added-by-recreation")
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, n := range []int32{2, 20, 200} {
		b.Run(fmt.Sprintf("Servers%d", n), func(b *testing.B) {
			var calls int
			for b.Loop() {
				s := benchStage(b, 2*time.Minute, spec("1", sized(n)))
				m, p := s.process(nil)
				if err := s.apply(m, spec("2", sized(n)), usual()); err != nil {
					b.Fatal(err)
				}
				calls = p.cloud
			}
			b.ReportMetric(float64(calls), "cloud-calls")
		})
	}
}

func benchStage(b *testing.B, start time.Duration, before cluster.Spec) *stage {
	b.Helper()
	s := newStage(1)
	s.world.ending, s.world.deleting = 40*time.Second, 20*time.Second
	if err := (story{before: []cluster.Spec{before}, settings: usual()}).begin(s); err != nil {
		b.Fatal(err)
	}
	s.world.behaviour["2"] = behaviour{start: start}
	return s
}

// percent is by how much something takes longer than its waits.
func percent(took, waits time.Duration) float64 { return 100 * float64(took-waits) / float64(waits) }

// rolled is by how many percent a rollout takes longer than the servers' start,
// its watching and draining, and the removal of the old group.
func rolled(b *testing.B, start time.Duration) float64 {
	b.Helper()
	s := benchStage(b, start, spec("1"))
	m, _ := s.process(nil)
	began := s.clock.Now()
	if err := s.apply(m, spec("2"), usual()); err != nil {
		b.Fatal(err)
	}
	waits := start + usual().ObserveFor + usual().Drain + s.world.ending + s.world.deleting
	return percent(s.clock.Now().Sub(began), waits)
}

// recreated is the same of making another cluster and then destroying the old
// one, which neither watches nor drains, compared with the same waits.
func recreated(b *testing.B, start time.Duration) float64 {
	b.Helper()
	bare := usual()
	bare.ObserveFor, bare.Drain = 0, 0
	s := newStage(1)
	s.world.behaviour["2"] = behaviour{start: start}
	m, _ := s.process(nil)
	began := s.clock.Now()
	if err := s.apply(m, spec("2"), bare); err != nil {
		b.Fatal(err)
	}
	took := s.clock.Now().Sub(began)

	s = benchStage(b, start, spec("1"))
	m, _ = s.process(nil)
	began = s.clock.Now()
	if err := m.Destroy(b.Context(), web, s.refresh()); err != nil {
		b.Fatal(err)
	}
	took += s.clock.Now().Sub(began)
	return percent(took, start+s.world.ending+s.world.deleting)
}
