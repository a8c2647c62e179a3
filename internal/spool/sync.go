package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Synced is what became of one journal.
type Synced struct {
	// Run is the run as it is known now.
	Run builddata.Run
	// Entries is how many records were sent.
	Entries int
	// Lost names the steps that were at work when the runner died.
	Lost []string
	// Unknown is the version that the caller had brought, if there was none of
	// that name; the run is on record without one.
	Unknown string
}

// Sync sends what dead runs and outages have left in a folder, the oldest run
// first. A run that has no end died with its runner, since nobody holds its
// journal any more: it is recorded as lost at the time of its last record. The
// journals of runs that go on are passed over.
func Sync(ctx context.Context, folder string, repository Repository) ([]Synced, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*"+extension)) // sorted, as the runs' ids are
	if err != nil {
		return nil, err
	}
	var all []Synced
	var errs []error
	for _, path := range paths {
		synced, err := syncOne(ctx, path, repository)
		switch {
		case errors.Is(err, errHeld), errors.Is(err, os.ErrNotExist):
		case err != nil:
			errs = append(errs, fmt.Errorf("%s stays as it is: %w", path, err))
		case synced.Entries > 0:
			all = append(all, synced)
		}
	}
	return all, errors.Join(errs...)
}

func syncOne(ctx context.Context, path string, repository Repository) (s Synced, err error) {
	lock, err := hold(path)
	if err != nil {
		return s, err
	}
	defer lock.Unlock() //nolint:errcheck // the system does so at the end of the process
	entries, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, errors.Join(err, os.Remove(path+".lock")) // somebody else was first
	}
	if err != nil {
		return s, err
	}
	end, lost := obituary(entries)
	s.Lost = lost
	entries = append(entries, end...)
	s.Entries = len(entries)
	if _, err := deliver(ctx, repository, entries); err != nil {
		return s, err
	}
	for _, e := range entries {
		if e.Run == nil {
			continue
		}
		s.Run = *e.Run
		if s.Run.Number, err = number(ctx, repository, s.Run.Service, e.Version, s.Run.Number, s.Run.StartedAt); err != nil {
			return s, err
		}
		if s.Unknown = ""; s.Run.Number == 0 {
			s.Unknown = e.Version
		}
	}
	return s, remove(path)
}

// obituary returns what a runner that died could not record any more, and the
// names of the steps it was at.
func obituary(entries []entry) (end []entry, lost []string) {
	var run *builddata.Run
	var version string
	var last time.Time
	open := map[string]builddata.Event{}
	var order []string
	for _, e := range entries {
		if e.Run != nil {
			run, version, last = e.Run, e.Version, e.Run.SeenAt
		}
		if e.Event == nil {
			continue
		}
		last = e.Event.At
		if e.Event.Status == builddata.Started {
			open[e.Event.Step] = *e.Event
			order = append(order, e.Event.Step)
		} else {
			delete(open, e.Event.Step)
		}
	}
	if run == nil || run.Status != builddata.Started {
		return nil, nil
	}
	for _, step := range order {
		event, ok := open[step]
		if !ok {
			continue
		}
		delete(open, step)
		lost = append(lost, step)
		// The same ID however often this is computed.
		event.ID, event.Status, event.At = "lost-"+event.ID, builddata.Lost, last
		event.Message = "the runner died in this step"
		end = append(end, entry{Version: version, Event: &event})
	}
	over := *run
	over.Status, over.EndedAt, over.SeenAt, over.Message = builddata.Lost, last, last, "the runner died"
	if len(lost) > 0 {
		over.Message = "the runner died at " + strings.Join(lost, ", ")
	}
	return append(end, entry{Version: version, Run: &over}), lost
}

// NewID returns an id that is unique and sorts by time.
func NewID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String()
}
