package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const imageColumns = `region, id, service, number, architecture, digest, run, registered_at`

// Register implements builddata.Images.
func (s *Store) Register(ctx context.Context, images ...builddata.Image) error {
	for _, i := range images {
		if err := i.Validate(); err != nil {
			return fmt.Errorf("register images: %w", err)
		}
	}
	return s.write(ctx, "register images", func(tx *sql.Tx) error {
		for _, i := range images {
			existing, err := one(ctx, tx, scanImage, `SELECT `+imageColumns+` FROM images WHERE region = ? AND id = ?`, i.Region, i.ID)
			if err != nil {
				return err
			}
			if i, err = i.Register(existing, s.clock.Now()); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO images (`+imageColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (region, id) DO UPDATE SET architecture = excluded.architecture, digest = excluded.digest, run = excluded.run`,
				i.Region, i.ID, i.Service, i.Number, i.Architecture, i.Digest, i.Run, toMicros(i.RegisteredAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Images implements builddata.Images.
func (s *Store) Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	return list(ctx, s, "list the images of "+q.Service, scanImage, `SELECT `+imageColumns+` FROM images
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
