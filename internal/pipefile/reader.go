package pipefile

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// file is a file of steps whose refs are not resolved.
type file struct {
	*source
	path string
	// name and description are those in the file; both may be empty.
	name, description string
	at                pipe.Position
	// timeout and stepTimeout are the limits in the file; 0 if there are none.
	timeout, stepTimeout time.Duration
	first, main, last    []entry
	diags                pipe.Diagnostics
}

// entry is an item of a list of steps: a task, a ref, or branches.
type entry struct {
	// step is the task, if there is neither a ref nor branches.
	step pipe.Step
	// ref is the text of a ref; its position is at.
	ref      string
	branches [][]entry
	// maxParallel is how many branches run at the same time; 0 means all.
	maxParallel int
	at          pipe.Position
	// when is the condition of a ref or of branches, which applies to all steps.
	when pipe.Value
}

// reader converts nodes to entries.
type reader struct{ diags pipe.Diagnostics }

// sectionKeys are the keys of a file.
var sectionKeys = []string{"name", "description", keyTimeout, keyStepTimeout, "first", "main", "last", keyPipe}

// keyStepTimeout is the timeout of the steps that have none.
const keyStepTimeout = "step_timeout"

// keyPipe is the name of main in the form of 2014.
const keyPipe = "pipe"

// readFile parses the content of a file.
func readFile(s *source, path string, content []byte) *file {
	f := &file{source: s, path: path}
	root, diags := parseDocument(s.at(path), content)
	f.diags = diags
	if root == nil {
		f.at = s.at(path)
		f.at.Line, f.at.Column = 1, 1
		return f
	}
	f.at = root.at
	r := reader{diags: diags}
	switch root.kind {
	case list:
		f.main = r.steps(root)
	case table:
		r.sections(f, root)
	default:
		r.diags.Add(root.at, "is %s; expected a list of steps, or the sections first, main and last", root.describe())
	}
	if len(r.diags) == 0 && len(f.first)+len(f.main)+len(f.last) == 0 {
		r.diags.Add(root.at, "has no steps")
	}
	f.diags = inOrder(r.diags)
	return f
}

// inOrder sorts the diagnostics of one file by position.
func inOrder(diags pipe.Diagnostics) pipe.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *pipe.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return diags
}

func (r *reader) sections(f *file, root *node) {
	for _, p := range root.pairs {
		switch p.key {
		case "name":
			f.name = r.name(p.value)
		case "description":
			if p.value.kind != scalar || p.value.data == nil {
				r.diags.Add(p.value.at, "is %s; expected a text", p.value.describe())
			}
			f.description = strings.Join(strings.FieldsFunc(p.value.text, func(c rune) bool {
				return unicode.IsSpace(c) || unicode.IsControl(c)
			}), " ")
		case keyTimeout:
			f.timeout = r.duration(p)
		case keyStepTimeout:
			f.stepTimeout = r.duration(p)
		case "first":
			f.first = r.section(p)
		case "last":
			f.last = r.section(p)
		case "main", keyPipe:
			if p.key == keyPipe && root.get("main") != nil {
				r.diags.Add(p.at, "pipe is the name of main in the form of 2014: use only one of them")
				continue
			}
			f.main = r.section(p)
		case keyDo, keyRef, keyParallel, keyTasks:
			r.diags.Add(p.at, "%s belongs in a list of steps: put \"- \" before it", p.key)
		default:
			r.diags.Add(p.at, "there is no section %s%s; the keys of a pipe are name, description, timeout, "+
				"step_timeout, first, main and last",
				clip(p.key), meant(p.key, sectionKeys))
		}
	}
}

func (r *reader) section(p pair) []entry {
	if p.value.kind == scalar && p.value.data == nil {
		r.diags.Add(p.at, "%s has no steps: add some, or remove it", p.key)
		return nil
	}
	return r.steps(p.value)
}

// steps reads a list of steps.
func (r *reader) steps(n *node) []entry {
	if n.kind != list {
		r.diags.Add(n.at, "is %s; expected a list of steps, each beginning with \"- \"", n.describe())
		return nil
	}
	var all []entry
	for _, item := range n.items {
		all = append(all, r.step(item, keyDo)...)
	}
	return all
}

// oneOf describes the kinds of steps.
const oneOf = "a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])"

// step reads one item of a list of steps. In the form of 2014 it may be several
// steps.
func (r *reader) step(n *node, typeKey string) []entry {
	switch {
	case n.kind == list:
		r.diags.Add(n.at, "is a list within a list of steps; use parallel: to run lists of steps at the same time")
		return nil
	case n.kind == scalar && n.data == nil:
		r.diags.Add(n.at, "is empty; %s", oneOf)
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
		hint = "; in tasks, the key of a task's type is type"
	case slices.Contains(keys, keyType):
		hint = "; type is a key in tasks only, use do"
	default:
		for _, key := range keys {
			if near := pipe.Nearest(key, known); near != "" && len(key) > 1 {
				hint = "; did you mean " + near + " by " + clip(key) + "?"
				break
			}
		}
	}
	r.diags.Add(n.at, "the step has no %s: %s%s", typeKey, oneOf, hint)
	return nil
}

// ref reads a ref. The steps that it includes have names and arguments of their
// own, so only a condition is allowed with it.
func (r *reader) ref(n *node) entry {
	e := entry{at: n.at}
	for _, p := range n.pairs {
		switch p.key {
		case keyRef:
			if _, ok := p.value.data.(string); p.value.kind != scalar || !ok || p.value.text == "" {
				r.diags.Add(p.value.at, "is %s; expected a ref: the name of a file in pipes, without its extension, or a path",
					p.value.describe())
				continue
			}
			e.ref, e.at = p.value.text, p.value.at
		case keyWhen:
			e.when = r.when(p.value)
		default:
			r.diags.Add(p.at, "%s is not allowed with ref: only when is, everything else belongs to the included file", clip(p.key))
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
				r.diags.Add(p.value.at, "is %s; expected a list of branches, each a step or a list of steps", p.value.describe())
				continue
			}
			for _, branch := range p.value.items {
				e.branches = append(e.branches, r.branch(branch))
			}
		case keyMaxParallel:
			e.maxParallel = r.count(p.value, 1, maxBranches, "number of branches")
		case keyWhen:
			e.when = r.when(p.value)
		default:
			r.diags.Add(p.at, "%s is not allowed with parallel: only when and max_parallel are, everything else belongs to the steps",
				clip(p.key))
		}
	}
	return e
}

func (r *reader) branch(n *node) []entry {
	if n.kind != list {
		return r.step(n, keyDo)
	}
	if len(n.items) == 0 {
		r.diags.Add(n.at, "is a branch without steps")
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
				r.diags.Add(p.value.at, "is %s; with a list under do, parallel must be true or false", p.value.describe())
			}
			parallel = yes
		default:
			r.diags.Add(p.at, "%s is not allowed with a list under do: only parallel is", clip(p.key))
		}
	}
	if len(do.items) == 0 {
		r.diags.Add(do.at, "is a list without steps")
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
			r.diags.Add(p.at, "%s is not allowed with tasks", clip(p.key))
		case p.value.kind != list || len(p.value.items) == 0:
			r.diags.Add(p.value.at, "is %s; expected a list of tasks, each with a name and a type", p.value.describe())
		default:
			for _, item := range p.value.items {
				all = append(all, r.step(item, keyType)...)
			}
		}
	}
	return all
}

// meant suggests a known word at the end of an error about an unknown one.
func meant(word string, candidates []string) string {
	if near := pipe.Nearest(word, candidates); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
