//go:build unix && !linux

package process

import "syscall"

// alive reports whether anybody is in the group that a session began with.
func alive(session int) bool { return syscall.Kill(-session, 0) == nil }

// groups lists the groups of a session; only the first is known here.
func groups(session int) []int {
	if alive(session) {
		return []int{session}
	}
	return nil
}

// deaf lists who ignores interrupts, which is not known here.
func deaf(int) []int { return nil }
