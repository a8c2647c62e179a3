package task

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// readTimeout is how long reading one file may take, however slow its disk is.
const readTimeout = time.Minute

// tooLargeError says that a file is larger than it may be.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string {
	if e.limit < 1<<30 {
		return fmt.Sprintf("it is larger than %d MiB", e.limit>>20)
	}
	return fmt.Sprintf("it is larger than %d GiB", e.limit>>30)
}

// openFile opens a regular file that a step may have put there, of at most limit
// bytes. A symbolic link in its place is not followed, a folder that is a link
// only within root, and a named pipe does not block.
func openFile(root *os.Root, name string, limit int64) (*os.File, fs.FileInfo, error) {
	path := filepath.FromSlash(name)
	before, err := root.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("it is %s, not a regular file", kindOf(before.Mode()))
	}
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !os.SameFile(before, info):
		err = fmt.Errorf("it was replaced while it was opened")
	case info.Size() > limit:
		err = &tooLargeError{limit}
	}
	if err != nil {
		_ = file.Close() // only opened
		return nil, nil, err
	}
	return file, info, nil
}

// readFile is openFile, and has read read what is in the file until ctx ends or
// readTimeout is over. What read has done after an error is of no use.
func readFile(ctx context.Context, folder, name string, limit int64, read func(r io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, fmt.Errorf("it could not be read within %s", readTimeout))
	defer cancel()
	return interruptible(ctx, func() error {
		root, err := os.OpenRoot(folder)
		if err != nil {
			return err
		}
		defer root.Close() //nolint:errcheck // only a handle
		file, _, err := openFile(root, name, limit)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // only read
		return read(&limitedReader{from: file, left: limit, limit: limit})
	})
}

// interruptible returns when do has, or when ctx ends, which do cannot notice.
func interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// limitedReader fails if there is more to read than there may be.
type limitedReader struct {
	from        io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (r *limitedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p[:min(int64(len(p)), r.left+1)])
	if r.left -= int64(n); r.left < 0 {
		return 0, &tooLargeError{r.limit}
	}
	return n, err
}

// kindOf names what is not a regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}
