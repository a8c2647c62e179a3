package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const imageColumns = `region, id, service, number, architecture, digest, run, bake, status, registered_at`

// Register implements builddata.Images.
func (s *Store) Register(ctx context.Context, images ...builddata.Image) error {
	for _, i := range images {
		if err := i.Validate(); err != nil {
			return fmt.Errorf("register images: %w", err)
		}
	}
	return s.write(ctx, "register images", func(tx *sql.Tx) error {
		for _, i := range images {
			existing, err := storedImage(ctx, tx, i.Region, i.ID)
			if err != nil {
				return err
			}
			if i, err = i.Register(existing, s.clock.Now()); err != nil {
				return err
			}
			if err := putImage(ctx, tx, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// OfferImages implements builddata.Images.
func (s *Store) OfferImages(ctx context.Context, service string, number int64, bake string) (changed []builddata.Image, err error) {
	operation := fmt.Sprintf("offer the images of number %d of %s", number, service)
	err = s.write(ctx, operation, func(tx *sql.Tx) error {
		query, args := imagesQuery(builddata.ImageQuery{Service: service, Number: number})
		images, err := collect(ctx, tx, scanImage, query, args...)
		if err != nil {
			return err
		}
		var promoted bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM promotions WHERE service = ? AND number = ?)`,
			service, number).Scan(&promoted)
		if err != nil {
			return err
		}
		if changed, err = builddata.OfferImages(images, bake, promoted); err != nil {
			return err
		}
		for _, i := range changed {
			if err := putImage(ctx, tx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return changed, err
}

// ForgetImage implements builddata.Images.
func (s *Store) ForgetImage(ctx context.Context, service, region, id string) (forgotten builddata.Image, err error) {
	operation := fmt.Sprintf("forget image %s in %s of %s", id, region, service)
	err = s.write(ctx, operation, func(tx *sql.Tx) error {
		stored, err := storedImage(ctx, tx, region, id)
		if err != nil {
			return err
		}
		if stored == nil || stored.Service != service {
			return builddata.ErrNotFound
		}
		forgotten = stored.Forget()
		return putImage(ctx, tx, forgotten)
	})
	return forgotten, err
}

// storedImage returns an image, nil if there is none.
func storedImage(ctx context.Context, tx *sql.Tx, region, id string) (*builddata.Image, error) {
	return one(ctx, tx, scanImage, `SELECT `+imageColumns+` FROM images WHERE region = ? AND id = ?`, region, id)
}

// putImage stores a new or changed image.
func putImage(ctx context.Context, tx *sql.Tx, i builddata.Image) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO images (`+imageColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (region, id) DO UPDATE SET architecture = excluded.architecture, digest = excluded.digest, run = excluded.run,
			bake = excluded.bake, status = excluded.status`,
		i.Region, i.ID, i.Service, i.Number, i.Architecture, i.Digest, i.Run, i.Bake, i.Status, toMicros(i.RegisteredAt))
	return err
}

// Images implements builddata.Images.
func (s *Store) Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	query, args := imagesQuery(q)
	return list(ctx, s, "list the images of "+q.Service, scanImage, query, args...)
}

func imagesQuery(q builddata.ImageQuery) (string, []any) {
	return `SELECT ` + imageColumns + ` FROM images
		WHERE service = ?1 AND number = ?2
		  AND (?3 = '' OR region = ?3)
		  AND (?4 = '' OR architecture = ?4)
		ORDER BY region, architecture, id`, []any{q.Service, q.Number, q.Region, q.Architecture}
}

func scanImage(r row) (i builddata.Image, err error) {
	var at int64
	err = r.Scan(&i.Region, &i.ID, &i.Service, &i.Number, &i.Architecture, &i.Digest, &i.Run, &i.Bake, &i.Status, &at)
	i.RegisteredAt = fromMicros(at)
	return i, err
}
