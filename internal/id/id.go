// Package id makes identifiers.
package id

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// New returns an identifier that is unique and sorts by the time now, to the
// millisecond: a ULID, https://github.com/ulid/spec.
func New(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
}
