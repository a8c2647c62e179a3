package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// querier has the common methods of *sql.DB and *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// row has the common method of *sql.Row and *sql.Rows.
type row interface{ Scan(into ...any) error }

// selection is a SELECT statement that has a condition only for each argument that is set.
// Conditions that accept empty arguments would prevent SQLite from using an index.
type selection struct {
	from       string
	conditions []string
	args       []any
	orderBy    string
}

// and adds a condition.
func (s *selection) and(condition string, args ...any) {
	s.conditions, s.args = append(s.conditions, condition), append(s.args, args...)
}

// equal adds the condition that a column has a value, unless the value is empty.
func (s *selection) equal(column, value string) {
	if value != "" {
		s.and(column+" = ?", value)
	}
}

// query returns the statement for one page, and its arguments.
func (s *selection) query(columns string, limit int) (string, []any) {
	query := "SELECT " + columns + " FROM " + s.from
	if len(s.conditions) > 0 {
		query += " WHERE " + strings.Join(s.conditions, " AND ")
	}
	return query + " ORDER BY " + s.orderBy + " LIMIT ?", append(s.args, builddata.PageSize(limit))
}

// list returns all rows of a query.
func list[T any](ctx context.Context, s *Store, operation string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.retryBusy(ctx, operation, func() (err error) {
		all, err = collect(ctx, s.db, scan, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// collect returns all rows of a query on a database or in a transaction.
func collect[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// one returns the row of a query; nil if there is none.
func one[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) (*T, error) {
	t, err := scan(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &t, nil
}
