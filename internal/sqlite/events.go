package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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
	return s.write(ctx, "append events", func(tx *sql.Tx) (err error) {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO events (id, service, number, run, step, what, place, status, message, report, outputs, at)
			VALUES (?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		now := s.now()
		for _, e := range events {
			if e.ID == "" {
				e.ID = ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
			}
			if e.At.IsZero() {
				e.At = now
			}
			outputs, err := toObject(e.Outputs)
			if err != nil {
				return err
			}
			if _, err := insert.ExecContext(ctx, e.ID, e.Service, e.Number, e.Run, e.Step, e.What, e.Where, string(e.Status), e.Message, e.Report, outputs, toMicros(e.At)); err != nil {
				return err
			}
		}
		return nil
	})
}

const eventColumns = `id, service, coalesce(number, 0), run, step, what, place, status, message, report, outputs, at`

// Events implements builddata.Events.
func (s *Store) Events(ctx context.Context, q builddata.EventQuery) ([]builddata.Event, error) {
	// Each by its own index, so that the cost does not grow with the history.
	selects, doing := `service = ?1 AND number = ?2 AND (?3 = '' OR run = ?3)`, "list the events of "+q.Service
	if q.Service == "" && q.Number == 0 && q.Run != "" {
		selects, doing = `(?1 = '' OR ?2 = 0) AND run != '' AND run = ?3`, "list the events of run "+q.Run
	}
	return list(ctx, s, doing, scanEvent, `SELECT `+eventColumns+` FROM events WHERE `+selects+`
		  AND seq > CASE ?4 WHEN '' THEN 0 ELSE (SELECT seq FROM events WHERE id = ?4) END
		ORDER BY seq LIMIT ?5`,
		q.Service, q.Number, q.Run, q.After, page(q.Limit))
}

func scanEvent(r row) (e builddata.Event, err error) {
	var at int64
	var outputs string
	if err = r.Scan(&e.ID, &e.Service, &e.Number, &e.Run, &e.Step, &e.What, &e.Where, &e.Status, &e.Message, &e.Report, &outputs, &at); err != nil {
		return builddata.Event{}, err
	}
	e.At = fromMicros(at)
	if e.Outputs, err = fromObject(outputs); err != nil {
		return builddata.Event{}, fmt.Errorf("outputs of event %s: %w", e.ID, err)
	}
	return e, nil
}

// toObject encodes a map; nothing is the empty text.
func toObject(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

func fromObject(text string) (m map[string]string, err error) {
	if text == "" {
		return nil, nil
	}
	return m, json.Unmarshal([]byte(text), &m)
}
