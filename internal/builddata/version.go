// Package builddata is the domain of the build data repository: versions of services, their
// events and images, runs, promotions, leases and rollouts, and the Store that keeps them.
// The rules are pure functions on these types: a store reads, calls them, and writes on a
// condition. The package does not depend on a database.
package builddata

import (
	"fmt"
	"maps"
	"time"
)

// Version is one build of a service.
type Version struct {
	// Service is the name of the service; see ValidateService.
	Service string
	// Number is unique within the service and rises from 1, possibly with gaps.
	Number int64
	// Name is the name of the version in the form of its Scheme, unique within the service:
	// "17", "1.4.0", "2026.11.3".
	Name   string
	Scheme Scheme
	// Key is the idempotency key of the allocation; empty if there was none.
	Key string
	// SourceRevision is the SCM revision that the version was built from; empty if unknown.
	SourceRevision string
	// Labels are set by the caller at allocation and never change. They are not nil if the
	// version comes from a Store.
	Labels map[string]string
	// CreatedAt is a Timestamp.
	CreatedAt time.Time
	// Revocation is not nil if the version was revoked.
	Revocation *Revocation
}

// Revocation says since when and why a version must no longer be used. Versions are never
// deleted.
type Revocation struct {
	At     time.Time
	Reason string
}

// Revoke returns the revoked version. If it was revoked before, the first time and reason
// stay.
func (v Version) Revoke(reason string, now time.Time) Version {
	if v.Revocation == nil {
		v.Revocation = &Revocation{At: Timestamp(now), Reason: reason}
	}
	return v
}

// Usable returns v, or a *RevokedError.
func Usable(v Version) (Version, error) {
	if v.Revocation != nil {
		return v, &RevokedError{Version: v}
	}
	return v, nil
}

// Newest describes the newest version of a service. It includes the latest name of each
// scheme, so that the next version depends on nothing else. The zero value stands for a
// service without versions.
type Newest struct {
	Number int64
	// Semver and Calver are the latest names of these schemes; empty if none.
	Semver, Calver string
}

// Next returns the version to allocate after n, and the Newest to store with it.
func (n Newest) Next(a Allocation, now time.Time) (Version, Newest, error) {
	v := Version{
		Service: a.Service, Number: n.Number + 1, Scheme: a.Scheme, Key: a.Key,
		SourceRevision: a.SourceRevision, Labels: map[string]string{}, CreatedAt: Timestamp(now),
	}
	maps.Copy(v.Labels, a.Labels)
	n.Number = v.Number
	var previous *string
	switch a.Scheme {
	case Semver:
		previous = &n.Semver
	case Calver:
		previous = &n.Calver
	default:
		previous = new(string)
	}
	name, err := a.Scheme.Render(v.Number, *previous, a.Bump, v.CreatedAt)
	if err != nil {
		return Version{}, Newest{}, err
	}
	v.Name, *previous = name, name
	return v, n, nil
}

// Allocation asks for a version.
type Allocation struct {
	Service string
	Scheme  Scheme
	// Bump is the part of a semver version to raise; other schemes ignore it.
	Bump Bump
	// Key makes the allocation idempotent: allocations with the same service and key return
	// the same version. Without a key, each allocation returns a new version. A key has at most
	// 512 bytes.
	Key            string
	SourceRevision string
	Labels         map[string]string
}

// maxKey is the maximum length of a key in bytes, so that every store can index it.
const maxKey = 512

// Validate returns an error for an allocation that no store accepts.
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

// Match checks that v, which has the key of a, matches the allocation. If it does not, the
// error is a *KeyError with the difference.
func (a Allocation) Match(v Version) error {
	conflict := ""
	switch {
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
