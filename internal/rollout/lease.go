package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/lease"
)

// leaseTTL is the lifetime of a lease. A process that died keeps others waiting
// for as long. No step makes a call that may last longer, so a process that takes
// the lease over is alone.
const leaseTTL = 30 * time.Second

// BusyError says that another process is changing the cluster.
type BusyError struct {
	Cluster cluster.ID
	Held    *builddata.HeldError
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("cluster %s is being changed by another process: %s.\n\n"+
		"State now:  nothing was changed here.\n"+
		"What to do: wait until it has finished and try again. \"delivery rollout status %s\" shows its progress, "+
		"and \"delivery rollout abort %s\" has it rolled back.", e.Cluster, e.Held, e.Cluster, e.Cluster)
}

// ExitCode is that of the command line.
func (e *BusyError) ExitCode() int { return exitcode.Busy }

// Unwrap makes the error match builddata.ErrConflict.
func (e *BusyError) Unwrap() error { return e.Held }

// leaseName is the name of the lease of a cluster, among those of its service.
func leaseName(id cluster.ID, region string) string {
	return fmt.Sprintf("cluster:%s:%s", id.Environment, region)
}

// heldLease is a lease that this process holds.
type heldLease struct {
	manager *Manager
	lease   builddata.Lease
	renewed time.Time
}

// withLease calls do while this process holds the lease of a cluster, with the
// cluster's status and its open rollout; nil if there is none.
func (m *Manager) withLease(
	ctx context.Context, id cluster.ID, do func(lease *heldLease, s Status, open *runner) (Inventory, error),
) (Inventory, error) {
	lease, err := m.waitForLease(ctx, id)
	if err != nil {
		return Inventory{}, err
	}
	defer lease.release(ctx)
	s, open, err := m.openRollout(ctx, lease, id)
	if err != nil {
		return s.Inventory, err
	}
	return do(lease, s, open)
}

// waitForLease acquires the lease of a cluster. If another live process holds it,
// the error is a *BusyError.
func (m *Manager) waitForLease(ctx context.Context, id cluster.ID) (*heldLease, error) {
	l, asked, err := m.keeper(ctx).Acquire(ctx, m.leaseRequest(id))
	var held *builddata.HeldError
	switch {
	case errors.As(err, &held):
		return nil, &BusyError{Cluster: id, Held: held}
	case err != nil:
		return nil, fmt.Errorf("cluster %s was not changed: acquire its lease: %w", id, err)
	}
	return &heldLease{manager: m, lease: l, renewed: asked}, nil
}

// acquire acquires the lease of a cluster without waiting. If another process
// holds it, the error is a *builddata.HeldError.
func (m *Manager) acquire(ctx context.Context, id cluster.ID) (*heldLease, error) {
	asked := m.Clock.Now()
	l, err := m.Store.Acquire(ctx, m.leaseRequest(id))
	if err != nil {
		return nil, err
	}
	return &heldLease{manager: m, lease: l, renewed: asked}, nil
}

func (m *Manager) leaseRequest(id cluster.ID) builddata.LeaseRequest {
	return builddata.LeaseRequest{Service: id.Service, Name: leaseName(id, m.Region), Holder: m.Holder, TTL: leaseTTL}
}

func (m *Manager) keeper(ctx context.Context) lease.Keeper {
	return lease.Keeper{
		Leases: m.Store, Clock: m.Clock, Progress: func(format string, args ...any) { m.Progress(ctx, format, args...) },
	}
}

// renew renews the lease if a third of it has passed.
func (h *heldLease) renew(ctx context.Context) error {
	now := h.manager.Clock.Now()
	if now.Sub(h.renewed) < leaseTTL/3 {
		return nil
	}
	lease, err := h.manager.Store.Renew(ctx, h.lease, leaseTTL)
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	h.lease, h.renewed = lease, now
	return nil
}

// attemptTimeout bounds one attempt under the lease. A third of the lease is
// left then, so that a live process renews it in time.
func (h *heldLease) attemptTimeout() time.Duration {
	return leaseTTL*2/3 - h.manager.Clock.Now().Sub(h.renewed)
}

// release gives the lease back. If that fails, the lease expires.
func (h *heldLease) release(ctx context.Context) {
	h.manager.keeper(ctx).Release(ctx, h.lease, leaseTTL)
}
