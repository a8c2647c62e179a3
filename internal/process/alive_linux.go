package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// alive reports whether anybody of a group is at work. Those that have ended,
// but that nobody has asked about, are not: in a container without an init,
// orphans stay like that for ever.
func alive(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		// Behind the name, which may hold anything: state, parent, group; see proc(5).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(group) && !bytes.ContainsAny(fields[0], "ZX") {
			return true
		}
	}
	return false
}
