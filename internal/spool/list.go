package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// Kept describes a spool file.
type Kept struct {
	// ID is that of the run, by the name of the file.
	ID   string
	Path string
	// Run is the latest record of the run. It and Records, their number, are zero if the file
	// is damaged.
	Run     builddata.Run
	Records int
	// InProgress says that the run is in progress.
	InProgress bool
	// Damage is why the file cannot be sent; nil if it can.
	Damage error
}

// List describes the spool files in a folder, the oldest run first.
func List(folder string) ([]Kept, error) {
	paths, err := files(folder)
	if err != nil {
		return nil, err
	}
	var all []Kept
	for _, path := range paths {
		k, err := describe(path)
		switch {
		case errors.Is(err, os.ErrNotExist): // another process has sent it
		case err != nil:
			return nil, err
		default:
			all = append(all, k)
		}
	}
	return all, nil
}

// files returns the paths of the spool files in a folder, sorted, as the IDs of runs are.
func files(folder string) ([]string, error) {
	return filepath.Glob(filepath.Join(folder, "*"+extension))
}

// describe describes a spool file.
func describe(path string) (k Kept, err error) {
	k = Kept{ID: runOf(path), Path: path}
	lock, err := lockFile(path)
	switch {
	case errors.Is(err, errInProgress):
		k.InProgress = true
	case err != nil:
		return k, err
	default:
		defer lock.Unlock() //nolint:errcheck // the system does so at the end of the process
	}
	c, err := read(path)
	if err == nil {
		err = checkRun(path, c.records)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return k, errors.Join(err, os.Remove(path+".lock"))
	case err != nil:
		k.Damage = err
		return k, nil
	}
	k.Records = len(c.records)
	for _, r := range c.records {
		if r.Run != nil {
			k.Run = *r.Run
		}
	}
	return k, nil
}

// Discard removes the spool file of a run, and returns what it held. It refuses that of a run
// in progress.
func Discard(folder, run string) (Kept, error) {
	if err := builddata.ValidateRun(run); err != nil {
		return Kept{}, err
	}
	path := filepath.Join(folder, run+extension)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return Kept{}, fmt.Errorf("this machine keeps no records of the run %s for this repository: "+
			"\"delivery sync --list\" lists the runs whose records it keeps", run)
	}
	k, err := describe(path)
	switch {
	case err != nil:
		return k, err
	case k.InProgress:
		return k, &inProgressError{run}
	}
	return k, remove(path)
}

// inProgressError says that a run is in progress, so that its records cannot be discarded.
type inProgressError struct{ run string }

func (e *inProgressError) Error() string {
	return fmt.Sprintf("the run %s is in progress: its records cannot be discarded before it has ended", e.run)
}

// ExitCode returns the exit code of the command line for this error.
func (*inProgressError) ExitCode() int { return exitcode.Busy }
