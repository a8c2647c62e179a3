//go:build unix

package acctest

import (
	"os"
	"os/exec"
	"syscall"
)

// Signal sends a signal to a command of a workspace. SIGKILL is also sent to the provider
// that the command has started, as when a machine fails; other signals only to the command.
func Signal(cmd *exec.Cmd, s os.Signal) error {
	if s == os.Kill {
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return cmd.Process.Signal(s)
}
