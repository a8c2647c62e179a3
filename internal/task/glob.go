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
	// links are the symbolic links that were not followed, each with its target: those to
	// folders, and those that lead nowhere.
	links []string
}

// findFiles finds what in a folder matches any of the patterns. ** stands for any
// number of folders, including none. A pattern may not lead out of the folder.
// Symbolic links are followed only with follow; otherwise one that a
// pattern names is among the others.
func findFiles(folder string, patterns []string, follow bool) (all found, err error) {
	inspect, options := os.Lstat, []doublestar.GlobOption{doublestar.WithFailOnIOErrors()}
	files := linkFS{FS: os.DirFS(folder), root: folder, follow: follow, passed: func(link, target string) {
		all.links = append(all.links, describeLink(link, target))
	}}
	if follow {
		inspect = os.Stat
	} else {
		options = append(options, doublestar.WithNoFollow())
	}
	for _, pattern := range patterns {
		clean := path.Clean(filepath.ToSlash(pattern))
		if pattern == "" || filepath.IsAbs(pattern) || !fs.ValidPath(clean) {
			return found{}, fmt.Errorf("%q: use a relative path inside of the folder, such as build/*.xml", pattern)
		}
		if link, target := linkIn(folder, clean); link != "" {
			if _, err := os.Stat(filepath.Join(folder, filepath.FromSlash(link))); !follow || errors.Is(err, fs.ErrNotExist) {
				all.others = append(all.others, describeLink(link, target))
				continue
			}
		}
		visit := func(name string, _ fs.DirEntry) error {
			info, err := inspect(filepath.Join(folder, filepath.FromSlash(name)))
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
		if err := doublestar.GlobWalk(files, literalBraces.Replace(clean), visit, options...); err != nil {
			return found{}, fmt.Errorf("find files that match %q: %w", pattern, err)
		}
	}
	slices.Sort(all.files)
	slices.Sort(all.others)
	slices.Sort(all.links)
	all.files, all.others, all.links = slices.Compact(all.files), slices.Compact(all.others), slices.Compact(all.links)
	return all, nil
}

func describeLink(link, target string) string {
	return fmt.Sprintf("%s (a symbolic link to %s)", link, target)
}

// linkIn returns the first symbolic link among what a pattern names before its first special
// character, and its target; both are empty if there is none.
func linkIn(folder, pattern string) (link, target string) {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.ContainsAny(part, `*?[\`) {
			break
		}
		link = strings.Join(parts[:i+1], "/")
		if target, err := os.Readlink(filepath.Join(folder, filepath.FromSlash(link))); err == nil {
			return link, target
		}
	}
	return "", ""
}

// linkFS is a folder in which symbolic links are followed or not. No folder is entered
// within itself.
type linkFS struct {
	fs.FS
	root   string
	follow bool
	// passed is called for each link that is not followed.
	passed func(link, target string)
}

// ReadDir implements fs.ReadDirFS.
func (f linkFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	if err != nil || f.follow {
		return f.withoutLoops(name, entries), err
	}
	for _, e := range entries {
		link := path.Join(name, e.Name())
		full := filepath.Join(f.root, filepath.FromSlash(link))
		if info, err := os.Stat(full); e.Type()&fs.ModeSymlink != 0 && err == nil && info.IsDir() {
			if target, err := os.Readlink(full); err == nil {
				f.passed(link, target)
			}
		}
	}
	return entries, nil
}

// withoutLoops returns the entries of a folder that exist, and that do not lead back to it
// or to a folder by which it was reached.
func (f linkFS) withoutLoops(name string, entries []fs.DirEntry) []fs.DirEntry {
	resolve := func(name string) (string, error) {
		return filepath.EvalSymlinks(filepath.Join(f.root, filepath.FromSlash(name)))
	}
	entered := map[string]bool{}
	for above := name; ; above = path.Dir(above) {
		if folder, err := resolve(above); err == nil {
			entered[folder] = true
		}
		if above == "." {
			break
		}
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		link := path.Join(name, e.Name())
		leads, err := resolve(link)
		if target, readErr := os.Readlink(filepath.Join(f.root, filepath.FromSlash(link))); err != nil && readErr == nil {
			f.passed(link, target)
		}
		return err != nil || entered[leads]
	})
}

// noneOf says that patterns match no regular file.
func (f found) noneOf(patterns []string, folder string) error {
	problem := fmt.Sprintf("no file matches %s in %s", strings.Join(patterns, ", "), folder)
	if len(f.others) > 0 {
		problem += ", except for what is not a regular file: " + text.ListSome(f.others, maxNamed)
	}
	if len(f.links) > 0 {
		problem += "; not looked for behind " + text.ListSome(f.links, maxNamed)
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
