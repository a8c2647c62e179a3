package task

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mounts tells which paths below a folder are on other file systems, so that nothing there is
// removed. A bind mount of the same file system, as containers have it, counts as well.
type mounts struct {
	// points are the mount points below the folder, relative to it. Only Linux lists them.
	points []string
	// device returns the device of a file. Everything with another device than home is on
	// another file system.
	device func(info fs.FileInfo) (device uint64, ok bool)
	home   uint64
}

// mountTable lists the mounts that this process sees; see proc_pid_mountinfo(5).
const mountTable = "/proc/self/mountinfo"

// readMounts reads which mounts there are below a folder.
func readMounts(folder string) (mounts, error) {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return mounts{}, err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return mounts{}, err
	}
	m := mounts{device: device}
	m.home, _ = device(info)
	table, err := os.ReadFile(mountTable)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil // not Linux: the devices tell
	}
	if err != nil {
		return mounts{}, fmt.Errorf("find out what is mounted in the checkout: %w", err)
	}
	m.points = mountPoints(string(table), folder)
	return m, nil
}

// escaped matches a character of a path that the table of mounts writes in octal.
var escaped = regexp.MustCompile(`\\[0-7]{3}`)

// mountPoints returns the mount points below a folder, relative to it.
func mountPoints(table, folder string) (points []string) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := escaped.ReplaceAllStringFunc(fields[4], func(code string) string {
			n, _ := strconv.ParseUint(code[1:], 8, 8) // it matched the pattern, but for codes above 377
			return string([]byte{byte(n)})
		})
		if relative, err := filepath.Rel(folder, point); err == nil && relative != "." && filepath.IsLocal(relative) {
			points = append(points, relative)
		}
	}
	return points
}

// on reports whether a file is on another file system, or something is mounted on it.
func (m mounts) on(name string, info fs.FileInfo) bool {
	if slices.Contains(m.points, name) {
		return true
	}
	device, ok := m.device(info)
	return ok && device != m.home
}

// remove removes a file or a folder with everything in it, but for what is mounted, which it
// returns.
func (m mounts) remove(root *os.Root, name string) (kept []string, err error) {
	for _, point := range m.points {
		if strings.HasPrefix(name, point+string(filepath.Separator)) {
			return []string{name}, nil // it is in the mounted file system
		}
	}
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.on(name, info) {
		return []string{name}, nil
	}
	if info.IsDir() {
		folder, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		entries, err := folder.ReadDir(-1)
		if err := errors.Join(err, folder.Close()); err != nil {
			return nil, err
		}
		for _, entry := range entries {
			below, err := m.remove(root, filepath.Join(name, entry.Name()))
			if err != nil {
				return nil, err
			}
			kept = append(kept, below...)
		}
		if len(kept) > 0 {
			slices.Sort(kept)
			return kept, nil
		}
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, nil
}
