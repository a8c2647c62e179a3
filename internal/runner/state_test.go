package runner_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
)

// Each repository has its own folder of spool files.
func TestState_Spool(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s, err := runner.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	if one, other := s.Spool("a"), s.Spool("b"); one == other {
		t.Errorf("two repositories have the same folder %s", one)
	}
	if one, same := s.Spool("a"), s.Spool("a"); one != same {
		t.Errorf("one repository has the folders %s and %s", one, same)
	}
}

// The scratch folder of one run is removed without those of other runs.
func TestState_RemoveScratch(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s, err := runner.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	var folders [2]string
	for i, run := range []string{"one", "other"} {
		if folders[i], err = s.Scratch(run); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range []string{"one", "one"} {
		if err := s.RemoveScratch(run); err != nil {
			t.Errorf("run %q: %v", run, err)
		}
	}
	if _, err := os.Stat(folders[0]); !os.IsNotExist(err) {
		t.Errorf("got %v, want that %s is gone", err, folders[0])
	}
	if _, err := os.Stat(folders[1]); err != nil {
		t.Error(err)
	}
}

// An ID that is not an element of a path reaches no folder.
func TestState_RefusesPaths(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	s, err := runner.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scratch("one"); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(home, "kept")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"", ".", "..", "../../kept", kept, "one/../../../kept", `..\kept`} {
		if err := s.RemoveScratch(run); err == nil {
			t.Errorf("run %q: its scratch folder was removed", run)
		}
		if _, err := s.Scratch(run); err == nil {
			t.Errorf("run %q: got a scratch folder", run)
		}
		if _, _, err := s.Logs(run, runner.DefaultLogLimits)("build"); err == nil {
			t.Errorf("run %q: got a log", run)
		}
	}
	for _, folder := range []string{kept, filepath.Join(home, "delivery", "scratch", "one")} {
		if _, err := os.Stat(folder); err != nil {
			t.Error(err)
		}
	}
}
