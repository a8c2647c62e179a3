package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Acquire implements builddata.Leases.
func (s *Store) Acquire(ctx context.Context, r builddata.LeaseRequest) (l builddata.Lease, err error) {
	if err := r.Validate(); err != nil {
		return builddata.Lease{}, fmt.Errorf("acquire a lease: %w", err)
	}
	err = s.write(ctx, "acquire a lease", func(tx *sql.Tx) error {
		latest, err := latestLease(ctx, tx, r.Service, r.Name)
		if err != nil {
			return err
		}
		// The clock is read here, because the wait for the lock may have been long.
		if l, err = r.Acquire(latest, s.clock.Now()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO leases (service, name, holder, token, acquired_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (service, name) DO UPDATE SET holder = excluded.holder, token = excluded.token,
				acquired_at = excluded.acquired_at, expires_at = excluded.expires_at`,
			l.Service, l.Name, l.Holder, l.Token, toMicros(l.AcquiredAt), toMicros(l.ExpiresAt))
		return err
	})
	if err != nil {
		return builddata.Lease{}, err
	}
	return l, nil
}

// Renew implements builddata.Leases.
func (s *Store) Renew(ctx context.Context, l builddata.Lease, ttl time.Duration) (renewed builddata.Lease, err error) {
	err = s.write(ctx, "renew a lease", func(tx *sql.Tx) error {
		latest, err := latestLease(ctx, tx, l.Service, l.Name)
		if err != nil {
			return err
		}
		if renewed, err = l.Renew(latest, ttl, s.clock.Now()); err != nil {
			return err
		}
		return updateLease(ctx, tx, renewed)
	})
	if err != nil {
		return builddata.Lease{}, err
	}
	return renewed, nil
}

// Release implements builddata.Leases.
func (s *Store) Release(ctx context.Context, l builddata.Lease) error {
	return s.write(ctx, "release a lease", func(tx *sql.Tx) error {
		latest, err := latestLease(ctx, tx, l.Service, l.Name)
		if err != nil {
			return err
		}
		released, changed := l.Release(latest)
		if !changed {
			return nil
		}
		return updateLease(ctx, tx, released)
	})
}

func updateLease(ctx context.Context, tx *sql.Tx, l builddata.Lease) error {
	_, err := tx.ExecContext(ctx, `UPDATE leases SET holder = ?, expires_at = ? WHERE service = ? AND name = ? AND token = ?`,
		l.Holder, toMicros(l.ExpiresAt), l.Service, l.Name, l.Token)
	return err
}

// Lease implements builddata.Leases.
func (s *Store) Lease(ctx context.Context, service, name string) (l builddata.Lease, err error) {
	err = s.retryBusy(ctx, "read a lease", func() (err error) {
		l, err = latestLease(ctx, s.db, service, name)
		return err
	})
	if err == nil && !l.Held() {
		err = fmt.Errorf("the lease %s: %w", name, builddata.ErrNotFound)
	}
	return l, err
}

// checkLease returns a *builddata.LostError if the lease was lost.
func checkLease(ctx context.Context, tx *sql.Tx, l builddata.Lease) error {
	latest, err := latestLease(ctx, tx, l.Service, l.Name)
	if err != nil {
		return err
	}
	return l.Check(latest)
}

// latestLease returns the latest lease of that name: without a holder if it was
// released, zero if there never was one.
func latestLease(ctx context.Context, q querier, service, name string) (builddata.Lease, error) {
	l, err := one(ctx, q, scanLease, `SELECT service, name, holder, token, acquired_at, expires_at FROM leases WHERE service = ? AND name = ?`,
		service, name)
	if err != nil || l == nil {
		return builddata.Lease{}, err
	}
	return *l, nil
}

func scanLease(r row) (l builddata.Lease, err error) {
	var acquiredAt, expiresAt int64
	err = r.Scan(&l.Service, &l.Name, &l.Holder, &l.Token, &acquiredAt, &expiresAt)
	l.AcquiredAt, l.ExpiresAt = fromMicros(acquiredAt), fromMicros(expiresAt)
	return l, err
}
