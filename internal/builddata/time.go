package builddata

import "time"

// Timestamp returns t as the repository stores times: in UTC, with a precision
// of one microsecond.
func Timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
