package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const versionColumns = `service, number, name, scheme, coalesce(key, ''), source_revision, labels, created_at, revoked_at, revoked_reason`

// allocation holds the prepared statements of Allocate: parsing them takes longer than
// running them.
type allocation struct{ byKey, newest, insert *sql.Stmt }

func prepareAllocation(ctx context.Context, db *sql.DB) (a allocation, err error) {
	for _, p := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&a.byKey, `SELECT ` + versionColumns + ` FROM versions WHERE service = ? AND key = ?`},
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
			v, err = scanVersion(tx.StmtContext(ctx, s.allocation.byKey).QueryRowContext(ctx, a.Service, a.Key))
			if err == nil {
				return a.Match(v)
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

// allocateNext inserts the next version of a service.
func (s *Store) allocateNext(ctx context.Context, tx *sql.Tx, a builddata.Allocation) (builddata.Version, error) {
	var newest builddata.Newest
	err := tx.StmtContext(ctx, s.allocation.newest).QueryRowContext(ctx, a.Service).Scan(&newest.Number, &newest.Semver, &newest.Calver)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return builddata.Version{}, err
	}
	v, newest, err := newest.Next(a, s.clock.Now())
	if err != nil {
		return builddata.Version{}, err
	}
	labels, err := json.Marshal(v.Labels)
	if err != nil {
		return builddata.Version{}, err
	}
	_, err = tx.StmtContext(ctx, s.allocation.insert).ExecContext(ctx, v.Service, v.Number, v.Name, string(v.Scheme), v.Key,
		v.SourceRevision, string(labels), toMicros(v.CreatedAt), newest.Semver, newest.Calver)
	return v, err
}

const (
	versionByName   = `SELECT ` + versionColumns + ` FROM versions WHERE service = ? AND name = ?`
	versionByNumber = `SELECT ` + versionColumns + ` FROM versions WHERE service = ? AND number = ?`
)

// Version implements builddata.Versions.
func (s *Store) Version(ctx context.Context, service, name string) (builddata.Version, error) {
	return s.readVersion(ctx, fmt.Sprintf("read version %s of %s", name, service), versionByName, service, name)
}

// VersionByNumber implements builddata.Versions.
func (s *Store) VersionByNumber(ctx context.Context, service string, number int64) (builddata.Version, error) {
	return s.readVersion(ctx, fmt.Sprintf("read number %d of %s", number, service), versionByNumber, service, number)
}

func (s *Store) readVersion(ctx context.Context, operation, query string, args ...any) (v builddata.Version, err error) {
	err = s.retryBusy(ctx, operation, func() (err error) {
		v, err = requireVersion(ctx, s.db, query, args...)
		return err
	})
	return v, err
}

// requireVersion returns the version that a query selects, or builddata.ErrNotFound.
func requireVersion(ctx context.Context, q querier, query string, args ...any) (builddata.Version, error) {
	v, err := one(ctx, q, scanVersion, query, args...)
	if err != nil {
		return builddata.Version{}, err
	}
	if v == nil {
		return builddata.Version{}, builddata.ErrNotFound
	}
	return *v, nil
}

// Versions implements builddata.Versions.
func (s *Store) Versions(ctx context.Context, q builddata.VersionQuery) ([]builddata.Version, error) {
	from := selection{from: "versions", orderBy: "number DESC"}
	from.and("service = ?", q.Service)
	from.equal("source_revision", q.SourceRevision)
	if !q.IncludeRevoked {
		from.and("revoked_at IS NULL")
	}
	if q.Before != 0 {
		from.and("number < ?", q.Before)
	}
	query, args := from.query(versionColumns, q.Limit)
	return list(ctx, s, "list the versions of "+q.Service, scanVersion, query, args...)
}

// Revoke implements builddata.Versions.
func (s *Store) Revoke(ctx context.Context, service, name, reason string) (v builddata.Version, err error) {
	err = s.write(ctx, fmt.Sprintf("revoke version %s of %s", name, service), func(tx *sql.Tx) error {
		stored, err := requireVersion(ctx, tx, versionByName, service, name)
		if err != nil {
			return err
		}
		v = stored.Revoke(reason, s.clock.Now())
		_, err = tx.ExecContext(ctx, `UPDATE versions SET revoked_at = ?, revoked_reason = ? WHERE service = ? AND number = ?`,
			toMicros(v.Revocation.At), v.Revocation.Reason, v.Service, v.Number)
		return err
	})
	return v, err
}

// servicesQuery skips from each name to the next one in the indexes, so that its duration
// depends on the number of services, not on their histories.
const servicesQuery = `WITH RECURSIVE
	with_versions(name) AS (
		SELECT min(service) FROM versions
		UNION ALL SELECT (SELECT min(service) FROM versions WHERE service > with_versions.name) FROM with_versions WHERE name IS NOT NULL),
	with_runs(name) AS (
		SELECT min(service) FROM runs
		UNION ALL SELECT (SELECT min(service) FROM runs WHERE service > with_runs.name) FROM with_runs WHERE name IS NOT NULL),
	with_clusters(name) AS (
		SELECT min(service) FROM clusters
		UNION ALL SELECT (SELECT min(service) FROM clusters WHERE service > with_clusters.name) FROM with_clusters WHERE name IS NOT NULL)
	SELECT name FROM with_versions WHERE name IS NOT NULL
	UNION SELECT name FROM with_runs WHERE name IS NOT NULL
	UNION SELECT name FROM with_clusters WHERE name IS NOT NULL
	ORDER BY name`

// Services implements builddata.Services.
func (s *Store) Services(ctx context.Context) ([]string, error) {
	return list(ctx, s, "list the services", func(r row) (name string, err error) { return name, r.Scan(&name) }, servicesQuery)
}

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
