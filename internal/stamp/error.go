package stamp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// HalfStampedError says that some images were tagged, and none is available.
// To complete the stamp, stamp the same images again.
type HalfStampedError struct {
	Version builddata.Version
	// Stamped have all their tags.
	Stamped []Image
	// Failed may have all, some or none of their tags.
	Failed []Failure
	// Registering says why the images could not be registered or made available, if none Failed.
	Registering error
}

// Failure is an image that could not be tagged.
type Failure struct {
	Image Image
	Err   error
}

func newHalfStampedError(version builddata.Version, images []Image, failed []Failure) *HalfStampedError {
	stamped := slices.DeleteFunc(slices.Clone(images), func(image Image) bool {
		return slices.ContainsFunc(failed, func(f Failure) bool { return f.Image == image })
	})
	return &HalfStampedError{Version: version, Stamped: stamped, Failed: failed}
}

// Images returns all the images, the stamped ones first.
func (e *HalfStampedError) Images() []Image {
	images := slices.Clone(e.Stamped)
	for _, f := range e.Failed {
		images = append(images, f.Image)
	}
	return images
}

func (e *HalfStampedError) Error() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "version %s of service %s is half stamped\n", e.Version.Name, e.Version.Service)
	failed := make([]Image, len(e.Failed))
	for i, f := range e.Failed {
		failed[i] = f.Image
		_, _ = fmt.Fprintf(&b, "\n  What happened: %s could not be tagged: %v", f.Image, f.Err)
	}
	if e.Registering != nil {
		_, _ = fmt.Fprintf(&b, "\n  What happened: the images could not be made available: %v", e.Registering)
	}
	_, _ = fmt.Fprintf(&b, "\n  State now:     tagged: %s; not or only partly tagged: %s; available: none, so none of these images is used.",
		list(e.Stamped), list(failed))
	_, _ = fmt.Fprintf(&b, "\n  What to do:    fix the cause, then stamp all of them again (%s); tags that exist already do no harm.",
		list(e.Images()))
	return b.String()
}

// Unwrap returns the causes.
func (e *HalfStampedError) Unwrap() []error {
	causes := make([]error, 0, len(e.Failed)+1)
	for _, f := range e.Failed {
		causes = append(causes, f.Err)
	}
	if e.Registering != nil {
		causes = append(causes, e.Registering)
	}
	return causes
}

// UnrecordedError says that the images are stamped and available, and only the
// event is missing. The images must be kept.
type UnrecordedError struct {
	Version builddata.Version
	Images  []Image
	Err     error
}

func (e *UnrecordedError) Error() string {
	return fmt.Sprintf("version %s of service %s is stamped, but its history does not show it"+
		"\n\n  What happened: the event %q could not be stored: %v"+
		"\n  State now:     %s are tagged and available as this version; a promotion that requires the event is refused."+
		"\n  What to do:    stamp the same images again.",
		e.Version.Name, e.Version.Service, Event, e.Err, list(e.Images))
}

// Unwrap returns the cause.
func (e *UnrecordedError) Unwrap() error { return e.Err }
