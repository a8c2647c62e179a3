// Package userdir finds the user's directories by the XDG base directory specification,
// https://specifications.freedesktop.org/basedir-spec/latest/, or LocalAppData on Windows.
package userdir

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Data returns the directory for data that the user keeps.
func Data() (string, error) { return find("XDG_DATA_HOME", ".local", "share") }

// State returns the directory for what programs remember between their runs.
func State() (string, error) { return find("XDG_STATE_HOME", ".local", "state") }

// find returns the directory that a variable names, or else a directory below the home
// directory. As the specification demands, it ignores a variable with a relative path, which
// would be another directory in each working directory.
func find(variable string, below ...string) (string, error) {
	if path := os.Getenv(variable); filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	if path := os.Getenv("LocalAppData"); runtime.GOOS == "windows" && filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	home, err := os.UserHomeDir()
	if err == nil && !filepath.IsAbs(home) {
		err = fmt.Errorf("%q is a relative path", home)
	}
	if err != nil {
		return "", fmt.Errorf("there is no home directory (%w): set %s to an absolute path", err, variable)
	}
	return filepath.Join(append([]string{home}, below...)...), nil
}
