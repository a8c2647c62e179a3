//go:build unix && !linux

package process

import "syscall"

// alive reports whether anybody of a group is left.
func alive(group int) bool { return syscall.Kill(-group, 0) == nil }
