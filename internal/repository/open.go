package repository

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

// Config is what a repository is opened with.
type Config struct {
	Clock clock.Clock
	// AWS is the configuration of AWS clients, for repositories on AWS.
	AWS awscloud.Config
}

// Open opens the repository at an address. The package of the store documents whether that
// creates the repository. The caller closes it.
func Open(ctx context.Context, a Address, c Config) (builddata.Store, error) {
	s, ok := schemes[a.scheme]
	if !ok {
		return nil, errNoAddress
	}
	return s.open(ctx, a.location, c)
}

var errNoAddress = errors.New("no address of a build data repository is given")

// scheme is a kind of repository. A location is the rest of an address after its scheme, in
// a form of the scheme's own.
type scheme struct {
	parse  func(u *url.URL) (location string, err error)
	format func(location string) string
	exists func(ctx context.Context, location string) (bool, error)
	open   func(ctx context.Context, location string, c Config) (builddata.Store, error)
}

const sqliteScheme = "sqlite"

// schemes are all kinds of repositories, by the scheme of their addresses.
var schemes = map[string]scheme{
	sqliteScheme: {parse: parseFile, format: formatFile, exists: fileExists, open: openFile},
}

// parseFile returns the path of a SQLite file.
func parseFile(u *url.URL) (path string, err error) {
	switch {
	case u.Host != "" || u.Opaque != "":
		return "", errors.New("the path is not absolute (three slashes follow the colon)")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("a SQLite repository takes no options (write ? as %3F and # as %23)")
	case strings.Trim(u.Path, "/") == "":
		return "", errors.New("the path of the file is missing")
	}
	path = u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // sqlite:///C:/path
	}
	return filepath.Clean(filepath.FromSlash(path)), nil
}

func formatFile(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/path
	}
	return (&url.URL{Scheme: sqliteScheme, Path: path}).String()
}

func fileExists(_ context.Context, path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the build data repository: %w", err)
	}
	return true, nil
}

func openFile(ctx context.Context, path string, c Config) (builddata.Store, error) {
	store, err := sqlite.Open(ctx, path, c.Clock)
	if err != nil {
		return nil, err // not a nil *sqlite.Store in an interface
	}
	return store, nil
}
