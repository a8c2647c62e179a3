// Package process runs programs, each in a session of its own, and ends all
// that is in it when it is told to, or when the program has left others behind.
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
	if isPath(e.Program) {
		return fmt.Sprintf("%s: there is no such program, or not what its first line, #!, names", e.Program)
	}
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
	// untilKilled is between telling a session to terminate and killing it.
	untilKilled = 3 * time.Second
	// straggling is how long children may outlive the program before they count
	// as left behind: a pipe's other end takes a moment to see that it is one.
	straggling = 200 * time.Millisecond
	// holding is how long the input, and where pipes have no deadlines the
	// outputs, may be held open once nobody is left: whoever still holds them
	// has left on purpose.
	holding = 500 * time.Millisecond
	// glance is between two looks at whether anybody is left, at first; at most
	// it is a hundredth of the wait.
	glance = 5 * time.Millisecond
)

// Run runs a program until it and all that it started have ended. When ctx
// ends, all of them are interrupted as by Ctrl-C, terminated after Grace, and
// killed soon after. The error is a *NotFoundError, an *ExitError, the
// context's cause, or why the program could not be started.
//
// A process that begins a session of its own, as daemons do, is out of reach.
// So are, but on Linux, and there after the program has ended by itself, those
// that begin a process group of their own.
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
			WaitDelay: holding, SysProcAttr: ownSession(),
		}
		return c, c.Start()
	}
	c, err := start(path, cmd.Args...)
	if errors.Is(err, syscall.ENOEXEC) {
		// A script without a first line #! is one for the shell, as execvp has it.
		c, err = start("/bin/sh", append([]string{"sh", path}, cmd.Args[1:]...)...)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Ended{}, &NotFoundError{Program: cmd.Args[0], Err: err}
	case err != nil:
		return Ended{}, fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	session, over := c.Process.Pid, make(chan struct{})
	var ended Ended
	stopped := make(chan struct{})
	running := context.AfterFunc(ctx, func() {
		ended.Forced = stop(session, cmp.Or(cmd.Grace, DefaultGrace), over)
		close(stopped)
	})
	outputs.copy()
	err = c.Wait()
	close(over)
	if !running() {
		<-stopped
	} else if alive(session) && !gone(session, straggling) {
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

// stop ends a program, which is over when the channel is closed, and all in its
// session. It reports whether it had to be killed.
func stop(session int, grace time.Duration, over <-chan struct{}) (forced bool) {
	interrupt(session)
	if left := wait(over, grace); left >= 0 {
		// Whoever the program started has the rest of the time to tidy up.
		terminateDeaf(session)
		if !gone(session, left) {
			end(session)
		}
		return false
	}
	terminate(session)
	if wait(over, untilKilled) >= 0 {
		end(session)
		return false
	}
	kill(session)
	<-over
	gone(session, untilKilled)
	return true
}

// wait waits until a program is over, and returns how much is left of within,
// or less than 0 if it is not.
func wait(over <-chan struct{}, within time.Duration) (left time.Duration) {
	begin := clock.System{}.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	select {
	case <-over:
		return max(0, within-clock.System{}.Now().Sub(begin))
	case <-ctx.Done():
		return -1
	}
}

// end ends whoever is left in a session.
func end(session int) {
	if gone(session, 0) {
		return
	}
	terminate(session)
	if !gone(session, untilKilled) {
		kill(session)
		gone(session, untilKilled)
	}
}

// gone waits until nobody is left in a session, or within has passed.
func gone(session int, within time.Duration) bool {
	return clock.Poll(context.Background(), clock.System{}, max(glance, within/100), within, func(context.Context, time.Duration) (bool, string, error) {
		return len(groups(session)) == 0, "", nil
	}) == nil
}

// isPath reports whether a program is named by its path.
func isPath(name string) bool { return strings.ContainsRune(filepath.ToSlash(name), '/') }

// find returns the program's file.
func find(cmd Command) (string, error) {
	name := cmd.Args[0]
	if isPath(name) {
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
	// lost says that to takes nothing any more.
	lost bool
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

// copy copies until the end, or until it is woken, and then what is left.
func (o *output) copy() {
	buffer := buffers.Get().(*[32 << 10]byte) //nolint:forcetypeassert // it holds nothing else
	defer buffers.Put(buffer)
	for {
		n, err := o.read.Read(buffer[:])
		o.pass(buffer[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			rest(o.read, buffer[:], o.pass)
		}
		if err != nil {
			return
		}
	}
}

// pass writes on. A writer that fails must not block the program.
func (o *output) pass(p []byte) {
	if len(p) == 0 || o.lost {
		return
	}
	_, err := o.to.Write(p)
	o.lost = err != nil
}

// drain waits until all is copied that was printed until now, however slow the
// writers are. Nobody is left who would print more, but for those who have left
// the session.
func (o *outputs) drain() {
	woken := true
	for _, one := range o.all {
		woken = wake(one.read) == nil && woken
	}
	if !woken {
		ctx, cancel := context.WithTimeout(context.Background(), holding)
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
