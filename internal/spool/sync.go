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
	paths, err := files(folder)
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
			errs = append(errs, fmt.Errorf("%s was not sent and not changed: %w (\"delivery sync --discard %s\" discards it)",
				path, err, runOf(path)))
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
	c, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, errors.Join(err, os.Remove(path+".lock")) // another process was first
	}
	if err != nil {
		return s, err
	}
	records := c.records
	if err := checkRun(path, records); err != nil {
		return s, err
	}
	if err := checkRepository(ctx, repository, c); err != nil {
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

// runOf returns the ID of the run that a spool file is named after.
func runOf(path string) string { return strings.TrimSuffix(filepath.Base(path), extension) }

// checkRun returns an error if a record is of another run than its file is named after: what
// is removed after sending would belong to that run.
func checkRun(path string, records []record) error {
	run := runOf(path)
	for i, r := range records {
		if of := r.runID(); of != run {
			return fmt.Errorf("line %d is of the run %q, and the file of the run %q", i+2, of, run)
		}
	}
	return nil
}

// checkRepository returns an error if the records are for another repository: this one has
// other versions of the same numbers.
func checkRepository(ctx context.Context, repository Repository, c content) error {
	id, err := repository.ID(ctx)
	if err != nil || c.repository == "" || c.repository == id {
		return err
	}
	return fmt.Errorf("%w: the run was recorded in another repository (%s), which was at the same address as this one (%s): "+
		"put that one back, or discard the records", builddata.ErrConflict, c.repository, id)
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
