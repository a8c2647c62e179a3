//go:build unix

package rig

import (
	"os/exec"
	"syscall"
)

// separate keeps the terminal's Ctrl-C from a child, which has to stay until
// its parent has cleaned up with it.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
