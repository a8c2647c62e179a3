package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const rolloutColumns = `id, service, environment, region, from_version, to_version, plan, status, result, gone,
	abort_requested_by, started_at, ended_at`

// Begin implements builddata.Rollouts.
func (s *Store) Begin(ctx context.Context, l builddata.Lease, r builddata.Rollout) error {
	operation := "begin rollout " + r.ID
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return s.write(ctx, operation, func(tx *sql.Tx) error {
		if err := checkLease(ctx, tx, l); err != nil {
			return err
		}
		existing, err := one(ctx, tx, scanRollout, rolloutQuery, r.Service, r.ID)
		if err != nil {
			return err
		}
		query, args := rolloutsQuery(builddata.RolloutQuery{Service: r.Service, Environment: r.Environment, Region: r.Region, Open: true,
			Limit: 1})
		open, err := one(ctx, tx, scanRollout, query, args...)
		if err != nil {
			return err
		}
		begun, changed, err := r.Begin(l, existing, open, s.clock.Now())
		if err != nil || !changed {
			return err
		}
		return insertRollout(ctx, tx, begun)
	})
}

func insertRollout(ctx context.Context, tx *sql.Tx, r builddata.Rollout) error {
	stored, err := tx.ExecContext(ctx, `INSERT INTO rollouts
		(id, service, environment, region, from_version, to_version, plan, status, gone, abort_requested_by, started_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, FALSE, '', ?)`,
		r.ID, r.Service, r.Environment, r.Region, r.FromVersion, r.ToVersion, r.Plan, string(r.Status), toMicros(r.StartedAt))
	if err != nil {
		return err
	}
	seq, err := stored.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO clusters (service, environment, region, rollout, gone) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (service, environment, region) DO UPDATE SET rollout = excluded.rollout, gone = excluded.gone`,
		r.Service, r.Environment, r.Region, seq, r.Gone)
	return err
}

// Record implements builddata.Rollouts.
func (s *Store) Record(ctx context.Context, l builddata.Lease, id string, e builddata.Entry) error {
	operation := "record a step of rollout " + id
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return s.write(ctx, operation, func(tx *sql.Tx) error {
		r, err := rolloutUnder(ctx, tx, l, id)
		if err != nil {
			return err
		}
		if e, err = r.Record(e, s.clock.Now()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rollout_entries (rollout, seq, step, undo, phase, note, at)
			SELECT seq, 1 + coalesce((`+lastEntryQuery+`), 0), ?3, ?4, ?5, ?6, ?7 FROM rollouts WHERE service = ?1 AND id = ?2`,
			l.Service, id, e.Step, e.Undo, string(e.Phase), e.Note, toMicros(e.At))
		return err
	})
}

// End implements builddata.Rollouts.
func (s *Store) End(ctx context.Context, l builddata.Lease, id string, e builddata.Ending) error {
	operation := "end rollout " + id
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return s.write(ctx, operation, func(tx *sql.Tx) error {
		r, err := rolloutUnder(ctx, tx, l, id)
		if err != nil {
			return err
		}
		ended, changed, err := r.End(e, s.clock.Now())
		if err != nil || !changed {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE rollouts SET status = ?, result = ?, gone = ?, ended_at = ? WHERE service = ? AND id = ?`,
			string(ended.Status), ended.Result, ended.Gone, toMicros(ended.EndedAt), ended.Service, ended.ID)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE clusters SET gone = ? WHERE service = ? AND environment = ? AND region = ?`,
			ended.Gone, ended.Service, ended.Environment, ended.Region)
		return err
	})
}

// RequestAbort implements builddata.Rollouts.
func (s *Store) RequestAbort(ctx context.Context, service, id, by string) error {
	return s.write(ctx, "request the abort of rollout "+id, func(tx *sql.Tx) error {
		r, err := readRollout(ctx, tx, service, id)
		if err != nil {
			return err
		}
		requested, changed, err := r.RequestAbort(by)
		if err != nil || !changed {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE rollouts SET abort_requested_by = ? WHERE service = ? AND id = ?`, requested.AbortRequestedBy,
			service, id)
		return err
	})
}

// Rollout implements builddata.Rollouts.
func (s *Store) Rollout(ctx context.Context, service, id string) (r builddata.Rollout, err error) {
	err = s.retryBusy(ctx, "read rollout "+id, func() error {
		// The transaction reads the rollout and its entries at the same point in time.
		tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		if r, err = readRollout(ctx, tx, service, id); err == nil {
			r.Entries, err = collect(ctx, tx, scanEntry, entriesQuery, service, id)
		}
		return errors.Join(err, tx.Rollback())
	})
	if err != nil {
		return builddata.Rollout{}, err
	}
	return r, nil
}

// Rollouts implements builddata.Rollouts.
func (s *Store) Rollouts(ctx context.Context, q builddata.RolloutQuery) ([]builddata.Rollout, error) {
	query, args := rolloutsQuery(q)
	return list(ctx, s, "list the rollouts of "+q.Service, scanRollout, query, args...)
}

func rolloutsQuery(q builddata.RolloutQuery) (query string, args []any) {
	from := selection{from: "rollouts", orderBy: "seq DESC"}
	if q.Open {
		// There are few open rollouts, even in a long history.
		from.from = "rollouts INDEXED BY rollouts_open"
		from.and("status = 'started'")
	}
	from.and("service = ?", q.Service)
	from.equal("environment", q.Environment)
	from.equal("region", q.Region)
	if q.Before != "" {
		from.and("seq < (SELECT seq FROM rollouts WHERE service = ? AND id = ?)", q.Service, q.Before)
	}
	return from.query(rolloutColumns, q.Limit)
}

// LatestRollouts implements builddata.Rollouts.
func (s *Store) LatestRollouts(ctx context.Context, q builddata.ClusterQuery) ([]builddata.Rollout, error) {
	query, args := clustersQuery(q)
	return list(ctx, s, "list the clusters of "+q.Service, scanRollout, query, args...)
}

func clustersQuery(q builddata.ClusterQuery) (query string, args []any) {
	from := selection{from: "clusters c JOIN rollouts r ON r.seq = c.rollout", orderBy: "c.environment, c.region"}
	if !q.IncludeGone {
		// Few clusters are present, even if there were many test environments.
		from.from = "clusters c INDEXED BY clusters_present JOIN rollouts r ON r.seq = c.rollout"
		from.and("NOT c.gone")
	}
	from.and("c.service = ?", q.Service)
	from.equal("c.environment", q.Environment)
	return from.query("r.id, r.service, r.environment, r.region, r.from_version, r.to_version, NULL, r.status, NULL, r.gone, "+
		"r.abort_requested_by, r.started_at, r.ended_at", math.MaxInt32)
}

const (
	rolloutQuery = `SELECT ` + rolloutColumns + ` FROM rollouts WHERE service = ?1 AND id = ?2`
	entriesOf    = ` FROM rollout_entries WHERE rollout = (SELECT seq FROM rollouts WHERE service = ?1 AND id = ?2)`
	// lastEntryQuery is also part of the statement that appends one.
	lastEntryQuery = `SELECT max(seq)` + entriesOf
	entriesQuery   = `SELECT step, undo, phase, note, at` + entriesOf + ` ORDER BY seq`
)

// rolloutUnder checks the lease and returns the rollout that is changed under it.
func rolloutUnder(ctx context.Context, tx *sql.Tx, l builddata.Lease, id string) (builddata.Rollout, error) {
	if err := checkLease(ctx, tx, l); err != nil {
		return builddata.Rollout{}, err
	}
	return readRollout(ctx, tx, l.Service, id)
}

// readRollout returns a rollout without its entries, or builddata.ErrNotFound.
func readRollout(ctx context.Context, tx *sql.Tx, service, id string) (builddata.Rollout, error) {
	r, err := one(ctx, tx, scanRollout, rolloutQuery, service, id)
	if err != nil {
		return builddata.Rollout{}, err
	}
	if r == nil {
		return builddata.Rollout{}, builddata.ErrNotFound
	}
	return *r, nil
}

func scanRollout(r row) (o builddata.Rollout, err error) {
	var startedAt int64
	var endedAt sql.NullInt64
	err = r.Scan(&o.ID, &o.Service, &o.Environment, &o.Region, &o.FromVersion, &o.ToVersion, &o.Plan,
		&o.Status, &o.Result, &o.Gone, &o.AbortRequestedBy, &startedAt, &endedAt)
	o.StartedAt = fromMicros(startedAt)
	if endedAt.Valid {
		o.EndedAt = fromMicros(endedAt.Int64)
	}
	return o, err
}

func scanEntry(r row) (e builddata.Entry, err error) {
	var at int64
	err = r.Scan(&e.Step, &e.Undo, &e.Phase, &e.Note, &at)
	e.At = fromMicros(at)
	return e, err
}
