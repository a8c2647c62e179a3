package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const rolloutColumns = `id, service, environment, region, from_version, to_version, plan, status, result, abort_requested_by, started_at, ended_at`

// Begin implements builddata.Rollouts.
func (s *Store) Begin(ctx context.Context, l builddata.Lease, r builddata.Rollout) error {
	doing := "begin rollout " + r.ID
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		if _, err := fence(ctx, tx, l); err != nil {
			return err
		}
		same, err := readRollout(ctx, tx, r.ID)
		if err == nil {
			return begunAs(same, r)
		}
		if !errors.Is(err, builddata.ErrNotFound) {
			return err
		}
		query, args := rolloutsQuery(builddata.RolloutQuery{Service: r.Service, Environment: r.Environment, Region: r.Region, Open: true})
		open, err := collect(ctx, tx, scanRollout, query, args...)
		if err != nil {
			return err
		}
		for _, other := range open {
			return fmt.Errorf("%w: rollout %s of the same cluster, %s in %s in %s, began at %s and is not at its end",
				builddata.ErrConflict, other.ID, r.Service, r.Environment, r.Region, other.StartedAt.Format(time.RFC3339))
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rollouts
			(id, service, environment, region, from_version, to_version, plan, status, abort_requested_by, started_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?)`,
			r.ID, r.Service, r.Environment, r.Region, r.FromVersion, r.ToVersion, r.Plan, string(builddata.Started), toMicros(s.now()))
		return err
	})
}

// begunAs reports whether the rollout that is there is the one to begin. Saying
// yes to a different one would promise a plan that nobody can read again.
func begunAs(there, r builddata.Rollout) error {
	if there.Service != r.Service || there.Environment != r.Environment || there.Region != r.Region ||
		there.FromVersion != r.FromVersion || there.ToVersion != r.ToVersion || !bytes.Equal(there.Plan, r.Plan) {
		return fmt.Errorf("%w: the id already stands for a rollout of %s in %s in %s from version %q to version %q with a plan of its own",
			builddata.ErrConflict, there.Service, there.Environment, there.Region, there.FromVersion, there.ToVersion)
	}
	return nil
}

// Record implements builddata.Rollouts.
func (s *Store) Record(ctx context.Context, l builddata.Lease, id string, e builddata.Entry) error {
	doing := "record a step of rollout " + id
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		if _, err := fence(ctx, tx, l); err != nil {
			return err
		}
		r, err := readRollout(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.Status != builddata.Started {
			return ended(r)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rollout_entries (rollout, seq, step, undo, phase, note, at)
			VALUES (?1, 1 + coalesce((`+lastEntryQuery+`), 0), ?2, ?3, ?4, ?5, ?6)`,
			id, e.Step, e.Undo, string(e.Phase), e.Note, toMicros(s.now()))
		return err
	})
}

// End implements builddata.Rollouts.
func (s *Store) End(ctx context.Context, l builddata.Lease, id string, status builddata.Status, result []byte) error {
	doing := "end rollout " + id
	if status != builddata.Succeeded && status != builddata.Failed {
		return fmt.Errorf("%s: a rollout ends as %s or %s, not as %q", doing, builddata.Succeeded, builddata.Failed, status)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		if _, err := fence(ctx, tx, l); err != nil {
			return err
		}
		r, err := readRollout(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case r.Status == status && bytes.Equal(r.Result, result):
			return nil
		case r.Status == status:
			return fmt.Errorf("%w, with another result", ended(r))
		case r.Status != builddata.Started:
			return ended(r)
		}
		_, err = tx.ExecContext(ctx, `UPDATE rollouts SET status = ?, result = ?, ended_at = ? WHERE id = ?`,
			string(status), result, toMicros(s.now()), id)
		return err
	})
}

// RequestAbort implements builddata.Rollouts.
func (s *Store) RequestAbort(ctx context.Context, id, by string) error {
	doing := "request the abort of rollout " + id
	if by == "" {
		return fmt.Errorf("%s: it is missing who asks for it", doing)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		r, err := readRollout(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.Status != builddata.Started {
			return ended(r)
		}
		_, err = tx.ExecContext(ctx, `UPDATE rollouts SET abort_requested_by = ? WHERE id = ? AND abort_requested_by = ''`, by, id)
		return err
	})
}

// ended says that r is at its end, where that contradicts what was asked for.
func ended(r builddata.Rollout) error {
	return fmt.Errorf("%w: it ended at %s and %s", builddata.ErrConflict, r.EndedAt.Format(time.RFC3339), r.Status)
}

// Rollout implements builddata.Rollouts.
func (s *Store) Rollout(ctx context.Context, id string) (builddata.Rollout, error) {
	var r builddata.Rollout
	err := s.patiently(ctx, "read rollout "+id, func() error {
		// The rollout and its entries as they were at one time.
		tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		if r, err = readRollout(ctx, tx, id); err == nil {
			r.Entries, err = collect(ctx, tx, scanEntry, entriesQuery, id)
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
	return list(ctx, s, "list rollouts", scanRollout, query, args...)
}

// rolloutsQuery has conditions only for what is asked for: one that holds for
// an empty argument as well would keep SQLite from using an index.
func rolloutsQuery(q builddata.RolloutQuery) (query string, args []any) {
	from := "rollouts"
	var where []string
	if q.Open {
		// However long the history is, there are few of them.
		from = "rollouts INDEXED BY rollouts_open"
		where = append(where, "status = 'started'")
	}
	for _, c := range []struct{ condition, value string }{
		{"service = ?", q.Service},
		{"environment = ?", q.Environment},
		{"region = ?", q.Region},
		// Nothing is behind a rollout that does not exist.
		{"seq < (SELECT seq FROM rollouts WHERE id = ?)", q.Before},
	} {
		if c.value != "" {
			where, args = append(where, c.condition), append(args, c.value)
		}
	}
	query = "SELECT " + rolloutColumns + " FROM " + from
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY seq DESC LIMIT ?", append(args, page(q.Limit))
}

const (
	rolloutQuery = `SELECT ` + rolloutColumns + ` FROM rollouts WHERE id = ?`
	// lastEntryQuery is also part of the statement that appends one.
	lastEntryQuery = `SELECT max(seq) FROM rollout_entries WHERE rollout = ?1`
	entriesQuery   = `SELECT step, undo, phase, note, at FROM rollout_entries WHERE rollout = ? ORDER BY seq`
)

// readRollout returns a rollout without its entries, or builddata.ErrNotFound.
func readRollout(ctx context.Context, tx *sql.Tx, id string) (builddata.Rollout, error) {
	r, err := scanRollout(tx.QueryRowContext(ctx, rolloutQuery, id))
	if errors.Is(err, sql.ErrNoRows) {
		return builddata.Rollout{}, builddata.ErrNotFound
	}
	return r, err
}

func scanRollout(r row) (o builddata.Rollout, err error) {
	var startedAt int64
	var endedAt sql.NullInt64
	err = r.Scan(&o.ID, &o.Service, &o.Environment, &o.Region, &o.FromVersion, &o.ToVersion, &o.Plan,
		&o.Status, &o.Result, &o.AbortRequestedBy, &startedAt, &endedAt)
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
