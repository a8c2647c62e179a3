// Package repository opens build data repositories by their addresses. An address has the
// same form in the provider, the Packer plugin, the command line and the environment of the
// programs that a pipe starts.
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
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/userdir"
)

// Variable is the environment variable for the address of the repository. It is used where
// no argument holds an address.
const Variable = "DELIVERY_REPOSITORY"

// Address names a build data repository:
//
//	sqlite:///path/to/file.db   a SQLite file on this machine
//
// Two addresses are equal if they name the same repository in the same way.
type Address struct {
	// scheme is a key of schemes. The form of the location depends on the scheme.
	scheme, location string
}

// Parse parses an address.
func Parse(address string) (Address, error) { return parse(address, "") }

// parse parses an address; origin says where it comes from, for the error.
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

// Resolve returns the address in the argument. If that is empty, it returns the address in
// the variable DELIVERY_REPOSITORY, or else the default: a SQLite file in the user's data
// directory.
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

// String returns the address as a URL, which Parse parses. The zero Address returns the
// empty string.
func (a Address) String() string {
	s, ok := schemes[a.scheme]
	if !ok {
		return ""
	}
	return s.format(a.location)
}

// Key returns a short text that stands for the repository in the names of files on this
// machine.
func (a Address) Key() string {
	digest := sha256.Sum256([]byte(a.String()))
	return hex.EncodeToString(digest[:8])
}

// Exists reports whether there is a repository at the address, without creating it.
func (a Address) Exists(ctx context.Context) (bool, error) {
	s, ok := schemes[a.scheme]
	if !ok {
		return false, errNoAddress
	}
	return s.exists(ctx, a.location)
}

// defaultFile returns the path delivery/delivery.db in the user's data directory.
func defaultFile() (string, error) {
	base, err := userdir.Data()
	if err != nil {
		return "", fmt.Errorf("no address of a build data repository is given (set %s), and the default file cannot be found: %w", Variable, err)
	}
	return filepath.Join(base, "delivery", "delivery.db"), nil
}
