//go:build unix && !linux

package process

import "syscall"

// alive reports whether a process is in the group that a session began with.
func alive(session int) bool { return syscall.Kill(-session, 0) == nil }

// groups lists the process groups of a session. Only the first is known here.
func groups(session int) []int {
	if alive(session) {
		return []int{session}
	}
	return nil
}

// ignoringSIGINT lists the processes that ignore interrupts, which is unknown here.
func ignoringSIGINT(int) []int { return nil }
