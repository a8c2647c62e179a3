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

// BenchmarkRollout reports how much simulated time a rollout adds to its
// unavoidable waits, in percent of them; the same for creating a second cluster
// and destroying the first; and the number of calls that a rollout makes.
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
				s := benchHarness(b, 2*time.Minute, spec("1", sized(n)))
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

func benchHarness(b *testing.B, start time.Duration, before cluster.Spec) *harness {
	b.Helper()
	s := newHarness(1)
	s.world.ending, s.world.deleting = 40*time.Second, 20*time.Second
	if err := (story{before: []cluster.Spec{before}, settings: usual()}).begin(s); err != nil {
		b.Fatal(err)
	}
	s.world.behaviour["2"] = behaviour{start: start}
	return s
}

// percent is how much longer than its waits something takes.
func percent(took, waits time.Duration) float64 { return 100 * float64(took-waits) / float64(waits) }

// rolled is how many percent longer a rollout takes than the start of the
// servers, observing, draining, and the removal of the old group together.
func rolled(b *testing.B, start time.Duration) float64 {
	b.Helper()
	s := benchHarness(b, start, spec("1"))
	m, _ := s.process(nil)
	began := s.clock.Now()
	if err := s.apply(m, spec("2"), usual()); err != nil {
		b.Fatal(err)
	}
	waits := start + usual().ObserveFor + usual().Drain + s.world.ending + s.world.deleting
	return percent(s.clock.Now().Sub(began), waits)
}

// recreated is the same for creating a second cluster and then destroying the
// first, which neither observes nor drains.
func recreated(b *testing.B, start time.Duration) float64 {
	b.Helper()
	bare := usual()
	bare.ObserveFor, bare.Drain = 0, 0
	s := newHarness(1)
	s.world.behaviour["2"] = behaviour{start: start}
	m, _ := s.process(nil)
	began := s.clock.Now()
	if err := s.apply(m, spec("2"), bare); err != nil {
		b.Fatal(err)
	}
	took := s.clock.Now().Sub(began)

	s = benchHarness(b, start, spec("1"))
	m, _ = s.process(nil)
	began = s.clock.Now()
	if err := m.Destroy(b.Context(), web, s.refresh()); err != nil {
		b.Fatal(err)
	}
	took += s.clock.Now().Sub(began)
	return percent(took, start+s.world.ending+s.world.deleting)
}
