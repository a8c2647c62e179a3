package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const versionColumns = `service, number, name, scheme, coalesce(key, ''), source_revision, labels, created_at, revoked_at, revoked_reason`

// allocation holds the statements of Allocate, prepared once: parsing them
// would take longer than running them.
type allocation struct{ byKey, newest, insert *sql.Stmt }

func prepareAllocation(ctx context.Context, db *sql.DB) (a allocation, err error) {
	for _, p := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&a.byKey, `SELECT ` + versionColumns + ` FROM versions WHERE key = ?`},
		{&a.newest, `SELECT number, latest_semver, latest_calver FROM versions WHERE service = ? ORDER BY number DESC LIMIT 1`},
		{&a.insert, `INSERT INTO versions
			(service, number, name, scheme, key, source_revision, labels, created_at, latest_semver, latest_calver)
			VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?)`},
	} {
		if *p.into, err = db.PrepareContext(ctx, p.query); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Allocate implements builddata.Versions.
func (s *Store) Allocate(ctx context.Context, a builddata.Allocation) (builddata.Version, error) {
	if err := a.Validate(); err != nil {
		return builddata.Version{}, fmt.Errorf("allocate a version: %w", err)
	}
	var v builddata.Version
	err := s.write(ctx, "allocate a version of "+a.Service, func(tx *sql.Tx) (err error) {
		if a.Key != "" {
			v, err = scanVersion(tx.StmtContext(ctx, s.allocation.byKey).QueryRowContext(ctx, a.Key))
			if err == nil {
				return a.Answers(v)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		v, err = s.allocateNext(ctx, tx, a)
		return err
	})
	if err != nil {
		return builddata.Version{}, err
	}
	return v, nil
}

func (s *Store) allocateNext(ctx context.Context, tx *sql.Tx, a builddata.Allocation) (builddata.Version, error) {
	var newest int64
	var semver, calver string
	err := tx.StmtContext(ctx, s.allocation.newest).QueryRowContext(ctx, a.Service).Scan(&newest, &semver, &calver)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return builddata.Version{}, err
	}
	latest := map[builddata.Scheme]string{builddata.Semver: semver, builddata.Calver: calver}

	v := builddata.Version{
		Service: a.Service, Number: newest + 1, Scheme: a.Scheme, Key: a.Key,
		SourceRevision: a.SourceRevision, Labels: map[string]string{}, CreatedAt: s.now(),
	}
	maps.Copy(v.Labels, a.Labels)
	if v.Name, err = a.Scheme.Render(v.Number, latest[a.Scheme], a.Bump, v.CreatedAt); err != nil {
		return builddata.Version{}, err
	}
	latest[a.Scheme] = v.Name
	labels, err := json.Marshal(v.Labels)
	if err != nil {
		return builddata.Version{}, err
	}
	_, err = tx.StmtContext(ctx, s.allocation.insert).ExecContext(ctx, v.Service, v.Number, v.Name, string(v.Scheme), v.Key,
		v.SourceRevision, string(labels), toMicros(v.CreatedAt), latest[builddata.Semver], latest[builddata.Calver])
	return v, err
}

// Version implements builddata.Versions.
func (s *Store) Version(ctx context.Context, service, name string) (builddata.Version, error) {
	var v builddata.Version
	doing := fmt.Sprintf("read version %s of %s", name, service)
	err := s.patiently(ctx, doing, func() (err error) {
		v, err = scanVersion(s.db.QueryRowContext(ctx, `SELECT `+versionColumns+` FROM versions WHERE service = ? AND name = ?`, service, name))
		return err
	})
	return v, versionNotFound(doing, err)
}

// Versions implements builddata.Versions.
func (s *Store) Versions(ctx context.Context, q builddata.VersionQuery) ([]builddata.Version, error) {
	return list(ctx, s, "list the versions of "+q.Service, scanVersion, `SELECT `+versionColumns+` FROM versions
		WHERE service = ?1
		  AND (?2 = '' OR source_revision = ?2)
		  AND (?3 OR revoked_at IS NULL)
		  AND (?4 = 0 OR number < ?4)
		ORDER BY number DESC LIMIT ?5`,
		q.Service, q.SourceRevision, q.IncludeRevoked, q.Before, page(q.Limit))
}

// Revoke implements builddata.Versions.
func (s *Store) Revoke(ctx context.Context, service, name, reason string) (builddata.Version, error) {
	var v builddata.Version
	doing := fmt.Sprintf("revoke version %s of %s", name, service)
	err := s.write(ctx, doing, func(tx *sql.Tx) (err error) {
		v, err = scanVersion(tx.QueryRowContext(ctx, `UPDATE versions
			SET revoked_at = coalesce(revoked_at, ?), revoked_reason = coalesce(revoked_reason, ?)
			WHERE service = ? AND name = ? RETURNING `+versionColumns,
			toMicros(s.now()), reason, service, name))
		return err
	})
	return v, versionNotFound(doing, err)
}

func versionNotFound(doing string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", doing, builddata.ErrNotFound)
	}
	return err
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(into ...any) error }

func scanVersion(r row) (v builddata.Version, err error) {
	var labels string
	var createdAt int64
	var revokedAt sql.NullInt64
	var reason sql.NullString
	err = r.Scan(&v.Service, &v.Number, &v.Name, &v.Scheme, &v.Key, &v.SourceRevision, &labels, &createdAt, &revokedAt, &reason)
	if err != nil {
		return builddata.Version{}, err
	}
	v.Labels = map[string]string{}
	if err := json.Unmarshal([]byte(labels), &v.Labels); err != nil {
		return builddata.Version{}, fmt.Errorf("labels of version %s of %s: %w", v.Name, v.Service, err)
	}
	v.CreatedAt = fromMicros(createdAt)
	if revokedAt.Valid {
		v.Revocation = &builddata.Revocation{At: fromMicros(revokedAt.Int64), Reason: reason.String}
	}
	return v, nil
}

// list reads all rows of a query.
func list[T any](ctx context.Context, s *Store, doing string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.patiently(ctx, doing, func() (err error) {
		all, err = collect(ctx, s.db, scan, query, args...)
		return err
	})
	return all, err
}

// collect is list for use inside a transaction: it neither tries again nor
// translates errors.
func collect[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports it
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func page(limit int) int {
	if limit <= 0 {
		return builddata.DefaultPage
	}
	return limit
}
