package pipefile

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// Limits of refs. Ten files that each include the next ten times are ten thousand
// million steps.
const (
	maxRefs  = 64
	maxSteps = 10_000
)

// expansion resolves the refs of a pipe.
type expansion struct {
	*Loader
	sources []*source
	diags   pipe.Diagnostics
	// first and last are the sections of included files: they are sections of
	// the whole pipe.
	first, last []pipe.Step
	// chain is the path of refs to the current file.
	chain []link
	// reported are the files whose diagnostics were added.
	reported        map[*file]bool
	steps, included int
	full            bool
}

// link is a file in the chain, and its ref; the first has none.
type link struct {
	file *file
	ref  string
	at   pipe.Position
}

// pipe converts a file to a pipe.
func (x *expansion) pipe(f *file, name string) (*pipe.Pipe, error) {
	x.reported = map[*file]bool{}
	x.enter(link{file: f})
	none := pipe.Value{}
	p := &pipe.Pipe{Name: cmp.Or(f.name, name), At: f.at, Timeout: f.timeout, StepTimeout: f.stepTimeout}
	p.First = x.expand(f, f.first, none)
	p.Main = x.expand(f, f.main, none)
	p.Last = x.expand(f, f.last, none)
	p.First = append(p.First, x.first...)
	p.Last = append(p.Last, x.last...)
	if err := x.diags.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (x *expansion) enter(l link) {
	x.chain = append(x.chain, l)
	if !x.reported[l.file] {
		x.reported[l.file] = true
		x.diags = append(x.diags, l.file.diags...)
	}
}

// expand converts entries to steps. The condition is that of the refs in the chain.
func (x *expansion) expand(f *file, entries []entry, when pipe.Value) []pipe.Step {
	var all []pipe.Step
	for _, e := range entries {
		if x.full {
			return nil
		}
		switch {
		case e.ref != "":
			all = append(all, x.include(f, e, when)...)
		case e.branches != nil:
			step := pipe.Step{At: e.at, Via: x.via(), MaxParallel: e.maxParallel}
			when := x.condition(when, e.when)
			for _, branch := range e.branches {
				if steps := x.expand(f, branch, when); len(steps) > 0 {
					step.Parallel = append(step.Parallel, steps)
				}
			}
			if len(step.Parallel) > 0 {
				all = append(all, step)
			}
		case e.step.Task != "":
			if x.steps++; x.steps > maxSteps {
				x.overflow(e.step.At, fmt.Sprintf("the pipe has more than %d steps", maxSteps))
				return nil
			}
			step := e.step
			step.Via = x.via()
			step.When = x.condition(when, step.When)
			all = append(all, step)
		}
	}
	return all
}

// via returns the refs of the chain.
func (x *expansion) via() []string {
	var refs []string
	for _, l := range x.chain[1:] {
		refs = append(refs, l.ref)
	}
	return refs
}

// condition combines the condition of a ref with that of an included step. No
// expression can express both.
func (x *expansion) condition(outer, inner pipe.Value) pipe.Value {
	switch {
	case outer.IsZero():
		return inner
	case inner.IsZero():
		return outer
	}
	x.diags.Add(inner.At, "it has a condition already, the when at %s: a step can have only one", outer.At)
	return inner
}

func (x *expansion) overflow(at pipe.Position, problem string) {
	x.full = true
	x.diags.Add(at, "%s", problem)
}

// include returns the steps of a ref.
func (x *expansion) include(f *file, e entry, when pipe.Value) []pipe.Step {
	when = x.condition(when, e.when)
	s, name, err := x.resolve(f, e.ref)
	if err != nil {
		x.diags.Add(e.at, "%s", err)
		return nil
	}
	if circle := x.circle(s, name, e.at); circle != "" {
		x.diags.Add(e.at, "circular refs: %s", circle)
		return nil
	}
	if x.included++; x.included > maxSteps || len(x.chain) > maxRefs {
		x.overflow(e.at, fmt.Sprintf("too many refs: at most %d, and %d within each other", maxSteps, maxRefs))
		return nil
	}
	included, err := x.load(s, name)
	if err != nil {
		x.diags.Add(e.at, "%s", err)
		return nil
	}
	x.enter(link{file: included, ref: e.ref, at: e.at})
	x.first = append(x.first, x.expand(included, included.first, when)...)
	steps := x.expand(included, included.main, when)
	x.last = append(x.last, x.expand(included, included.last, when)...)
	x.chain = x.chain[:len(x.chain)-1]
	return steps
}

// circle describes the refs from a file to itself; it is empty if the file is not
// in the chain.
func (x *expansion) circle(s *source, name string, at pipe.Position) string {
	from := slices.IndexFunc(x.chain, func(l link) bool { return l.file.source == s && l.file.path == name })
	if from < 0 {
		return ""
	}
	var refs []string
	for _, l := range x.chain[from+1:] {
		refs = append(refs, fmt.Sprintf("%s:%d", l.at.File(), l.at.Line))
	}
	refs = append(refs, fmt.Sprintf("%s:%d", at.File(), at.Line), s.at(name).File())
	return strings.Join(refs, " → ")
}

// resolve finds the file of a ref.
func (x *expansion) resolve(f *file, ref string) (*source, string, error) {
	if isPath(ref) {
		name, err := f.relative(ref)
		return f.source, name, err
	}
	// The refs of a library's pipes search the library first.
	others := slices.DeleteFunc(slices.Clone(x.sources), func(s *source) bool { return s == f.source })
	sources := append([]*source{f.source}, others...)
	s, name, err := find(sources, ref)
	if err == nil && s == nil {
		err = missing("file for the ref", ref, sources)
	}
	return s, name, err
}

// isPath reports whether a ref is a path, rather than a name.
func isPath(ref string) bool {
	return strings.ContainsAny(ref, `/\`) || slices.Contains(endings, path.Ext(ref))
}

// relative finds a file by its path relative to this one.
func (f *file) relative(ref string) (string, error) {
	name := path.Join(path.Dir(f.path), ref)
	switch {
	case strings.Contains(ref, `\`):
		return "", fmt.Errorf("invalid ref %q: separate folders by /", clip(ref))
	case path.IsAbs(ref):
		return "", fmt.Errorf("invalid ref %q: a path must be relative to the file of the ref", clip(ref))
	case name == ".." || strings.HasPrefix(name, "../"):
		return "", fmt.Errorf("the ref %q leads out of the %s", clip(ref), f.source.Source())
	}
	found, err := f.existing(name)
	if err == nil && found == "" {
		if path.Ext(name) == "" {
			name += endings[0]
		}
		err = fmt.Errorf("there is no file for the ref %q: expected %s", clip(ref), f.source.at(name).File())
	}
	return found, err
}

// find returns the first file of a name, a nil source if there is none.
func find(sources []*source, name string) (*source, string, error) {
	if !refName.MatchString(name) {
		return nil, "", fmt.Errorf("%q is not a valid name of a file of steps: use letters, digits, _, - and dots, as in build.deployable, "+
			"or a path with a slash, as in ./build.yml", clip(name))
	}
	for _, s := range sources {
		if found, err := s.lookup(name); found != "" || err != nil {
			return s, found, err
		}
	}
	return nil, "", nil
}

// missing names the searched sources, and similar names.
func missing(what, name string, sources []*source) error {
	known := map[string]bool{}
	searched := make([]string, len(sources))
	for i, s := range sources {
		searched[i] = s.searched(name)
		names, _ := s.names() // on an error there is no suggestion
		for other := range names {
			known[other] = true
		}
	}
	return fmt.Errorf("there is no %s %q; searched %s%s",
		what, name, strings.Join(searched, ", "), meant(name, slices.Sorted(maps.Keys(known))))
}
