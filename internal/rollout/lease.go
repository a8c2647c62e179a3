package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// leaseTTL is how long a holder that died keeps others waiting. No step lets
// a call to the outside last longer, so whoever takes the lease over is alone.
const leaseTTL = 30 * time.Second

// BusyError says that somebody else is changing the cluster.
type BusyError struct {
	Cluster cluster.ID
	Held    *builddata.HeldError
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("cluster %s is being changed by somebody else: %s.\n\nState now:  nothing was changed here.\nWhat to do: wait until that has ended and try again. \"delivery rollout status %s\" shows how far it is, \"delivery rollout abort %s\" has it taken back.",
		e.Cluster, e.Held, e.Cluster, e.Cluster)
}

// Unwrap makes the error match builddata.ErrConflict.
func (e *BusyError) Unwrap() error { return e.Held }

// leaseName is what the lease of a cluster is called.
func leaseName(id cluster.ID, region string) string {
	return fmt.Sprintf("cluster %s in %s", id, region)
}

// held is a lease that is being kept.
type held struct {
	manager *Manager
	lease   builddata.Lease
	renewed time.Time
}

// hold takes the lease of a cluster. If somebody else has it, hold waits to
// see whether the holder is alive: one that is renews the lease.
func (m *Manager) hold(ctx context.Context, id cluster.ID) (*held, error) {
	var seen *builddata.HeldError
	for {
		lease, err := m.acquire(ctx, id)
		if err == nil {
			return lease, nil
		}
		var busy *builddata.HeldError
		if !errors.As(err, &busy) {
			return nil, fmt.Errorf("cluster %s was not changed: its lease could not be taken: %w", id, err)
		}
		if seen != nil && (busy.Lease.Token != seen.Lease.Token || !busy.Lease.ExpiresAt.Equal(seen.Lease.ExpiresAt)) {
			return nil, &BusyError{Cluster: id, Held: busy}
		}
		if seen == nil {
			m.Progress(ctx, "%s; waiting to see whether that one is alive", busy)
			seen = busy
		}
		pause := min(max(busy.Lease.ExpiresAt.Sub(m.Clock.Now()), 100*time.Millisecond), time.Second)
		if err := m.Clock.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("cluster %s was not changed: interrupted while waiting for %s: %w", id, busy.Lease.Holder, err)
		}
	}
}

// acquire takes the lease of a cluster if nobody has it.
func (m *Manager) acquire(ctx context.Context, id cluster.ID) (*held, error) {
	asked := m.Clock.Now()
	lease, err := m.Store.Acquire(ctx, builddata.LeaseRequest{Service: id.Service, Name: leaseName(id, m.Region), Holder: m.Holder, TTL: leaseTTL})
	if err != nil {
		return nil, err
	}
	return &held{manager: m, lease: lease, renewed: asked}, nil
}

// keep renews the lease once a third of it has passed.
func (h *held) keep(ctx context.Context) error {
	now := h.manager.Clock.Now()
	if now.Sub(h.renewed) < leaseTTL/3 {
		return nil
	}
	lease, err := h.manager.Store.Renew(ctx, h.lease, leaseTTL)
	if err != nil {
		return fmt.Errorf("the lease could not be renewed: %w", err)
	}
	h.lease, h.renewed = lease, now
	return nil
}

// attempt is how long something may be tried under the lease: a third of it
// is left then, so that a holder who is alive renews it before it ends.
func (h *held) attempt() time.Duration {
	return leaseTTL*2/3 - h.manager.Clock.Now().Sub(h.renewed)
}

// releaseTime bounds the release of a lease by somebody who was interrupted.
const releaseTime = 5 * time.Second

// release gives the lease back. If that fails, it ends by itself.
func (h *held) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := h.manager.Store.Release(ctx, h.lease); err != nil {
		h.manager.Progress(ctx, "the lease could not be released (%s); it ends by itself within %s", err, leaseTTL)
	}
}
