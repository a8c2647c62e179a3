// Package pipefile reads pipes, and .delivery.yml, which names the pipe of a
// checkout, from YAML files. It checks their form; package pipe checks their
// content.
package pipefile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// Loader finds and reads pipes. It reads each file once, so that its results are
// consistent. It is not safe for concurrent use.
//
// Errors in the content of a file are pipe.Diagnostics.
type Loader struct {
	// Root is the folder that holds .delivery.yml.
	Root string
	// CacheDir is the folder for libraries that are git repositories; empty means
	// a folder in the user's cache.
	CacheDir string
	// Environ is the environment of git; nil means that of this process.
	Environ []string
	// Network is how the servers of libraries are asked. Offline, only the libraries are used
	// that are folders, or that were fetched before and are pinned to a commit.
	Network scm.Network

	project *Project
	opened  []*source
	files   map[fileKey]*file
}

type fileKey struct {
	source *source
	path   string
}

// MissingError means that there is no pipe of a name.
type MissingError struct {
	Name string
	err  error
}

func (e *MissingError) Error() string { return e.err.Error() }

// ExitCode is that of the command line.
func (e *MissingError) ExitCode() int { return exitcode.Usage }

// Pipe returns the pipe of a name with all its refs resolved. It searches the
// checkout, its libraries and the built-in pipes. A name with a slash, or that ends
// in .yml, is a path relative to Root. An empty name means the pipe that
// .delivery.yml names.
func (l *Loader) Pipe(ctx context.Context, name string) (*pipe.Pipe, error) {
	sources, err := l.sources(ctx)
	if err != nil {
		return nil, err
	}
	project, err := l.Project()
	if name == "" {
		if err != nil {
			return nil, err
		}
		if project.Pipe == "" {
			return nil, pipe.Diagnostics{{At: project.At, Problem: "does not name a pipe: add one, such as pipe: ci"}}
		}
		name = project.Pipe
	}
	f, err := l.find(sources, name)
	if err != nil && project != nil && name == project.Pipe {
		return nil, pipe.Diagnostics{{At: project.Position(keyPipe), Problem: err.Error()}}
	}
	if err != nil {
		return nil, err
	}
	x := expansion{Loader: l, sources: sources}
	base := path.Base(name)
	if isPath(name) {
		base = strings.TrimSuffix(base, path.Ext(base))
	}
	p, err := x.pipe(f, base)
	if err != nil {
		return nil, err
	}
	p.NameSteps()
	return p, nil
}

// Source returns the content of the file of a pipe, or of a part of one.
func (l *Loader) Source(ctx context.Context, name string) ([]byte, error) {
	sources, err := l.sources(ctx)
	if err != nil {
		return nil, err
	}
	s, found, err := l.locate(sources, name)
	if err != nil {
		return nil, err
	}
	return s.read(found)
}

// find returns the file of a pipe.
func (l *Loader) find(sources []*source, name string) (*file, error) {
	s, found, err := l.locate(sources, name)
	if err != nil {
		return nil, err
	}
	return l.load(s, found)
}

// locate returns where the file of a pipe is.
func (l *Loader) locate(sources []*source, name string) (s *source, found string, err error) {
	if isPath(name) {
		s = sources[0]
		top := file{source: s, path: ProjectFile}
		found, err = top.relative(name)
	} else if s, found, err = find(sources, name); err == nil && s == nil {
		err = missing("pipe", name, sources)
	}
	if err != nil {
		return nil, "", &MissingError{Name: name, err: err}
	}
	return s, found, nil
}

// Listing is a file of steps that has a name.
type Listing struct {
	Name string `json:"name"`
	// At is its file.
	At pipe.Position `json:"at"`
	// Description is the description in the file, on one line.
	Description string `json:"description,omitempty"`
	// Piece means that another file includes it.
	Piece bool `json:"piece"`
	// Diagnostics are the problems of the file itself.
	Diagnostics pipe.Diagnostics `json:"diagnostics,omitempty"`
}

// List returns all files that have a name, sorted by it. Of several files with the
// same name it returns the one that Pipe finds.
func (l *Loader) List(ctx context.Context) ([]Listing, error) {
	sources, err := l.sources(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]Listing{}
	pieces := map[fileKey]bool{}
	keys := map[string]fileKey{}
	for _, s := range sources {
		names, err := s.names()
		if err != nil {
			return nil, err
		}
		for name, found := range names {
			f, err := l.load(s, found)
			if err != nil {
				return nil, err
			}
			x := expansion{Loader: l, sources: sources}
			for _, ref := range f.refs() {
				if s, piece, err := x.resolve(f, ref); err == nil {
					pieces[fileKey{s, piece}] = true
				}
			}
			if _, ok := all[name]; !ok {
				all[name] = Listing{Name: name, At: s.at(found), Description: f.description, Diagnostics: f.diags}
				keys[name] = fileKey{s, found}
			}
		}
	}
	listings := slices.SortedFunc(maps.Values(all), func(a, b Listing) int { return cmp.Compare(a.Name, b.Name) })
	for i := range listings {
		listings[i].Piece = pieces[keys[listings[i].Name]]
	}
	return listings, nil
}

// refs returns the refs in a file.
func (f *file) refs() []string {
	var all []string
	var visit func(entries []entry)
	visit = func(entries []entry) {
		for _, e := range entries {
			if e.ref != "" {
				all = append(all, e.ref)
			}
			for _, branch := range e.branches {
				visit(branch)
			}
		}
	}
	visit(f.first)
	visit(f.main)
	visit(f.last)
	return all
}

// load reads a file.
func (l *Loader) load(s *source, name string) (*file, error) {
	key := fileKey{s, name}
	if f, ok := l.files[key]; ok {
		return f, nil
	}
	content, err := s.read(name)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", s.at(name).File(), unwrapped(err))
	}
	if l.files == nil {
		l.files = map[fileKey]*file{}
	}
	f := readFile(s, name, content)
	l.files[key] = f
	return f, nil
}

// sources returns the sources to search, in this order.
func (l *Loader) sources(ctx context.Context) ([]*source, error) {
	if l.opened != nil {
		return l.opened, nil
	}
	all := []*source{checkout(l.Root)}
	if top := repositoryPipes(l.Root); top != nil {
		all = append(all, top)
	}
	project, err := l.Project()
	var none *NotFoundError
	if err != nil && !errors.As(err, &none) {
		return nil, err
	}
	if project != nil {
		libraries, err := l.libraries(ctx, project.libraries)
		if err != nil {
			return nil, err
		}
		all = append(all, libraries...)
	}
	l.opened = append(all, builtIn())
	return l.opened, nil
}
