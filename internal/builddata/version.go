// Package builddata is the domain of the build data repository: the versions of
// a service, the events that happened to them, the images made from them, and
// the Store that keeps all of it. The rules are pure functions on the types
// here; a store reads, asks them, and writes on a condition. The package knows
// no database.
package builddata

import (
	"fmt"
	"maps"
	"time"
)

// Version is one build of a service.
type Version struct {
	// Service is the name of what was built; see ValidateService.
	Service string
	// Number is unique and rising within the service, from 1. Gaps occur.
	Number int64
	// Name is the number's rendering by Scheme, unique within the service:
	// "17", "1.4.0", "2026.11.3".
	Name   string
	Scheme Scheme
	// Key is the idempotency key of its allocation; empty if there was none.
	Key string
	// SourceRevision is the SCM revision it was built from; empty if unknown.
	SourceRevision string
	// Labels are the caller's own facts, fixed at allocation. Never nil when
	// the version comes from a Store.
	Labels map[string]string
	// CreatedAt is a Timestamp.
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

// Revoke returns the version revoked. A version that is revoked already keeps
// its first time and reason.
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

// Newest is what a store knows of a service's newest version. It carries the
// latest name of each scheme forward, so that the newest version alone decides
// what follows. The zero value is a service without versions.
type Newest struct {
	Number int64
	// Semver and Calver are the latest names of these schemes; empty if none.
	Semver, Calver string
}

// Next returns the version to allocate after n, and what the store has to know
// of it then.
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
	// Bump is the part by which a semver version rises; other schemes ignore it.
	Bump Bump
	// Key makes the allocation idempotent: the same service and key give the
	// same version, however often and from wherever it is asked for. Without a
	// key, each allocation gives a new version. At most 512 bytes.
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

// Match reports whether v, which has the key of a, is the version that a asks
// for. If not, the error is a *KeyError that names the difference.
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
