// Package stamp marks baked images with the version that they hold: it tags them
// in every region and, once all of them are tagged, registers them in the build
// data repository. Once the bake is complete, it makes all of them available
// together. So a version is available in all of its regions or in none.
package stamp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Cloud is the part of AWS that stamping uses.
type Cloud interface {
	// DescribeImage describes an image. It waits a while for an image that is not
	// visible yet, because it was just copied, and fails on one that cannot be
	// launched.
	DescribeImage(ctx context.Context, image Image) (Description, error)
	// TagImage tags an image and its snapshots. Tags with other keys stay. A
	// repeated call changes nothing. After an error, some of them may be tagged.
	TagImage(ctx context.Context, image Image, snapshots []string, tags tagging.Set) error
}

// Description describes an image in AWS.
type Description struct {
	// Architecture is AWS's name for it: "x86_64", "arm64".
	Architecture string
	// Snapshots are the ids of its snapshots.
	Snapshots []string
	Tags      tagging.Set
}

// Repository is the part of build data that stamping uses.
type Repository interface {
	Version(ctx context.Context, service, name string) (builddata.Version, error)
	builddata.Images
	Promotions(ctx context.Context, q builddata.PromotionQuery) ([]builddata.Promotion, error)
	Append(ctx context.Context, events ...builddata.Event) error
}

// Request says which images hold which version.
type Request struct {
	Images []Image

	// Service and Version name the version; it must exist and not be revoked.
	Service string
	Version string

	// What else the images are tagged with. Run may be empty.
	OwnerTeam string
	Solution  string
	Run       string
	// Tags are the caller's own, with other keys than those above.
	Tags tagging.Set

	// SourceImage and Inputs are what the images were made from; see Digest.
	SourceImage string
	Inputs      []string

	// Bake identifies the execution of Packer that made the images.
	Bake string
	// Hold leaves the images pending: the pipe's step offers them once Packer has succeeded.
	Hold bool
	// Architectures are those that make the bake complete: its images are pending until there
	// are some of each. If empty, these images alone are complete.
	Architectures []string
}

// Event is the kind of the event that stamping records.
const Event = "bake"

// recordTimeout bounds how long storing the event may take, because it is stored
// after an interruption as well.
const recordTimeout = 30 * time.Second

// Stamper stamps images.
type Stamper struct {
	cloud      Cloud
	repository Repository
	report     func(format string, args ...any)
}

// New returns a Stamper that reports its progress. Only one goroutine at a time
// calls report.
func New(cloud Cloud, repository Repository, report func(format string, args ...any)) *Stamper {
	return &Stamper{cloud: cloud, repository: repository, report: report}
}

// Stamp tags the images and their snapshots in all regions at once, then
// registers all images together. If the bake is complete, it makes its images
// available, and records the bake as an event. It can be repeated. It records
// failures as well. After an *UnrecordedError, the images are available. After a
// *HalfStampedError, none is available and some are tagged. After any other
// error, none is tagged or registered.
func (s *Stamper) Stamp(ctx context.Context, r Request) error {
	version, err := s.repository.Version(ctx, r.Service, r.Version)
	if err != nil {
		return untouched(err)
	}
	err = s.stamp(ctx, r, version)
	if err == nil || errors.As(err, new(*UnrecordedError)) {
		return err
	}
	return errors.Join(err, s.recordFailure(ctx, r, version, err))
}

func (s *Stamper) stamp(ctx context.Context, r Request, version builddata.Version) error {
	described, tags, digest, err := s.prepare(ctx, r, version)
	if err != nil {
		return untouched(err)
	}
	if failed := s.tag(ctx, r.Images, described, tags); len(failed) > 0 {
		return newHalfStampedError(version, r.Images, failed)
	}
	images := make([]builddata.Image, len(r.Images))
	for i, image := range r.Images {
		images[i] = builddata.Image{
			Service: version.Service, Number: version.Number, Region: image.Region, ID: image.ID,
			Architecture: described[i].Architecture, Digest: digest, Run: r.Run, Bake: r.Bake,
		}
	}
	if err := s.repository.Register(ctx, images...); err != nil {
		return &HalfStampedError{Version: version, Stamped: r.Images, Registering: err}
	}
	if r.Hold {
		s.report("Registered %s as version %s of service %s, to be available once Packer has succeeded.",
			list(r.Images), version.Name, version.Service)
		return nil
	}
	switch missing, err := s.missing(ctx, r, version); {
	case err != nil:
		return &HalfStampedError{Version: version, Stamped: r.Images, Registering: err}
	case len(missing) > 0:
		s.report("Registered %s as version %s of service %s, to be available with an image for %s.",
			list(r.Images), version.Name, version.Service, strings.Join(missing, " and "))
		return nil
	}
	offered, err := Offer(ctx, s.repository, version, r.Run, r.Bake)
	if errors.As(err, new(*UnrecordedError)) || err == nil {
		s.report("Registered %s as version %s of service %s.", builddata.DescribeImages(offered), version.Name, version.Service)
		return err
	}
	return &HalfStampedError{Version: version, Stamped: r.Images, Registering: err}
}

// missing returns the architectures that the bake has no image for yet.
func (s *Stamper) missing(ctx context.Context, r Request, version builddata.Version) ([]string, error) {
	images, err := s.repository.Images(ctx, builddata.ImageQuery{Service: version.Service, Number: version.Number})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(r.Architectures), func(architecture string) bool {
		return slices.ContainsFunc(images, func(i builddata.Image) bool { return i.Bake == r.Bake && i.Architecture == architecture })
	}), nil
}

// Offer makes the images of a bake available, in one write, and records the bake
// as an event. It returns all images of the bake. After an *UnrecordedError, they
// are available; after any other error, they are not.
func Offer(ctx context.Context, repository Repository, version builddata.Version, run, bake string) ([]builddata.Image, error) {
	images, err := repository.Images(ctx, builddata.ImageQuery{Service: version.Service, Number: version.Number})
	if err != nil {
		return nil, err
	}
	images = slices.DeleteFunc(images, func(i builddata.Image) bool {
		return i.Bake != bake || i.Status != builddata.ImagePending && i.Status != builddata.ImageAvailable
	})
	if _, err := repository.OfferImages(ctx, version.Service, version.Number, bake); err != nil {
		return nil, err
	}
	baked := make([]Image, len(images))
	for n := range images {
		images[n].Status = builddata.ImageAvailable
		baked[n] = Image{Region: images[n].Region, ID: images[n].ID}
	}
	done := event(baked, run, version)
	done.Status, done.Message = builddata.Succeeded, "images "+list(baked)
	if err := record(ctx, repository, done); err != nil {
		return images, &UnrecordedError{Version: version, Images: baked, Err: err}
	}
	return images, nil
}

// untouched wraps an error that occurred before the first change.
func untouched(err error) error {
	return fmt.Errorf("stamp images: %w; nothing was tagged or registered", err)
}

// prepare checks everything that can be checked before the first change.
func (s *Stamper) prepare(
	ctx context.Context, r Request, version builddata.Version,
) (described []Description, tags tagging.Set, digest string, err error) {
	if _, err := builddata.Usable(version); err != nil {
		return nil, nil, "", err
	}
	if len(r.Images) == 0 {
		return nil, nil, "", errors.New("no image to stamp is given")
	}
	if tags, err = r.tags(version); err != nil {
		return nil, nil, "", err
	}
	if digest, err = Digest(r.SourceImage, r.Inputs); err != nil {
		return nil, nil, "", err
	}
	if err := Check(ctx, s.repository, version, r.Bake); err != nil {
		return nil, nil, "", err
	}
	described, err = s.inspect(ctx, r.Images, tags)
	return described, tags, digest, err
}

// Check returns ErrConflict if no bake may add images to the version; see
// builddata.CheckBake.
func Check(ctx context.Context, repository Repository, version builddata.Version, bake string) error {
	images, err := repository.Images(ctx, builddata.ImageQuery{Service: version.Service, Number: version.Number})
	if err != nil {
		return err
	}
	promotions, err := repository.Promotions(ctx, builddata.PromotionQuery{Service: version.Service, Number: version.Number, Limit: 1})
	if err != nil {
		return err
	}
	return builddata.CheckBake(images, bake, len(promotions) > 0)
}

// inspect describes all images, and fails if any of them cannot be stamped.
func (s *Stamper) inspect(ctx context.Context, images []Image, tags tagging.Set) ([]Description, error) {
	described := make([]Description, len(images))
	errs := inParallel(images, func(i int) (err error) {
		if described[i], err = s.cloud.DescribeImage(ctx, images[i]); err != nil {
			return fmt.Errorf("image %s: %w", images[i], err)
		}
		return contradiction(images[i], described[i].Tags, tags)
	})
	return described, errors.Join(errs...)
}

// contradiction reports an image that has the stamp of another version. A
// mistyped id must not overwrite it.
func contradiction(image Image, has, want tagging.Set) error {
	for _, key := range []string{tagging.Service, tagging.Version} {
		if had := cmp.Or(has[key], want[key]); had != want[key] {
			return fmt.Errorf("image %s already has the tag %s = %q and cannot be stamped with %q; "+
				"name another image, or remove the tag if it was set by mistake", image, key, had, want[key])
		}
	}
	return nil
}

// tag tags all images, also after some of them have failed.
func (s *Stamper) tag(ctx context.Context, images []Image, described []Description, tags tagging.Set) (failed []Failure) {
	var mu sync.Mutex
	errs := inParallel(images, func(i int) error {
		if err := s.cloud.TagImage(ctx, images[i], described[i].Snapshots, tags); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		s.report("Tagged %s and its snapshots (%s).", images[i], cmp.Or(strings.Join(described[i].Snapshots, ", "), "none"))
		return nil
	})
	for i, err := range errs {
		if err != nil {
			failed = append(failed, Failure{Image: images[i], Err: err})
		}
	}
	return failed
}

// inParallel runs f for every image at once, waits for all of them, and
// returns their errors by index.
func inParallel(images []Image, f func(i int) error) []error {
	errs := make([]error, len(images))
	var all sync.WaitGroup
	for i := range images {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errs
}

func (s *Stamper) recordFailure(ctx context.Context, r Request, version builddata.Version, cause error) error {
	failed := event(r.Images, r.Run, version)
	failed.Status, failed.Message = builddata.Failed, strings.Join(strings.Fields(cause.Error()), " ")
	if ctx.Err() != nil {
		failed.Status = builddata.Interrupted
	}
	if err := record(ctx, s.repository, failed); err != nil {
		return fmt.Errorf("record this failure in the version's history: %w", err)
	}
	return nil
}

// record stores an event, also after ctx has ended.
func record(ctx context.Context, repository Repository, e builddata.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return repository.Append(ctx, e)
}

func event(images []Image, run string, version builddata.Version) builddata.Event {
	var regions []string
	for _, image := range images {
		regions = append(regions, image.Region)
	}
	slices.Sort(regions)
	return builddata.Event{
		Service: version.Service, Number: version.Number, Run: run,
		Type: Event, Location: strings.Join(slices.Compact(regions), ","),
	}
}
