// Package builddata is the build data repository's domain: the versions of a
// service, the events that happened to them, the images made from them, and
// the Store that keeps it all. It knows no database.
package builddata

import (
	"fmt"
	"maps"
	"regexp"
	"time"
)

// Version is one build of a service.
type Version struct {
	// Service is what was built; see ValidateService.
	Service string
	// Number is unique and rising within the service, from 1. Gaps occur.
	Number int64
	// Name is the number's rendering by Scheme, unique within the service:
	// "17", "1.4.0", "2026.11.3".
	Name   string
	Scheme Scheme

	// Key is the idempotency key it was allocated with; empty if none.
	Key string
	// SourceRevision is the SCM revision it was built from; empty if unknown.
	SourceRevision string
	// Labels are the caller's own facts, fixed at allocation. Never nil when
	// it comes from a Store.
	Labels map[string]string

	// CreatedAt has microsecond precision and is in UTC.
	CreatedAt time.Time
	// Revocation is set once the version must no longer be used.
	Revocation *Revocation
}

// Revocation says since when and why a version must no longer be used.
// Versions are revoked, never deleted: history is not rewritten.
type Revocation struct {
	At     time.Time
	Reason string
}

// Allocation asks for a version.
type Allocation struct {
	Service string
	Scheme  Scheme
	// Bump is the part a semver version rises by; ignored by other schemes.
	Bump Bump
	// Key makes the allocation idempotent: the same service and key give the
	// same version, however often and from wherever it is asked. Empty gives
	// a new version each time. A key belongs to one service.
	Key            string
	SourceRevision string
	Labels         map[string]string
}

// maxKey bounds keys, so that every store can index them.
const maxKey = 512

// Validate reports what no store may accept.
func (a Allocation) Validate() error {
	if err := ValidateService(a.Service); err != nil {
		return err
	}
	if _, err := ParseScheme(string(a.Scheme)); err != nil {
		return err
	}
	if a.Scheme == Semver {
		if _, err := ParseBump(string(a.Bump)); err != nil {
			return err
		}
	}
	if len(a.Key) > maxKey {
		return fmt.Errorf("the key has %d bytes, at most %d are allowed", len(a.Key), maxKey)
	}
	return nil
}

// Answers reports whether v is what a asks for, so that v may be handed out
// again for the same key. The error is a *KeyError that names the difference.
func (a Allocation) Answers(v Version) error {
	conflict := ""
	switch {
	case a.Service != v.Service:
		conflict = fmt.Sprintf("a key belongs to one service, so it cannot be used for service %s", a.Service)
	case a.Scheme != v.Scheme:
		conflict = fmt.Sprintf("it has scheme %s, not %s", v.Scheme, a.Scheme)
	case a.SourceRevision != v.SourceRevision:
		conflict = fmt.Sprintf("it has source revision %q, not %q", v.SourceRevision, a.SourceRevision)
	case !maps.Equal(a.Labels, v.Labels):
		conflict = fmt.Sprintf("it has labels %v, not %v", v.Labels, a.Labels)
	default:
		return nil
	}
	return &KeyError{Key: a.Key, Holder: v, Conflict: conflict}
}

// servicePattern keeps a service usable in AWS tags, resource names and ids
// of the form service/environment.
var servicePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidateService checks the name of a service: 1 to 64 letters, digits, dots,
// underscores and hyphens, beginning with a letter or digit.
func ValidateService(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the service is missing: name what is built, for example \"strawberry\"")
	case !servicePattern.MatchString(name):
		return fmt.Errorf("service %q: use 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit", name)
	}
	return nil
}
