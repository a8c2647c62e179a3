package pipe

import (
	"maps"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Check validates a pipe before anything runs: every task is in the library and
// has the arguments that it takes, every expression names a value that is known
// by then, and a task that needs a version comes after the one that allocates
// it. The values are those that the run begins with, which include an existing
// version. The error is Diagnostics, in the order in which they are written.
func Check(p *Pipe, library Library, values Values) error {
	c := checker{library: library, setBy: map[string]string{}}
	if len(p.First)+len(p.Main)+len(p.Last) == 0 {
		c.found.Add(p.At, "the pipe %s has no steps", p.Name)
	}
	c.names(p)
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
	return c.found.Err()
}

// ownValues are those that every run has from its beginning.
var ownValues = []string{ValueService, ValueRun, ValuePipe, ValueRevision, ValueBranch, ValueEnvironment}

type checker struct {
	library Library
	found   Diagnostics
	// setBy names the step that sets a value.
	setBy map[string]string
}

// names finds steps that share a name.
func (c *checker) names(p *Pipe) {
	taken := map[string]Position{}
	for _, step := range p.Tasks() {
		if at, ok := taken[step.Name]; ok {
			c.found.Add(step.At, "a step is named %q already, at %s: names tell steps apart, so give each its own", step.Name, at)
		}
		taken[step.Name] = step.At
	}
}

// steps checks steps that follow each other, and adds what they set to known.
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
		c.found.Add(step.At, "step %q: there is no task %q, neither built in nor as a program delivery-task-%s on PATH%s",
			step.Name, step.Task, step.Task, suggest(step.Task, c.library.Types()))
		return
	}
	if d.NeedsVersion && !known[ValueVersion] {
		c.noVersion(step.At)
	}
	for _, name := range step.Outputs {
		if why := NotSettable(name); why != "" && !slices.Contains(d.Outputs, name) {
			c.found.Add(step.At, "step %q: %s cannot be one of its outputs: %s", step.Name, name, why)
		}
	}
	arguments := map[string]Argument{}
	for _, a := range d.Arguments {
		arguments[a.Name] = a
		if _, ok := step.Args[a.Name]; a.Required && !ok {
			c.found.Add(step.At, "step %q: the task %s needs the argument %s: %s", step.Name, d.Type, a.Name, a.Summary)
		}
	}
	for _, name := range sortedNames(step.Args) {
		value := step.Args[name]
		a, ok := arguments[name]
		switch {
		case !ok && d.AnyArgument:
		case !ok:
			taken := sortedNames(arguments)
			c.found.Add(value.At, "step %q: the task %s takes no argument %s%s; it takes %s",
				step.Name, d.Type, name, suggest(name, taken), text.List(taken))
		default:
			if err := a.check(value); err != nil {
				c.found.Add(value.At, "step %q: argument %s of %s: %v", step.Name, name, d.Type, err)
			}
		}
	}
}

// noVersion reports that something needs a version that the run does not have
// by then.
func (c *checker) noVersion(at Position) {
	c.found.Add(at, "no earlier step gives the run its version: add an init.version step before this one").Advice = HintVersion
}

// expressions checks that every value is known.
func (c *checker) expressions(v Value, known map[string]bool) {
	all, err := v.Expressions()
	if err != nil {
		c.found.Add(v.At, "%s", err)
		return
	}
	for _, e := range all {
		switch {
		case known[e.Name] || e.Defaulted || strings.HasPrefix(e.Name, environmentPrefix):
		case e.Name == ValueVersion || e.Name == ValueNumber:
			c.noVersion(v.At)
		case e.Name == ValueStatus || e.Name == ValueFailedStep:
			c.found.Add(v.At, "${{ %s }} is known only in the section last", e.Name)
		case c.setBy[e.Name] != "":
			c.found.Add(v.At, "${{ %s }} is set by the step %q, which comes later, or in a parallel branch, whose values are not seen outside of it",
				e.Name, c.setBy[e.Name])
		default:
			c.found.Add(v.At, "nothing sets ${{ %s }}: set it in .delivery.yml, have an earlier step list it in its outputs, "+
				"or give a default: ${{ %s ?? 'text' }}%s", e.Name, e.Name, suggest(e.Name, sortedNames(known)))
		}
	}
}

// check reports what is wrong with a value as far as that can be known before
// its expressions are evaluated.
func (a Argument) check(v Value) error {
	if all, err := v.Expressions(); err == nil && len(all) == 0 {
		_, err := scope{}.argument(a, v)
		return err
	}
	// The shape of a value with expressions can be checked all the same.
	switch v.Data.(type) {
	case []Value:
		if a.Kind != List && a.Kind != Command {
			return unexpected(v, a.Kind)
		}
	case map[string]Value:
		if a.Kind != Table {
			return unexpected(v, a.Kind)
		}
	}
	return nil
}
