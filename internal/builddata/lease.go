package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Leases prevent two processes from changing the same thing at once. A lease expires, so
// that a holder that has died does not hold it forever. A holder may not notice that its
// lease expired, so each lease has a fencing token that rises every time the lease is
// acquired, and a write under a lease is refused once the token is no longer the latest.
// (Kleppmann, "How to do distributed locking", 2016.)
type Leases interface {
	// Acquire takes a lease. While another process holds it, or the same holder
	// does by an earlier call, the error is a *HeldError.
	Acquire(ctx context.Context, r LeaseRequest) (Lease, error)
	// Renew makes the lease expire ttl from now. A lease that has expired is
	// renewed as well, unless it was acquired again since: then the error is a
	// *LostError.
	Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error)
	// Release ends the lease now. A lease that was lost is not an error: it is
	// not held, which is what was asked for.
	Release(ctx context.Context, l Lease) error
	// Lease returns the lease of that name, which may have expired. A lease
	// that is not held is ErrNotFound.
	Lease(ctx context.Context, service, name string) (Lease, error)
}

// Lease is the exclusive right to change something for a while.
type Lease struct {
	// Service is the service that the lease belongs to, Name a code for what it is
	// a lease of: "cluster:prod:eu-north-1". Together they identify it.
	Service string
	Name    string
	// Holder says who has it, for people: "ada@ci-7, terraform, process 4711".
	// It is empty once the lease was released.
	Holder string
	// Token is the fencing token. It rises each time the lease is acquired.
	Token int64
	// AcquiredAt and ExpiresAt are Timestamps by the store's clock.
	AcquiredAt time.Time
	ExpiresAt  time.Time
}

// LeaseRequest asks for a lease; its fields are those of Lease.
type LeaseRequest struct {
	Service, Name, Holder string
	TTL                   time.Duration
}

// Validate returns an error for a request that no store accepts.
func (r LeaseRequest) Validate() error {
	if err := ValidateService(r.Service); err != nil {
		return err
	}
	if r.Name == "" || r.Holder == "" || r.TTL <= 0 {
		return errors.New("a lease needs a name, a holder and a time to live")
	}
	return nil
}

// Acquire returns the lease that follows the latest one of the same name: the
// zero Lease if there never was one. If the latest is still held, the error is a
// *HeldError.
func (r LeaseRequest) Acquire(latest Lease, now time.Time) (Lease, error) {
	now = Timestamp(now)
	if latest.Held() && now.Before(latest.ExpiresAt) {
		return Lease{}, &HeldError{Lease: latest}
	}
	return Lease{
		Service: r.Service, Name: r.Name, Holder: r.Holder, Token: latest.Token + 1,
		AcquiredAt: now, ExpiresAt: Timestamp(now.Add(r.TTL)),
	}, nil
}

// Held reports whether the lease was acquired and not released since. It may
// have expired.
func (l Lease) Held() bool { return l.Holder != "" }

// Check reports whether l is still held, given the latest lease of its name: if
// it was released, or acquired again, the error is a *LostError. A lease that
// only expired is good: no process can have written under a later token.
func (l Lease) Check(latest Lease) error {
	switch {
	case !latest.Held():
		return &LostError{Name: l.Name, Holder: l.Holder}
	case latest.Token != l.Token:
		return &LostError{Name: l.Name, Holder: l.Holder, Now: latest}
	}
	return nil
}

// Renew returns the latest lease with a new end, if it is still l.
func (l Lease) Renew(latest Lease, ttl time.Duration, now time.Time) (Lease, error) {
	if ttl <= 0 {
		return Lease{}, errors.New("a lease needs a time to live")
	}
	if err := l.Check(latest); err != nil {
		return Lease{}, err
	}
	latest.ExpiresAt = Timestamp(now.Add(ttl))
	return latest, nil
}

// Release returns the latest lease as it is once l is released, and whether that changes
// it. The token stays, so that tokens never repeat.
func (l Lease) Release(latest Lease) (released Lease, changed bool) {
	if latest.Token != l.Token || !latest.Held() {
		return latest, false
	}
	latest.Holder, latest.ExpiresAt = "", latest.AcquiredAt
	return latest, true
}

// HeldError says that another process has the lease. It matches ErrConflict.
type HeldError struct{ Lease Lease }

func (e *HeldError) Error() string {
	return fmt.Sprintf("the lease %s of service %s is held by %s since %s, until %s unless it is renewed",
		e.Lease.Name, e.Lease.Service, e.Lease.Holder, e.Lease.AcquiredAt.Format(time.RFC3339), e.Lease.ExpiresAt.Format(time.RFC3339))
}

// Unwrap makes the error match ErrConflict.
func (e *HeldError) Unwrap() error { return ErrConflict }

// LostError says that a lease was released, or that it expired and another
// process has acquired it since. It matches ErrConflict.
type LostError struct {
	// Name is what the lost lease was a lease of, Holder who had it.
	Name, Holder string
	// Now is the lease that followed; its Token is 0 if that was released as
	// well, or if there is none.
	Now Lease
}

func (e *LostError) Error() string {
	if e.Now.Token == 0 {
		return fmt.Sprintf("the lease %s is no longer held by %s", e.Name, e.Holder)
	}
	return fmt.Sprintf("the lease %s is no longer held by %s: %s took it at %s", e.Name, e.Holder, e.Now.Holder,
		e.Now.AcquiredAt.Format(time.RFC3339))
}

// Unwrap makes the error match ErrConflict.
func (e *LostError) Unwrap() error { return ErrConflict }
