package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const promotionColumns = `service, number, stage, requires, run, at`

// Promote implements builddata.Promotions.
func (s *Store) Promote(ctx context.Context, p builddata.Promotion) (result builddata.Promotion, err error) {
	operation := fmt.Sprintf("promote number %d of %s to %s", p.Number, p.Service, p.Stage)
	if err := p.Validate(); err != nil {
		return builddata.Promotion{}, fmt.Errorf("%s: %w", operation, err)
	}
	err = s.write(ctx, operation, func(tx *sql.Tx) error {
		evidence, err := readEvidence(ctx, tx, p)
		if err != nil {
			return err
		}
		var changed bool
		if result, changed, err = p.Evaluate(evidence, s.clock.Now()); err != nil || !changed {
			return err
		}
		return insertPromotion(ctx, tx, result)
	})
	if err != nil {
		return builddata.Promotion{}, err
	}
	return result, nil
}

// readEvidence reads the evidence by which Promotion.Evaluate decides.
func readEvidence(ctx context.Context, tx *sql.Tx, p builddata.Promotion) (e builddata.Evidence, err error) {
	if e.Version, err = requireVersion(ctx, tx, versionByNumber, p.Service, p.Number); err != nil {
		return e, err
	}
	// The latest event of each type, step, run and location. With max(), SQLite takes the other
	// columns from the row that has it.
	e.Events, err = collect(ctx, tx, func(r row) (event builddata.Event, err error) {
		var seq int64
		return event, r.Scan(&event.Type, &event.Step, &event.Run, &event.Location, &event.Status, &seq)
	}, `SELECT type, step, run, location, status, max(seq) FROM events WHERE service = ? AND number = ?
		GROUP BY type, step, run, location ORDER BY max(seq)`, p.Service, p.Number)
	if err != nil {
		return e, err
	}
	e.Runs, err = collect(ctx, tx, func(r row) (builddata.Run, error) { return scanRun(r) },
		`SELECT `+runColumns+` FROM runs WHERE service = ? AND number = ?`, p.Service, p.Number)
	if err != nil {
		return e, err
	}
	e.Current, err = one(ctx, tx, scanPromotion, `SELECT `+promotionColumns+` FROM promotions
		WHERE seq = (SELECT promotion FROM stages WHERE service = ? AND stage = ?)`, p.Service, p.Stage)
	return e, err
}

func insertPromotion(ctx context.Context, tx *sql.Tx, p builddata.Promotion) error {
	requires, err := json.Marshal(p.Requires)
	if err != nil {
		return err
	}
	stored, err := tx.ExecContext(ctx, `INSERT INTO promotions (`+promotionColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
		p.Service, p.Number, p.Stage, string(requires), p.Run, toMicros(p.At))
	if err != nil {
		return err
	}
	seq, err := stored.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO stages (service, stage, promotion) VALUES (?, ?, ?)
		ON CONFLICT (service, stage) DO UPDATE SET promotion = excluded.promotion`, p.Service, p.Stage, seq)
	return err
}

// Promotions implements builddata.Promotions.
func (s *Store) Promotions(ctx context.Context, q builddata.PromotionQuery) ([]builddata.Promotion, error) {
	from := selection{from: "promotions", orderBy: "seq DESC"}
	from.and("service = ?", q.Service)
	from.equal("stage", q.Stage)
	if q.Number != 0 {
		from.and("number = ?", q.Number)
	}
	query, args := from.query(promotionColumns, q.Limit)
	return list(ctx, s, "list the promotions of "+q.Service, scanPromotion, query, args...)
}

const latestPromotionsQuery = `SELECT p.service, p.number, p.stage, p.requires, p.run, p.at
	FROM stages s JOIN promotions p ON p.seq = s.promotion WHERE s.service = ? ORDER BY s.stage`

// LatestPromotions implements builddata.Promotions.
func (s *Store) LatestPromotions(ctx context.Context, service string) ([]builddata.Promotion, error) {
	return list(ctx, s, "list the stages of "+service, scanPromotion, latestPromotionsQuery, service)
}

func scanPromotion(r row) (p builddata.Promotion, err error) {
	var at int64
	var requires string
	if err := r.Scan(&p.Service, &p.Number, &p.Stage, &requires, &p.Run, &at); err != nil {
		return builddata.Promotion{}, err
	}
	p.At = fromMicros(at)
	return p, json.Unmarshal([]byte(requires), &p.Requires)
}
