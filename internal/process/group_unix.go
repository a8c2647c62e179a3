//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// ownGroup has a program begin a process group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// The errors of these are that nobody is left, which is what is wanted.
func interrupt(group int) { _ = syscall.Kill(-group, syscall.SIGINT) }
func terminate(group int) { _ = syscall.Kill(-group, syscall.SIGTERM) }
func kill(group int)      { _ = syscall.Kill(-group, syscall.SIGKILL) }

// signalOf names the signal that ended a program, empty if none did.
func signalOf(e *exec.ExitError) string {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}
