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

// How much refs may include. Ten files that include each other ten times make
// ten thousand million steps.
const (
	maxRefs  = 64
	maxSteps = 10_000
)

// expansion follows the refs of a pipe.
type expansion struct {
	*Loader
	sources []*source
	faults  pipe.Faults
	// first and last are the sections of included files: they are sections of
	// the whole pipe.
	first, last []pipe.Step
	// chain is the way to the present file.
	chain []link
	// judged are the files whose own faults are among the faults.
	judged          map[*file]bool
	steps, included int
	full            bool
}

// link is a file on the way, and the ref that led there; the first has none.
type link struct {
	file *file
	ref  string
	at   pipe.Position
}

// pipe makes a pipe of a file.
func (x *expansion) pipe(f *file, name string) (*pipe.Pipe, error) {
	x.judged = map[*file]bool{}
	x.enter(link{file: f})
	none := pipe.Value{}
	p := &pipe.Pipe{Name: cmp.Or(f.name, name), At: f.at}
	p.First = x.expand(f, f.first, none)
	p.Main = x.expand(f, f.main, none)
	p.Last = x.expand(f, f.last, none)
	p.First = append(p.First, x.first...)
	p.Last = append(p.Last, x.last...)
	if err := x.faults.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (x *expansion) enter(l link) {
	x.chain = append(x.chain, l)
	if !x.judged[l.file] {
		x.judged[l.file] = true
		x.faults = append(x.faults, l.file.faults...)
	}
}

// expand makes steps of entries. The condition is that of the refs that led
// there.
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
			step := pipe.Step{At: e.at, Via: x.via()}
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

// via are the refs that led to the present file.
func (x *expansion) via() []string {
	var refs []string
	for _, l := range x.chain[1:] {
		refs = append(refs, l.ref)
	}
	return refs
}

// condition joins the condition of a ref with that of what it includes. There
// is no expression that says both.
func (x *expansion) condition(outer, inner pipe.Value) pipe.Value {
	switch {
	case outer.IsZero():
		return inner
	case inner.IsZero():
		return outer
	}
	x.faults.Add(inner.At, "there is a condition around it already, the when at %s: a step can have one only", outer.At)
	return inner
}

func (x *expansion) overflow(at pipe.Position, problem string) {
	x.full = true
	x.faults.Add(at, "%s", problem)
}

// include returns the steps that stand for a ref.
func (x *expansion) include(f *file, e entry, when pipe.Value) []pipe.Step {
	when = x.condition(when, e.when)
	s, name, err := x.resolve(f, e.ref)
	if err != nil {
		x.faults.Add(e.at, "%s", err)
		return nil
	}
	if circle := x.circle(s, name, e.at); circle != "" {
		x.faults.Add(e.at, "refs go in a circle: %s", circle)
		return nil
	}
	if x.included++; x.included > maxSteps || len(x.chain) > maxRefs {
		x.overflow(e.at, fmt.Sprintf("there are too many refs: at most %d, and %d within each other", maxSteps, maxRefs))
		return nil
	}
	included, err := x.load(s, name)
	if err != nil {
		x.faults.Add(e.at, "%s", err)
		return nil
	}
	x.enter(link{file: included, ref: e.ref, at: e.at})
	x.first = append(x.first, x.expand(included, included.first, when)...)
	steps := x.expand(included, included.main, when)
	x.last = append(x.last, x.expand(included, included.last, when)...)
	x.chain = x.chain[:len(x.chain)-1]
	return steps
}

// circle describes the way from a file to itself, empty if it is not on the
// present way.
func (x *expansion) circle(s *source, name string, at pipe.Position) string {
	from := slices.IndexFunc(x.chain, func(l link) bool { return l.file.source == s && l.file.path == name })
	if from < 0 {
		return ""
	}
	var way []string
	for _, l := range x.chain[from+1:] {
		way = append(way, fmt.Sprintf("%s:%d", l.at.File, l.at.Line))
	}
	way = append(way, fmt.Sprintf("%s:%d", at.File, at.Line), s.fileName(name))
	return strings.Join(way, " → ")
}

// resolve finds the file that a ref means.
func (x *expansion) resolve(f *file, ref string) (*source, string, error) {
	if isPath(ref) {
		name, err := f.beside(ref)
		return f.source, name, err
	}
	// A library's pipes mean the pieces that they came with.
	sources := append([]*source{f.source}, slices.DeleteFunc(slices.Clone(x.sources), func(s *source) bool { return s == f.source })...)
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

// beside finds a file by its path from this one.
func (f *file) beside(ref string) (string, error) {
	name := path.Join(path.Dir(f.path), ref)
	switch {
	case strings.Contains(ref, `\`):
		return "", fmt.Errorf("the ref %q cannot be followed: write / between folders", clip(ref))
	case path.IsAbs(ref):
		return "", fmt.Errorf("the ref %q cannot be followed: a path is relative to the file in which it is written", clip(ref))
	case name == ".." || strings.HasPrefix(name, "../"):
		return "", fmt.Errorf("the ref %q leads out of the %s", clip(ref), f.from)
	}
	found, err := f.existing(name)
	if err == nil && found == "" {
		if path.Ext(name) == "" {
			name += endings[0]
		}
		err = fmt.Errorf("there is no file for the ref %q: looked for %s", clip(ref), f.fileName(name))
	}
	return found, err
}

// find returns the first file of a name, a nil source if there is none.
func find(sources []*source, name string) (*source, string, error) {
	if !refName.MatchString(name) {
		return nil, "", fmt.Errorf("%q is no name of a file of steps: a name is letters, digits, _, - and dots, as in build.deployable, and a path has a slash, as in ./build.yml", clip(name))
	}
	for _, s := range sources {
		if found, err := s.lookup(name); found != "" || err != nil {
			return s, found, err
		}
	}
	return nil, "", nil
}

// missing says where something was looked for, and what may be meant.
func missing(what, name string, sources []*source) error {
	known := map[string]bool{}
	looked := make([]string, len(sources))
	for i, s := range sources {
		looked[i] = s.looked(name)
		names, _ := s.names() // without them there is no suggestion
		for other := range names {
			known[other] = true
		}
	}
	return fmt.Errorf("there is no %s %q; looked %s%s", what, name, strings.Join(looked, ", "), meant(name, slices.Sorted(maps.Keys(known))))
}
