//go:build unix

package process_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

// buffer is a bytes.Buffer with a channel that is closed by the first write.
type buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	printed chan struct{}
	once    sync.Once
}

func newBuffer() *buffer { return &buffer{printed: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.once.Do(func() { close(b.printed) })
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func shell(text string, out *buffer) process.Command {
	return process.Command{Args: []string{"sh", "-c", text}, Environ: os.Environ(), Stdout: out, Stderr: out}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name, text, printed, says string
	}{
		{"Succeeds", "echo out; echo err >&2", "out\nerr\n", ""},
		{"Fails", "echo so; exit 3", "so\n", "exit code 3"},
		{"NoSuchCommand", "no-such-command-here 2>/dev/null", "", "exit code 127: command not found"},
		{"EndedBySignal", "kill -9 $$", "", "ended by signal: killed"},
		{"ReadsNothing", "cat; echo done", "done\n", ""},
		{"Junk", `printf '\000\377\033[31m\n'`, "\x00\xff\x1b[31m\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := newBuffer()
			ended, err := process.Run(t.Context(), shell(tt.text, out))
			if out.String() != tt.printed || ended.LeftBehind || ended.Forced {
				t.Errorf("got %q and %+v, want %q", out, ended, tt.printed)
			}
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func TestRun_NotFound(t *testing.T) {
	for _, program := range []string{"no-such-program", "./no-such-program"} {
		_, err := process.Run(t.Context(), process.Command{Args: []string{program}, Dir: t.TempDir(), Environ: os.Environ()})
		var missing *process.NotFoundError
		if !errors.As(err, &missing) || missing.Program != program {
			t.Errorf("got %v, want that %s is not found", err, program)
		}
	}
}

// The PATH that counts is the one the program will have.
func TestRun_Path(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "greet"), []byte("#!/bin/sh\necho hello\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out := newBuffer()
	_, err := process.Run(t.Context(), process.Command{
		Args: []string{"greet"}, Environ: append(os.Environ(), "PATH="+folder+":/bin"), Stdout: out,
	})
	if err != nil || out.String() != "hello\n" {
		t.Errorf("got %q and %v, want hello", out, err)
	}
}

// The shell runs what the operating system cannot execute.
func TestRun_ScriptWithoutFirstLine(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "greet"), []byte("echo hello $1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out := newBuffer()
	_, err := process.Run(t.Context(), process.Command{Args: []string{"./greet", "Ada"}, Dir: folder, Environ: os.Environ(), Stdout: out})
	if err != nil || out.String() != "hello Ada\n" {
		t.Errorf("got %q and %v, want hello Ada", out, err)
	}
}

func TestRun_MuchOutput(t *testing.T) {
	var counted counter
	_, err := process.Run(t.Context(), process.Command{
		Args: []string{"sh", "-c", "head -c 100000000 /dev/zero"}, Environ: os.Environ(), Stdout: &counted,
	})
	if err != nil || counted != 100_000_000 {
		t.Errorf("got %d bytes and %v, want all of them", counted, err)
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// An output that fails does not block the program.
func TestRun_OutputFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("the system has no /dev/full")
	}
	defer full.Close() //nolint:errcheck // nothing can be written to it
	if _, err := process.Run(t.Context(), process.Command{
		Args: []string{"sh", "-c", "head -c 1000000 /dev/zero"}, Environ: os.Environ(), Stdout: full,
	}); err != nil {
		t.Error(err)
	}
}

// An interrupt reaches the whole group of a program. One that ignores it is
// killed.
func TestRun_Interrupted(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		forced     bool
		prints     string
	}{
		{"Obeys", `trap 'echo tidied; exit 0' INT; echo ready; sleep 60 & wait`, false, "tidied"},
		{"Child", `sh -c 'trap "echo child; exit 1" INT; echo ready; sleep 60 & wait'`, false, "child"},
		{"GroupOfItsOwn", `timeout 60 sh -c 'trap "echo child; exit 1" INT; echo ready; sleep 60 & wait'`, false, "child"},
		{"IgnoresInterrupts", `trap '' INT; trap 'echo terminated; exit 1' TERM; echo ready; sleep 60 & wait`, false, "terminated"},
		{"IgnoresEverything", `trap '' INT TERM; echo ready; while :; do sleep 60; done`, true, "ready"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "GroupOfItsOwn" {
				onLinux(t)
			}
			out := newBuffer()
			ctx, cancel := context.WithCancelCause(t.Context())
			because := errors.New("enough")
			go func() {
				<-out.printed
				cancel(because)
			}()
			cmd := shell("echo $$ > pid; "+tt.text, out)
			cmd.Dir, cmd.Grace = t.TempDir(), 200*time.Millisecond
			ended, err := process.Run(ctx, cmd)
			if !errors.Is(err, because) || ended.Forced != tt.forced || !strings.Contains(out.String(), tt.prints) {
				t.Errorf("got %+v, %v and %q, want the cause, forced %v and %q", ended, err, out, tt.forced, tt.prints)
			}
			noneLeft(t, cmd.Dir)
		})
	}
}

// Children of the program may continue to clean up after it has ended. (A shell
// lets its background processes ignore interrupts, hence env --default-signal.)
func TestRun_ChildrenCleanUp(t *testing.T) {
	onLinux(t)
	out := newBuffer()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-out.printed
		cancel()
	}()
	cmd := shell(`
		echo $$ > pid
		env --default-signal=INT sh -c 'trap "sleep 0.3; echo tidied; exit 1" INT; echo ready; while :; do sleep 0.1; done' &
		trap 'exit 1' INT
		wait`, out)
	cmd.Dir, cmd.Grace = t.TempDir(), time.Minute
	if ended, err := process.Run(ctx, cmd); !errors.Is(err, context.Canceled) || ended.Forced || !strings.Contains(out.String(), "tidied") {
		t.Errorf("got %+v, %v and %q, want that the child has cleaned up", ended, err, out)
	}
	noneLeft(t, cmd.Dir)
}

// onLinux skips tests of what works on Linux only.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the processes of a session are known on Linux only")
	}
}

// noneLeft checks that no process of the group in the file pid is running.
func noneLeft(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if left := living(t, strings.TrimSpace(string(text))); len(left) > 0 {
		t.Errorf("processes %v of the group are still running", left)
	}
}

// living lists the processes of a group, without zombies.
func living(t *testing.T, group string) (all []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[2] == group && fields[0] != "Z" {
			all = append(all, stat)
		}
	}
	return all
}

func TestRun_LeavesChildrenBehind(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"InTheBackground", "sleep 60 & echo done"},
		{"Stubborn", "sh -c 'trap \"\" INT TERM; while :; do sleep 60; done' & echo done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out := newBuffer()
			cmd := shell("echo $$ > pid; "+tt.text, out)
			cmd.Dir = t.TempDir()
			ended, err := process.Run(t.Context(), cmd)
			if err != nil || !ended.LeftBehind || out.String() != "done\n" {
				t.Errorf("got %+v, %v and %q, want processes left behind", ended, err, out)
			}
			noneLeft(t, cmd.Dir)
		})
	}
}

// A process that leaves the session and keeps the output open is not waited for.
func TestRun_Daemon(t *testing.T) {
	out := newBuffer()
	cmd := shell("setsid sleep 60 & echo $! > pid; echo done", out)
	cmd.Dir = t.TempDir()
	if _, err := process.Run(t.Context(), cmd); err != nil || out.String() != "done\n" {
		t.Errorf("got %v and %q", err, out)
	}
	text, err := os.ReadFile(filepath.Join(cmd.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range living(t, strings.TrimSpace(string(text))) {
		t.Logf("the daemon is still running, as expected: %s", stat)
	}
	_ = syscall.Kill(atoi(strings.TrimSpace(string(text))), syscall.SIGKILL)
}

// A daemon that keeps printing is not waited for either; it gets a SIGPIPE.
func TestRun_DaemonThatPrints(t *testing.T) {
	out := newBuffer()
	cmd := shell(`
		setsid sh -c 'while :; do echo tick; sleep 0.05; done' &
		while [ ! -e ticks ]; do sleep 0.05; : > ticks; done
		echo done`, out)
	cmd.Dir = t.TempDir()
	if _, err := process.Run(t.Context(), cmd); err != nil || !strings.Contains(out.String(), "done\n") {
		t.Errorf("got %v and %q", err, out)
	}
}

// A slow writer, such as a terminal stopped by Ctrl-S, gets all output.
func TestRun_SlowWriter(t *testing.T) {
	slow := &slowly{clock: clock.System{}}
	_, err := process.Run(t.Context(), process.Command{
		Args: []string{"sh", "-c", "head -c 60000 /dev/zero; head -c 40000 /dev/zero; echo end"}, Environ: os.Environ(), Stdout: slow,
	})
	if err != nil || !strings.HasSuffix(slow.String(), "end\n") || slow.Len() != 100_004 {
		t.Errorf("got %v and %d bytes, want all 100,004", err, slow.Len())
	}
}

// slowly is a writer that takes long for the first write.
type slowly struct {
	bytes.Buffer
	clock clock.Clock
}

func (s *slowly) Write(p []byte) (int, error) {
	if s.Len() == 0 {
		_ = s.clock.Sleep(context.Background(), 1500*time.Millisecond)
	}
	return s.Buffer.Write(p)
}

// A program that does not read its input ends, even if a child keeps it open.
func TestRun_UnreadInput(t *testing.T) {
	out := newBuffer()
	cmd := shell("sleep 60 <&0 & echo done", out)
	cmd.Stdin = strings.NewReader(strings.Repeat("much ", 50_000))
	if ended, err := process.Run(t.Context(), cmd); err != nil || !ended.LeftBehind || out.String() != "done\n" {
		t.Errorf("got %+v, %v and %q", ended, err, out)
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}
