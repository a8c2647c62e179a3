package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Append implements builddata.Events.
func (s *Store) Append(ctx context.Context, events ...builddata.Event) error {
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("append events: %w", err)
		}
	}
	return s.write(ctx, "append events", func(tx *sql.Tx) error {
		now := s.now()
		for _, e := range events {
			if e.ID == "" {
				e.ID = ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
			}
			if e.At.IsZero() {
				e.At = now
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO events (id, service, number, run, what, place, status, message, report, at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
				e.ID, e.Service, e.Number, e.Run, e.What, e.Where, string(e.Status), e.Message, e.Report, toMicros(e.At))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Events implements builddata.Events.
func (s *Store) Events(ctx context.Context, q builddata.EventQuery) ([]builddata.Event, error) {
	return list(ctx, s, "list the events of "+q.Service, scanEvent, `SELECT id, service, number, run, what, place, status, message, report, at FROM events
		WHERE service = ?1 AND number = ?2
		  AND (?3 = '' OR run = ?3)
		  AND seq > coalesce((SELECT seq FROM events WHERE id = ?4), 0)
		ORDER BY seq LIMIT ?5`,
		q.Service, q.Number, q.Run, q.After, page(q.Limit))
}

func scanEvent(r row) (e builddata.Event, err error) {
	var at int64
	err = r.Scan(&e.ID, &e.Service, &e.Number, &e.Run, &e.What, &e.Where, &e.Status, &e.Message, &e.Report, &at)
	e.At = fromMicros(at)
	return e, err
}
