package pipefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// source is a place where pipes are found by name: the repository, a library,
// or those that are ready-made.
type source struct {
	// tree is what a ref by path can reach, base the folder in it where names
	// are looked for.
	tree fs.FS
	base string
	// from names the source in a Listing.
	from string
	// fileName names a file for people.
	fileName func(path string) string
}

// endings are those of files with pipes. A name is looked for with each.
var endings = []string{".yml", ".yaml"}

// refName is what the name of a pipe or a ref looks like.
var refName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`)

// fromReadyMade names the source of the pipes that come with the program.
const fromReadyMade = "ready-made"

// pipesFolder is where the pipes of a repository are.
const pipesFolder = "pipes"

func repository(root string) *source {
	return &source{tree: folder(root), base: pipesFolder, from: "repository", fileName: func(p string) string { return p }}
}

// library is a source whose pipes are in the folder pipes, or, if there is
// none, at its top.
func library(root, name string) *source {
	s := &source{tree: folder(root), base: ".", from: "library " + name}
	if info, err := fs.Stat(s.tree, pipesFolder); err == nil && info.IsDir() {
		s.base = pipesFolder
	}
	s.fileName = func(p string) string { return s.from + ": " + p }
	return s
}

// lookup returns the file of a name, empty if there is none.
func (s *source) lookup(name string) (string, error) {
	for _, stem := range []string{name, strings.ReplaceAll(name, ".", "/")} {
		found, err := s.existing(path.Join(s.base, stem))
		if found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}

// existing returns the file that exists of a path with or without its ending,
// empty if none does.
func (s *source) existing(stem string) (string, error) {
	candidates := []string{stem}
	if !slices.Contains(endings, path.Ext(stem)) {
		candidates = []string{stem + endings[0], stem + endings[1]}
	}
	for _, candidate := range candidates {
		switch info, err := fs.Stat(s.tree, candidate); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("%s cannot be read: %w", s.fileName(candidate), unwrapped(err))
		case !info.Mode().IsRegular():
			return "", fmt.Errorf("%s is not a file", s.fileName(candidate))
		default:
			return candidate, nil
		}
	}
	return "", nil
}

// unwrapped leaves out the path that an error of the file system names.
func unwrapped(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// looked says where a name was looked for.
func (s *source) looked(name string) string {
	if s.from == fromReadyMade {
		return "among the ready-made pipes"
	}
	stems := []string{name}
	if strings.Contains(name, ".") {
		stems = append(stems, strings.ReplaceAll(name, ".", "/"))
	}
	for i, stem := range stems {
		stems[i] = path.Join(s.base, stem) + endings[0]
	}
	return fmt.Sprintf("in the %s (%s)", s.from, strings.Join(stems, ", "))
}

// maxNames bounds how many files are looked at for a listing or a suggestion.
const maxNames = 10_000

// names returns the files by the names under which they are found.
func (s *source) names() (map[string]string, error) {
	all := map[string]string{}
	seen := 0
	err := fs.WalkDir(s.tree, s.base, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			if file == s.base && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		if seen++; seen > maxNames {
			return fs.SkipAll
		}
		if strings.HasPrefix(entry.Name(), ".") && file != s.base {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() || !slices.Contains(endings, path.Ext(file)) {
			return nil
		}
		stem := strings.TrimSuffix(file, path.Ext(file))
		if s.base != "." {
			stem = strings.TrimPrefix(stem, s.base+"/")
		}
		name := strings.ReplaceAll(stem, "/", ".")
		if !refName.MatchString(name) {
			return nil
		}
		if found, err := s.lookup(name); err == nil {
			all[name] = found
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the pipes in the %s: %w", s.from, err)
	}
	return all, nil
}

// read returns the content of a file, of one that is too large only as much as
// shows that it is.
func (s *source) read(name string) ([]byte, error) {
	f, err := s.tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, maxSize+1))
}

// folder is a folder out of which no path and no symbolic link leads.
type folder string

// Open opens a file.
func (f folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return os.OpenInRoot(string(f), filepath.FromSlash(name))
}

// Stat describes a file without opening it: to open a named pipe would wait
// for somebody to write to it.
func (f folder) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	return root.Stat(filepath.FromSlash(name))
}
