//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// ownSession lets a program begin a session of its own, without a terminal: a
// program that asks for input fails at once, instead of being stopped because it
// reads from a terminal in the background.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// These ignore errors, which mean that no process is left to signal.
func interrupt(session int) { signal(session, syscall.SIGINT) }
func terminate(session int) { signal(session, syscall.SIGTERM) }
func kill(session int)      { signal(session, syscall.SIGKILL) }

// terminateIgnoring terminates the processes that ignore interrupts.
func terminateIgnoring(session int) {
	for _, process := range ignoringSIGINT(session) {
		_ = syscall.Kill(process, syscall.SIGTERM)
	}
}

func signal(session int, what syscall.Signal) {
	for _, group := range groups(session) {
		_ = syscall.Kill(-group, what)
	}
}

// signalOf names the signal that ended a program, empty if none did.
func signalOf(e *exec.ExitError) string {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}

// capacity is how much a pipe holds, unless a program has enlarged it.
const capacity = 64 << 10

// wake interrupts a read from a pipe.
func wake(pipe *os.File) error { return pipe.SetReadDeadline(time.Unix(1, 0)) }

// copyRest copies what is in a pipe, without waiting for more. It stops after the
// pipe's capacity, in case a process keeps writing.
func copyRest(pipe *os.File, buffer []byte, to func([]byte)) {
	conn, err := pipe.SyscallConn()
	if err != nil || pipe.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for left := capacity; left > 0; {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buffer[:min(len(buffer), left)]) // an empty pipe is an error
			return true
		})
		if err != nil || n <= 0 {
			return
		}
		to(buffer[:n])
		left -= n
	}
}
