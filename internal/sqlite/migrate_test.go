package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

var midnight = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// version1 makes a repository as the first release left it, with one version
// of web and an event of it.
func version1(t *testing.T) (path string) {
	t.Helper()
	schema, err := os.ReadFile("schema/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "delivery.db")
	execute(t, path, "PRAGMA journal_mode = WAL",
		string(schema)+"; PRAGMA application_id = 1684829810; PRAGMA user_version = 1",
		fmt.Sprintf(`INSERT INTO versions VALUES ('web', 1, '0.1.0', 'semver', 'run-1', 'abc', '{"branch":"main"}', %d, NULL, NULL, '0.1.0', '')`, midnight.UnixMicro()),
		fmt.Sprintf(`INSERT INTO events VALUES (1, 'e-1', 'web', 1, 'run-1', 'bake', 'laptop', 'succeeded', 'baked', 'https://example.com/r', %d)`, midnight.UnixMicro()))
	return path
}

// execute runs statements as another program would.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_Upgrades(t *testing.T) {
	path := version1(t)
	check := func(s builddata.Store, token int64) {
		t.Helper()
		v, err := s.Version(t.Context(), "web", "0.1.0")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, builddata.Version{
			Service: "web", Number: 1, Name: "0.1.0", Scheme: builddata.Semver, Key: "run-1", SourceRevision: "abc",
			Labels: map[string]string{"branch": "main"}, CreatedAt: midnight,
		}); diff != "" {
			t.Errorf("got (-) differs from want (+):\n%s", diff)
		}
		events, err := s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1})
		if err != nil || len(events) != 1 || events[0].ID != "e-1" {
			t.Errorf("got events %v and %v, want e-1", events, err)
		}
		l, err := s.Acquire(t.Context(), "web", "ada", time.Minute)
		if err != nil || l.Token != token {
			t.Fatalf("got %v and %v, want token %d", l, err, token)
		}
		id := fmt.Sprint("r-", token)
		err = s.Begin(t.Context(), l, builddata.Rollout{
			ID: id, Service: "web", Environment: "production", Region: fmt.Sprint("region-", token), ToVersion: "0.1.0", Plan: []byte("{}"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Record(t.Context(), l, id, builddata.Entry{Step: "launch", Phase: builddata.Began}); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path, clock.NewFake(midnight))
	check(s, 1)
	check(open(t, path, clock.NewFake(midnight)), 2) // now of this version
	v, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor})
	if err != nil || v.Name != "0.2.0" {
		t.Errorf("got %q and %v, want 0.2.0", v.Name, err)
	}
}

func TestOpen_UpgradesOnceHoweverManyOpen(t *testing.T) {
	path := version1(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), path, clock.System{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Version(t.Context(), "web", "0.1.0"); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// While the upgrade waits for the lock, its holder makes the file one of a
// newer release.
func TestOpen_RefusesANewerReleaseThatCameBetween(t *testing.T) {
	path := version1(t)
	release := holdLock(t, path)
	hands := &releasing{Fake: clock.NewFake(midnight), f: func() {
		release()
		execute(t, path, "PRAGMA user_version = 99")
	}}
	s, err := sqlite.Open(t.Context(), path, hands)
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, builddata.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), "newer release") {
		t.Errorf("got %v, want ErrCorrupt because of a newer release", err)
	}
}
