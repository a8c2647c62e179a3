//go:build unix

package task

import (
	"io/fs"
	"syscall"
)

// device returns the device that a file is on.
func device(info fs.FileInfo) (uint64, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Dev), true //nolint:unconvert // its type differs between systems
}
