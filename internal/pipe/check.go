package pipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check judges a pipe before anything runs: every task is in the library and
// has the arguments that it takes, and every expression names a value that is
// known by then. The values are those that the run begins with; a version that
// the caller brings is one of them. Steps without a name get one, so that each
// is the only one of its name. The error is Diagnostics, in the order in which they
// are written.
func Check(p *Pipe, library Library, values Values) error {
	c := checker{library: library, setBy: map[string]string{}}
	if len(p.First)+len(p.Main)+len(p.Last) == 0 {
		c.faults.Add(p.At, "the pipe %s has no steps", p.Name)
	}
	c.name(p)
	for _, step := range p.Tasks() {
		for _, output := range c.outputs(step) {
			if _, ok := c.setBy[output]; !ok {
				c.setBy[output] = step.Name
			}
		}
	}
	known := map[string]bool{}
	for name := range values {
		known[name] = true
	}
	for _, name := range ownValues {
		known[name] = true
	}
	for _, section := range Sections {
		if section == Last {
			known[ValueStatus], known[ValueFailedStep] = true, true
		}
		c.steps(p.Section(section), known)
	}
	return c.faults.Err()
}

// ownValues are those that every run has from its beginning.
var ownValues = []string{ValueService, ValueRun, ValuePipe, ValueRevision, ValueBranch, ValueEnvironment}

type checker struct {
	library Library
	faults  Diagnostics
	// setBy names the step that sets a value.
	setBy map[string]string
}

// name gives every step a name that no other one has.
func (c *checker) name(p *Pipe) {
	taken := map[string]Position{}
	for _, step := range p.Tasks() {
		if step.Name == "" {
			continue
		}
		if at, ok := taken[step.Name]; ok {
			c.faults.Add(step.At, "a step is named %q already, at %s: names tell steps apart, so give each its own", step.Name, at)
		}
		taken[step.Name] = step.At
	}
	for _, step := range p.Tasks() {
		if step.Name != "" {
			continue
		}
		name := step.Task
		for n := 2; ; n++ {
			if _, ok := taken[name]; !ok {
				break
			}
			name = fmt.Sprintf("%s (%d)", step.Task, n)
		}
		step.Name, taken[name] = name, step.At
	}
}

// steps judges steps that follow each other, and adds what they set to known.
func (c *checker) steps(steps []Step, known map[string]bool) {
	for i := range steps {
		step := &steps[i]
		if step.Task == "" {
			for _, branch := range step.Parallel {
				c.steps(branch, maps.Clone(known))
			}
			continue
		}
		c.step(step, known)
		for _, name := range c.outputs(step) {
			known[name] = true
		}
	}
}

func (c *checker) outputs(step *Step) []string {
	d, _ := c.library.Task(step.Task)
	return slices.Concat(d.Outputs, step.Outputs)
}

func (c *checker) step(step *Step, known map[string]bool) {
	c.expressions(step.When, known)
	for _, name := range sortedNames(step.Args) {
		c.expressions(step.Args[name], known)
	}
	d, ok := c.library.Task(step.Task)
	if !ok {
		c.faults.Add(step.At, "step %q: there is no task %q, neither in the library nor as a program delivery-task-%s on PATH%s",
			step.Name, step.Task, step.Task, meant(step.Task, c.library.Types()))
		return
	}
	for _, name := range step.Outputs {
		if why := NotSettable(name); why != "" && !slices.Contains(d.Outputs, name) {
			c.faults.Add(step.At, "step %q: %s cannot be one of its outputs: %s", step.Name, name, why)
		}
	}
	arguments := map[string]Argument{}
	for _, a := range d.Arguments {
		arguments[a.Name] = a
		if _, ok := step.Args[a.Name]; a.Required && !ok {
			c.faults.Add(step.At, "step %q: the task %s needs the argument %s: %s", step.Name, d.Type, a.Name, a.Summary)
		}
	}
	for _, name := range sortedNames(step.Args) {
		value := step.Args[name]
		a, ok := arguments[name]
		switch {
		case !ok && d.AnyArgument:
		case !ok:
			taken := sortedNames(arguments)
			c.faults.Add(value.At, "step %q: the task %s takes no argument %s%s; it takes %s",
				step.Name, d.Type, name, meant(name, taken), listed(taken))
		default:
			if problem := a.judge(value); problem != "" {
				c.faults.Add(value.At, "step %q: the argument %s of %s %s", step.Name, name, d.Type, problem)
			}
		}
	}
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// expressions judges that every value is known.
func (c *checker) expressions(v Value, known map[string]bool) {
	all, err := v.Expressions()
	if err != nil {
		c.faults.Add(v.At, "%s", err)
		return
	}
	for _, e := range all {
		switch {
		case known[e.Name] || e.Defaulted || strings.HasPrefix(e.Name, environmentPrefix):
		case e.Name == ValueVersion || e.Name == ValueNumber:
			c.faults.Add(v.At, "no earlier step gives the run its version: let a step init.version come first, or bring one with --version")
		case e.Name == ValueStatus || e.Name == ValueFailedStep:
			c.faults.Add(v.At, "${{ %s }} is known in the section last only", e.Name)
		case c.setBy[e.Name] != "":
			c.faults.Add(v.At, "${{ %s }} is set by the step %q, which is later, or in a parallel branch, whose values stay in it", e.Name, c.setBy[e.Name])
		default:
			c.faults.Add(v.At, "nothing sets ${{ %s }}: set it in .delivery.yml, have an earlier step list it in its outputs, or give a default: ${{ %s ?? 'text' }}%s",
				e.Name, e.Name, meant(e.Name, sortedNames(known)))
		}
	}
}

// judge says what is wrong with a value as far as that can be known before its
// expressions are evaluated; empty if nothing is.
func (a Argument) judge(v Value) string {
	if all, err := v.Expressions(); err != nil || len(all) > 0 {
		// Their shape can be judged all the same.
		switch v.Data.(type) {
		case []Value:
			if a.Kind != List && a.Kind != Command {
				return fmt.Sprintf("is a list; it has to be a %s", a.Kind)
			}
		case map[string]Value:
			if a.Kind != Table {
				return fmt.Sprintf("is a table; it has to be a %s", a.Kind)
			}
		}
		return ""
	}
	s := scope{}
	if _, err := s.judged(a, v); err != nil {
		return err.Error()
	}
	return ""
}
