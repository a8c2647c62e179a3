package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fixture is a folder of spool files, and a repository that can be made unreachable.
type fixture struct {
	folder string
	store  builddata.Store
	down   atomic.Bool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"), clock.NewFake(noon))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{folder: t.TempDir(), store: store}
}

func (f *fixture) connect(context.Context) (spool.Repository, error) {
	if f.down.Load() {
		return nil, builddata.ErrUnavailable
	}
	return f.store, nil
}

func (f *fixture) begin(t *testing.T, run, version string) *spool.File {
	t.Helper()
	file, err := spool.Create(t.Context(), f.folder, run, version, "", f.connect, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func started(id string) builddata.Run {
	return builddata.Run{ID: id, Service: "web", Pipe: "ci", Definition: []byte("{}"), Status: builddata.Started, StartedAt: noon,
		SeenAt: noon}
}

func ended(r builddata.Run) builddata.Run {
	r.Status, r.EndedAt = builddata.Succeeded, noon.Add(time.Minute)
	return r
}

func event(run string, n int, step string, status builddata.Status) builddata.Event {
	return builddata.Event{ID: fmt.Sprintf("%s-%d", run, n), Service: "web", Run: run, Step: step, Type: "build.command", Status: status,
		At: noon.Add(time.Duration(n) * time.Second)}
}

// recorded lists what the repository holds of a run.
func (f *fixture) recorded(t *testing.T, run string) []string {
	t.Helper()
	r, err := f.store.Run(t.Context(), "web", run)
	if err != nil {
		t.Fatal(err)
	}
	events, err := f.store.Events(t.Context(), builddata.EventQuery{Service: "web", Run: run})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{fmt.Sprintf("%s %d %s %s", r.ID, r.Number, r.Status, r.EndedAt.Format("15:04:05"))}
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s %d %s", e.Step, e.Number, e.Status))
	}
	return all
}

func (f *fixture) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFile(t *testing.T) {
	f := newFixture(t)
	file := f.begin(t, "r-1", "")
	file.Run(started("r-1"))
	file.Event(event("r-1", 1, "build", builddata.Started))
	if err := file.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 0 started 00:00:00", "build 0 started"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	file.Event(event("r-1", 2, "build", builddata.Succeeded))
	file.Run(ended(started("r-1")))
	if err := file.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 started", "build 0 succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if files := f.files(t); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

// The repository cannot be reached during the whole run, which is for an existing version.
// The number of the version is added once the repository can be reached again.
func TestFile_Outage(t *testing.T) {
	f := newFixture(t)
	v, err := f.store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor})
	if err != nil {
		t.Fatal(err)
	}
	f.down.Store(true)
	file := f.begin(t, "r-1", v.Name)
	file.Run(started("r-1"))
	file.Event(event("r-1", 1, "build", builddata.Started))
	file.Event(event("r-1", 2, "build", builddata.Succeeded))
	file.Run(ended(started("r-1")))
	var unsent *spool.UnsentError
	if err := file.Close(t.Context()); !errors.As(err, &unsent) || unsent.Records != 4 || !errors.Is(err, builddata.ErrUnavailable) {
		t.Fatalf("got %v, want that 4 records are unsent", err)
	}
	f.down.Store(false)
	for range 2 { // the second time, there is nothing to send
		if _, err := spool.Sync(t.Context(), f.folder, f.store); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 1 succeeded 12:01:00", "build 1 started", "build 1 succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if files := f.files(t); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

// If the given version did not exist at the time of the run, the run is recorded without a
// version, even if a version got that name later.
func TestSync_UnknownVersion(t *testing.T) {
	for name, allocate := range map[string]bool{"Never": false, "Later": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.down.Store(true)
			file := f.begin(t, "r-1", "1")
			begun := started("r-1")
			begun.StartedAt = noon.Add(-time.Hour)
			file.Run(begun)
			built := event("r-1", 1, "build", builddata.Succeeded)
			built.At = noon.Add(-time.Minute)
			file.Event(built)
			file.Run(ended(begun))
			if err := file.Close(t.Context()); err == nil {
				t.Fatal("the records were sent")
			}
			if allocate {
				if _, err := f.store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
					t.Fatal(err)
				}
			}
			all, err := spool.Sync(t.Context(), f.folder, f.store)
			if err != nil || len(all) != 1 || all[0].UnknownVersion != "1" {
				t.Errorf("got %+v and %v, want that version 1 is unknown", all, err)
			}
			if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 succeeded"}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			if files := f.files(t); len(files) > 0 {
				t.Errorf("left %v", files)
			}
		})
	}
}

// If the repository stores records but the reply is lost, the records are sent again and
// stored once.
func TestSync_ExactlyOnce(t *testing.T) {
	for fails := range 6 {
		f := newFixture(t)
		f.down.Store(true)
		file := f.begin(t, "r-1", "")
		file.Run(started("r-1"))
		file.Event(event("r-1", 1, "build", builddata.Started))
		file.Event(event("r-1", 2, "build", builddata.Succeeded))
		file.Run(ended(started("r-1")))
		_ = file.Close(t.Context())
		repository := &flaky{Store: f.store, failures: fails}
		for range 10 {
			if _, err := spool.Sync(t.Context(), f.folder, repository); err == nil {
				break
			}
		}
		if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 started", "build 0 succeeded"}); diff != "" {
			t.Errorf("%d failures: got (-) differs from want (+):\n%s", fails, diff)
		}
	}
}

// flaky is a store that loses the replies of its first writes.
type flaky struct {
	builddata.Store
	failures int
}

func (f *flaky) lose(err error) error {
	if f.failures > 0 && err == nil {
		f.failures--
		return builddata.ErrUnavailable
	}
	return err
}

func (f *flaky) Append(ctx context.Context, events ...builddata.Event) error {
	return f.lose(f.Store.Append(ctx, events...))
}

func (f *flaky) SaveRun(ctx context.Context, r builddata.Run) error {
	return f.lose(f.Store.SaveRun(ctx, r))
}

// leave writes a spool file as a killed runner leaves it.
func (f *fixture) leave(t *testing.T, run string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.folder, run+".spool"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	lineFormat = `{"format":1}`
	lineRun    = `{"run":{"id":"r-1","service":"web","pipe":"ci","definition":"e30=","status":"started",` +
		`"started_at":"2026-11-24T12:00:00Z","seen_at":"2026-11-24T12:00:00Z"}}`
	lineBegan = `{"event":{"id":"e-1","service":"web","run":"r-1",` +
		`"step":"build","type":"build.command","status":"started","at":"2026-11-24T12:00:05Z"}}`
)

// A run whose runner died is recorded as lost, and so is the step that was running. A line
// that is cut off is ignored.
func TestSync_DeadRunner(t *testing.T) {
	for name, lines := range map[string][]string{"Whole": {lineFormat, lineRun, lineBegan, ""},
		"CutOff": {lineFormat, lineRun, lineBegan, `{"event":{"id":"e-`}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.leave(t, "r-1", lines...)
			all, err := spool.Sync(t.Context(), f.folder, f.store)
			if err != nil || len(all) != 1 || all[0].Run.Status != builddata.Lost || len(all[0].LostSteps) != 1 || all[0].LostSteps[0] != "build" {
				t.Fatalf("got %+v and %v", all, err)
			}
			if diff := cmp.Diff(f.recorded(t, "r-1"), []string{"r-1 0 lost 12:00:05", "build 0 started", "build 0 lost"}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			if files := f.files(t); len(files) > 0 {
				t.Errorf("left %v", files)
			}
		})
	}
}

// The spool file of a run in progress is skipped.
func TestSync_RunInProgress(t *testing.T) {
	f := newFixture(t)
	f.down.Store(true)
	file := f.begin(t, "r-1", "")
	file.Run(started("r-1"))
	if all, err := spool.Sync(t.Context(), f.folder, f.store); err != nil || len(all) > 0 {
		t.Errorf("got %+v and %v", all, err)
	}
	f.down.Store(false)
	if err := file.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A damaged spool file stays as it is. The other files are sent.
func TestSync_Damaged(t *testing.T) {
	f := newFixture(t)
	f.leave(t, "r-0", lineFormat, lineRun, "junk", "")
	f.leave(t, "r-1", lineFormat, lineRun, "")
	all, err := spool.Sync(t.Context(), f.folder, f.store)
	if err == nil || !strings.Contains(err.Error(), "r-0.spool:3:") || len(all) != 1 {
		t.Errorf("got %+v and %v, want an error that names the line", all, err)
	}
	if _, err := os.Stat(filepath.Join(f.folder, "r-0.spool")); err != nil {
		t.Error(err)
	}
}

// A file whose records are of another run, or have an ID that would lead out of a folder,
// is not sent.
func TestSync_OtherRun(t *testing.T) {
	for name, run := range map[string]string{"Parent": "../../kept", "Absolute": "/kept", "Another": "r-2", "None": ""} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for file, line := range map[string]string{"r-1": lineRun, "r-3": lineBegan} {
				f.leave(t, file, lineFormat, strings.ReplaceAll(line, `"r-1"`, fmt.Sprintf("%q", run)), "")
			}
			all, err := spool.Sync(t.Context(), f.folder, f.store)
			if err == nil || !strings.Contains(err.Error(), "r-1.spool") || !strings.Contains(err.Error(), "r-3.spool") || len(all) > 0 {
				t.Errorf("got %+v and %v, want errors that name the files", all, err)
			}
			if services, err := f.store.Services(t.Context()); err != nil || len(services) > 0 {
				t.Errorf("got %v and %v, want that nothing was sent", services, err)
			}
		})
	}
}

func TestCreate_RefusesPaths(t *testing.T) {
	f := newFixture(t)
	for _, run := range []string{"", "..", "../r-1"} {
		if _, err := spool.Create(t.Context(), f.folder, run, "", "", f.connect, clock.System{}); err == nil {
			t.Errorf("created the spool file of run %q", run)
		}
	}
}

// If the disk is full, nothing is lost as long as the repository can be reached.
func TestFile_DiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	for _, down := range []bool{false, true} {
		f := newFixture(t)
		if err := os.Symlink("/dev/full", filepath.Join(f.folder, "r-1.spool")); err != nil {
			t.Fatal(err)
		}
		f.down.Store(down)
		file := f.begin(t, "r-1", "")
		file.Run(started("r-1"))
		file.Run(ended(started("r-1")))
		err := file.Close(t.Context())
		var unsent *spool.UnsentError
		switch {
		case !down:
			if err != nil {
				t.Error(err)
			}
			f.recorded(t, "r-1")
		case !errors.As(err, &unsent) || unsent.Lost == nil || !strings.Contains(err.Error(), "are lost"):
			t.Errorf("got %v, want that the records are lost", err)
		}
	}
}
