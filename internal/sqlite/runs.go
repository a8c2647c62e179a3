package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// SaveRun implements builddata.Runs.
func (s *Store) SaveRun(ctx context.Context, r builddata.Run) error {
	doing := "save run " + r.ID
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	values, err := toObject(r.Context)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	ended := sql.NullInt64{Int64: toMicros(r.EndedAt), Valid: !r.EndedAt.IsZero()}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO runs
			(id, service, number, pipe, definition, context, only_part, revision, untraceable, holder, status, message, started_at, seen_at, ended_at)
			VALUES (?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET
				number = coalesce(excluded.number, number), status = excluded.status, message = excluded.message,
				seen_at = excluded.seen_at, ended_at = excluded.ended_at
			WHERE runs.status = 'started'`,
			r.ID, r.Service, r.Number, r.Pipe, r.Definition, values, r.Only, r.Revision, r.Untraceable, r.Holder,
			string(r.Status), r.Message, toMicros(r.StartedAt), toMicros(r.SeenAt), ended)
		return err
	})
}

const runColumns = `id, service, coalesce(number, 0), pipe, only_part, revision, untraceable, holder, status, message, started_at, seen_at, ended_at`

// Run implements builddata.Runs.
func (s *Store) Run(ctx context.Context, id string) (r builddata.Run, err error) {
	doing := "read run " + id
	var values string
	var definition []byte
	err = s.patiently(ctx, doing, func() (err error) {
		r, err = scanRun(s.db.QueryRowContext(ctx, `SELECT `+runColumns+`, definition, context FROM runs WHERE id = ?`, id), &definition, &values)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("%s: %w", doing, builddata.ErrNotFound)
	}
	if err != nil {
		return r, err
	}
	r.Definition = definition
	if r.Context, err = fromObject(values); err != nil {
		return r, fmt.Errorf("%s: its context: %w", doing, err)
	}
	return r, nil
}

// Runs implements builddata.Runs.
func (s *Store) Runs(ctx context.Context, q builddata.RunQuery) ([]builddata.Run, error) {
	// Conditions are left out rather than made to be always true, so that the
	// one index that fits is used.
	where, args := `id < (SELECT id FROM runs WHERE id = ?)`, []any{q.Before}
	if q.Before == "" {
		where, args = `true`, nil
	}
	if q.Service != "" {
		where, args = where+` AND service = ?`, append(args, q.Service)
	}
	if q.Number != 0 {
		where, args = where+` AND number = ?`, append(args, q.Number)
	}
	if q.Open {
		where += ` AND status = 'started'`
	}
	return list(ctx, s, "list runs", func(r row) (builddata.Run, error) { return scanRun(r) },
		`SELECT `+runColumns+` FROM runs WHERE `+where+` ORDER BY id DESC LIMIT ?`, append(args, page(q.Limit))...)
}

func scanRun(r row, more ...any) (run builddata.Run, err error) {
	var started, seen int64
	var ended sql.NullInt64
	into := []any{
		&run.ID, &run.Service, &run.Number, &run.Pipe, &run.Only, &run.Revision, &run.Untraceable, &run.Holder, &run.Status, &run.Message, &started, &seen, &ended,
	}
	if err := r.Scan(append(into, more...)...); err != nil {
		return builddata.Run{}, err
	}
	run.StartedAt, run.SeenAt = fromMicros(started), fromMicros(seen)
	if ended.Valid {
		run.EndedAt = fromMicros(ended.Int64)
	}
	return run, nil
}
