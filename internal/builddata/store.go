package builddata

import (
	"context"
	"io"
)

// Store is the build data repository. Each concept has an interface of its
// own; callers ask for the one they use. Package storetest says in code what
// every implementation promises.
//
// A store holds no rules: it reads what a rule needs, asks the rule, which is a
// pure function of this package, and writes what that returns on the condition
// that nothing it read has changed. Every question and every write names its
// service, so a store can keep permissions per service.
//
// All methods are safe for concurrent use by goroutines, processes and
// machines. A method that returns nil has made its change durable; one that
// returns an error has changed nothing, unless the connection was lost, in
// which case asking again is safe. Errors match ErrNotFound, ErrConflict,
// ErrUnavailable or ErrCorrupt where these apply.
type Store interface {
	Services
	Versions
	Events
	Images
	Leases
	Rollouts
	Runs
	Promotions
	io.Closer
}

// Services knows which services there are.
type Services interface {
	// Services lists the names of all services with a version, a run or a
	// rollout, sorted.
	Services(ctx context.Context) ([]string, error)
}

// Versions hands out version numbers and remembers them.
type Versions interface {
	// Allocate hands out the service's next version, or the one that the key
	// already stands for. A key that stands for a different version is a *KeyError.
	Allocate(ctx context.Context, a Allocation) (Version, error)
	// Version returns the version of that name, revoked or not.
	Version(ctx context.Context, service, name string) (Version, error)
	// VersionByNumber returns the version of that number, revoked or not.
	VersionByNumber(ctx context.Context, service string, number int64) (Version, error)
	// Versions lists versions, the newest first. An unknown service has none.
	Versions(ctx context.Context, q VersionQuery) ([]Version, error)
	// Revoke marks a version as not to be used any more, as Version.Revoke decides.
	Revoke(ctx context.Context, service, name, reason string) (Version, error)
}

// VersionQuery selects versions of one service, the newest first.
type VersionQuery struct {
	Service string
	// SourceRevision, when set, leaves out versions of other revisions.
	SourceRevision string
	// IncludeRevoked adds the revoked versions.
	IncludeRevoked bool
	// Before continues after the version with this number; 0 begins with the newest.
	Before int64
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// DefaultPage is how many entries a list returns at most when no limit is given.
const DefaultPage = 100

// PageSize returns how many entries a list with this limit returns at most.
func PageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return limit
}
