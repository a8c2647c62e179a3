package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
)

const eventColumns = `id, service, coalesce(number, 0), run, step, type, location, status, reason, message, report, log_address,
	output_tail, outputs, at`

// Append implements builddata.Events.
func (s *Store) Append(ctx context.Context, events ...builddata.Event) error {
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("append events: %w", err)
		}
	}
	return s.write(ctx, "append events", func(tx *sql.Tx) (err error) {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO events
			(id, service, number, run, step, type, location, status, reason, message, report, log_address, output_tail, outputs, at)
			VALUES (?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (service, id) DO NOTHING`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		now := s.clock.Now()
		for _, e := range events {
			e = e.Complete(id.New, now)
			outputs, err := toObject(e.Outputs)
			if err != nil {
				return err
			}
			_, err = insert.ExecContext(ctx, e.ID, e.Service, e.Number, e.Run, e.Step, e.Type, e.Location, string(e.Status), e.Reason,
				e.Message, e.Report, e.LogAddress, e.OutputTail, outputs, toMicros(e.At))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Events implements builddata.Events.
func (s *Store) Events(ctx context.Context, q builddata.EventQuery) ([]builddata.Event, error) {
	if err := q.Validate(); err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	query, args := eventsQuery(q)
	return list(ctx, s, "list the events of "+q.Service, scanEvent, query, args...)
}

func eventsQuery(q builddata.EventQuery) (query string, args []any) {
	from := selection{from: "events", orderBy: "seq"}
	from.and("service = ?", q.Service)
	if q.Number != 0 {
		from.and("number = ?", q.Number)
	}
	if q.Run != "" {
		from.and("run != '' AND run = ?", q.Run)
	}
	if q.After != "" {
		from.and("seq > (SELECT seq FROM events WHERE service = ? AND id = ?)", q.Service, q.After)
	}
	return from.query(eventColumns, q.Limit)
}

func scanEvent(r row) (e builddata.Event, err error) {
	var at int64
	var outputs string
	err = r.Scan(&e.ID, &e.Service, &e.Number, &e.Run, &e.Step, &e.Type, &e.Location, &e.Status, &e.Reason, &e.Message, &e.Report,
		&e.LogAddress, &e.OutputTail, &outputs, &at)
	if err != nil {
		return builddata.Event{}, err
	}
	e.At = fromMicros(at)
	if e.Outputs, err = fromObject(outputs); err != nil {
		return builddata.Event{}, fmt.Errorf("outputs of event %s: %w", e.ID, err)
	}
	return e, nil
}

// toObject encodes a map as JSON; an empty map as the empty string.
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
