// Package spool keeps on this machine what happens in a run until the build
// data repository has it: for the moment that takes, through an outage, and
// after the death of the runner. What is sent is known by its ID, so that the
// repository has everything once, however often it is sent.
package spool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Repository is where everything goes in the end.
type Repository interface {
	Version(ctx context.Context, service, name string) (builddata.Version, error)
	Append(ctx context.Context, events ...builddata.Event) error
	SaveRun(ctx context.Context, r builddata.Run) error
}

// Connect opens the repository, or returns the one that is open.
type Connect func(ctx context.Context) (Repository, error)

// Journal is the record of one run, in a file that outlives the runner.
type Journal struct {
	path    string
	lock    *flock.Flock
	connect Connect
	clock   clock.Clock
	// version is the name of the version that the caller brought, whose number
	// may only be known once the repository is reached.
	version string

	mu   sync.Mutex
	file *os.File
	// fileErr is why the file does not hold everything.
	fileErr error
	// only says that the file is the only place that has it, because the
	// repository did not take it: it is synced to the disk then.
	only   bool
	queue  []entry
	latest builddata.Run

	// wake tells the sender that there is something to send.
	wake chan struct{}
	// sending admits one to the repository at a time.
	sending chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}
}

// entry is a line of the file.
type entry struct {
	// Version is the name of the version that the caller brought.
	Version string           `json:"version,omitempty"`
	Run     *builddata.Run   `json:"run,omitempty"`
	Event   *builddata.Event `json:"event,omitempty"`
}

// together is for how long what happens is gathered before it is sent. It is in
// the file by then.
const together = 250 * time.Millisecond

// extension ends the names of journals.
const extension = ".journal"

// Begin begins the journal of a run in a folder. The version is the name of
// the one that the caller brought, empty if none. Close has to be called.
func Begin(ctx context.Context, folder, run, version string, connect Connect, c clock.Clock) (*Journal, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("begin the journal of run %s: %w", run, err)
	}
	path := filepath.Join(folder, run+extension)
	lock, err := hold(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{
		path: path, lock: lock, connect: connect, clock: c, version: version,
		wake: make(chan struct{}, 1), sending: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	j.file, j.fileErr = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	sender, stop := context.WithCancel(context.WithoutCancel(ctx))
	j.stop = stop
	go j.send(sender)
	return j, nil
}

// hold takes the lock beside a journal, which the system releases when its
// holder dies.
func hold(path string) (*flock.Flock, error) {
	lock := flock.New(path + ".lock")
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, errHeld
	}
	return lock, nil
}

var errHeld = errors.New("its run is going on")

// Run implements pipe.Recorder.
func (j *Journal) Run(r builddata.Run) {
	j.mu.Lock()
	j.latest = r
	j.mu.Unlock()
	j.add(entry{Version: j.version, Run: &r})
}

// Event implements pipe.Recorder.
func (j *Journal) Event(e builddata.Event) { j.add(entry{Version: j.version, Event: &e}) }

// add writes an entry to the file and has it sent.
func (j *Journal) add(e entry) {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil && j.fileErr == nil {
		_, err = j.file.Write(append(line, '\n'))
		if err == nil && j.only {
			err = j.file.Sync()
		}
	}
	if err != nil && j.fileErr == nil {
		j.fileErr = err
	}
	j.queue = append(j.queue, e)
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// send sends what there is until it is stopped. While the repository cannot be
// reached it tries again now and then; while there is nothing to send it shows
// that the run is alive.
func (j *Journal) send(ctx context.Context) {
	defer close(j.stopped)
	go func() {
		for j.clock.Sleep(ctx, builddata.RunSignsOfLife) == nil {
			j.mu.Lock()
			if j.latest.ID != "" && j.latest.Status == builddata.Started && len(j.queue) == 0 {
				alive := j.latest
				alive.SeenAt = j.clock.Now().UTC().Truncate(time.Microsecond)
				j.queue = append(j.queue, entry{Version: j.version, Run: &alive})
			}
			j.mu.Unlock()
			select {
			case j.wake <- struct{}{}:
			default:
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
			// What happens at about the same time goes together: each commit is
			// synced to the disk, which keeps the steps from writing theirs.
			if j.clock.Sleep(ctx, together) != nil {
				return
			}
			// An error stays in the queue, for the next sign of life or for Flush.
			_ = j.Flush(ctx)
		}
	}
}

// Flush implements pipe.Recorder.
func (j *Journal) Flush(ctx context.Context) error {
	select {
	case j.sending <- struct{}{}:
		defer func() { <-j.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		j.mu.Lock()
		batch := j.queue
		j.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		sent := 0
		repository, err := j.connect(ctx)
		if err == nil {
			sent, err = deliver(ctx, repository, batch)
		}
		j.sent(sent, err)
		if err != nil {
			return err
		}
	}
}

// sent takes what was sent from the queue. If the repository did not take all,
// the file has to last.
func (j *Journal) sent(n int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queue = j.queue[n:]
	if err != nil && !j.only && j.fileErr == nil {
		j.fileErr = j.file.Sync()
	}
	j.only = err != nil
}

// UnsentError says that the repository does not have everything yet.
type UnsentError struct {
	// Path is the journal that does; Entries of it are not in the repository.
	Path    string
	Entries int
	// Lost says that the file is not whole either.
	Lost error
	Err  error
}

func (e *UnsentError) Error() string {
	if e.Lost != nil {
		return fmt.Sprintf("%d records of the run are lost: the build data repository did not take them (%v), and %s could not be written (%v)", e.Entries, e.Err, e.Path, e.Lost)
	}
	return fmt.Sprintf("%d records of the run are not in the build data repository yet (%v); they are kept in %s, and sent by the next run on this machine, or by \"delivery sync\"", e.Entries, e.Err, e.Path)
}

// Unwrap returns why they could not be sent.
func (e *UnsentError) Unwrap() error { return e.Err }

// Close sends what is left and removes the file. If that cannot be done, the
// file stays, and the error is an *UnsentError.
func (j *Journal) Close(ctx context.Context) error {
	err := j.Flush(ctx)
	j.stop()
	<-j.stopped
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		if closeErr := j.file.Close(); j.fileErr == nil {
			j.fileErr = closeErr
		}
	}
	defer j.lock.Unlock() //nolint:errcheck // the system does so at the end of the process
	if err != nil {
		return &UnsentError{Path: j.path, Entries: len(j.queue), Lost: j.fileErr, Err: err}
	}
	return remove(j.path)
}

// remove removes a journal and its lock.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(path+".lock"))
}

// deliver sends entries in their order, events that follow each other at once,
// and returns how many were sent.
func deliver(ctx context.Context, repository Repository, entries []entry) (sent int, err error) {
	for sent < len(entries) {
		if r := entries[sent].Run; r != nil {
			run := *r
			if run.Number, err = number(ctx, repository, run.Service, entries[sent].Version, run.Number, run.StartedAt); err != nil {
				return sent, err
			}
			if err := repository.SaveRun(ctx, run); err != nil {
				return sent, err
			}
			sent++
			continue
		}
		var events []builddata.Event
		for _, e := range entries[sent:] {
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

// number is that of a record, or else that of the version that was brought. If
// there was none of that name at the time, it is 0: the record belongs to no
// version, least of all to one that got the name later.
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

// read returns the entries of a journal. The last line may be cut off, where
// the writer died.
func read(path string) ([]entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries []entry
	lines := bufio.NewReader(bytes.NewReader(text))
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		var e entry
		if err := errors.Join(err, json.Unmarshal(line, &e)); err != nil {
			return nil, fmt.Errorf("%s:%d: no record of a run (%w); mend or remove the line", path, n, err)
		}
		entries = append(entries, e)
	}
}
