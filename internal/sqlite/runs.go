package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const (
	runColumns = `id, service, coalesce(number, 0), pipe, to_step, only_step, revision, untraceable, holder, status,
		message, started_at, seen_at, ended_at`
	runQuery = `SELECT ` + runColumns + `, definition, context FROM runs WHERE service = ? AND id = ?`
)

// SaveRun implements builddata.Runs.
func (s *Store) SaveRun(ctx context.Context, r builddata.Run) error {
	operation := "save run " + r.ID
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return s.write(ctx, operation, func(tx *sql.Tx) error {
		stored, err := one(ctx, tx, scanWholeRun, runQuery, r.Service, r.ID)
		if err != nil {
			return err
		}
		if stored == nil {
			return insertRun(ctx, tx, r)
		}
		advanced, changed := stored.Advance(r)
		if !changed {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE runs SET number = nullif(?, 0), status = ?, message = ?, seen_at = ?, ended_at = ?
			WHERE service = ? AND id = ?`,
			advanced.Number, string(advanced.Status), advanced.Message, toMicros(advanced.SeenAt), ended(advanced), r.Service, r.ID)
		return err
	})
}

func insertRun(ctx context.Context, tx *sql.Tx, r builddata.Run) error {
	values, err := toObject(r.Context)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO runs
		(id, service, number, pipe, definition, context, to_step, only_step, revision, untraceable, holder, status, message,
			started_at, seen_at, ended_at)
		VALUES (?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Service, r.Number, r.Pipe, r.Definition, values, r.To, r.Only, r.Revision, r.Untraceable, r.Holder,
		string(r.Status), r.Message, toMicros(r.StartedAt), toMicros(r.SeenAt), ended(r))
	return err
}

// ended returns the column ended_at of a run.
func ended(r builddata.Run) sql.NullInt64 {
	return sql.NullInt64{Int64: toMicros(r.EndedAt), Valid: !r.EndedAt.IsZero()}
}

// Run implements builddata.Runs.
func (s *Store) Run(ctx context.Context, service, id string) (builddata.Run, error) {
	operation := fmt.Sprintf("read run %s of %s", id, service)
	var r *builddata.Run
	err := s.retryBusy(ctx, operation, func() (err error) {
		r, err = one(ctx, s.db, scanWholeRun, runQuery, service, id)
		return err
	})
	if err != nil {
		return builddata.Run{}, err
	}
	if r == nil {
		return builddata.Run{}, fmt.Errorf("%s: %w", operation, builddata.ErrNotFound)
	}
	return *r, nil
}

// Runs implements builddata.Runs.
func (s *Store) Runs(ctx context.Context, q builddata.RunQuery) ([]builddata.Run, error) {
	from := selection{from: "runs", orderBy: "id DESC"}
	from.and("service = ?", q.Service)
	if q.Number != 0 {
		from.and("number = ?", q.Number)
	}
	if q.Open {
		from.and("status = 'started'")
	}
	if q.Before != "" {
		from.and("id < (SELECT id FROM runs WHERE service = ? AND id = ?)", q.Service, q.Before)
	}
	query, args := from.query(runColumns, q.Limit)
	return list(ctx, s, "list the runs of "+q.Service, func(r row) (builddata.Run, error) { return scanRun(r) }, query, args...)
}

// scanWholeRun reads a run with its definition and context.
func scanWholeRun(r row) (builddata.Run, error) {
	var values string
	var definition []byte
	run, err := scanRun(r, &definition, &values)
	if err != nil {
		return builddata.Run{}, err
	}
	run.Definition = definition
	if run.Context, err = fromObject(values); err != nil {
		return builddata.Run{}, fmt.Errorf("the context of run %s: %w", run.ID, err)
	}
	return run, nil
}

func scanRun(r row, more ...any) (run builddata.Run, err error) {
	var started, seen int64
	var end sql.NullInt64
	into := []any{
		&run.ID, &run.Service, &run.Number, &run.Pipe, &run.To, &run.Only, &run.Revision, &run.Untraceable, &run.Holder,
		&run.Status, &run.Message, &started, &seen, &end,
	}
	if err := r.Scan(append(into, more...)...); err != nil {
		return builddata.Run{}, err
	}
	run.StartedAt, run.SeenAt = fromMicros(started), fromMicros(seen)
	if end.Valid {
		run.EndedAt = fromMicros(end.Int64)
	}
	return run, nil
}
