// Package process runs programs, each in a session of its own. It ends all
// processes of the session when it is interrupted, and those that a program
// leaves behind.
package process

import (
	"cmp"
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
	"syscall"
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
	// Stdout and Stderr take what it prints. They may be the same, which is then
	// written to by one goroutine. After an error of theirs, the rest is lost.
	Stdout, Stderr io.Writer
	// Grace is how long the program may take to end after it was interrupted,
	// before it is terminated; 0 means DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is how long a program may take to end after an interrupt.
const DefaultGrace = 10 * time.Second

// NotFoundError means that a program does not exist.
type NotFoundError struct {
	Program string
	Err     error
}

func (e *NotFoundError) Error() string {
	if isPath(e.Program) {
		return fmt.Sprintf("%s: the program, or the interpreter in its first line (#!), does not exist", e.Program)
	}
	return fmt.Sprintf("%s: command not found: install it, or add its folder to PATH", e.Program)
}

// Unwrap returns the error of the operating system.
func (e *NotFoundError) Unwrap() error { return e.Err }

// ExitError means that a program did not exit with code 0.
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
	case e.Code == 126: // by the convention of shells, as 127
		return "exit code 126: a command cannot be executed; see the output"
	case e.Code == 127:
		return "exit code 127: command not found; see the output"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Ended is how a program ended.
type Ended struct {
	// LeftBehind means that processes which the program had started were still
	// running when it ended; they were ended too.
	LeftBehind bool
	// Forced means that the program did not end within Grace, and was killed.
	Forced bool
}

const (
	// killGrace is how long a session may take to end after it was terminated,
	// before it is killed.
	killGrace = 3 * time.Second
	// orphanGrace is how long children may outlive the program before they count
	// as left behind: the reader of a pipe takes a moment to notice its end.
	orphanGrace = 200 * time.Millisecond
	// pipeGrace is how long the input, and outputs without deadlines, may stay
	// open once the session is empty: a process that still has them open has
	// left the session on purpose.
	pipeGrace = 500 * time.Millisecond
	// pollInterval is the least time between two looks at a session; in a long
	// wait it is a hundredth of it.
	pollInterval = 5 * time.Millisecond
)

// Run runs a program until it and all processes that it started have ended. When
// ctx ends, all of them are interrupted as by Ctrl-C, terminated after Grace, and
// killed soon after. The error is a *NotFoundError, an *ExitError, the
// context's cause, or why the program could not be started.
//
// A process that begins a session of its own, as daemons do, cannot be ended.
// One that begins a process group of its own is ended on Linux only, and there
// only while the program is still running or was interrupted.
func Run(ctx context.Context, cmd Command) (Ended, error) {
	if err := context.Cause(ctx); err != nil {
		return Ended{}, err
	}
	path, err := find(cmd)
	if err != nil {
		return Ended{}, err
	}
	var outputs outputs
	defer outputs.close()
	stdout, err := outputs.add(cmd.Stdout)
	if err != nil {
		return Ended{}, err
	}
	stderr := stdout
	if cmd.Stderr != cmd.Stdout {
		if stderr, err = outputs.add(cmd.Stderr); err != nil {
			return Ended{}, err
		}
	}
	start := func(path string, args ...string) (*exec.Cmd, error) {
		c := &exec.Cmd{
			Path: path, Args: args, Dir: cmd.Dir, Env: cmd.Environ, Stdin: cmd.Stdin, Stdout: stdout, Stderr: stderr,
			WaitDelay: pipeGrace, SysProcAttr: ownSession(),
		}
		return c, c.Start()
	}
	c, err := start(path, cmd.Args...)
	if errors.Is(err, syscall.ENOEXEC) {
		// The shell runs a script without a first line #!, as with execvp.
		c, err = start("/bin/sh", append([]string{"sh", path}, cmd.Args[1:]...)...)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Ended{}, &NotFoundError{Program: cmd.Args[0], Err: err}
	case err != nil:
		return Ended{}, fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	session, exited := c.Process.Pid, make(chan struct{})
	var ended Ended
	stopped := make(chan struct{})
	running := context.AfterFunc(ctx, func() {
		ended.Forced = stop(session, cmp.Or(cmd.Grace, DefaultGrace), exited)
		close(stopped)
	})
	outputs.copy()
	err = c.Wait()
	close(exited)
	if !running() {
		<-stopped
	} else if alive(session) && !gone(session, orphanGrace) {
		ended.LeftBehind = true
		end(session)
	}
	outputs.drain()
	if cause := context.Cause(ctx); cause != nil {
		return ended, cause
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return ended, &ExitError{Code: exit.ExitCode(), Signal: signalOf(exit)}
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it did not read all of its input
	}
	return ended, err
}

// stop interrupts a program and all processes in its session, and waits until
// they have ended. The program has ended when ended is closed. It reports whether
// the program had to be killed.
func stop(session int, grace time.Duration, ended <-chan struct{}) (forced bool) {
	interrupt(session)
	if left := wait(ended, grace); left >= 0 {
		// The other processes have the rest of the time to clean up.
		terminateIgnoring(session)
		if !gone(session, left) {
			end(session)
		}
		return false
	}
	terminate(session)
	if wait(ended, killGrace) >= 0 {
		end(session)
		return false
	}
	kill(session)
	<-ended
	gone(session, killGrace)
	return true
}

// wait waits until a program has ended, and returns how much of the timeout is
// left, or less than 0 if the program is still running.
func wait(ended <-chan struct{}, timeout time.Duration) (left time.Duration) {
	begin := clock.System{}.Now()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	select {
	case <-ended:
		return max(0, timeout-clock.System{}.Now().Sub(begin))
	case <-ctx.Done():
		return -1
	}
}

// end terminates and kills the processes that are left in a session.
func end(session int) {
	if gone(session, 0) {
		return
	}
	terminate(session)
	if !gone(session, killGrace) {
		kill(session)
		gone(session, killGrace)
	}
}

// gone waits until no process is left in a session, or until the timeout.
func gone(session int, timeout time.Duration) bool {
	isEmpty := func(context.Context, time.Duration) (bool, string, error) { return len(groups(session)) == 0, "", nil }
	return clock.Poll(context.Background(), clock.System{}, max(pollInterval, timeout/100), timeout, isEmpty) == nil
}

// isPath reports whether a program is given by its path.
func isPath(name string) bool { return strings.ContainsRune(filepath.ToSlash(name), '/') }

// find returns the program's file.
func find(cmd Command) (string, error) {
	name := cmd.Args[0]
	if isPath(name) {
		return name, nil // relative to Dir, as for the operating system
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
			continue // as in os/exec: a program in the current folder needs ./
		}
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &NotFoundError{Program: name, Err: exec.ErrNotFound}
}

// Variable returns the value of a variable in an environment, in which the last
// entry wins.
func Variable(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if key, value, ok := strings.Cut(entry, "="); ok && key == name {
			return value
		}
	}
	return ""
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// outputs copy what a program prints to its writers. os/exec would do so too, but
// would wait until every process has closed the other ends.
type outputs struct {
	all  []*output
	done sync.WaitGroup
}

type output struct {
	read, write *os.File
	to          io.Writer
	// failed means that a write to "to" has failed; the rest is dropped.
	failed bool
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
		o.done.Go(one.copy)
	}
}

// copy copies until the end, or until it is woken, and then what is still there.
func (o *output) copy() {
	buffer := buffers.Get().(*[32 << 10]byte) //nolint:forcetypeassert // it holds nothing else
	defer buffers.Put(buffer)
	for {
		n, err := o.read.Read(buffer[:])
		o.pass(buffer[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			copyRest(o.read, buffer[:], o.pass)
		}
		if err != nil {
			return
		}
	}
}

// pass writes p to the writer. One that fails must not block the program.
func (o *output) pass(p []byte) {
	if len(p) == 0 || o.failed {
		return
	}
	_, err := o.to.Write(p)
	o.failed = err != nil
}

// drain waits until everything printed so far is copied, however slow the writers
// are. Only processes that have left the session could still print more.
func (o *outputs) drain() {
	woken := true
	for _, one := range o.all {
		woken = wake(one.read) == nil && woken
	}
	if !woken {
		ctx, cancel := context.WithTimeout(context.Background(), pipeGrace)
		defer cancel()
		defer context.AfterFunc(ctx, o.close)()
	}
	o.done.Wait()
}

func (o *outputs) close() {
	for _, one := range o.all {
		_, _ = one.read.Close(), one.write.Close()
	}
}
