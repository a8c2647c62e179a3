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

	"github.com/bmatcuk/doublestar/v4"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// literalBraces keeps braces what they are in file names: a list of
// alternatives could hold a path that leads out of the folder.
var literalBraces = strings.NewReplacer(`\\`, `\\`, `\{`, `\{`, `\}`, `\}`, `{`, `\{`, `}`, `\}`)

// found are the files that patterns match.
type found struct {
	// files are the regular ones, as relative paths with slashes, sorted.
	files []string
	// others are what is neither a regular file nor a folder, each with what it is.
	others []string
}

// findFiles finds what in a folder matches any of the patterns. ** stands for any
// number of folders, including none. A pattern may not lead out of the folder.
// Symbolic links are not followed.
func findFiles(folder string, patterns []string) (all found, err error) {
	for _, pattern := range patterns {
		clean := path.Clean(filepath.ToSlash(pattern))
		if pattern == "" || filepath.IsAbs(pattern) || !fs.ValidPath(clean) {
			return found{}, fmt.Errorf("%q: use a relative path inside of the folder, such as build/*.xml", pattern)
		}
		visit := func(name string, _ fs.DirEntry) error {
			info, err := os.Lstat(filepath.Join(folder, filepath.FromSlash(name)))
			if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
				return nil
			}
			switch {
			case err != nil:
				return err
			case info.Mode().IsRegular():
				all.files = append(all.files, name)
			case !info.IsDir():
				all.others = append(all.others, fmt.Sprintf("%s (%s)", name, kindOf(info.Mode())))
			}
			return nil
		}
		err := doublestar.GlobWalk(os.DirFS(folder), literalBraces.Replace(clean), visit,
			doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
		if err != nil {
			return found{}, fmt.Errorf("find files that match %q: %w", pattern, err)
		}
	}
	slices.Sort(all.files)
	slices.Sort(all.others)
	all.files, all.others = slices.Compact(all.files), slices.Compact(all.others)
	return all, nil
}

// noneOf says that patterns match no regular file.
func (f found) noneOf(patterns []string, folder string) error {
	problem := fmt.Sprintf("no file matches %s in %s", strings.Join(patterns, ", "), folder)
	if len(f.others) > 0 {
		problem += ", except for what is not a regular file: " + text.ListSome(f.others, maxNamed)
	}
	return errors.New(problem)
}

// warnings names what was left out.
func (f found) warnings() []string {
	if len(f.others) == 0 {
		return nil
	}
	return []string{"left out, since only regular files are read: " + text.ListSome(f.others, maxNamed)}
}
