//go:build unix

package rig

import (
	"os/exec"
	"syscall"
)

// Separate keeps the terminal's Ctrl-C from a child, which has to stay until
// its parent has cleaned up with it.
func Separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
