package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/lease"
)

const ttl = time.Minute

func request(holder string) builddata.LeaseRequest {
	return builddata.LeaseRequest{Service: "web", Name: "deploy:prod", Holder: holder, TTL: ttl}
}

// keeper returns a keeper by the clock of the test's bubble.
func keeper(t *testing.T, leases builddata.Leases) lease.Keeper {
	return lease.Keeper{Leases: leases, Clock: clock.System{}, Progress: t.Logf}
}

// now returns the time in the test's bubble.
func now() time.Time { return clock.System{}.Now() }

// sleep waits for d, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	if (clock.System{}).Sleep(ctx, d) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// broken is a store whose leases cannot be renewed.
type broken struct{ builddata.Leases }

func (broken) Renew(context.Context, builddata.Lease, time.Duration) (builddata.Lease, error) {
	return builddata.Lease{}, fmt.Errorf("%w: no route to host", builddata.ErrUnavailable)
}

func TestKeeper_HoldRenewsUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		began := now()
		go func() {
			if err := sleep(t.Context(), 5*time.Minute); err != nil {
				t.Error(err)
			}
			_, _, err := keeper(t, store).Acquire(t.Context(), request("grace"))
			var held *builddata.HeldError
			if waited := now().Sub(began) - 5*time.Minute; !errors.As(err, &held) || held.Lease.Holder != "ada" || waited > ttl {
				t.Errorf("got %v after %s while ada is alive, want a HeldError", err, waited)
			}
		}()
		err := keeper(t, store).Hold(t.Context(), request("ada"), func(ctx context.Context, l builddata.Lease) error {
			if l.Holder != "ada" || l.Token != 1 {
				t.Errorf("got the lease %+v", l)
			}
			return sleep(ctx, 10*time.Minute)
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := store.Lease(t.Context(), "web", "deploy:prod"); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("got %v, want the lease to be released", err)
		}
	})
}

func TestKeeper_HoldEndsWhenTheLeaseIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		began := now()
		err := keeper(t, store).Hold(t.Context(), request("ada"), func(ctx context.Context, l builddata.Lease) error {
			if err := store.Release(ctx, l); err != nil {
				return err
			}
			if _, err := store.Acquire(ctx, request("grace")); err != nil {
				return err
			}
			if sleep(ctx, time.Hour) == nil {
				t.Error("it ran to its end")
			}
			return errors.New("terraform was stopped")
		})
		var lost *builddata.LostError
		if !errors.As(err, &lost) || lost.Now.Holder != "grace" || now().Sub(began) > ttl {
			t.Errorf("got %v after %s, want that grace took the lease", err, now().Sub(began))
		}
		if l, err := store.Lease(t.Context(), "web", "deploy:prod"); err != nil || l.Holder != "grace" {
			t.Errorf("got %+v and %v, want grace's lease", l, err)
		}
	})
}

// A process that cannot renew its lease stops before another process can have it.
func TestKeeper_HoldEndsBeforeTheLeaseExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		began := now()
		err := keeper(t, broken{store}).Hold(t.Context(), request("ada"), func(ctx context.Context, _ builddata.Lease) error {
			return sleep(ctx, time.Hour)
		})
		if took := now().Sub(began); !errors.Is(err, builddata.ErrUnavailable) || took >= ttl || took < ttl/2 {
			t.Errorf("got %v after %s, want ErrUnavailable within %s", err, took, ttl)
		}
	})
}

func TestKeeper_HoldIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		stop := errors.New("Ctrl-C")
		ctx, cancel := context.WithCancelCause(t.Context())
		err := keeper(t, store).Hold(ctx, request("ada"), func(ctx context.Context, _ builddata.Lease) error {
			cancel(stop)
			return sleep(ctx, time.Hour)
		})
		if !errors.Is(err, stop) {
			t.Errorf("got %v, want %v", err, stop)
		}
		if _, err := store.Lease(t.Context(), "web", "deploy:prod"); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("got %v, want the lease to be released", err)
		}
	})
}

func TestKeeper_AcquireOutlivesADeadProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		if _, err := store.Acquire(t.Context(), request("ada")); err != nil {
			t.Fatal(err)
		}
		began := now()
		l, asked, err := keeper(t, store).Acquire(t.Context(), request("grace"))
		if err != nil || l.Token != 2 || now().Sub(began) != ttl || !asked.Equal(now()) {
			t.Errorf("got %+v, asked at %s, and %v after %s; want token 2 after %s", l, asked, err, now().Sub(began), ttl)
		}
	})
}

func TestKeeper_AcquireIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New().Open(clock.System{})
		if _, err := store.Acquire(t.Context(), request("ada")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, _, err := keeper(t, store).Acquire(ctx, request("grace")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want to be interrupted", err)
		}
	})
}
