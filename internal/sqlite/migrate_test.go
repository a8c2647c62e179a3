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

// execute runs statements on the file, without the store.
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

// TestOpen_ReadsEverySchema opens a sample of each schema and compares everything in it.
func TestOpen_ReadsEverySchema(t *testing.T) {
	samples, err := filepath.Glob("testdata/schema-*.sql")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("schema/*.sql")
	if err != nil || len(samples) != len(files) {
		t.Fatalf("got %d samples of %d schemas and %v: keep a sample of each", len(samples), len(files), err)
	}
	for _, sample := range samples {
		t.Run(filepath.Base(sample), func(t *testing.T) {
			text, err := os.ReadFile(sample)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "delivery.db")
			execute(t, path, "PRAGMA journal_mode = WAL", string(text))
			s := open(t, path, clock.NewFake(midnight.Add(time.Hour)))
			bake, status := "b-1", builddata.ImageReplaced
			if filepath.Base(sample) == "schema-4.sql" { // images had neither
				bake, status = "", builddata.ImageAvailable
			}
			var deploy *builddata.Deploy
			number := strings.TrimPrefix(filepath.Base(sample), "schema-")
			if number >= "7" { // nothing kept them before
				deploy = &builddata.Deploy{
					Service: "web", Environment: "prod", Number: 1, Version: "0.1.0", Run: "r-1", Step: "roll out", At: midnight,
				}
			}
			logAddress, outputTail := "", ""
			if number >= "8" { // events had neither
				logAddress, outputTail = "s3://logs/web/r-1/unit%20tests.log", "1 test failed"
			}
			want := everything{
				Deploy:   deploy,
				Services: []string{"api", "web"},
				Versions: []builddata.Version{
					{
						Service: "web", Number: 2, Name: "2026.11.1", Scheme: builddata.Calver, Labels: map[string]string{}, CreatedAt: midnight,
						Revocation: &builddata.Revocation{At: midnight, Reason: "loses orders"},
					},
					{
						Service: "web", Number: 1, Name: "0.1.0", Scheme: builddata.Semver, Key: "run-1", SourceRevision: "abc",
						Labels: map[string]string{"branch": "main"}, CreatedAt: midnight,
					},
				},
				Events: []builddata.Event{
					{
						ID: "e-1", Service: "web", Run: "r-1", Step: "clean", Type: "setup.clean", Location: "ci-7",
						Status: builddata.Succeeded, At: midnight,
					},
					{
						ID: "e-2", Service: "web", Number: 1, Run: "r-1", Step: "unit tests", Type: "test.command", Location: "ci-7",
						Status: builddata.Succeeded, Reason: "cached", Message: "2 tests passed", Report: `{"passed":2}`,
						LogAddress: logAddress, OutputTail: outputTail, Outputs: map[string]string{"url": "https://example.com"}, At: midnight,
					},
				},
				Images: []builddata.Image{{
					Service: "web", Number: 1, Region: "eu-north-1", ID: "ami-1", Architecture: "arm64", Digest: "sha256:1", Run: "r-1",
					Bake: bake, Status: status, RegisteredAt: midnight,
				}},
				Lease: builddata.Lease{
					Service: "web", Name: "cluster:prod:eu-north-1", Holder: "ada@ci-7", Token: 1,
					AcquiredAt: midnight, ExpiresAt: midnight.Add(time.Minute),
				},
				Rollout: builddata.Rollout{
					ID: "o-1", Service: "web", Environment: "prod", Region: "eu-north-1", ToVersion: "0.1.0", Plan: []byte(`{"format":1}`),
					Status: builddata.Failed, Result: []byte(`{"format":1}`), Gone: true, AbortRequestedBy: "grace@laptop", StartedAt: midnight,
					EndedAt: midnight,
					Entries: []builddata.Entry{
						{Step: "make_template:web-prod-bcdfghjk", Phase: builddata.Began, At: midnight},
						{Step: "make_template:web-prod-bcdfghjk", Undo: true, Phase: builddata.Erred, Note: "refused", At: midnight},
					},
				},
				Run: builddata.Run{
					ID: "r-1", Service: "web", Number: 1, Pipe: "ci", Definition: []byte(`{"format":1,"name":"ci"}`),
					Context: map[string]string{"owner_team": "fruit"}, To: "bake", Revision: "abc", Holder: "ada@ci-7",
					Status: builddata.Started, StartedAt: midnight, SeenAt: midnight.Add(time.Second),
				},
				Promotions: []builddata.Promotion{{Service: "web", Number: 1, Stage: "passed_test", Requires: []string{"test"}, Run: "r-1",
					At: midnight}},
			}
			if diff := cmp.Diff(readEverything(t, s), want); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			v, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor})
			if err != nil || v.Name != "0.2.0" || v.Number != 3 {
				t.Errorf("got %q, number %d, and %v, want 0.2.0, number 3", v.Name, v.Number, err)
			}
		})
	}
}

// everything is the content of a sample.
type everything struct {
	Services   []string
	Versions   []builddata.Version
	Events     []builddata.Event
	Images     []builddata.Image
	Lease      builddata.Lease
	Rollout    builddata.Rollout
	Run        builddata.Run
	Promotions []builddata.Promotion
	Deploy     *builddata.Deploy
}

func readEverything(t *testing.T, s builddata.Store) (e everything) {
	t.Helper()
	ctx := t.Context()
	var errs [9]error
	e.Services, errs[0] = s.Services(ctx)
	e.Versions, errs[1] = s.Versions(ctx, builddata.VersionQuery{Service: "web", IncludeRevoked: true})
	e.Events, errs[2] = s.Events(ctx, builddata.EventQuery{Service: "web", Run: "r-1"})
	e.Images, errs[3] = s.Images(ctx, builddata.ImageQuery{Service: "web", Number: 1})
	e.Lease, errs[4] = s.Lease(ctx, "web", "cluster:prod:eu-north-1")
	e.Rollout, errs[5] = s.Rollout(ctx, "web", "o-1")
	e.Run, errs[6] = s.Run(ctx, "web", "r-1")
	e.Promotions, errs[7] = s.LatestPromotions(ctx, "web")
	if d, err := s.LatestDeploy(ctx, "web", "prod"); !errors.Is(err, builddata.ErrNotFound) {
		e.Deploy, errs[8] = &d, err
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOpen_CreatesOneSchemaUnderContention(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delivery.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), path, clock.System{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// While Open waits for the lock to create the schema, the holder of the lock upgrades the
// file to a newer release.
func TestOpen_RefusesConcurrentUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delivery.db")
	release := holdLock(t, path)
	fakeClock := &interruptingClock{Fake: clock.NewFake(midnight), f: func() {
		release()
		execute(t, path, "PRAGMA user_version = 99")
	}}
	s, err := sqlite.Open(t.Context(), path, fakeClock)
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, builddata.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), "newer release") {
		t.Errorf("got %v, want ErrCorrupt because of a newer release", err)
	}
}
