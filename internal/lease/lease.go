// Package lease acquires leases of the build data repository and keeps them.
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Keeper acquires leases and keeps them.
type Keeper struct {
	Leases builddata.Leases
	Clock  clock.Clock
	// Progress reports a wait to people.
	Progress func(format string, args ...any)
}

// Acquire acquires a lease and returns the time of the request, from which its time to live
// counts. If another process holds the lease, Acquire waits until it can tell whether that
// process is alive. A live process renews the lease; then the error is a
// *builddata.HeldError.
func (k Keeper) Acquire(ctx context.Context, r builddata.LeaseRequest) (l builddata.Lease, asked time.Time, err error) {
	var seen *builddata.HeldError
	for {
		asked = k.Clock.Now()
		l, err = k.Leases.Acquire(ctx, r)
		var held *builddata.HeldError
		if err == nil || !errors.As(err, &held) {
			return l, asked, err
		}
		if seen != nil && (held.Lease.Token != seen.Lease.Token || !held.Lease.ExpiresAt.Equal(seen.Lease.ExpiresAt)) {
			return l, asked, held
		}
		if seen == nil {
			k.Progress("%s; waiting to see whether it is alive", held)
			seen = held
		}
		pause := min(max(held.Lease.ExpiresAt.Sub(k.Clock.Now()), 100*time.Millisecond), time.Second)
		if err := k.Clock.Sleep(ctx, pause); err != nil {
			return l, asked, fmt.Errorf("interrupted while waiting for %s: %w", held.Lease.Holder, err)
		}
	}
}

// Hold calls do while this process holds the lease, and renews it in the background. The
// context of do ends when the lease was lost, with a *builddata.LostError as its cause, or
// when it could not be renewed for two thirds of its time to live, so that do has ended
// before another process acquires the lease. Errors of Acquire are returned as they are.
func (k Keeper) Hold(ctx context.Context, r builddata.LeaseRequest, do func(ctx context.Context, l builddata.Lease) error) error {
	l, asked, err := k.Acquire(ctx, r)
	if err != nil {
		return err
	}
	defer k.Release(ctx, l, r.TTL)
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	renewing, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := k.renew(renewing, l, asked, r.TTL); err != nil {
			lose(err)
		}
	}()
	defer func() { stop(); <-stopped }()
	err = do(held, l)
	if cause := context.Cause(held); err != nil && cause != nil && ctx.Err() == nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// renew renews a lease, which was acquired at asked, until the context ends. It returns an
// error if the lease was lost or cannot be renewed in time.
func (k Keeper) renew(ctx context.Context, l builddata.Lease, asked time.Time, ttl time.Duration) error {
	renewed := asked
	for k.Clock.Sleep(ctx, ttl/6) == nil {
		now := k.Clock.Now()
		attempt, cancel := context.WithTimeout(ctx, ttl/6)
		_, err := k.Leases.Renew(attempt, l, ttl)
		cancel()
		switch {
		case err == nil:
			renewed = now
		case ctx.Err() != nil: // it is not needed any more
		case errors.As(err, new(*builddata.LostError)):
			return err
		case k.Clock.Now().Sub(renewed) >= ttl*2/3:
			return fmt.Errorf("the lease %s could not be renewed in time: %w", l.Name, err)
		}
	}
	return nil
}

// releaseTimeout bounds the release of a lease after an interruption.
const releaseTimeout = 5 * time.Second

// Release gives a lease back. If that fails, the lease expires.
func (k Keeper) Release(ctx context.Context, l builddata.Lease, ttl time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := k.Leases.Release(ctx, l); err != nil {
		k.Progress("the lease could not be released (%s); it expires within %s", err, ttl)
	}
}
