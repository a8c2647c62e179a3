// Package process runs programs, each in a process group of its own, and ends
// the whole group when it is told to, or when the program has left others behind.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Command is a program to run.
type Command struct {
	// Args are the program and its arguments. A program without a slash is
	// looked for on the PATH in Environ.
	Args []string
	// Dir is the folder it runs in, Environ its environment.
	Dir     string
	Environ []string
	// Stdin is what it reads; nil is nothing.
	Stdin io.Reader
	// Stdout and Stderr take what it prints; they may be the same, and are then
	// written to by one at a time. What is written after an error of theirs is lost.
	Stdout, Stderr io.Writer
	// Grace is how long the program has to end after it was interrupted, before
	// it is made to; 0 means DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is how long a program has to end after it was interrupted.
const DefaultGrace = 10 * time.Second

// NotFoundError says that there is no such program.
type NotFoundError struct {
	Program string
	Err     error
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%s: command not found: install it, or add its folder to PATH", e.Program)
}

// Unwrap returns what the system said.
func (e *NotFoundError) Unwrap() error { return e.Err }

// ExitError says that a program ended in another way than well.
type ExitError struct {
	// Code is the exit code, -1 after a signal.
	Code int
	// Signal names the signal that ended it: "killed". Empty if none did.
	Signal string
}

func (e *ExitError) Error() string {
	switch {
	case e.Signal != "":
		return "ended by signal: " + e.Signal
	case e.Code == 126: // by the convention of shells, as the next
		return "exit code 126: a command that it names cannot be executed; its output says which"
	case e.Code == 127:
		return "exit code 127: command not found; its output says which"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Ended is how a program ended.
type Ended struct {
	// LeftBehind says that the program ended while others that it started were
	// still at work; they were ended, too.
	LeftBehind bool
	// Forced says that the program did not end within Grace.
	Forced bool
}

// How long things may take that nobody waits for gladly.
const (
	// untilKilled is between telling a group to terminate and killing it.
	untilKilled = 3 * time.Second
	// straggling is how long children may outlive the program before they count
	// as left behind: a pipe's other end takes a moment to see that it is one.
	straggling = 200 * time.Millisecond
	// silence is how long the outputs may stay open, with nothing coming, once
	// the group is gone: whoever still holds them has left the group on purpose.
	silence = 500 * time.Millisecond
	// glance is between two looks at whether a group is gone.
	glance = 5 * time.Millisecond
)

// Run runs a program until it and all that it started have ended. When ctx
// ends, the whole group is interrupted as by Ctrl-C, terminated after Grace,
// and killed soon after. The error is a *NotFoundError, an *ExitError, the
// context's cause, or why the program could not be started.
//
// A process that leaves the group, as daemons do, is out of reach.
func Run(ctx context.Context, cmd Command) (Ended, error) {
	if err := context.Cause(ctx); err != nil {
		return Ended{}, err
	}
	path, err := find(cmd)
	if err != nil {
		return Ended{}, err
	}
	c := &exec.Cmd{Path: path, Args: cmd.Args, Dir: cmd.Dir, Env: cmd.Environ, Stdin: cmd.Stdin, SysProcAttr: ownGroup()}
	var outputs outputs
	defer outputs.close()
	if c.Stdout, err = outputs.add(cmd.Stdout); err != nil {
		return Ended{}, err
	}
	if c.Stderr = c.Stdout; cmd.Stderr != cmd.Stdout {
		if c.Stderr, err = outputs.add(cmd.Stderr); err != nil {
			return Ended{}, err
		}
	}
	if err := c.Start(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Ended{}, &NotFoundError{Program: cmd.Args[0], Err: err}
		}
		return Ended{}, fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	outputs.copy()

	exited := make(chan error, 1)
	go func() { exited <- c.Wait() }()
	ended, err := await(ctx, cmd, c.Process.Pid, exited)
	outputs.drain()

	if cause := context.Cause(ctx); cause != nil {
		return ended, cause
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return ended, &ExitError{Code: exit.ExitCode(), Signal: signalOf(exit)}
	}
	return ended, err
}

// await waits for the program, ending its group when ctx does, and then for
// whatever it has left in the group.
func await(ctx context.Context, cmd Command, group int, exited <-chan error) (ended Ended, err error) {
	select {
	case err = <-exited:
	case <-ctx.Done():
		grace := cmd.Grace
		if grace == 0 {
			grace = DefaultGrace
		}
		for _, stage := range []struct {
			signal func(group int)
			within time.Duration
		}{{interrupt, grace}, {terminate, untilKilled}} {
			stage.signal(group)
			wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), stage.within)
			select {
			case err = <-exited:
				cancel()
				endGroup(group)
				return ended, err
			case <-wait.Done():
				cancel()
			}
		}
		ended.Forced = true
		kill(group)
		err = <-exited
		return ended, err
	}
	if gone(group, straggling) {
		return ended, err
	}
	ended.LeftBehind = true
	endGroup(group)
	return ended, err
}

// endGroup ends what is left of a group.
func endGroup(group int) {
	if gone(group, 0) {
		return
	}
	terminate(group)
	if !gone(group, untilKilled) {
		kill(group)
	}
}

// gone waits until nobody is left in a group, or within has passed.
func gone(group int, within time.Duration) bool {
	return clock.Poll(context.Background(), clock.System{}, glance, within, func(context.Context, time.Duration) (bool, string, error) {
		return !alive(group), "", nil
	}) == nil
}

// find returns the program's file.
func find(cmd Command) (string, error) {
	name := cmd.Args[0]
	if strings.ContainsRune(filepath.ToSlash(name), '/') {
		return name, nil // relative to Dir, as the system has it
	}
	if runtime.GOOS == "windows" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", &NotFoundError{Program: name, Err: err}
		}
		return path, nil
	}
	for _, folder := range filepath.SplitList(Variable(cmd.Environ, "PATH")) {
		if !filepath.IsAbs(folder) {
			continue // as os/exec: a program in the present folder is named by ./
		}
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &NotFoundError{Program: name, Err: exec.ErrNotFound}
}

// Variable returns the value of a variable in an environment, of which the
// last entry counts.
func Variable(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if key, value, ok := strings.Cut(entry, "="); ok && key == name {
			return value
		}
	}
	return ""
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// outputs carry what a program prints to where it goes. os/exec would do so,
// too, but wait for whoever holds the other ends.
type outputs struct {
	all  []*output
	done sync.WaitGroup
}

type output struct {
	read, write *os.File
	to          io.Writer
	copied      atomic.Int64
}

// add returns the end that the program writes to.
func (o *outputs) add(to io.Writer) (io.Writer, error) {
	if to == nil {
		return nil, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.all = append(o.all, &output{read: read, write: write, to: to})
	return write, nil
}

func (o *outputs) copy() {
	for _, one := range o.all {
		_ = one.write.Close()
		o.done.Add(1)
		go func() {
			defer o.done.Done()
			buffer := buffers.Get().(*[32 << 10]byte) //nolint:forcetypeassert // it holds nothing else
			defer buffers.Put(buffer)
			lost := false
			for {
				n, err := one.read.Read(buffer[:])
				if n > 0 && !lost {
					// A writer that fails must not block the program.
					_, writeErr := one.to.Write(buffer[:n])
					lost = writeErr != nil
				}
				one.copied.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
}

// drain waits until all that was printed has been copied, or until nothing has
// come for a while.
func (o *outputs) drain() {
	drained := make(chan struct{})
	go func() {
		o.done.Wait()
		close(drained)
	}()
	for before := int64(-1); ; {
		now := int64(0)
		for _, one := range o.all {
			now += one.copied.Load()
		}
		if now == before {
			o.close()
			<-drained
			return
		}
		before = now
		wait, cancel := context.WithTimeout(context.Background(), silence)
		select {
		case <-drained:
			cancel()
			return
		case <-wait.Done():
			cancel()
		}
	}
}

func (o *outputs) close() {
	for _, one := range o.all {
		_, _ = one.read.Close(), one.write.Close()
	}
}
