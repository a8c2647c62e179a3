package builddata

import (
	"context"
	"io"
)

// Store is the build data repository. Each concept has an interface of its
// own; callers ask for the one they use. Package storetest says in code what
// every implementation promises.
//
// All methods are safe for concurrent use by goroutines, processes and
// machines. A method that returns nil has made its change durable; one that
// returns an error has changed nothing, unless the connection was lost, in
// which case asking again is safe. Errors match ErrNotFound, ErrConflict,
// ErrUnavailable or ErrCorrupt where these apply.
type Store interface {
	Versions
	Events
	Images
	Leases
	Rollouts
	Runs
	Promotions
	io.Closer
}

// Versions hands out version numbers and remembers them.
type Versions interface {
	// Allocate hands out the service's next version, or the one that the key
	// already stands for. A key that stands for something else is a *KeyError.
	Allocate(ctx context.Context, a Allocation) (Version, error)
	// Version returns the version of that name, revoked or not.
	Version(ctx context.Context, service, name string) (Version, error)
	// Versions lists versions, the newest first. An unknown service has none.
	Versions(ctx context.Context, q VersionQuery) ([]Version, error)
	// Revoke marks a version as not to be used any more. Revoking it again
	// keeps the first reason and time.
	Revoke(ctx context.Context, service, name, reason string) (Version, error)
}

// VersionQuery selects versions of one service, the newest first.
type VersionQuery struct {
	Service string
	// SourceRevision, when set, leaves out versions of other revisions.
	SourceRevision string
	// IncludeRevoked adds the revoked versions.
	IncludeRevoked bool
	// Before continues behind the version with this number; 0 begins with the newest.
	Before int64
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// DefaultPage is how many entries a list returns at most when no limit is given.
const DefaultPage = 100

// Events remembers what happened.
type Events interface {
	// Append stores all the events or none of them. An event of a version
	// that does not exist is ErrNotFound.
	Append(ctx context.Context, events ...Event) error
	// Events lists events in the order they were appended.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
}

// Images knows which image holds which version.
type Images interface {
	// Register stores all the images or none of them. Registering the same
	// image again for the same version updates its digest and run; for
	// another version it is ErrConflict. A version that does not exist is
	// ErrNotFound.
	Register(ctx context.Context, images ...Image) error
	// Images lists a version's images by region, architecture and id.
	Images(ctx context.Context, q ImageQuery) ([]Image, error)
}
