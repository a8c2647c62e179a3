package process

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// alive reports whether anybody is in the group that a session began with. It
// costs next to nothing; whoever has ended without being asked about counts.
func alive(session int) bool { return syscall.Kill(-session, 0) == nil }

// groups lists the groups of a session in which anybody is at work: a program
// such as timeout begins one of its own.
func groups(session int) (all []int) {
	for _, m := range members(session) {
		if !slices.Contains(all, m.group) {
			all = append(all, m.group)
		}
	}
	return all
}

// deaf lists who in a session ignores interrupts, as a shell has what it starts
// in the background do.
func deaf(session int) (all []int) {
	for _, m := range members(session) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(m.process) + "/status")
		if err != nil {
			continue // it has ended meanwhile
		}
		_, after, _ := bytes.Cut(status, []byte("\nSigIgn:"))
		mask, _, _ := bytes.Cut(after, []byte("\n"))
		ignored, err := strconv.ParseUint(string(bytes.TrimSpace(mask)), 16, 64)
		if err == nil && ignored&(1<<(syscall.SIGINT-1)) != 0 {
			all = append(all, m.process)
		}
	}
	return all
}

type member struct{ process, group int }

// members lists who is at work in a session. Those that have ended, but that
// nobody has asked about, are not: in a container without an init, orphans stay
// like that for ever.
func members(session int) (all []member) {
	processes, err := os.ReadDir("/proc")
	if err != nil && alive(session) {
		return []member{{session, session}} // as much as can be known without it
	}
	for _, p := range processes {
		process, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		// Behind the name, which may hold anything: state, parent, group, session; see proc(5).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 4 || string(fields[3]) != strconv.Itoa(session) || bytes.ContainsAny(fields[0], "ZX") {
			continue
		}
		if group, err := strconv.Atoi(string(fields[2])); err == nil {
			all = append(all, member{process, group})
		}
	}
	return all
}
