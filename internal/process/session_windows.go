package process

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownSession has a program begin a group of its own for Ctrl-Break.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// The errors of these are that nobody is left, which is what is wanted.
func interrupt(session int) {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(session))
}
func terminate(session int) { kill(session) }
func kill(session int)      { _ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(session)).Run() }

// Who is left is not known on Windows once the program has ended.
func alive(int) bool   { return false }
func groups(int) []int { return nil }

func terminateDeaf(int) {}

func signalOf(*exec.ExitError) string { return "" }

// wake is refused: pipes have no deadlines here.
func wake(*os.File) error { return os.ErrNoDeadline }

func rest(*os.File, []byte, func([]byte)) {}
