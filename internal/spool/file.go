// Package spool keeps the records of a run on this machine until the build data repository
// has them, even if the repository cannot be reached or the runner dies. Every record has
// an ID, so that the repository stores it once, however often it is sent.
package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Repository is the part of the build data repository that stores the records of a run.
type Repository interface {
	ID(ctx context.Context) (string, error)
	Version(ctx context.Context, service, name string) (builddata.Version, error)
	Append(ctx context.Context, events ...builddata.Event) error
	SaveRun(ctx context.Context, r builddata.Run) error
}

// Connect returns the repository. It opens it on first use.
type Connect func(ctx context.Context) (Repository, error)

// File is the spool file of one run, which remains if the runner dies. It implements
// pipe.Recorder.
type File struct {
	run     string
	path    string
	lock    *flock.Flock
	connect Connect
	clock   clock.Clock
	// version is the name of the existing version that the run is for; empty if there is
	// none. While the repository cannot be reached, its number may be unknown.
	version string

	mu   sync.Mutex
	file *os.File
	// fileErr is why the file does not hold all records; nil if it does.
	fileErr error
	// durable says to sync each record to the disk, because the repository did not store
	// the last ones, so that only the file holds them.
	durable bool
	queue   []record
	// records counts all records, and repository is the ID of the repository that they are
	// for; empty while it is not known.
	records    int
	repository string
	latest     builddata.Run

	// wake tells the sender that the queue is not empty.
	wake chan struct{}
	// sending admits one sender at a time.
	sending chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}
}

// format is the number of the file's format. When it changes, a sample of the previous
// format stays in testdata, and read still reads it: firstFormat had no repository, and the
// events of format 2 neither the address of a log nor the end of an output.
const (
	format      = 3
	firstFormat = 1
)

// header is the first line of the file.
type header struct {
	Format int `json:"format"`
}

// record is every other line of the file.
type record struct {
	// Repository, alone in its record, is the ID of the repository that all records are for.
	Repository string `json:"repository,omitempty"`
	// Version is the name of the existing version that the run is for.
	Version string           `json:"version,omitempty"`
	Run     *builddata.Run   `json:"run,omitempty"`
	Event   *builddata.Event `json:"event,omitempty"`
}

// runID returns the ID of the run that a valid record is of.
func (r record) runID() string {
	if r.Run != nil {
		return r.Run.ID
	}
	return r.Event.Run
}

// batchDelay is how long records are gathered before they are sent. The file already holds
// them.
const batchDelay = 250 * time.Millisecond

// extension ends the names of spool files.
const extension = ".spool"

// Create creates the spool file of a run in a folder. The version is the name of the existing
// version that the run is for, empty if it has none yet; repository is the ID of the
// repository, empty if it cannot be reached. The caller closes the file.
func Create(ctx context.Context, folder, run, version, repository string, connect Connect, c clock.Clock) (*File, error) {
	if err := builddata.ValidateRun(run); err != nil {
		return nil, fmt.Errorf("create a spool file: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the spool file of run %s: %w", run, err)
	}
	path := filepath.Join(folder, run+extension)
	lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{
		run: run, path: path, lock: lock, connect: connect, clock: c, version: version,
		wake: make(chan struct{}, 1), sending: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if f.file, f.fileErr = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); f.fileErr == nil {
		f.fileErr = f.write(header{Format: format})
	}
	f.bind(repository)
	sender, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	go f.send(sender)
	return f, nil
}

// lockFile takes the lock of a spool file. The system releases it when its holder dies. If
// another process holds it, the error is errInProgress.
func lockFile(path string) (*flock.Flock, error) {
	lock := flock.New(path + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, errInProgress
	}
	return lock, nil
}

var errInProgress = errors.New("its run is in progress")

// Run implements pipe.Recorder.
func (f *File) Run(r builddata.Run) {
	f.mu.Lock()
	f.latest = r
	f.mu.Unlock()
	f.add(record{Version: f.version, Run: &r})
}

// Event implements pipe.Recorder.
func (f *File) Event(e builddata.Event) { f.add(record{Version: f.version, Event: &e}) }

// add writes a record to the file and wakes the sender.
func (f *File) add(r record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fileErr == nil {
		f.fileErr = f.write(r)
	}
	if f.fileErr == nil && f.durable {
		f.fileErr = f.file.Sync()
	}
	f.queue = append(f.queue, r)
	f.records++
	f.wakeSender()
}

// write writes a line to the file.
func (f *File) write(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = f.file.Write(append(line, '\n'))
	}
	return err
}

func (f *File) wakeSender() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// send sends the queue until ctx ends. While the queue is empty, it sends signs of life.
// While the repository cannot be reached, it tries again at the same interval.
func (f *File) send(ctx context.Context) {
	defer close(f.stopped)
	go func() {
		for f.clock.Sleep(ctx, builddata.RunSignsOfLife) == nil {
			f.mu.Lock()
			if f.latest.ID != "" && f.latest.Status == builddata.Started && len(f.queue) == 0 {
				alive := f.latest
				alive.SeenAt = builddata.Timestamp(f.clock.Now())
				f.queue = append(f.queue, record{Version: f.version, Run: &alive})
			}
			f.mu.Unlock()
			f.wakeSender()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			// Records of about the same time are sent together: the repository syncs each
			// commit to the disk, which slows down the writes of the steps.
			if f.clock.Sleep(ctx, batchDelay) != nil {
				return
			}
			// After an error the records stay in the queue, for the next attempt.
			_ = f.Flush(ctx)
		}
	}
}

// Flush implements pipe.Recorder.
func (f *File) Flush(ctx context.Context) error {
	select {
	case f.sending <- struct{}{}:
		defer func() { <-f.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		f.mu.Lock()
		batch := f.queue
		f.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		sent := 0
		repository, err := f.connect(ctx)
		var id string
		if err == nil {
			id, err = repository.ID(ctx)
		}
		if err == nil {
			f.bind(id)
			sent, err = deliver(ctx, repository, batch)
		}
		f.sent(sent, err)
		if err != nil {
			return err
		}
	}
}

// bind binds the file to the first repository that it can be sent to: another one that takes
// its place has other versions of the same numbers.
func (f *File) bind(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.repository != "" || id == "" {
		return
	}
	f.repository = id
	if f.fileErr == nil {
		f.fileErr = f.write(record{Repository: id})
	}
}

// sent removes the first n records from the queue, which were sent. If the repository did
// not store all of them, it makes the file durable.
func (f *File) sent(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = f.queue[n:]
	if err != nil && !f.durable && f.fileErr == nil {
		f.fileErr = f.file.Sync()
	}
	f.durable = err != nil
}

// UnsentError says that the repository does not have all records of a run.
type UnsentError struct {
	// Run is the ID of the run.
	Run string
	// Path is the spool file, and Records the number of records that are not in the
	// repository.
	Path    string
	Records int
	// Lost is why the file does not have these records either; nil if it does.
	Lost error
	Err  error
}

func (e *UnsentError) Error() string {
	if e.Lost != nil {
		return fmt.Sprintf("%d records of the run are lost: the build data repository did not store them (%v), and %s could not be written (%v)",
			e.Records, e.Err, e.Path, e.Lost)
	}
	if e.Replaced() {
		return fmt.Sprintf("%v; all %d records of the run are kept in %s: put the file back, and \"delivery sync\" sends them, "+
			"or discard them with \"delivery sync --discard %s\"", e.Err, e.Records, e.Path, e.Run)
	}
	return fmt.Sprintf("%d records of the run are not in the build data repository yet (%v); they are kept in %s, "+
		"and the next run on this machine, or \"delivery sync\", sends them", e.Records, e.Err, e.Path)
}

// Replaced reports whether the repository was removed or replaced during the run, so that
// it has none of the records.
func (e *UnsentError) Replaced() bool {
	var replaced *builddata.ReplacedError
	return errors.As(e.Err, &replaced)
}

// Unwrap returns why the records could not be sent.
func (e *UnsentError) Unwrap() error { return e.Err }

// Close sends the remaining records and removes the file. If they cannot be sent, the file
// stays, and the error is an *UnsentError.
func (f *File) Close(ctx context.Context) error {
	err := f.Flush(ctx)
	f.stop()
	<-f.stopped
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		if closeErr := f.file.Close(); f.fileErr == nil {
			f.fileErr = closeErr
		}
	}
	defer f.lock.Unlock() //nolint:errcheck // the system does so at the end of the process
	if err != nil {
		unsent := &UnsentError{Run: f.run, Path: f.path, Records: len(f.queue), Lost: f.fileErr, Err: err}
		if unsent.Replaced() {
			unsent.Records = f.records
		}
		return unsent
	}
	return remove(f.path)
}

// remove removes a spool file and its lock.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(path+".lock"))
}

// deliver sends records in order, consecutive events in one call. It returns the number of
// records that were sent.
func deliver(ctx context.Context, repository Repository, records []record) (sent int, err error) {
	for sent < len(records) {
		if r := records[sent].Run; r != nil {
			run := *r
			if run.Number, err = number(ctx, repository, run.Service, records[sent].Version, run.Number, run.StartedAt); err != nil {
				return sent, err
			}
			if err := repository.SaveRun(ctx, run); err != nil {
				return sent, err
			}
			sent++
			continue
		}
		var events []builddata.Event
		for _, e := range records[sent:] {
			if e.Event == nil {
				break
			}
			event := *e.Event
			if event.Number, err = number(ctx, repository, event.Service, e.Version, event.Number, event.At); err != nil {
				return sent, err
			}
			events = append(events, event)
		}
		if err := repository.Append(ctx, events...); err != nil {
			return sent, err
		}
		sent += len(events)
	}
	return sent, nil
}

// number returns the version number of a record: the known one, or else that of the
// existing version that the run is for. If no version had that name at the time of the
// record, it returns 0: the record then belongs to no version, not even to one that got the
// name later.
func number(ctx context.Context, repository Repository, service, version string, known int64, at time.Time) (int64, error) {
	if known != 0 || version == "" {
		return known, nil
	}
	v, err := repository.Version(ctx, service, version)
	if errors.Is(err, builddata.ErrNotFound) || err == nil && v.CreatedAt.After(at) {
		return 0, nil
	}
	return v.Number, err
}

// content is what a spool file holds.
type content struct {
	// repository is the ID of the repository that the records are for; empty if it could not
	// be reached during the run.
	repository string
	records    []record
}

// read reads a spool file. It ignores a last line that is cut off, as by the death of the
// runner.
func read(path string) (c content, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	lines := bytes.Split(text, []byte("\n"))
	lines = lines[:len(lines)-1] // a line without a newline is cut off
	for i, line := range lines {
		if i == 0 {
			var h header
			if err := json.Unmarshal(line, &h); err != nil || h.Format < firstFormat || h.Format > format {
				return c, fmt.Errorf("%s:1: the file has format %d, and this release reads format %d to %d: "+
					"send it with the release that wrote it, or discard it",
					path, h.Format, firstFormat, format)
			}
			continue
		}
		var r record
		err := json.Unmarshal(line, &r)
		if err == nil {
			err = r.validate()
		}
		switch {
		case err != nil:
			return c, fmt.Errorf("%s:%d: not a record of a run (%w); fix or remove the line, or discard the file", path, i+1, err)
		case r.Repository != "":
			c.repository = r.Repository
		default:
			c.records = append(c.records, r)
		}
	}
	return c, nil
}

// validate returns an error for a record that no repository accepts.
func (r record) validate() error {
	switch {
	case r.Run != nil && r.Event == nil && r.Repository == "":
		return r.Run.Validate()
	case r.Event != nil && r.Run == nil && r.Repository == "":
		return r.Event.Validate()
	case r.Repository != "" && r.Run == nil && r.Event == nil:
		return nil
	}
	return errors.New("it holds neither a run nor an event")
}
