package task

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// matches lists the regular files in a folder that match any of the patterns,
// as paths from there with slashes, sorted. As in most build tools, ** stands
// for any folders, none included. A pattern may not lead out of the folder,
// and symbolic links to folders are not followed.
func matches(folder string, patterns []string) ([]string, error) {
	// The search does not follow links, and the folder may be one.
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, pattern := range patterns {
		segments, err := splitPattern(pattern)
		if err != nil {
			return nil, err
		}
		// Whatever precedes the first wildcard need not be searched.
		plain := 0
		for plain < len(segments)-1 && !strings.ContainsAny(segments[plain], `*?[\`) {
			plain++
		}
		base := path.Join(segments[:plain]...)
		deep := slices.Contains(segments, "**")
		err = filepath.WalkDir(filepath.Join(folder, filepath.FromSlash(base)), func(file string, entry fs.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil // nothing matches, or it was removed meanwhile
			}
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(folder, file)
			if err != nil {
				return err
			}
			name := filepath.ToSlash(relative)
			names := strings.Split(name, "/")
			if entry.IsDir() {
				if !deep && name != "." && len(names) >= len(segments) {
					return fs.SkipDir
				}
				return nil
			}
			if !match(segments, names) {
				return nil
			}
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				all = append(all, name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", pattern, err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func splitPattern(pattern string) ([]string, error) {
	clean := path.Clean(filepath.ToSlash(pattern))
	if pattern == "" || filepath.IsAbs(pattern) || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return nil, fmt.Errorf("%q: name files by a path inside of the folder, as in build/*.xml", pattern)
	}
	segments := strings.Split(clean, "/")
	for _, segment := range segments {
		if _, err := path.Match(segment, ""); err != nil {
			return nil, fmt.Errorf("%q is not a pattern of file names: %w", pattern, err)
		}
	}
	return segments, nil
}

// match reports whether a path matches a pattern, both in segments.
func match(pattern, names []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for skip := range len(names) + 1 {
				if match(pattern[1:], names[skip:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], names[0]); err != nil || !ok {
			return false
		}
		pattern, names = pattern[1:], names[1:]
	}
	return len(names) == 0
}
