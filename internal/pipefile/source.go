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

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// source is where pipes have names: the checkout, a library, or the program with
// the built-in pipes.
type source struct {
	// Position is that of its files, without a path.
	pipe.Position
	// tree is what refs with a path can reach, base the folder in it to search for
	// names.
	tree fs.FS
	base string
}

// at returns the position of a file.
func (s *source) at(path string) pipe.Position {
	at := s.Position
	at.Path = path
	return at
}

// endings are the extensions of files with pipes, in the order of the search.
var endings = []string{".yml", ".yaml"}

// refName matches the name of a pipe or a ref.
var refName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`)

func checkout(root string) *source {
	return &source{Position: pipe.Position{Origin: pipe.OriginCheckout}, tree: folder(root), base: pipe.PipesFolder}
}

// library is a source whose pipes are in the folder pipes, or, if there is
// none, at its top.
func library(root, name string) *source {
	s := &source{Position: pipe.Position{Origin: pipe.OriginLibrary, Library: name}, tree: folder(root), base: "."}
	if info, err := fs.Stat(s.tree, pipe.PipesFolder); err == nil && info.IsDir() {
		s.base = pipe.PipesFolder
	}
	return s
}

// repositoryPipes returns the pipes at the top of the git repository that a folder is in:
// a library for all folders in it that have a .delivery.yml. It is nil if there are none,
// or if the folder is the top.
func repositoryPipes(root string) *source {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil
	}
	for top := root; ; top = filepath.Dir(top) {
		if _, err := os.Lstat(filepath.Join(top, ".git")); err == nil {
			above, err := filepath.Rel(root, top)
			if s := library(top, filepath.ToSlash(above)); err == nil && top != root && s.base == pipe.PipesFolder {
				return s
			}
			return nil
		}
		if top == filepath.Dir(top) {
			return nil
		}
	}
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

// existing returns the existing file of a path with or without its extension, empty
// if there is none.
func (s *source) existing(stem string) (string, error) {
	candidates := []string{stem}
	if !slices.Contains(endings, path.Ext(stem)) {
		candidates = []string{stem + endings[0], stem + endings[1]}
	}
	for _, candidate := range candidates {
		switch info, err := fs.Stat(s.tree, candidate); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("%s cannot be read: %w", s.at(candidate).File(), unwrapped(err))
		case !info.Mode().IsRegular():
			return "", fmt.Errorf("%s is not a file", s.at(candidate).File())
		default:
			return candidate, nil
		}
	}
	return "", nil
}

// unwrapped removes the path from an error of the file system.
func unwrapped(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// searched describes the source and the searched paths of a name.
func (s *source) searched(name string) string {
	if s.Origin == pipe.OriginBuiltIn {
		return "the built-in pipes"
	}
	stems := []string{name}
	if strings.Contains(name, ".") {
		stems = append(stems, strings.ReplaceAll(name, ".", "/"))
	}
	for i, stem := range stems {
		stems[i] = path.Join(s.base, stem) + endings[0]
	}
	return fmt.Sprintf("the %s (%s)", s.Source(), strings.Join(stems, ", "))
}

// maxNames limits how many files are visited for a listing or a suggestion.
const maxNames = 10_000

// names returns the files by name.
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
		return nil, fmt.Errorf("list the pipes in the %s: %w", s.Source(), err)
	}
	return all, nil
}

// read returns the content of a file, up to one byte more than the limit.
func (s *source) read(name string) ([]byte, error) {
	f, err := s.tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxSize+1))
}

// folder is a folder that no path and no symbolic link can leave.
type folder string

// Open opens a file.
func (f folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return os.OpenInRoot(string(f), filepath.FromSlash(name))
}

// Stat describes a file without opening it: opening a named pipe would wait for a
// writer.
func (f folder) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read
	return root.Stat(filepath.FromSlash(name))
}
