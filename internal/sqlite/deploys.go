package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// RecordDeploy implements builddata.Deploys.
func (s *Store) RecordDeploy(ctx context.Context, l builddata.Lease, d builddata.Deploy) error {
	return s.write(ctx, fmt.Sprintf("record the deploy of %s to %s", d.Service, d.Environment), func(tx *sql.Tx) error {
		if err := checkLease(ctx, tx, l); err != nil {
			return err
		}
		v, err := requireVersion(ctx, tx, versionByNumber, d.Service, d.Number)
		if err != nil {
			return err
		}
		if d, err = d.Record(l, v, s.clock.Now()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO deploys (service, environment, number, run, step, at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (service, environment) DO UPDATE SET number = excluded.number, run = excluded.run, step = excluded.step,
				at = excluded.at`,
			d.Service, d.Environment, d.Number, d.Run, d.Step, toMicros(d.At))
		return err
	})
}

const latestDeployQuery = `SELECT d.service, d.environment, d.number, v.name, d.run, d.step, d.at
	FROM deploys d JOIN versions v ON v.service = d.service AND v.number = d.number WHERE d.service = ? AND d.environment = ?`

// LatestDeploy implements builddata.Deploys.
func (s *Store) LatestDeploy(ctx context.Context, service, environment string) (builddata.Deploy, error) {
	operation := fmt.Sprintf("read the latest deploy of %s to %s", service, environment)
	all, err := list(ctx, s, operation, scanDeploy, latestDeployQuery, service, environment)
	if err != nil {
		return builddata.Deploy{}, err
	}
	if len(all) == 0 {
		return builddata.Deploy{}, fmt.Errorf("%s: %w", operation, builddata.ErrNotFound)
	}
	return all[0], nil
}

func scanDeploy(r row) (d builddata.Deploy, err error) {
	var at int64
	err = r.Scan(&d.Service, &d.Environment, &d.Number, &d.Version, &d.Run, &d.Step, &at)
	d.At = fromMicros(at)
	return d, err
}
