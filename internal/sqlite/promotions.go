package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const promotionColumns = `service, number, stage, requires, run, at`

// Promote implements builddata.Promotions.
func (s *Store) Promote(ctx context.Context, p builddata.Promotion) (builddata.Promotion, error) {
	doing := fmt.Sprintf("promote number %d of %s to %s", p.Number, p.Service, p.Stage)
	if err := p.Validate(); err != nil {
		return builddata.Promotion{}, fmt.Errorf("%s: %w", doing, err)
	}
	requires, err := json.Marshal(p.Requires)
	if err != nil {
		return builddata.Promotion{}, fmt.Errorf("%s: %w", doing, err)
	}
	err = s.write(ctx, doing, func(tx *sql.Tx) error {
		v, err := scanVersion(tx.QueryRowContext(ctx, `SELECT `+versionColumns+` FROM versions WHERE service = ? AND number = ?`, p.Service, p.Number))
		if errors.Is(err, sql.ErrNoRows) {
			return builddata.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := builddata.Usable(v); err != nil {
			return err
		}
		unmet, err := s.unmet(ctx, tx, p)
		if err != nil {
			return err
		}
		if len(unmet) > 0 {
			return &builddata.RequirementError{Version: v, Stage: p.Stage, Unmet: unmet}
		}
		latest, err := scanPromotion(tx.QueryRowContext(ctx, `SELECT `+promotionColumns+` FROM promotions WHERE service = ? AND stage = ? ORDER BY seq DESC LIMIT 1`, p.Service, p.Stage))
		if err == nil && latest.Number == p.Number {
			p = latest
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		p.At = s.now()
		_, err = tx.ExecContext(ctx, `INSERT INTO promotions (service, number, stage, requires, run, at) VALUES (?, ?, ?, ?, ?, ?)`,
			p.Service, p.Number, p.Stage, string(requires), p.Run, toMicros(p.At))
		return err
	})
	if err != nil {
		return builddata.Promotion{}, err
	}
	return p, nil
}

// unmet says which requirements a version does not meet.
func (s *Store) unmet(ctx context.Context, tx *sql.Tx, p builddata.Promotion) ([]string, error) {
	var unmet []string
	var why string
	err := tx.QueryRowContext(ctx, `SELECT untraceable FROM runs WHERE service = ? AND number = ? AND untraceable != '' ORDER BY id LIMIT 1`, p.Service, p.Number).Scan(&why)
	switch {
	case err == nil:
		unmet = append(unmet, "it cannot be traced to a pushed revision: "+why)
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	for _, required := range p.Requires {
		// The latest of each step. With max(), SQLite takes the other columns
		// from the row that has it.
		type outcome struct {
			step   string
			status builddata.Status
		}
		all, err := collect(ctx, tx, func(r row) (o outcome, err error) {
			var what string
			var seq int64
			err = r.Scan(&what, &o.step, &o.status, &seq)
			if o.step == "" {
				o.step = what
			}
			return o, err
		}, `SELECT what, step, status, max(seq) FROM events
			WHERE service = ?1 AND number = ?2 AND (what = ?4 OR step = ?3 OR substr(what, 1, length(?4) + 1) = ?4 || '.')
			GROUP BY what, step ORDER BY max(seq)`, p.Service, p.Number, required, strings.ToLower(required))
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			unmet = append(unmet, fmt.Sprintf("%s has not happened to it", required))
		}
		for _, o := range all {
			if o.status != builddata.Succeeded {
				unmet = append(unmet, fmt.Sprintf("%s: %s %s", required, o.step, o.status))
			}
		}
	}
	return unmet, nil
}

// Promotions implements builddata.Promotions.
func (s *Store) Promotions(ctx context.Context, q builddata.PromotionQuery) ([]builddata.Promotion, error) {
	where, args := `service = ?`, []any{q.Service}
	if q.Stage != "" {
		where, args = where+` AND stage = ?`, append(args, q.Stage)
	}
	if q.Number != 0 {
		where, args = where+` AND number = ?`, append(args, q.Number)
	}
	return list(ctx, s, "list the promotions of "+q.Service, scanPromotion,
		`SELECT `+promotionColumns+` FROM promotions WHERE `+where+` ORDER BY seq DESC LIMIT ?`, append(args, page(q.Limit))...)
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
