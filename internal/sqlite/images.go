package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Register implements builddata.Images.
func (s *Store) Register(ctx context.Context, images ...builddata.Image) error {
	for _, i := range images {
		if err := i.Validate(); err != nil {
			return fmt.Errorf("register images: %w", err)
		}
	}
	return s.write(ctx, "register images", func(tx *sql.Tx) error {
		for _, i := range images {
			var service string
			var number int64
			err := tx.QueryRowContext(ctx, `SELECT service, number FROM images WHERE region = ? AND id = ?`, i.Region, i.ID).Scan(&service, &number)
			switch {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return err
			case service != i.Service || number != i.Number:
				return fmt.Errorf("image %s in %s: %w: it holds number %d of service %s and cannot also hold number %d of service %s",
					i.ID, i.Region, builddata.ErrConflict, number, service, i.Number, i.Service)
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO images (region, id, service, number, architecture, digest, run, registered_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (region, id) DO UPDATE SET architecture = excluded.architecture, digest = excluded.digest, run = excluded.run`,
				i.Region, i.ID, i.Service, i.Number, i.Architecture, i.Digest, i.Run, toMicros(s.now()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Images implements builddata.Images.
func (s *Store) Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	return list(ctx, s, "list the images of "+q.Service, scanImage, `SELECT region, id, service, number, architecture, digest, run, registered_at FROM images
		WHERE service = ?1 AND number = ?2
		  AND (?3 = '' OR region = ?3)
		  AND (?4 = '' OR architecture = ?4)
		ORDER BY region, architecture, id`,
		q.Service, q.Number, q.Region, q.Architecture)
}

func scanImage(r row) (i builddata.Image, err error) {
	var at int64
	err = r.Scan(&i.Region, &i.ID, &i.Service, &i.Number, &i.Architecture, &i.Digest, &i.Run, &at)
	i.RegisteredAt = fromMicros(at)
	return i, err
}
