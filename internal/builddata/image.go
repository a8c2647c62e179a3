package builddata

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Images stores which image contains which version.
type Images interface {
	// Register stores all the images or none of them. Registering the same image again for
	// the same version updates its architecture, digest and run; for another version it is
	// ErrConflict. A version that does not exist is ErrNotFound.
	Register(ctx context.Context, images ...Image) error
	// Images lists a version's images by region, architecture and id.
	Images(ctx context.Context, q ImageQuery) ([]Image, error)
}

// Image is a machine image that contains a version, in one region.
type Image struct {
	Service string
	// Number is the number of the version.
	Number int64
	// Region and ID identify the image at the cloud provider: "eu-north-1", "ami-0123".
	Region string
	ID     string
	// Architecture is the cloud provider's name for the architecture: "x86_64", "arm64".
	Architecture string
	// Digest is a digest of all inputs of the image: two images with the same digest were
	// made from the same inputs.
	Digest string
	// Run is the run that baked the image; empty outside of a run.
	Run string
	// RegisteredAt is a Timestamp, set by the store.
	RegisteredAt time.Time
}

// Validate returns an error for an image that no store accepts.
func (i Image) Validate() error {
	if err := ValidateService(i.Service); err != nil {
		return err
	}
	if i.Number < 1 || i.Region == "" || i.ID == "" {
		return fmt.Errorf("image %q of service %s: version, region and image id are all required", i.ID, i.Service)
	}
	return nil
}

// Register returns the image to store. Existing is the stored image with the same region
// and ID, nil if there is none. If it contains another version, the error is ErrConflict.
func (i Image) Register(existing *Image, now time.Time) (Image, error) {
	i.RegisteredAt = Timestamp(now)
	if existing == nil {
		return i, nil
	}
	if existing.Service != i.Service || existing.Number != i.Number {
		return Image{}, fmt.Errorf("image %s in %s: %w: it holds number %d of service %s and cannot also hold number %d of service %s",
			i.ID, i.Region, ErrConflict, existing.Number, existing.Service, i.Number, i.Service)
	}
	i.RegisteredAt = existing.RegisteredAt
	return i, nil
}

// SelectImage returns the one image of a version in a region and, if that is not
// empty, with an architecture. The images are all those of the version. It is an
// error if there is none, or more than one.
func SelectImage(v Version, images []Image, region, architecture string) (Image, error) {
	var found []Image
	var elsewhere []string
	for _, image := range images {
		if image.Region == region && (architecture == "" || image.Architecture == architecture) {
			found = append(found, image)
		}
		elsewhere = append(elsewhere, fmt.Sprintf("%s in %s (%s)", image.ID, image.Region, image.Architecture))
	}
	what := fmt.Sprintf("version %s of service %s", v.Name, v.Service)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(images) == 0:
		return Image{}, fmt.Errorf("%s has no image: bake one with Packer and the post-processor delivery-stamp", what)
	case len(found) == 0:
		return Image{}, fmt.Errorf("%s has no such image in %s; it has %s", what, region, strings.Join(elsewhere, ", "))
	}
	return Image{}, fmt.Errorf("%s has %d such images in %s, and only one can be used; it has %s: select by architecture, or bake a new version",
		what, len(found), region, strings.Join(elsewhere, ", "))
}

// ImageQuery selects the images of one version.
type ImageQuery struct {
	Service string
	Number  int64
	// Region and Architecture, if not empty, select only the images of these.
	Region       string
	Architecture string
}
