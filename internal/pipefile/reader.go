package pipefile

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// file is a file of steps as it was written: its refs are not followed.
type file struct {
	*source
	path string
	// name and description are what the file says of itself; both may be empty.
	name, description string
	at                pipe.Position
	first, main, last []entry
	faults            pipe.Faults
}

// entry is what stands for one step: a task, a ref, or branches.
type entry struct {
	// step is the task, if there is neither a ref nor branches.
	step pipe.Step
	// ref is a ref as it was written; its place is at.
	ref      string
	branches [][]entry
	at       pipe.Position
	// when is the condition of a ref or of branches: that of all their steps.
	when pipe.Value
}

// reader makes entries of nodes.
type reader struct{ faults pipe.Faults }

// sectionKeys are what a file may have beside steps.
var sectionKeys = []string{"name", "description", "first", "main", "last", keyPipe}

// keyPipe is main in the form of 2014.
const keyPipe = "pipe"

// readFile makes a file of its content.
func readFile(s *source, path string, content []byte) *file {
	f := &file{source: s, path: path}
	name := s.fileName(path)
	f.at = pipe.Position{File: name, Line: 1, Column: 1}
	root, faults := parseDocument(name, content)
	f.faults = faults
	if root == nil {
		return f
	}
	f.at = root.at
	r := reader{faults: faults}
	switch root.kind {
	case list:
		f.main = r.steps(root)
	case table:
		r.sections(f, root)
	default:
		r.faults.Add(root.at, "is %s; a pipe is a list of steps, or has the sections first, main and last", root.describe())
	}
	if len(r.faults) == 0 && len(f.first)+len(f.main)+len(f.last) == 0 {
		r.faults.Add(root.at, "has no steps")
	}
	f.faults = inOrder(r.faults)
	return f
}

// inOrder sorts the faults of one file by their place in it.
func inOrder(faults pipe.Faults) pipe.Faults {
	slices.SortStableFunc(faults, func(a, b *pipe.Fault) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return faults
}

func (r *reader) sections(f *file, root *node) {
	for _, p := range root.pairs {
		switch p.key {
		case "name":
			f.name = r.name(p.value)
		case "description":
			if p.value.kind != scalar || p.value.data == nil {
				r.faults.Add(p.value.at, "is %s; a text is expected", p.value.describe())
			}
			f.description = strings.Join(strings.FieldsFunc(p.value.text, func(c rune) bool {
				return unicode.IsSpace(c) || unicode.IsControl(c)
			}), " ")
		case "first":
			f.first = r.section(p)
		case "last":
			f.last = r.section(p)
		case "main", keyPipe:
			if p.key == keyPipe && root.get("main") != nil {
				r.faults.Add(p.at, "pipe is what main was called in 2014: write one of them")
				continue
			}
			f.main = r.section(p)
		case keyDo, keyRef, keyParallel, keyTasks:
			r.faults.Add(p.at, "%s belongs into a list of steps: put \"- \" before it", p.key)
		default:
			r.faults.Add(p.at, "there is no section %s%s; a pipe has name, description, first, main and last", clip(p.key), meant(p.key, sectionKeys))
		}
	}
}

func (r *reader) section(p pair) []entry {
	if p.value.kind == scalar && p.value.data == nil {
		r.faults.Add(p.at, "%s has no steps: list some, or leave it out", p.key)
		return nil
	}
	return r.steps(p.value)
}

// steps reads a list of steps.
func (r *reader) steps(n *node) []entry {
	if n.kind != list {
		r.faults.Add(n.at, "is %s; a list of steps is expected, each beginning with \"- \"", n.describe())
		return nil
	}
	var all []entry
	for _, item := range n.items {
		all = append(all, r.step(item, keyDo)...)
	}
	return all
}

// oneOf is what a step may be.
const oneOf = "a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])"

// step reads one item of a list of steps. In the form of 2014 it may stand for
// several steps.
func (r *reader) step(n *node, typeKey string) []entry {
	switch {
	case n.kind == list:
		r.faults.Add(n.at, "is a list within the list of steps; to run lists of steps at the same time, write parallel: before them")
		return nil
	case n.kind == scalar && n.data == nil:
		r.faults.Add(n.at, "is empty; %s", oneOf)
		return nil
	case n.kind == scalar:
		return []entry{r.task(n, typeKey)}
	}
	do := n.get(keyDo)
	switch {
	case n.get(typeKey) != nil && typeKey == keyType:
		return []entry{r.task(n, typeKey)}
	case do != nil && do.kind == list:
		return r.groups(n, do)
	case do != nil:
		return []entry{r.task(n, keyDo)}
	case n.get(keyTasks) != nil:
		return r.tasks(n)
	case n.get(keyRef) != nil:
		return []entry{r.ref(n)}
	case n.get(keyParallel) != nil:
		return []entry{r.parallel(n)}
	}
	keys := make([]string, len(n.pairs))
	for i, p := range n.pairs {
		keys[i] = p.key
	}
	hint := ""
	switch known := []string{typeKey, keyRef, keyParallel}; {
	case typeKey == keyType:
		hint = "; within tasks, the type of a task is under type"
	case slices.Contains(keys, keyType):
		hint = "; type is under tasks only, elsewhere write do"
	default:
		for _, key := range keys {
			if near := pipe.Nearest(key, known); near != "" && len(key) > 1 {
				hint = "; did you mean " + near + " by " + clip(key) + "?"
				break
			}
		}
	}
	r.faults.Add(n.at, "the step has no %s: %s%s", typeKey, oneOf, hint)
	return nil
}

// ref reads a ref. What it includes has names and arguments of its own, so
// that a condition is all that makes sense beside it.
func (r *reader) ref(n *node) entry {
	e := entry{at: n.at}
	for _, p := range n.pairs {
		switch p.key {
		case keyRef:
			if _, ok := p.value.data.(string); p.value.kind != scalar || !ok || p.value.text == "" {
				r.faults.Add(p.value.at, "is %s; a ref is the name of a file below pipes, without its ending, or a path", p.value.describe())
				continue
			}
			e.ref, e.at = p.value.text, p.value.at
		case keyWhen:
			e.when = r.when(p.value)
		default:
			r.faults.Add(p.at, "%s cannot stand beside ref: only when can, all else is in the file that is included", clip(p.key))
		}
	}
	return e
}

// parallel reads branches that run at the same time.
func (r *reader) parallel(n *node) entry {
	e := entry{at: n.at}
	for _, p := range n.pairs {
		switch p.key {
		case keyParallel:
			if p.value.kind != list || len(p.value.items) == 0 {
				r.faults.Add(p.value.at, "is %s; parallel is a list of branches, each a step or a list of steps", p.value.describe())
				continue
			}
			for _, branch := range p.value.items {
				e.branches = append(e.branches, r.branch(branch))
			}
		case keyWhen:
			e.when = r.when(p.value)
		default:
			r.faults.Add(p.at, "%s cannot stand beside parallel: only when can, all else belongs to the steps", clip(p.key))
		}
	}
	return e
}

func (r *reader) branch(n *node) []entry {
	if n.kind != list {
		return r.step(n, keyDo)
	}
	if len(n.items) == 0 {
		r.faults.Add(n.at, "is a branch without steps")
	}
	return r.steps(n)
}

// groups reads the form of 2014: a list of tasks under do, one group after the
// other, or all at the same time.
func (r *reader) groups(n, do *node) []entry {
	parallel := false
	for _, p := range n.pairs {
		switch p.key {
		case keyDo:
		case keyParallel:
			yes, ok := p.value.data.(bool)
			if !ok {
				r.faults.Add(p.value.at, "is %s; beside a list under do, parallel is true or false", p.value.describe())
			}
			parallel = yes
		default:
			r.faults.Add(p.at, "%s cannot stand beside a list under do: only parallel can", clip(p.key))
		}
	}
	if len(do.items) == 0 {
		r.faults.Add(do.at, "is a list without steps")
	}
	branches := make([][]entry, len(do.items))
	for i, item := range do.items {
		branches[i] = r.step(item, keyDo)
	}
	if !parallel {
		return slices.Concat(branches...)
	}
	return []entry{{at: n.at, branches: branches}}
}

// tasks reads a group of tasks in the form of 2014.
func (r *reader) tasks(n *node) []entry {
	var all []entry
	for _, p := range n.pairs {
		switch {
		case p.key != keyTasks:
			r.faults.Add(p.at, "%s cannot stand beside tasks", clip(p.key))
		case p.value.kind != list || len(p.value.items) == 0:
			r.faults.Add(p.value.at, "is %s; tasks are a list, each with a name and a type", p.value.describe())
		default:
			for _, item := range p.value.items {
				all = append(all, r.step(item, keyType)...)
			}
		}
	}
	return all
}

// meant is the question at the end of an error about an unknown word.
func meant(word string, candidates []string) string {
	if near := pipe.Nearest(word, candidates); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
