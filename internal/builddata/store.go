package builddata

import (
	"context"
	"io"
)

// Store is the build data repository. Each concept has an interface of its own; callers use
// the one that they need. Package storetest tests what every implementation guarantees.
//
// A store contains no rules. It reads what a rule needs, calls the rule, which is a pure
// function of this package, and writes the result on the condition that nothing it read has
// changed. Every call names its service, so that a store can have permissions per service.
//
// All methods are safe for concurrent use by goroutines, processes and machines. A method
// that returns nil has made its change durable. A method that returns an error has changed
// nothing, unless the connection was lost; in that case the call can be repeated. Errors
// match ErrNotFound, ErrConflict, ErrUnavailable or ErrCorrupt where these apply.
type Store interface {
	Identity
	Services
	Versions
	Events
	Images
	Leases
	Rollouts
	Runs
	Promotions
	Deploys
	io.Closer
}

// Identity tells one repository from another.
type Identity interface {
	// ID returns the random ID that the repository got when it was created. A repository
	// that takes its place at the same address has another one.
	ID(ctx context.Context) (string, error)
}

// Services lists the services.
type Services interface {
	// Services lists the names of all services with a version, a run or a
	// rollout, sorted.
	Services(ctx context.Context) ([]string, error)
}

// Versions allocates version numbers and stores them.
type Versions interface {
	// Allocate returns the service's next version, or the one that the key already belongs
	// to. If the key belongs to a different version, the error is a *KeyError.
	Allocate(ctx context.Context, a Allocation) (Version, error)
	// Version returns the version of that name, revoked or not.
	Version(ctx context.Context, service, name string) (Version, error)
	// VersionByNumber returns the version of that number, revoked or not.
	VersionByNumber(ctx context.Context, service string, number int64) (Version, error)
	// Versions lists versions, the newest first. An unknown service has none.
	Versions(ctx context.Context, q VersionQuery) ([]Version, error)
	// Revoke revokes a version, so that it is no longer used, as Version.Revoke decides.
	Revoke(ctx context.Context, service, name, reason string) (Version, error)
}

// VersionQuery selects versions of one service, the newest first.
type VersionQuery struct {
	Service string
	// SourceRevision, if not empty, selects only versions of this revision.
	SourceRevision string
	// IncludeRevoked also selects revoked versions.
	IncludeRevoked bool
	// Before, if not 0, selects only versions with a lower number.
	Before int64
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// DefaultPage is the maximum number of entries of a list without a limit.
const DefaultPage = 100

// PageSize returns the maximum number of entries of a list with this limit.
func PageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return limit
}
