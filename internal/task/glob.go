package task

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// literalBraces keeps braces what they are in file names: a list of
// alternatives could hold a path that leads out of the folder.
var literalBraces = strings.NewReplacer(`\\`, `\\`, `\{`, `\{`, `\}`, `\}`, `{`, `\{`, `}`, `\}`)

// matches lists the regular files in a folder that match any of the patterns,
// as relative paths with slashes, sorted. ** stands for any number of folders,
// including none. A pattern may not lead out of the folder. A symbolic link to
// a folder is followed only if the pattern names it.
func findFiles(folder string, patterns []string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		clean := path.Clean(filepath.ToSlash(pattern))
		if pattern == "" || filepath.IsAbs(pattern) || !fs.ValidPath(clean) {
			return nil, fmt.Errorf("%q: use a relative path inside of the folder, such as build/*.xml", pattern)
		}
		visit := func(name string, _ fs.DirEntry) error {
			info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(name)))
			if err == nil && info.Mode().IsRegular() { // otherwise it is a folder, or was removed meanwhile
				all = append(all, name)
			}
			return nil
		}
		err := doublestar.GlobWalk(os.DirFS(folder), literalBraces.Replace(clean), visit,
			doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
		if err != nil {
			return nil, fmt.Errorf("find files that match %q: %w", pattern, err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
