//go:build !unix

package acctest

import (
	"os"
	"os/exec"
)

// Signal sends a signal to a command of a workspace.
func Signal(cmd *exec.Cmd, s os.Signal) error { return cmd.Process.Signal(s) }
