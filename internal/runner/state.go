package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// State is the folder in which this machine keeps the files of its runs: logs,
// records that the repository does not have yet, and locks on checkouts. It is
// outside of every checkout, so that cleaning or removing one loses nothing.
type State struct{ folder string }

// OpenState returns the folder delivery in the user's state directory: as the
// XDG base directory specification has it, or LocalAppData on Windows.
func OpenState() (State, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" && runtime.GOOS == "windows" {
		base = os.Getenv("LocalAppData")
	}
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return State{}, fmt.Errorf("there is no home directory to keep the logs of runs in (%w); set XDG_STATE_HOME", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return State{folder: filepath.Join(base, "delivery")}, nil
}

// Spool is the folder of the spool files for a repository; see package spool.
func (s State) Spool(repositoryKey string) string {
	return filepath.Join(s.folder, "spool", repositoryKey)
}

// Libraries is the folder of libraries of pipes that were fetched.
func (s State) Libraries() string { return filepath.Join(s.folder, "libraries") }

// keptLogs is of how many runs the logs are kept.
const keptLogs = 50

// Logs returns what opens the log of each step of a run. The logs of old runs
// are removed.
func (s State) Logs(run string) (open func(step string) (io.WriteCloser, string, error)) {
	all := filepath.Join(s.folder, "logs")
	folder := filepath.Join(all, run)
	s.prune(all)
	return func(step string) (io.WriteCloser, string, error) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, "", err
		}
		file, err := os.OpenFile(filepath.Join(folder, fileName(step)+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, "", err
		}
		return file, file.Name(), nil
	}
}

// Scratch creates a folder for one run that only this user can read.
func (s State) Scratch(run string) (folder string, err error) {
	all := filepath.Join(s.folder, "scratch")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", fmt.Errorf("create a folder for the run: %w", err)
	}
	folder = filepath.Join(all, run)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", fmt.Errorf("create a folder for the run: %w", err)
	}
	return folder, nil
}

// RemoveScratch removes the folder of a run that has ended. A runner that was
// killed may have left secrets in it.
func (s State) RemoveScratch(run string) error {
	if run == "" {
		return nil // this would be the folder of all runs
	}
	if err := os.RemoveAll(filepath.Join(s.folder, "scratch", run)); err != nil {
		return fmt.Errorf("remove what run %s left on this machine: %w", run, err)
	}
	return nil
}

// prune removes all but the latest logs. What cannot be removed does no harm.
func (s State) prune(folder string) {
	entries, err := os.ReadDir(folder) // by name, and so by time
	if err != nil || len(entries) < keptLogs {
		return
	}
	for _, old := range entries[:len(entries)-keptLogs+1] {
		_ = os.RemoveAll(filepath.Join(folder, old.Name()))
	}
}

// fileName makes a file name of a step's name. A digest keeps steps apart whose
// names would become the same.
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
	return fmt.Sprintf("a run by %s is in progress in %s: two runs would change each other's files; wait until it has ended, or use another checkout (git worktree add)",
		e.Holder, e.Root)
}

// ExitCode is that of the command line.
func (e *CheckoutBusyError) ExitCode() int { return exitcode.Busy }

// LockCheckout keeps other runs of this user out of a checkout until release is
// called or this process dies. The root is the folder of its .delivery.yml,
// not git's: services that share a repository do not change each other's files.
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
