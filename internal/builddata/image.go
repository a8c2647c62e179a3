package builddata

import (
	"fmt"
	"time"
)

// Image is a machine image that holds a version, in one region.
type Image struct {
	Service string
	// Number is the version's.
	Number int64
	// Region and ID name it at the provider: "eu-north-1", "ami-0123".
	Region string
	ID     string
	// Architecture is the provider's word for it: "x86_64", "arm64".
	Architecture string
	// Digest stands for everything the image was made from; two images with
	// the same digest were made of the same inputs.
	Digest string
	// Run is the pipe run that baked it; empty outside of one.
	Run string
	// RegisteredAt has microsecond precision and is in UTC; the store sets it.
	RegisteredAt time.Time
}

// Validate reports what no store may accept.
func (i Image) Validate() error {
	if err := ValidateService(i.Service); err != nil {
		return err
	}
	if i.Number < 1 || i.Region == "" || i.ID == "" {
		return fmt.Errorf("image %q of service %s: version, region and image id are all required", i.ID, i.Service)
	}
	return nil
}

// ImageQuery selects the images of one version.
type ImageQuery struct {
	Service string
	Number  int64
	// Region and Architecture, when set, leave out the others.
	Region       string
	Architecture string
}
