package process

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownSession lets a program begin a group of its own, for Ctrl-Break.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// These ignore errors, which mean that no process is left to signal.
func interrupt(session int) {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(session))
}
func terminate(session int) { kill(session) }
func kill(session int)      { _ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(session)).Run() }

// On Windows it is unknown which processes are left after the program has ended.
func alive(int) bool   { return false }
func groups(int) []int { return nil }

func terminateIgnoring(int) {}

func signalOf(*exec.ExitError) string { return "" }

// wake fails: pipes have no deadlines here.
func wake(*os.File) error { return os.ErrNoDeadline }

func copyRest(*os.File, []byte, func([]byte)) {}
