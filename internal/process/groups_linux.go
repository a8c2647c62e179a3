package process

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// alive reports whether a process is in the group that a session began with. It
// is cheap, and counts zombies.
func alive(session int) bool { return syscall.Kill(-session, 0) == nil }

// groups lists the process groups of a session in which a process is running: a
// program such as timeout begins one of its own.
func groups(session int) (all []int) {
	for _, m := range members(session) {
		if !slices.Contains(all, m.group) {
			all = append(all, m.group)
		}
	}
	return all
}

// ignoringSIGINT lists the processes of a session that ignore interrupts. A shell
// starts its background processes like that.
func ignoringSIGINT(session int) (all []int) {
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

// members lists the running processes of a session. It leaves out zombies, which
// stay forever in a container without an init.
func members(session int) (all []member) {
	processes, err := os.ReadDir("/proc")
	if err != nil && alive(session) {
		return []member{{session, session}} // all that is known without /proc
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
		// After the name, which may contain anything: state, parent, group, session; see proc(5).
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
