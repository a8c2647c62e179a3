package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Acquire implements builddata.Leases.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (builddata.Lease, error) {
	if err := builddata.ValidateLease(name, holder, ttl); err != nil {
		return builddata.Lease{}, fmt.Errorf("acquire a lease: %w", err)
	}
	var l builddata.Lease
	err := s.write(ctx, "acquire a lease", func(tx *sql.Tx) error {
		last, err := latestLease(ctx, tx, name)
		if err != nil {
			return err
		}
		// Only now: getting here may have taken long.
		now := s.now()
		if held(last) && now.Before(last.ExpiresAt) {
			return &builddata.HeldError{Lease: last}
		}
		l = builddata.Lease{Name: name, Holder: holder, Token: last.Token + 1, AcquiredAt: now, ExpiresAt: now.Add(ttl).Truncate(time.Microsecond)}
		_, err = tx.ExecContext(ctx, `INSERT INTO leases (name, holder, token, acquired_at, expires_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = excluded.token,
				acquired_at = excluded.acquired_at, expires_at = excluded.expires_at`,
			l.Name, l.Holder, l.Token, toMicros(l.AcquiredAt), toMicros(l.ExpiresAt))
		return err
	})
	if err != nil {
		return builddata.Lease{}, err
	}
	return l, nil
}

// Renew implements builddata.Leases.
func (s *Store) Renew(ctx context.Context, l builddata.Lease, ttl time.Duration) (builddata.Lease, error) {
	if err := builddata.ValidateLease(l.Name, l.Holder, ttl); err != nil {
		return builddata.Lease{}, fmt.Errorf("renew a lease: %w", err)
	}
	var renewed builddata.Lease
	err := s.write(ctx, "renew a lease", func(tx *sql.Tx) (err error) {
		if renewed, err = fence(ctx, tx, l); err != nil {
			return err
		}
		renewed.ExpiresAt = s.now().Add(ttl).Truncate(time.Microsecond)
		_, err = tx.ExecContext(ctx, `UPDATE leases SET expires_at = ? WHERE name = ?`, toMicros(renewed.ExpiresAt), l.Name)
		return err
	})
	if err != nil {
		return builddata.Lease{}, err
	}
	return renewed, nil
}

// Release implements builddata.Leases.
func (s *Store) Release(ctx context.Context, l builddata.Lease) error {
	return s.write(ctx, "release a lease", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE leases SET holder = '', expires_at = 0 WHERE name = ? AND token = ?`, l.Name, l.Token)
		return err
	})
}

// Lease implements builddata.Leases.
func (s *Store) Lease(ctx context.Context, name string) (builddata.Lease, error) {
	var l builddata.Lease
	err := s.patiently(ctx, "read a lease", func() (err error) {
		l, err = latestLease(ctx, s.db, name)
		return err
	})
	if err == nil && !held(l) {
		err = fmt.Errorf("%s: %w", name, builddata.ErrNotFound)
	}
	return l, err
}

// fence returns l as it is in the repository, or a *builddata.LostError if it
// was released or taken. One that ended is good as long as nobody took it: no
// one can have written under a later token.
func fence(ctx context.Context, tx *sql.Tx, l builddata.Lease) (builddata.Lease, error) {
	latest, err := latestLease(ctx, tx, l.Name)
	if err != nil {
		return builddata.Lease{}, err
	}
	if held(latest) && latest.Token == l.Token {
		return latest, nil
	}
	lost := &builddata.LostError{Name: l.Name, Holder: l.Holder}
	if held(latest) {
		lost.Now = latest
	}
	return builddata.Lease{}, lost
}

// held reports whether somebody took l and did not release it.
func held(l builddata.Lease) bool { return l.Holder != "" }

// latestLease returns the last lease of that name: without a holder if it was
// released, zero if there never was one.
func latestLease(ctx context.Context, q querier, name string) (builddata.Lease, error) {
	var l builddata.Lease
	var acquiredAt, expiresAt int64
	err := q.QueryRowContext(ctx, `SELECT name, holder, token, acquired_at, expires_at FROM leases WHERE name = ?`, name).
		Scan(&l.Name, &l.Holder, &l.Token, &acquiredAt, &expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return builddata.Lease{}, nil
	}
	l.AcquiredAt, l.ExpiresAt = fromMicros(acquiredAt), fromMicros(expiresAt)
	return l, err
}
