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

// place is a folder of journals and a repository that can be out of reach.
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

func (p *fixture) connect(context.Context) (spool.Repository, error) {
	if p.down.Load() {
		return nil, builddata.ErrUnavailable
	}
	return p.store, nil
}

func (p *fixture) begin(t *testing.T, run, version string) *spool.File {
	t.Helper()
	j, err := spool.Create(t.Context(), p.folder, run, version, p.connect, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func started(id string) builddata.Run {
	return builddata.Run{ID: id, Service: "web", Pipe: "ci", Definition: []byte("{}"), Status: builddata.Started, StartedAt: noon, SeenAt: noon}
}

func ended(r builddata.Run) builddata.Run {
	r.Status, r.EndedAt = builddata.Succeeded, noon.Add(time.Minute)
	return r
}

func event(run string, n int, step string, status builddata.Status) builddata.Event {
	return builddata.Event{ID: fmt.Sprintf("%s-%d", run, n), Service: "web", Run: run, Step: step, Type: "build.command", Status: status, At: noon.Add(time.Duration(n) * time.Second)}
}

// happened lists what the repository knows of a run.
func (p *fixture) happened(t *testing.T, run string) []string {
	t.Helper()
	r, err := p.store.Run(t.Context(), "web", run)
	if err != nil {
		t.Fatal(err)
	}
	events, err := p.store.Events(t.Context(), builddata.EventQuery{Service: "web", Run: run})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{fmt.Sprintf("%s %d %s %s", r.ID, r.Number, r.Status, r.EndedAt.Format("15:04:05"))}
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s %d %s", e.Step, e.Number, e.Status))
	}
	return all
}

func (p *fixture) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(p.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestJournal(t *testing.T) {
	p := newFixture(t)
	j := p.begin(t, "r-1", "")
	j.Run(started("r-1"))
	j.Event(event("r-1", 1, "build", builddata.Started))
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 0 started 00:00:00", "build 0 started"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	j.Event(event("r-1", 2, "build", builddata.Succeeded))
	j.Run(ended(started("r-1")))
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 started", "build 0 succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if files := p.files(t); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

// An outage from beginning to end, for a version that was brought: its number
// is found once the repository is back.
func TestFile_Outage(t *testing.T) {
	p := newFixture(t)
	v, err := p.store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor})
	if err != nil {
		t.Fatal(err)
	}
	p.down.Store(true)
	j := p.begin(t, "r-1", v.Name)
	j.Run(started("r-1"))
	j.Event(event("r-1", 1, "build", builddata.Started))
	j.Event(event("r-1", 2, "build", builddata.Succeeded))
	j.Run(ended(started("r-1")))
	var unsent *spool.UnsentError
	if err := j.Close(t.Context()); !errors.As(err, &unsent) || unsent.Records != 4 || !errors.Is(err, builddata.ErrUnavailable) {
		t.Fatalf("got %v, want that 4 records are unsent", err)
	}
	p.down.Store(false)
	for range 2 { // the second time there is nothing left
		if _, err := spool.Sync(t.Context(), p.folder, p.store); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 1 succeeded 12:01:00", "build 1 started", "build 1 succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if files := p.files(t); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

// A version that was brought, but that there was not at the time, is no reason
// to keep what happened for ever, nor is it that of another who got its name
// later.
func TestSync_UnknownVersion(t *testing.T) {
	for name, allocate := range map[string]bool{"Never": false, "Later": true} {
		t.Run(name, func(t *testing.T) {
			p := newFixture(t)
			p.down.Store(true)
			j := p.begin(t, "r-1", "1")
			begun := started("r-1")
			begun.StartedAt = noon.Add(-time.Hour)
			j.Run(begun)
			built := event("r-1", 1, "build", builddata.Succeeded)
			built.At = noon.Add(-time.Minute)
			j.Event(built)
			j.Run(ended(begun))
			if err := j.Close(t.Context()); err == nil {
				t.Fatal("it was sent")
			}
			if allocate {
				if _, err := p.store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
					t.Fatal(err)
				}
			}
			all, err := spool.Sync(t.Context(), p.folder, p.store)
			if err != nil || len(all) != 1 || all[0].UnknownVersion != "1" {
				t.Errorf("got %+v and %v, want that version 1 is unknown", all, err)
			}
			if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 succeeded"}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			if files := p.files(t); len(files) > 0 {
				t.Errorf("left %v", files)
			}
		})
	}
}

// The repository stops answering after it has stored something: what is sent
// again is there once.
func TestSync_ExactlyOnce(t *testing.T) {
	for fails := range 6 {
		p := newFixture(t)
		p.down.Store(true)
		j := p.begin(t, "r-1", "")
		j.Run(started("r-1"))
		j.Event(event("r-1", 1, "build", builddata.Started))
		j.Event(event("r-1", 2, "build", builddata.Succeeded))
		j.Run(ended(started("r-1")))
		_ = j.Close(t.Context())
		flaky := &flaky{Store: p.store, until: fails}
		for range 10 {
			if _, err := spool.Sync(t.Context(), p.folder, flaky); err == nil {
				break
			}
		}
		if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 0 succeeded 12:01:00", "build 0 started", "build 0 succeeded"}); diff != "" {
			t.Errorf("%d failures: got (-) differs from want (+):\n%s", fails, diff)
		}
	}
}

// flaky does what it is asked and then loses the reply, a few times.
type flaky struct {
	builddata.Store
	until int
}

func (f *flaky) lose(err error) error {
	if f.until > 0 && err == nil {
		f.until--
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

// die leaves a journal as a runner that was killed does.
func (p *fixture) die(t *testing.T, run string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.folder, run+".spool"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	lineFormat = `{"format":1}`
	lineRun    = `{"run":{"id":"r-1","service":"web","pipe":"ci","definition":"e30=","status":"started",` +
		`"started_at":"2026-11-24T12:00:00Z","seen_at":"2026-11-24T12:00:00Z"}}`
	lineBegan = `{"event":{"id":"e-1","service":"web","run":"r-1","step":"build","type":"build.command","status":"started","at":"2026-11-24T12:00:05Z"}}`
)

// A runner that died is recorded as that, at the step it was at; the line that
// it was writing is left out.
func TestSync_DeadRunner(t *testing.T) {
	for name, lines := range map[string][]string{"Whole": {lineFormat, lineRun, lineBegan, ""}, "CutOff": {lineFormat, lineRun, lineBegan, `{"event":{"id":"e-`}} {
		t.Run(name, func(t *testing.T) {
			p := newFixture(t)
			p.die(t, "r-1", lines...)
			all, err := spool.Sync(t.Context(), p.folder, p.store)
			if err != nil || len(all) != 1 || all[0].Run.Status != builddata.Lost || len(all[0].LostSteps) != 1 || all[0].LostSteps[0] != "build" {
				t.Fatalf("got %+v and %v", all, err)
			}
			if diff := cmp.Diff(p.happened(t, "r-1"), []string{"r-1 0 lost 12:00:05", "build 0 started", "build 0 lost"}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
			if files := p.files(t); len(files) > 0 {
				t.Errorf("left %v", files)
			}
		})
	}
}

// A run that goes on is none of anybody's business.
func TestSync_PassesOverTheLiving(t *testing.T) {
	p := newFixture(t)
	p.down.Store(true)
	j := p.begin(t, "r-1", "")
	j.Run(started("r-1"))
	if all, err := spool.Sync(t.Context(), p.folder, p.store); err != nil || len(all) > 0 {
		t.Errorf("got %+v and %v", all, err)
	}
	p.down.Store(false)
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A damaged journal stays as it is, and keeps no other from being sent.
func TestSync_Damaged(t *testing.T) {
	p := newFixture(t)
	p.die(t, "r-0", lineFormat, lineRun, "junk", "")
	p.die(t, "r-1", lineFormat, lineRun, "")
	all, err := spool.Sync(t.Context(), p.folder, p.store)
	if err == nil || !strings.Contains(err.Error(), "r-0.spool:3:") || len(all) != 1 {
		t.Errorf("got %+v and %v, want an error that names the line", all, err)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "r-0.spool")); err != nil {
		t.Error(err)
	}
}

// A disk that is full is no reason to lose anything while the repository can
// be reached.
func TestFile_DiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	for _, down := range []bool{false, true} {
		p := newFixture(t)
		if err := os.Symlink("/dev/full", filepath.Join(p.folder, "r-1.spool")); err != nil {
			t.Fatal(err)
		}
		p.down.Store(down)
		j := p.begin(t, "r-1", "")
		j.Run(started("r-1"))
		j.Run(ended(started("r-1")))
		err := j.Close(t.Context())
		var unsent *spool.UnsentError
		switch {
		case !down:
			if err != nil {
				t.Error(err)
			}
			p.happened(t, "r-1")
		case !errors.As(err, &unsent) || unsent.Lost == nil || !strings.Contains(err.Error(), "are lost"):
			t.Errorf("got %v, want that the records are lost", err)
		}
	}
}
