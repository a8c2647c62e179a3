package rollout_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

func TestLease_LiveHolder(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	// The holder waits for a server, and renews its lease in the meantime.
	s.world.behaviour["2"] = behaviour{start: 100 * time.Second}
	waiting, contender := 0, error(nil)
	m, _ := s.process(nil)
	other, p := s.process(nil)
	m.Clock = &sleeping{Clock: m.Clock, do: func() {
		if waiting++; waiting != 20 {
			return
		}
		// While the contender sleeps, the holder continues: here it renews.
		other.Clock = &sleeping{Clock: other.Clock, do: func() {
			l := s.store.lease()
			if s.clock.Now().Sub(l.ExpiresAt.Add(-30*time.Second)) >= 10*time.Second {
				_, _ = s.store.Renew(t.Context(), l, 30*time.Second)
			}
		}}
		contender = s.apply(other, spec("3"), quick())
	}}
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Fatal(err)
	}
	var busy *rollout.BusyError
	if !errors.As(contender, &busy) || busy.Held.Lease.Holder != m.Holder || !errors.Is(contender, builddata.ErrConflict) {
		t.Fatalf("got %v, want it refused because of %s", contender, m.Holder)
	}
	if p.cloud != 0 {
		t.Errorf("the contender made %d calls to the cloud, want none", p.cloud)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
	t.Run("Busy", func(t *testing.T) { golden(t, contender.Error()) })
}

// sleeping is a clock that calls do in each sleep.
type sleeping struct {
	clock.Clock
	do func()
}

func (c *sleeping) Sleep(ctx context.Context, d time.Duration) error {
	if err := c.Clock.Sleep(ctx, d); err != nil {
		return err
	}
	c.do()
	return nil
}

func TestLease_DeadHolder(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(fixed(40, killedAfter))
	_ = s.apply(m, spec("2"), quick())
	died := s.clock.Now()
	expires := s.store.lease().ExpiresAt
	m, _ = s.process(nil)
	var taken time.Time
	m.Progress = func(context.Context, string, ...any) {
		if taken.IsZero() && s.store.lease().Holder == m.Holder {
			taken = s.clock.Now()
		}
	}
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Fatal(err)
	}
	if taken.Before(expires) || taken.After(expires.Add(2*time.Second)) || taken.Sub(died) > 32*time.Second {
		t.Errorf("taken over at %s, want right after %s, when the lease ends", taken, expires)
	}
	if err := s.converged("2"); err != nil {
		t.Fatal(err)
	}
}

// TestLease_Lost has a process sleep for longer than its lease after each of its
// calls, while another one takes over. The first one must not change anything
// after that.
func TestLease_Lost(t *testing.T) {
	whole := 0
	for k := 1; whole == 0 || k <= whole; k++ {
		s := begun(t, quick(), spec("1"))
		m, p := s.process(fixed(k, pauses))
		p.during = func() {
			other, _ := s.process(nil)
			if err := s.apply(other, spec("3"), quick()); err != nil {
				t.Fatalf("paused after call %d: the other one: %v", k, err)
			}
		}
		known := s.known
		err := s.apply(m, spec("2"), quick())
		if !p.paused {
			whole = k
			continue
		}
		if s.world.fault != nil {
			t.Fatalf("paused after call %d: %v", k, s.world.fault)
		}
		if err == nil {
			// It had finished, or not started, when the other one took over.
			if got := s.serving(); got != "2" && got != "3" {
				t.Fatalf("paused after call %d: version %q serves", k, got)
			}
			continue
		}
		s.known = known
		if p := s.status(); p.Serving == nil || p.Serving.Spec.Version != "3" {
			t.Fatalf("paused after call %d: %v, but version 3 does not serve", k, err)
		}
	}
	if whole < 30 {
		t.Errorf("paused after %d calls, want more", whole)
	}
}

// slow is a cloud that records how long its context lets a call take.
type slow struct {
	cluster.Cloud
	took *time.Duration
}

func (c slow) Health(ctx context.Context, g ...cluster.Generation) ([]cluster.Health, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("the call has no deadline")
	}
	*c.took = max(*c.took, left(deadline))
	return c.Cloud.Health(ctx, g...)
}

func TestLease_NoCallOutlastsIt(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	var took time.Duration
	quickly := m.Cloud
	m.Progress = func(context.Context, string, ...any) { m.Cloud = slow{quickly, &took} }
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Fatal(err)
	}
	if took == 0 || took > 30*time.Second {
		t.Errorf("a call could have taken %s, want at most the 30s of the lease", took)
	}
}

func TestLease_TwoRegions(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	if _, err := s.store.Acquire(t.Context(), builddata.LeaseRequest{
		Service: web.Service, Name: "cluster:prod:us-east-1", Holder: "another process", TTL: time.Minute,
	}); err != nil {
		t.Fatal(err)
	}
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick()); err != nil {
		t.Errorf("got %v, want another region's lease not to matter", err)
	}
}
