package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Exceptions are what a configuration allows although the rule of CheckVersion
// forbids it.
type Exceptions struct {
	// Revoked allows a revoked version.
	Revoked bool
	// UnregisteredImage allows an image that is not registered as one of the version.
	UnregisteredImage bool
}

// CheckVersion decides whether servers of s may be started in a region: its
// version must not be revoked, and its image must be one of the version's, of a
// complete bake. A replaced image is accepted: a running cluster keeps it. The
// images are all those of the version.
func (s Spec) CheckVersion(v builddata.Version, images []builddata.Image, region string, allow Exceptions) error {
	var problems []error
	if _, err := builddata.Usable(v); err != nil && !allow.Revoked {
		problems = append(problems, fmt.Errorf("%w; use another version, or set allow_revoked = true", err))
	}
	held := slices.IndexFunc(images, func(i builddata.Image) bool { return i.Region == region && i.ID == s.ImageID })
	switch {
	case held >= 0 && images[held].Status == builddata.ImagePending:
		problems = append(problems, fmt.Errorf("image %s is pending: its bake did not succeed or still runs; bake the version again", s.ImageID))
	case held >= 0 && images[held].Status == builddata.ImageForgotten:
		problems = append(problems, fmt.Errorf("image %s is forgotten: it is not in AWS any more; bake a new version", s.ImageID))
	case held < 0 && !allow.UnregisteredImage:
		has := "it has no image"
		if len(images) > 0 {
			has = "it has " + builddata.DescribeImages(images)
		}
		problems = append(problems, fmt.Errorf("image %s is not registered as an image of version %s of service %s in %s; %s: "+
			"leave image_id out to use the version's image, or set allow_unregistered_image = true for an image from elsewhere",
			s.ImageID, v.Name, v.Service, region, has))
	}
	return errors.Join(problems...)
}
