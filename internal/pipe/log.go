package pipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// LogStore stores the logs of steps, so that other machines can read them. Several
// goroutines may call it at once.
type LogStore interface {
	// Send stores a log and returns its address. If only a part of the log was stored, it
	// returns the address and an error.
	Send(ctx context.Context, l Log) (address string, err error)
}

// Log is the log of a step that has ended. Its content is cleaned and masked.
type Log struct {
	// Service, Run and Step identify the step, and Version is the name of the run's version;
	// empty if it has none yet.
	Service, Run, Step, Version string
	// Name is unique, and consists of letters, digits, hyphens, dots, underscores and
	// slashes: SERVICE/RUN/STEP.log.
	Name string
	// At is the time at which the step ended.
	At      time.Time
	Content io.ReadSeeker
	// Mask hides secrets in a text that an error quotes, before it is shortened.
	Mask func(string) string
}

// The limits of a batch. They are those of CloudWatch Logs, but for the length of a line:
// CloudWatch Logs takes 1 MB, and Loki by default 256 KB. The count of bytes includes
// lineOverhead for each line.
const (
	batchLines   = 10_000
	batchBytes   = 1 << 20
	lineOverhead = 26
	logLine      = 255 << 10
)

// Batches returns the lines of the log, in batches that every log store accepts. A longer
// line is divided. After an error it ends.
func (l Log) Batches() iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var batch []string
		var size int
		for line, err := range l.lines() {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(batch) == batchLines || size+len(line)+lineOverhead > batchBytes {
				if !yield(batch, nil) {
					return
				}
				batch, size = nil, 0
			}
			batch, size = append(batch, line), size+len(line)+lineOverhead
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// lines returns the lines of the log, each of at most logLine bytes.
func (l Log) lines() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := bufio.NewReaderSize(l.Content, logLine-utf8.UTFMax)
		var rest []byte // the beginning of a character that the end of the buffer cut
		for {
			part, err := r.ReadSlice('\n')
			line := bytes.TrimSuffix(append(rest, part...), []byte("\n"))
			rest = nil
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				whole := wholeRunes(line)
				line, rest = line[:whole], bytes.Clone(line[whole:])
			case errors.Is(err, io.EOF):
				if len(line) > 0 {
					yield(string(line), nil)
				}
				return
			case err != nil:
				yield("", err)
				return
			}
			if !yield(string(line), nil) {
				return
			}
		}
	}
}

// wholeRunes returns how many bytes of b are left without the beginning of a character at its end.
func wholeRunes(b []byte) int {
	for i := max(0, len(b)-utf8.UTFMax+1); i < len(b); i++ {
		if !utf8.FullRune(b[i:]) {
			return i
		}
	}
	return len(b)
}

// sendTimeout is how long the log store has to take a log.
const sendTimeout = 10 * time.Second

// sendLog sends the log of a step that has ended to the log store, also if the run was
// interrupted. If that fails, the step has a warning.
func (r *run) sendLog(ctx context.Context, s *StepSummary) {
	if r.engine.LogStore == nil || s.Log == "" {
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), sendTimeout, fmt.Errorf("it took longer than %s", sendTimeout))
	defer cancel()
	address, err := r.sendFile(ctx, s)
	s.LogAddress = r.engine.Mask.Text(address)
	if err == nil {
		return
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	problem := "the log could not be sent"
	if address != "" {
		problem = "only a part of the log was sent"
	}
	s.Warnings = append(s.Warnings, r.engine.Mask.Text(fmt.Sprintf("%s: %v", problem, err)))
}

// sendFile sends a copy of the step's log that is masked once more, since the step may have
// set a secret after it had printed it.
func (r *run) sendFile(ctx context.Context, s *StepSummary) (address string, err error) {
	file, err := os.CreateTemp(r.engine.Scratch, "*.log")
	if err != nil {
		return "", err
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }() // a copy, in a folder that is removed
	if err := r.copyMasked(file, s.Log); err != nil {
		return "", err
	}
	l := Log{
		Service: r.request.Run.Service, Run: r.request.Run.ID, Step: s.Name, Version: r.snapshot().Version,
		At: r.engine.Clock.Now(), Content: file, Mask: r.engine.Mask.Text,
	}
	l.Name = path.Join(l.Service, l.Run, filepath.Base(s.Log))
	return r.engine.LogStore.Send(ctx, l)
}

// copyMasked copies the file with a name through the mask, and goes back to the beginning of
// the copy.
func (r *run) copyMasked(to *os.File, name string) error {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // only read
	masked := r.engine.Mask.Writer(to)
	if _, err := io.Copy(masked, from); err != nil {
		return err
	}
	if err := masked.Close(); err != nil {
		return err
	}
	_, err = to.Seek(0, io.SeekStart)
	return err
}
