package builddata

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Images stores which image contains which version.
type Images interface {
	// Register stores all the images or none of them, as Image.Register decides. A version
	// that does not exist is ErrNotFound.
	Register(ctx context.Context, images ...Image) error
	// OfferImages makes the images of a bake available, as the function OfferImages decides,
	// in one write. It returns those that it changed.
	OfferImages(ctx context.Context, service string, number int64, bake string) ([]Image, error)
	// ForgetImage marks an image as one that the cloud provider does not have any more. An
	// image that was never registered for the service is ErrNotFound.
	ForgetImage(ctx context.Context, service, region, id string) (Image, error)
	// Images lists a version's images by region, architecture and id.
	Images(ctx context.Context, q ImageQuery) ([]Image, error)
}

// ImageStatus says whether an image can be used.
type ImageStatus string

// The statuses of images.
const (
	// ImagePending is an image whose bake is not complete.
	ImagePending ImageStatus = "pending"
	// ImageAvailable is an image that clusters can use.
	ImageAvailable ImageStatus = "available"
	// ImageReplaced is an image that a later bake of the same version replaced. Clusters that
	// use it keep it.
	ImageReplaced ImageStatus = "replaced"
	// ImageForgotten is an image that the cloud provider does not have any more.
	ImageForgotten ImageStatus = "forgotten"
)

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
	// Bake identifies the execution of Packer that made the image. The images of one bake
	// become available together.
	Bake string
	// Status is set by the store.
	Status ImageStatus
	// RegisteredAt is a Timestamp, set by the store.
	RegisteredAt time.Time
}

// Validate returns an error for an image that no store accepts.
func (i Image) Validate() error {
	if err := ValidateService(i.Service); err != nil {
		return err
	}
	if i.Number < 1 || i.Region == "" || i.ID == "" || i.Bake == "" {
		return fmt.Errorf("image %q of service %s: version, region, image id and bake are all required", i.ID, i.Service)
	}
	return nil
}

// Register returns the image to store: a pending one, until its bake is complete. Existing
// is the stored image with the same region and ID, nil if there is none; if it contains
// another version, the error is ErrConflict. An available image stays available.
func (i Image) Register(existing *Image, now time.Time) (Image, error) {
	i.RegisteredAt, i.Status = Timestamp(now), ImagePending
	if existing == nil {
		return i, nil
	}
	if existing.Service != i.Service || existing.Number != i.Number {
		return Image{}, fmt.Errorf("image %s in %s: %w: it holds number %d of service %s and cannot also hold number %d of service %s",
			i.ID, i.Region, ErrConflict, existing.Number, existing.Service, i.Number, i.Service)
	}
	i.RegisteredAt = existing.RegisteredAt
	if existing.Status == ImageAvailable {
		i.Status = ImageAvailable
	}
	return i, nil
}

// SameAs reports whether both are one image, in two regions: of one bake, one architecture and
// the same inputs.
func (i Image) SameAs(other Image) bool {
	return i.Bake == other.Bake && i.Architecture == other.Architecture && i.Digest == other.Digest
}

// Forget returns the image as one that the cloud provider does not have any more.
func (i Image) Forget() Image {
	i.Status = ImageForgotten
	return i
}

// OfferImages makes the images of a bake available. It returns the images that change:
// those of the bake, and the available ones of earlier bakes of the same architectures,
// which they replace in all regions. Images are all those of the version. Promoted says
// that the version was promoted to a stage: then its images are final, and the error is
// ErrConflict. A bake without images is ErrNotFound.
func OfferImages(images []Image, bake string, promoted bool) ([]Image, error) {
	architectures, changed := map[string]bool{}, []Image{}
	for _, i := range images {
		if i.Bake == bake && (i.Status == ImagePending || i.Status == ImageAvailable) {
			architectures[i.Architecture] = true
		}
	}
	if len(architectures) == 0 {
		return nil, fmt.Errorf("images of bake %s: %w", bake, ErrNotFound)
	}
	if err := CheckBake(images, bake, promoted); err != nil {
		return nil, err
	}
	for _, i := range images {
		switch {
		case i.Bake == bake && i.Status == ImagePending:
			i.Status = ImageAvailable
		case i.Bake != bake && i.Status == ImageAvailable && architectures[i.Architecture]:
			i.Status = ImageReplaced
		default:
			continue
		}
		changed = append(changed, i)
	}
	return changed, nil
}

// CheckBake returns ErrConflict if a promoted version has available images of another
// bake: what is promoted is what was tested.
func CheckBake(images []Image, bake string, promoted bool) error {
	for _, i := range images {
		if promoted && i.Bake != bake && i.Status == ImageAvailable {
			return fmt.Errorf("%w: the version was promoted with image %s in %s, so its images are final: bake a new version",
				ErrConflict, i.ID, i.Region)
		}
	}
	return nil
}

// SelectImage returns the one available image of a version in a region and, if that is not
// empty, with an architecture. The images are all those of the version. It is an error if
// there is none, or more than one.
func SelectImage(v Version, images []Image, region, architecture string) (Image, error) {
	var found []Image
	for _, i := range images {
		if i.Status == ImageAvailable && i.Region == region && (architecture == "" || i.Architecture == architecture) {
			found = append(found, i)
		}
	}
	version := fmt.Sprintf("version %s of service %s", v.Name, v.Service)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(images) == 0:
		return Image{}, fmt.Errorf("%s has no image: bake one with Packer and the post-processor delivery-stamp", version)
	case len(found) == 0:
		return Image{}, fmt.Errorf("%s has no such image in %s; it has %s", version, region, DescribeImages(images))
	}
	return Image{}, fmt.Errorf("%s has %d such images in %s, and only one can be used; it has %s: "+
		"select by architecture, or forget what AWS does not have any more with \"delivery image forget\"",
		version, len(found), region, DescribeImages(images))
}

// DescribeImages describes images for a message: "ami-1 in eu-north-1 (arm64, replaced)".
func DescribeImages(images []Image) string {
	described := make([]string, len(images))
	for n, i := range images {
		status := ""
		if i.Status != ImageAvailable {
			status = ", " + string(i.Status)
		}
		described[n] = fmt.Sprintf("%s in %s (%s%s)", i.ID, i.Region, i.Architecture, status)
	}
	return strings.Join(described, ", ")
}

// ImageQuery selects the images of one version.
type ImageQuery struct {
	Service string
	Number  int64
	// Region and Architecture, if not empty, select only the images of these.
	Region       string
	Architecture string
}
