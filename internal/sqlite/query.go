package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(into ...any) error }

// selection is a SELECT with conditions for what was asked for only: one that
// also holds for an empty argument would keep SQLite from using an index.
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

// equal adds the condition that a column has a value, unless that is empty.
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

// list reads all rows of a query.
func list[T any](ctx context.Context, s *Store, doing string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.retryBusy(ctx, doing, func() (err error) {
		all, err = collect(ctx, s.db, scan, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// collect reads all rows of a query on a database or in a transaction.
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

// one reads the row of a query, nil if there is none.
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
