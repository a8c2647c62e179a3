package pipe

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Check validates a pipe before anything runs: every task exists and has valid arguments,
// every expression names a value that an earlier step sets, and a task that needs a version
// comes after the one that allocates it. The values are those that the run begins with,
// including an existing version. The error is of type Diagnostics, in the order of the
// steps.
func Check(p *Pipe, registry Registry, language Language, values Values) error {
	c := checker{registry: registry, language: language, setBy: map[string]string{}}
	if len(p.First)+len(p.Main)+len(p.Last) == 0 {
		c.diagnostics.Add(p.At, "the pipe %s has no steps", p.Name)
	}
	c.checkNames(p)
	for _, step := range p.Tasks() {
		for _, output := range c.outputs(step) {
			if _, ok := c.setBy[output]; !ok {
				c.setBy[output] = step.Name
			}
		}
	}
	known := map[string]bool{}
	c.unsure = map[string]string{}
	for name := range values {
		known[name] = true
	}
	for _, name := range runValues {
		known[name] = true
	}
	for _, section := range Sections {
		if section == Last {
			known[ValueStatus], known[ValueFailedStep] = true, true
		}
		c.checkSteps(p.Section(section), known)
	}
	return c.diagnostics.Err()
}

// runValues are the values that every run has from its beginning.
var runValues = []string{ValueService, ValueRun, ValuePipe, ValueRevision, ValueBranch, ValueEnvironment}

// checker collects the diagnostics of a pipe.
type checker struct {
	registry    Registry
	language    Language
	diagnostics Diagnostics
	// setBy holds the first step that sets a value.
	setBy map[string]string
	// unsure holds, for the values of steps that may fail, the last such step.
	unsure map[string]string
}

// checkNames finds steps with the same name.
func (c *checker) checkNames(p *Pipe) {
	taken := map[string]Position{}
	for _, step := range p.Tasks() {
		if at, ok := taken[step.Name]; ok {
			c.diagnostics.Add(step.At, "the step at %[2]s has the name %[1]q already: give each step its own name", step.Name, at)
		}
		taken[step.Name] = step.At
	}
}

// checkSteps checks steps that run one after another, and adds the values that they set to
// known.
func (c *checker) checkSteps(steps []Step, known map[string]bool) {
	for i := range steps {
		step := &steps[i]
		if step.Task == "" {
			for _, branch := range step.Parallel {
				c.checkSteps(branch, maps.Clone(known))
			}
			continue
		}
		c.checkStep(step, known)
		for _, name := range c.outputs(step) {
			if step.AllowFailure {
				c.unsure[name] = step.Name
			} else {
				known[name] = true
			}
		}
	}
}

// outputs returns the names of the values that a step sets.
func (c *checker) outputs(step *Step) []string {
	d, _ := c.registry.Task(step.Task)
	return slices.Concat(d.Outputs, step.Outputs)
}

// checkStep checks the task, the arguments and the outputs of a step.
func (c *checker) checkStep(step *Step, known map[string]bool) {
	c.checkExpressions(step.When, known)
	for _, name := range sortedNames(step.Args) {
		c.checkExpressions(step.Args[name], known)
	}
	d, ok := c.registry.Task(step.Task)
	if !ok {
		c.diagnostics.Add(step.At, "step %q: there is no task %q, neither built in nor as a program delivery-task-%s on PATH%s",
			step.Name, step.Task, step.Task, suggest(step.Task, c.registry.Types()))
		return
	}
	if d.AllocatesVersion && step.AllowFailure {
		c.diagnostics.Add(step.At, "step %q: allow_failure is not allowed: the run needs the version that it allocates", step.Name)
	}
	if d.NeedsVersion && !known[ValueVersion] {
		c.addNoVersion(step.At)
	}
	for _, name := range step.Outputs {
		if why := NotSettable(name); why != "" && !slices.Contains(d.Outputs, name) {
			c.diagnostics.Add(step.At, "step %q: %s cannot be one of its outputs: %s", step.Name, name, why)
		}
	}
	for _, name := range step.Secrets {
		if !slices.Contains(c.outputs(step), name) {
			c.diagnostics.Add(step.At, "step %q: the secret %s is not one of its outputs: list it in outputs, too", step.Name, name)
		}
	}
	arguments := map[string]Argument{}
	for _, a := range d.Arguments {
		arguments[a.Name] = a
		if _, ok := step.Args[a.Name]; a.Required && !ok {
			c.diagnostics.Add(step.At, "step %q: the task %s needs the argument %s: %s", step.Name, d.Type, a.Name, a.Summary)
		}
	}
	for _, name := range sortedNames(step.Args) {
		value := step.Args[name]
		a, ok := arguments[name]
		switch {
		case !ok && d.AnyArgument:
		case !ok:
			taken := sortedNames(arguments)
			c.diagnostics.Add(value.At, "step %q: the task %s takes no argument %s%s; it takes %s",
				step.Name, d.Type, name, suggest(name, taken), text.List(taken))
		default:
			err := a.checkValue(c.language, value)
			switch {
			case err != nil:
			case a.Kind == Command:
				err = c.checkScript(step, value, d)
			case a.Kind == Variables:
				err = checkVariables(step, value, d)
			}
			if err != nil {
				c.diagnostics.Add(value.At, "step %q: argument %s of %s: %v", step.Name, name, d.Type, err)
			}
		}
	}
}

// addNoVersion adds the diagnostic for a step that needs a version before the run has one.
func (c *checker) addNoVersion(at Position) {
	c.diagnostics.AddHinted(HintVersion, at, "no earlier step gives the run its version: add an init.version step before this one")
}

// checkExpressions checks that every value that an expression names is known.
func (c *checker) checkExpressions(v Value, known map[string]bool) {
	all, err := v.expressions(c.language)
	if err != nil {
		c.diagnostics.Add(v.At, "%s", err)
		return
	}
	var names []Name
	for _, p := range all {
		names = append(names, p.expr.Names()...)
	}
	for _, e := range names {
		switch {
		case known[e.Name] || e.Optional || strings.HasPrefix(e.Name, environmentPrefix):
		case e.Name == ValueVersion || e.Name == ValueNumber:
			c.addNoVersion(v.At)
		case e.Name == ValueStatus || e.Name == ValueFailedStep:
			c.diagnostics.Add(v.At, "${{ %s }} is known only in the section last", e.Name)
		case c.unsure[e.Name] != "":
			c.diagnostics.Add(v.At, "${{ %s }} may not be set: the step %q may fail, since it has allow_failure; "+
				"give a default: ${{ %s ?? 'text' }}", e.Name, c.unsure[e.Name], e.Name)
		case c.setBy[e.Name] != "":
			c.diagnostics.Add(v.At, "${{ %s }} is set by the step %q, which comes later or in another parallel branch",
				e.Name, c.setBy[e.Name])
		default:
			c.diagnostics.Add(v.At, "nothing sets ${{ %s }}: set it in .delivery.yml, have an earlier step list it in its outputs, "+
				"or give a default: ${{ %s ?? 'text' }}%s", e.Name, e.Name, suggest(e.Name, sortedNames(known)))
		}
	}
}

// checkValue checks a value as far as that is possible before its expressions are
// evaluated.
func (a Argument) checkValue(language Language, v Value) error {
	if all, err := v.expressions(language); err == nil && len(all) == 0 {
		_, err := scope{language: language}.argument(a, v)
		return err
	}
	// Of a value with expressions, check whether it is a list, a table or a scalar.
	if a.Kind == Shell {
		_, err := shellArguments(v)
		return err
	}
	switch data := v.Data.(type) {
	case []Value:
		if a.Kind == Command {
			return checkInlineCode(language, data)
		}
		if a.Kind != List {
			return kindError(v, a.Kind)
		}
	case map[string]Value:
		if a.Kind != Table && a.Kind != Variables {
			return kindError(v, a.Kind)
		}
	}
	return nil
}

// interpreters are programs that run the code in an argument, with the options before it.
var interpreters = []struct{ program, option *regexp.Regexp }{
	{regexp.MustCompile(`^(?:(?:ba|da|z|[mk]k?|a|fi|t?c)?sh|python[0-9.]*)(?:\.exe)?$`), regexp.MustCompile(`^(?:-[A-Za-z]*c|--command)$`)},
	{regexp.MustCompile(`^(?:perl|ruby|lua)[0-9.]*(?:\.exe)?$`), regexp.MustCompile(`^-[A-Za-z]*[eE]$`)},
	{regexp.MustCompile(`^(?:node|nodejs|bun|deno)(?:\.exe)?$`), regexp.MustCompile(`^(?:-[ep]|-pe|--eval|--print|eval)$`)},
	{regexp.MustCompile(`^php[0-9.]*(?:\.exe)?$`), regexp.MustCompile(`^-[rBRE]$`)},
	{regexp.MustCompile(`^(?:pwsh|powershell|cmd)(?:\.exe)?$`), regexp.MustCompile(`^(?i:-c|-command|/c|/k)$`)},
}

// file matches the name of a file or, by -m, of a module with the code: the options after it
// are its own. Anything else before the code may be the argument of an option.
var file = regexp.MustCompile(`^[^-].*[./]|^[./]|^-m$`)

// checkInlineCode refuses a list that gives an interpreter code with an expression in it: the
// value would become code. As an argument after the code, it is only a text.
func checkInlineCode(language Language, list []Value) error {
	for i, element := range list {
		program, _ := element.Data.(string)
		for _, interpreter := range interpreters {
			if !interpreter.program.MatchString(path.Base(program)) {
				continue
			}
			code := codeArgument(list[i+1:], interpreter.option)
			if all, err := code.expressions(language); err == nil && len(all) > 0 {
				return fmt.Errorf("%s would become code of %s: write the command as a text instead of a list, "+
					"or pass the value as an argument after the code", all[0], program)
			}
		}
	}
	return nil
}

// codeArgument returns the argument after the option; nothing if there is none.
func codeArgument(arguments []Value, option *regexp.Regexp) Value {
	for i, argument := range arguments[:max(0, len(arguments)-1)] {
		text, _ := argument.Data.(string)
		switch {
		case option.MatchString(text):
			return arguments[i+1]
		case file.MatchString(text):
			return Value{}
		}
	}
	return Value{}
}
