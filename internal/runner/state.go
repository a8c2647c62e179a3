package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/userdir"
)

// State is the folder for the files of this machine's runs: logs, records that the
// repository does not have yet, and locks on checkouts. It is outside of the checkouts, so
// that cleaning or removing a checkout does not remove them.
type State struct{ folder string }

// OpenState returns the folder delivery in the user's state directory.
func OpenState() (State, error) {
	base, err := userdir.State()
	if err != nil {
		return State{}, fmt.Errorf("find the folder for the logs and records of runs: %w", err)
	}
	return State{folder: filepath.Join(base, "delivery")}, nil
}

// Spool returns the folder of the spool files for a repository; see package spool.
func (s State) Spool(repositoryKey string) string {
	return filepath.Join(s.folder, "spool", repositoryKey)
}

// Libraries returns the folder of fetched libraries of pipes.
func (s State) Libraries() string { return filepath.Join(s.folder, "libraries") }

// Scratch creates a folder for one run that only this user can read.
func (s State) Scratch(run string) (folder string, err error) {
	if err := builddata.ValidateRun(run); err != nil {
		return "", fmt.Errorf("create a folder for the run: %w", err)
	}
	folder = s.scratch(run)
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", fmt.Errorf("create a folder for the run: %w", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", fmt.Errorf("create a folder for the run: %w", err)
	}
	return folder, nil
}

func (s State) scratch(run string) string { return filepath.Join(s.folder, "scratch", run) }

// RemoveScratch removes the folder of a run that has ended. A runner that was
// killed may have left secrets in it.
func (s State) RemoveScratch(run string) error {
	if err := builddata.ValidateRun(run); err != nil {
		return fmt.Errorf("remove the files of a run from this machine: %w", err)
	}
	if err := os.RemoveAll(s.scratch(run)); err != nil {
		return fmt.Errorf("remove the files of run %s from this machine: %w", run, err)
	}
	return nil
}

// fileName returns a file name for a step. A digest distinguishes steps whose names differ
// only in characters that are replaced.
func fileName(step string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, step)
	if name == step && len(name) <= 60 && !strings.HasPrefix(name, ".") {
		return name
	}
	digest := sha256.Sum256([]byte(step))
	return strings.Trim(name[:min(len(name), 60)], ".-") + "-" + hex.EncodeToString(digest[:3])
}

// CheckoutBusyError says that another run is in progress in a checkout.
type CheckoutBusyError struct{ Root, Holder string }

func (e *CheckoutBusyError) Error() string {
	return fmt.Sprintf("a run by %s is in progress in %s: wait until it has ended, or use another checkout (git worktree add); "+
		"two runs would change each other's files", e.Holder, e.Root)
}

// ExitCode returns the exit code of the command line for this error.
func (e *CheckoutBusyError) ExitCode() int { return exitcode.Busy }

// LockCheckout prevents other runs of this user in a checkout until release is called or
// this process dies. Otherwise the error is a *CheckoutBusyError. The root is the folder of
// .delivery.yml, not the root of the git repository: services that share a git repository
// do not change each other's files.
func (s State) LockCheckout(root, holder string) (release func() error, err error) {
	path, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(s.folder, "checkouts")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("lock the checkout %s: %w", root, err)
	}
	digest := sha256.Sum256([]byte(path))
	path = filepath.Join(folder, hex.EncodeToString(digest[:12]))
	lock := flock.New(path + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the checkout %s: %w", root, err)
	}
	if !ok {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			text = []byte("another process")
		}
		return nil, &CheckoutBusyError{Root: root, Holder: string(text)}
	}
	if err := os.WriteFile(path, []byte(holder), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the checkout %s: %w", root, err), lock.Unlock())
	}
	return func() error { return errors.Join(os.Remove(path), lock.Unlock()) }, nil
}
