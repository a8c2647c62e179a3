// Package app opens the adapters that the programs share, each from one piece
// of configuration.
package app

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

// RepositoryVariable is the environment variable that names the build data
// repository where no argument does.
const RepositoryVariable = "DELIVERY_REPOSITORY"

// OpenRepository opens the build data repository that address names:
//
//	sqlite:///path/to/file.db   a SQLite file on this machine
//	(empty)                     what DELIVERY_REPOSITORY names, or else a
//	                            SQLite file in the user's data directory
//
// An address that cannot be understood names what would have been.
func OpenRepository(ctx context.Context, address string, c clock.Clock) (builddata.Store, error) {
	path, err := ResolveRepository(address)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path, c)
}

// ResolveRepository returns the SQLite file that address names, without
// opening it.
func ResolveRepository(address string) (path string, err error) {
	from := "repository"
	if address == "" {
		address, from = os.Getenv(RepositoryVariable), RepositoryVariable
	}
	if address == "" {
		return defaultFile()
	}
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("%s %q: %s; use sqlite:///absolute/path/file.db, or leave it out for a file in your data directory", from, address, why)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return refuse("it is no URL")
	case u.Scheme == "":
		return refuse("a URL with a scheme is expected")
	case u.Scheme != "sqlite":
		return refuse(fmt.Sprintf("the scheme %q is unknown", u.Scheme))
	case u.Host != "" || u.Opaque != "":
		return refuse("the path is not absolute (there are three slashes after the colon)")
	case u.RawQuery != "" || u.Fragment != "":
		return refuse("a SQLite repository takes no options")
	case strings.Trim(u.Path, "/") == "":
		return refuse("the path of the file is missing")
	}
	path = u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // sqlite:///C:/path
	}
	return filepath.FromSlash(path), nil
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
			return "", fmt.Errorf("no build data repository is named and there is no home directory to keep one in (%w); set %s", err, RepositoryVariable)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "delivery", "delivery.db"), nil
}
