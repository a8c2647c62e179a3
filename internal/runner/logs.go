package runner

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// LogLimits bound the logs on this machine.
type LogLimits struct {
	// Step is the size of the log of one step, of which the beginning and the end are kept.
	Step int64
	// Runs is the number of runs whose logs are kept, and Total the size of all logs before
	// a run begins.
	Runs  int
	Total int64
}

// DefaultLogLimits are the limits of logs.
var DefaultLogLimits = LogLimits{Step: 64 << 20, Runs: 50, Total: 1 << 30}

// Logs returns a function that opens the log of a step of the run. It removes the logs of
// old runs.
func (s State) Logs(run string, limits LogLimits) (open func(step string) (io.WriteCloser, string, error)) {
	all := filepath.Join(s.folder, "logs")
	folder := filepath.Join(all, run)
	s.pruneLogs(all, limits)
	return func(step string) (io.WriteCloser, string, error) {
		if err := builddata.ValidateRun(run); err != nil {
			return nil, "", err
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, "", err
		}
		// What an earlier step has put there is not opened.
		file, err := os.OpenFile(filepath.Join(folder, fileName(step)+".log"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, "", err
		}
		return &stepLog{file: file, limit: limits.Step}, file.Name(), nil
	}
}

// pruneLogs removes the logs of the oldest runs until the others, and one more, are within
// the limits. A run that has a scratch folder is running, or was lost and is not reported yet:
// its logs stay. It ignores errors, because old logs do no harm.
func (s State) pruneLogs(folder string, limits LogLimits) {
	entries, err := os.ReadDir(folder) // by name, and so by time
	if err != nil {
		return
	}
	runs, total := 0, int64(0)
	for _, entry := range slices.Backward(entries) {
		logs := filepath.Join(folder, entry.Name())
		size := sizeOf(logs)
		if runs, total = runs+1, total+size; runs < limits.Runs && total <= limits.Total {
			continue
		}
		if _, err := os.Lstat(s.scratch(entry.Name())); err == nil {
			continue
		}
		if os.RemoveAll(logs) == nil {
			runs, total = runs-1, total-size
		}
	}
}

// sizeOf returns the size of the files in a folder.
func sizeOf(folder string) (size int64) {
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size
}

// stepLog is the log of a step. Once it has grown to one and a half times its limit, and when
// it is closed, its middle is removed: so it is in order at any time, also after a crash.
type stepLog struct {
	file  *os.File
	limit int64
	// size is the size of the file, and written how much was written to it.
	size, written int64
}

func (l *stepLog) Write(p []byte) (int, error) {
	n, err := l.file.WriteAt(p, l.size)
	l.size, l.written = l.size+int64(n), l.written+int64(n)
	if err == nil && l.size > l.limit+l.limit/2 {
		err = l.shorten()
	}
	return n, err
}

func (l *stepLog) Close() error {
	var err error
	if l.size > l.limit {
		err = l.shorten()
	}
	if closing := l.file.Close(); err == nil {
		err = closing
	}
	return err
}

// maxNotice is the maximum length of the line in the place of the middle.
const maxNotice = 200

// shorten replaces the middle of the log, so that it has the size of its limit.
func (l *stepLog) shorten() error {
	head := l.limit / 2
	tail := l.limit - head - maxNotice
	notice := fmt.Sprintf("\n[… %d bytes of the output are left out here: the log of a step has at most %d bytes …]\n",
		l.written-head-tail, l.limit)
	if _, err := l.file.WriteAt([]byte(notice), head); err != nil {
		return err
	}
	to := head + int64(len(notice))
	// What is copied lies behind where it is copied to, so copying forward overwrites nothing
	// that is still needed.
	copied, err := io.Copy(io.NewOffsetWriter(l.file, to), io.NewSectionReader(l.file, l.size-tail, tail))
	if err != nil {
		return err
	}
	l.size = to + copied
	return l.file.Truncate(l.size)
}
