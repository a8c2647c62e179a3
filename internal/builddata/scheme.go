package builddata

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Scheme is the form of a version's name.
type Scheme string

// The schemes. Within each, names rise with the numbers. Every name is a number or has the
// form N.N.N.
const (
	// Sequence is the number itself: 17.
	Sequence Scheme = "sequence"
	// Semver is MAJOR.MINOR.PATCH, raised by a Bump: 1.4.0.
	Semver Scheme = "semver"
	// Calver is YEAR.MONTH.N in UTC, where N counts within the month: 2026.11.3.
	Calver Scheme = "calver"
)

// Schemes lists every scheme, the default first.
var Schemes = []Scheme{Sequence, Semver, Calver}

// ParseScheme parses the name of a scheme.
func ParseScheme(s string) (Scheme, error) {
	return parse("scheme", s, Schemes)
}

// Bump is the part of a semantic version to raise. The parts after it become 0.
type Bump string

// The bumps.
const (
	Major Bump = "major"
	Minor Bump = "minor"
	Patch Bump = "patch"
)

// Bumps lists every bump, the default first.
var Bumps = []Bump{Patch, Minor, Major}

// ParseBump parses the name of a bump.
func ParseBump(s string) (Bump, error) {
	return parse("bump", s, Bumps)
}

// parse returns the known value with a name.
func parse[T ~string](what, s string, known []T) (T, error) {
	names := make([]string, len(known))
	for i, k := range known {
		if string(k) == s {
			return k, nil
		}
		names[i] = string(k)
	}
	return "", fmt.Errorf("unknown %s %q: use one of %s", what, s, strings.Join(names, ", "))
}

// Render returns the name of the version with a number. Previous is the name of the
// service's latest version of the same scheme; empty if there is none. If the clock was set
// back, a calver stays in the latest month.
func (s Scheme) Render(number int64, previous string, bump Bump, now time.Time) (string, error) {
	switch s {
	case Sequence:
		return strconv.FormatInt(number, 10), nil
	case Semver:
		last, err := parts(previous)
		if err != nil {
			return "", err
		}
		switch bump {
		case Major:
			last = [3]int64{last[0] + 1, 0, 0}
		case Minor:
			last = [3]int64{last[0], last[1] + 1, 0}
		default:
			last[2]++
		}
		return join(last), nil
	case Calver:
		last, err := parts(previous)
		if err != nil {
			return "", err
		}
		now = now.UTC()
		year, month := int64(now.Year()), int64(now.Month())
		if year < last[0] || year == last[0] && month <= last[1] {
			return join([3]int64{last[0], last[1], last[2] + 1}), nil
		}
		return join([3]int64{year, month, 1}), nil
	}
	return "", fmt.Errorf("unknown scheme %q", s)
}

// parts splits a name of three numbers; the empty name counts as 0.0.0.
func parts(name string) (p [3]int64, err error) {
	if name == "" {
		return p, nil
	}
	fields := strings.Split(name, ".")
	if len(fields) != len(p) {
		return p, fmt.Errorf("version %q does not have the form N.N.N", name)
	}
	for i, field := range fields {
		if p[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return p, fmt.Errorf("version %q does not have the form N.N.N: %w", name, err)
		}
	}
	return p, nil
}

func join(p [3]int64) string { return fmt.Sprintf("%d.%d.%d", p[0], p[1], p[2]) }
