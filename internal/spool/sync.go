package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Synced describes a spool file that was sent.
type Synced struct {
	// Run is the run as it is recorded now.
	Run builddata.Run
	// Records is the number of records that were sent.
	Records int
	// LostSteps names the steps that were running when the runner died.
	LostSteps []string
	// UnknownVersion is the version that the run was for if no version had that name; the
	// run is then recorded without a version.
	UnknownVersion string
}

// Sync sends the spool files in a folder, the oldest run first, and removes them. It skips
// the files of runs in progress, which are locked. A run whose file is not locked and has
// no end has lost its runner: it is recorded as lost at the time of its last record.
func Sync(ctx context.Context, folder string, repository Repository) ([]Synced, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*"+extension)) // sorted, as the ids of runs are
	if err != nil {
		return nil, err
	}
	var all []Synced
	var errs []error
	for _, path := range paths {
		synced, err := syncFile(ctx, path, repository)
		switch {
		case errors.Is(err, errInProgress), errors.Is(err, os.ErrNotExist):
		case err != nil:
			errs = append(errs, fmt.Errorf("%s was not sent and not changed: %w", path, err))
		case synced.Records > 0:
			all = append(all, synced)
		}
	}
	return all, errors.Join(errs...)
}

func syncFile(ctx context.Context, path string, repository Repository) (s Synced, err error) {
	lock, err := lockFile(path)
	if err != nil {
		return s, err
	}
	defer lock.Unlock() //nolint:errcheck // the system does so at the end of the process
	records, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, errors.Join(err, os.Remove(path+".lock")) // another process was first
	}
	if err != nil {
		return s, err
	}
	if err := checkRun(path, records); err != nil {
		return s, err
	}
	lost, steps := lostRecords(records)
	s.LostSteps = steps
	records = append(records, lost...)
	s.Records = len(records)
	if _, err := deliver(ctx, repository, records); err != nil {
		return s, err
	}
	for _, r := range records {
		if r.Run == nil {
			continue
		}
		s.Run = *r.Run
		if s.Run.Number, err = number(ctx, repository, s.Run.Service, r.Version, s.Run.Number, s.Run.StartedAt); err != nil {
			return s, err
		}
		if s.UnknownVersion = ""; s.Run.Number == 0 {
			s.UnknownVersion = r.Version
		}
	}
	return s, remove(path)
}

// checkRun returns an error if a record is of another run than its file is named after: what
// is removed after sending would belong to that run.
func checkRun(path string, records []record) error {
	run := strings.TrimSuffix(filepath.Base(path), extension)
	for i, r := range records {
		if of := r.run(); of != run {
			return fmt.Errorf("line %d is of the run %q, and the file of the run %q", i+2, of, run)
		}
	}
	return nil
}

// lostRecords returns the final records of a run whose runner died, and the names of the
// steps that were running. It returns none for a run that has ended.
func lostRecords(records []record) (lost []record, steps []string) {
	var run *builddata.Run
	var version string
	var last time.Time
	open := map[string]builddata.Event{}
	var order []string
	for _, r := range records {
		if r.Run != nil {
			run, version, last = r.Run, r.Version, r.Run.SeenAt
		}
		if r.Event == nil {
			continue
		}
		last = r.Event.At
		if r.Event.Status == builddata.Started {
			open[r.Event.Step] = *r.Event
			order = append(order, r.Event.Step)
		} else {
			delete(open, r.Event.Step)
		}
	}
	if run == nil || run.Ended() {
		return nil, nil
	}
	for _, step := range order {
		event, ok := open[step]
		if !ok {
			continue
		}
		delete(open, step)
		steps = append(steps, step)
		// The ID is the same however often this is computed.
		event.ID, event.Status, event.At = "lost-"+event.ID, builddata.Lost, last
		event.Message = "the runner died in this step"
		lost = append(lost, record{Version: version, Event: &event})
	}
	ended := *run
	ended.Status, ended.EndedAt, ended.SeenAt, ended.Message = builddata.Lost, last, last, "the runner died"
	if len(steps) > 0 {
		ended.Message = "the runner died at " + strings.Join(steps, ", ")
	}
	return append(lost, record{Version: version, Run: &ended}), steps
}
