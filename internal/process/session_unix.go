//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// ownSession has a program begin a session of its own, without a terminal: one
// that asks people something fails at once, instead of being stopped for
// reading where only the foreground may.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// The errors of these are that nobody is left, which is what is wanted.
func interrupt(session int) { signal(session, syscall.SIGINT) }
func terminate(session int) { signal(session, syscall.SIGTERM) }
func kill(session int)      { signal(session, syscall.SIGKILL) }

// terminateDeaf has those end who do not hear an interrupt.
func terminateDeaf(session int) {
	for _, process := range deaf(session) {
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

// capacity is what a pipe holds at most, unless somebody has enlarged it.
const capacity = 64 << 10

// wake has whoever reads from a pipe stop waiting.
func wake(pipe *os.File) error { return pipe.SetReadDeadline(time.Unix(1, 0)) }

// rest copies what is in a pipe, without waiting for more. If somebody goes on
// writing, what was there is among the first that comes.
func rest(pipe *os.File, buffer []byte, to func([]byte)) {
	conn, err := pipe.SyscallConn()
	if err != nil || pipe.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for left := capacity; left > 0; {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buffer[:min(len(buffer), left)]) // that nothing is there is an error
			return true
		})
		if err != nil || n <= 0 {
			return
		}
		to(buffer[:n])
		left -= n
	}
}
