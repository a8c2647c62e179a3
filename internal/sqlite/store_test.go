package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/storetest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

func open(t *testing.T, path string, c clock.Clock) builddata.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		// The name would break a DSN that does not escape it.
		path := filepath.Join(t.TempDir(), "new folder", "what? 100%#.db")
		return func(t *testing.T, c clock.Clock) builddata.Store { return open(t, path, c) }
	})
}

func TestOpen_CreatesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delivery.db")
	s := open(t, path, clock.System{})
	if _, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v and %v, want the database and its log", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o, want 600", filepath.Base(file), mode)
		}
	}
}

// What is recorded decides about promotions, so no other user may write it.
func TestOpen_MakesAFilePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	for before, want := range map[os.FileMode]os.FileMode{0o666: 0o600, 0o660: 0o600, 0o602: 0o600, 0o644: 0o644, 0o640: 0o640, 0o600: 0o600} {
		t.Run(before.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "delivery.db")
			s, err := sqlite.Open(t.Context(), path, clock.System{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, before); err != nil {
				t.Fatal(err)
			}
			again := open(t, path, clock.System{})
			if _, err := again.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(path + "*")
			if err != nil || len(files) < 2 {
				t.Fatalf("got %v and %v, want the database and its log", files, err)
			}
			for _, file := range files {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				if mode := info.Mode().Perm(); mode != want {
					t.Errorf("%s has mode %o, want %o", filepath.Base(file), mode, want)
				}
			}
		})
	}
}

func TestOpen_Refuses(t *testing.T) {
	write := func(t *testing.T, content string) string {
		path := filepath.Join(t.TempDir(), "delivery.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := func(t *testing.T, statements string) string {
		path := filepath.Join(t.TempDir(), "delivery.db")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(statements); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		path func(t *testing.T) string
		want error
		text string
	}{
		{"Corrupt", func(t *testing.T) string { return write(t, strings.Repeat("no database ", 1000)) }, builddata.ErrCorrupt, "damaged"},
		{
			"AnotherProgramsDatabase", func(t *testing.T) string { return foreign(t, "CREATE TABLE other (x)") }, builddata.ErrCorrupt,
			"another program",
		},
		{"NewerRelease", func(t *testing.T) string {
			return foreign(t, "CREATE TABLE v (x); PRAGMA application_id = 1684829810; PRAGMA user_version = 99")
		}, builddata.ErrCorrupt, "newer release"},
		{"BeforeTheFirstRelease", func(t *testing.T) string {
			return foreign(t, "CREATE TABLE v (x); PRAGMA application_id = 1684829810; PRAGMA user_version = 3")
		}, builddata.ErrCorrupt, "before the first release (schema 3"},
		{"Folder", func(t *testing.T) string { return t.TempDir() }, builddata.ErrUnavailable, "is a directory"},
		{
			"FileInThePath", func(t *testing.T) string { return filepath.Join(write(t, ""), "x", "delivery.db") }, builddata.ErrUnavailable,
			"not a directory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t)
			before, _ := os.ReadFile(path) // a folder has no content to compare
			s, err := sqlite.Open(t.Context(), path, clock.System{})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v with %q and the path of the file", err, tt.want, tt.text)
			}
			after, _ := os.ReadFile(path)
			if string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

// holdLock holds the write lock of the repository, as another process would.
func holdLock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// interruptingClock is a clock that calls f in its third sleep.
type interruptingClock struct {
	*clock.Fake
	f      func()
	sleeps int
}

func (r *interruptingClock) Sleep(ctx context.Context, d time.Duration) error {
	if r.sleeps++; r.sleeps == 3 {
		r.f()
	}
	return r.Fake.Sleep(ctx, d)
}

func TestStore_LockedByAnotherProcess(t *testing.T) {
	web := builddata.Allocation{Service: "web", Scheme: builddata.Sequence}
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

	t.Run("ForAWhile", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "delivery.db")
		fakeClock := &interruptingClock{Fake: clock.NewFake(start)}
		s := open(t, path, fakeClock)
		fakeClock.f = holdLock(t, path)
		if v, err := s.Allocate(t.Context(), web); err != nil || v.Number != 1 {
			t.Errorf("got %d and %v, want 1 once the lock is free", v.Number, err)
		}
	})
	t.Run("ForEver", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "delivery.db")
		s := open(t, path, clock.NewFake(start))
		release := holdLock(t, path)
		_, err := s.Allocate(t.Context(), web)
		if !errors.Is(err, builddata.ErrUnavailable) || !strings.Contains(err.Error(), "held its lock for 30s") {
			t.Errorf("got %v, want ErrUnavailable after 30s", err)
		}
		release()
		if v, err := s.Allocate(t.Context(), web); err != nil || v.Number != 1 {
			t.Errorf("afterwards: got %d and %v, want 1", v.Number, err)
		}
	})
	t.Run("UntilInterrupted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "delivery.db")
		ctx, cancel := context.WithCancel(t.Context())
		fakeClock := &interruptingClock{Fake: clock.NewFake(start), f: cancel}
		s := open(t, path, fakeClock)
		defer holdLock(t, path)()
		if _, err := s.Allocate(ctx, web); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// A child process allocates versions in a loop and prints their numbers. The parent kills
// it again and again. A number that was printed must never be allocated again.
func TestStore_Kill9(t *testing.T) {
	if path := os.Getenv("DELIVERY_TEST_ALLOCATE"); path != "" {
		allocateForEver(t, path)
	}
	kills := 200
	if testing.Short() {
		kills = 20
	}
	path := filepath.Join(t.TempDir(), "delivery.db")
	seen := map[int64]int{}
	last := int64(0)
	for kill := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore_Kill9$")
		cmd.Env = append(os.Environ(), "DELIVERY_TEST_ALLOCATE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var number int64
			if _, err := fmt.Sscanf(lines.Text(), "allocated %d.", &number); err != nil {
				continue // the kill cut the line off
			}
			if before, twice := seen[number]; twice {
				t.Fatalf("number %d was allocated before kill %d and before kill %d", number, before, kill)
			}
			if number <= last {
				t.Fatalf("number %d was allocated after %d", number, last)
			}
			seen[number], last = kill, number
			if n == kill%7 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only read
	var result string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("the file is damaged: %s %v", result, err)
	}
	t.Logf("%d kills, %d numbers allocated, none twice, the last %d; integrity %s", kills, len(seen), last, result)
}

func allocateForEver(t *testing.T, path string) {
	s := open(t, path, clock.System{})
	for {
		v, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("allocated %d.\n", v.Number)
	}
}

// Once the file was removed or replaced, nothing is read or written any more: SQLite would go
// on with the file that has no name.
func TestStore_FileRemoved(t *testing.T) {
	for name, replace := range map[string]bool{"Removed": false, "Replaced": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "delivery.db")
			s := open(t, path, clock.System{})
			web := builddata.Allocation{Service: "web", Scheme: builddata.Sequence}
			if _, err := s.Allocate(t.Context(), web); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(path + "*")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if err := os.Rename(file, file+".away"); err != nil {
					t.Fatal(err)
				}
			}
			if replace {
				open(t, path, clock.System{})
			}
			_, allocate := s.Allocate(t.Context(), web)
			_, read := s.Services(t.Context())
			_, id := s.ID(t.Context())
			for operation, err := range map[string]error{"Allocate": allocate, "Services": read, "ID": id} {
				var replaced *builddata.ReplacedError
				if !errors.As(err, &replaced) || replaced.Path != path || !errors.Is(err, builddata.ErrUnavailable) {
					t.Errorf("%s: got %v, want a ReplacedError of %s", operation, err, path)
				}
			}
		})
	}
}

// What is not there is missing in a certain repository, of which a user may have several.
func TestStore_NamesTheRepository(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delivery.db")
	s := open(t, path, clock.NewFake(midnight))
	_, err := s.Version(t.Context(), "web", "9.9.9")
	if want := "read version 9.9.9 of web: not found in the build data repository " + path; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
