// Package repository names and opens build data repositories. A repository is
// named by an address, the same in the provider, the Packer plugin, the command
// line and the environment of the programs that a pipe starts.
package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Variable is the environment variable that holds the address of the repository
// where no argument does.
const Variable = "DELIVERY_REPOSITORY"

// Address names a build data repository:
//
//	sqlite:///path/to/file.db   a SQLite file on this machine
//
// Two addresses are equal if they name the same repository in the same way.
type Address struct {
	// scheme is a key of schemes; location is what the scheme makes of the rest.
	scheme, location string
}

// Parse reads what String writes.
func Parse(address string) (Address, error) { return parse(address, "") }

func parse(address, origin string) (Address, error) {
	if origin != "" {
		origin = " (from " + origin + ")"
	}
	invalid := func(format string, args ...any) (Address, error) {
		return Address{}, fmt.Errorf("invalid repository address %q%s: %s; expected sqlite:///absolute/path/file.db",
			address, origin, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return invalid("it is not a valid URL")
	case u.Scheme == "":
		return invalid("it has no scheme")
	}
	s, ok := schemes[u.Scheme]
	if !ok {
		return invalid("the scheme %q is unknown, use %s", u.Scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), " or "))
	}
	location, err := s.parse(u)
	if err != nil {
		return invalid("%v", err)
	}
	return Address{scheme: u.Scheme, location: location}, nil
}

// File returns the address of a SQLite file, by its absolute path.
func File(path string) Address { return Address{scheme: sqliteScheme, location: filepath.Clean(path)} }

// Resolve returns the address that the argument holds or, if it is empty, the
// variable DELIVERY_REPOSITORY, or else that of the default: a SQLite file in
// the user's data directory.
func Resolve(argument string) (Address, error) {
	if argument != "" {
		return parse(argument, "")
	}
	if address := os.Getenv(Variable); address != "" {
		return parse(address, Variable)
	}
	file, err := defaultFile()
	return File(file), err
}

// String returns the address as a URL, which Parse reads; of the zero Address,
// the empty text.
func (a Address) String() string {
	s, ok := schemes[a.scheme]
	if !ok {
		return ""
	}
	return s.format(a.location)
}

// Key is a short text that stands for the repository in file names: of what is
// kept for it on this machine.
func (a Address) Key() string {
	digest := sha256.Sum256([]byte(a.String()))
	return hex.EncodeToString(digest[:8])
}

// Exists reports whether there is a repository at the address. Opening one may
// create it.
func (a Address) Exists(ctx context.Context) (bool, error) {
	s, ok := schemes[a.scheme]
	if !ok {
		return false, errNoAddress
	}
	return s.exists(ctx, a.location)
}

// defaultFile is delivery/delivery.db in the user's data directory: as the XDG
// base directory specification has it, or LocalAppData on Windows.
func defaultFile() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" && runtime.GOOS == "windows" {
		base = os.Getenv("LocalAppData")
	}
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no build data repository is named, and there is no home directory for the default one (%w): set %s", err, Variable)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "delivery", "delivery.db"), nil
}
