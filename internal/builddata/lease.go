package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Leases keep two from changing one thing at once. A lease ends by itself, so
// that a holder that died does not hold it for ever; and because a holder may
// not notice that it was given up for dead, each lease has a fencing number
// that rises with every change of hands, and what is written under a lease is
// refused once the number is no longer the latest. (Kleppmann, "How to do
// distributed locking", 2016.)
type Leases interface {
	// Acquire takes the lease for ttl. While somebody else holds it, or the
	// same holder does by an earlier call, the error is a *HeldError.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)
	// Renew has the lease end ttl from now. One that ended, but that nobody
	// has taken since, is renewed as well; one that somebody took is a *LostError.
	Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error)
	// Release ends the lease now. One that was lost is no error: it is not
	// held, which is what was asked for.
	Release(ctx context.Context, l Lease) error
	// Lease returns the lease of that name, which may have ended. One that
	// nobody has is ErrNotFound.
	Lease(ctx context.Context, name string) (Lease, error)
}

// Lease is the right to change something for a while.
type Lease struct {
	// Name is what it is a lease of.
	Name string
	// Holder says who has it, for people: "ada@ci-7, terraform, process 4711".
	Holder string
	// Token is the fencing number: it rises with every Acquire of the name.
	Token int64
	// AcquiredAt and ExpiresAt have microsecond precision and are in UTC, by
	// the store's clock.
	AcquiredAt time.Time
	ExpiresAt  time.Time
}

// HeldError says that somebody else has the lease. It matches ErrConflict.
type HeldError struct{ Lease Lease }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by %s since %s, until %s unless it is renewed",
		e.Lease.Name, e.Lease.Holder, e.Lease.AcquiredAt.Format(time.RFC3339), e.Lease.ExpiresAt.Format(time.RFC3339))
}

// Unwrap makes the error match ErrConflict.
func (e *HeldError) Unwrap() error { return ErrConflict }

// LostError says that a lease ended and somebody else has taken it since, or
// that it was released. It matches ErrConflict.
type LostError struct {
	// Name is what it was a lease of, Holder who had it.
	Name, Holder string
	// Now is the lease that took its place; its Token is 0 if that was released
	// as well, or if nobody took it.
	Now Lease
}

func (e *LostError) Error() string {
	if e.Now.Token == 0 {
		return fmt.Sprintf("%s is no longer held by %s", e.Name, e.Holder)
	}
	return fmt.Sprintf("%s is no longer held by %s: %s took it at %s", e.Name, e.Holder, e.Now.Holder, e.Now.AcquiredAt.Format(time.RFC3339))
}

// Unwrap makes the error match ErrConflict.
func (e *LostError) Unwrap() error { return ErrConflict }

// ValidateLease checks what no store may accept.
func ValidateLease(name, holder string, ttl time.Duration) error {
	if name == "" || holder == "" || ttl <= 0 {
		return errors.New("a lease needs a name, a holder and a time to live")
	}
	return nil
}
