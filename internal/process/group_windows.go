package process

import (
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownGroup has a program begin a group of its own for Ctrl-Break.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// The errors of these are that nobody is left, which is what is wanted.
func interrupt(group int) {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(group))
}
func terminate(group int) { kill(group) }
func kill(group int)      { _ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(group)).Run() }

// alive is not known on Windows once the program has ended.
func alive(int) bool { return false }

func signalOf(*exec.ExitError) string { return "" }
