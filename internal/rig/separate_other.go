//go:build !unix

package rig

import "os/exec"

// Separate does nothing where there are no process groups.
func Separate(*exec.Cmd) {}
