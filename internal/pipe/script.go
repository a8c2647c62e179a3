package pipe

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Script is a command to run. In a text for the shell, the expressions have become
// references to variables in Environ, so that no value is interpreted as part of the
// command. In a list, they have been replaced with their values.
type Script struct {
	// Args are the program and its arguments. They are empty for a text.
	Args []string
	// Text is what the shell runs, or the list as words of a shell.
	Text string
	// Environ is added to the environment of the Call for this command.
	Environ []string
}

// script evaluates a command. In a text for the shell, each expression becomes a reference
// to a variable, so that no value is interpreted as part of the command. A text that
// consists of a single expression is an exception: its value is the command.
func (s scope) script(v Value) (Script, error) {
	if list, ok := v.Data.([]Value); ok {
		args, err := s.list(list)
		if err == nil && (len(args) == 0 || args[0] == "") {
			err = errors.New("expected a program and its arguments, got an empty list")
		}
		words := make([]string, len(args))
		for i, arg := range args {
			words[i] = text.ShellWord(arg)
		}
		return Script{Args: args, Text: strings.Join(words, " ")}, err
	}
	data, ok := v.Data.(string)
	if !ok {
		return Script{}, fmt.Errorf("expected a text for the shell, or a list of a program and its arguments, got %s", describeValue(v))
	}
	t, err := parseTemplate(s.language, strings.TrimSpace(data))
	if err != nil {
		return Script{}, err
	}
	script := Script{}
	if p, ok := t.expression(); ok {
		script.Text, err = p.expr.Evaluate(s.value)
		script.Text = strings.TrimSpace(script.Text)
	} else {
		script, _, err = t.script(func(p part) (string, error) { return p.expr.Evaluate(s.value) })
	}
	if err == nil && script.Text == "" {
		err = errors.New("expected a command, got an empty text")
	}
	return script, err
}

// reference is a reference to a variable in a script, which stands for an expression.
type reference struct {
	part
	// offset is that of the dollar sign in the script.
	offset int
}

// script returns the template as a script in which each expression is a reference to a
// variable. Expressions with the same value share a variable.
func (t template) script(value func(part) (string, error)) (Script, []reference, error) {
	var script Script
	var references []reference
	var code strings.Builder
	holds := map[string]string{}
	for _, p := range t {
		if p.expr == nil {
			code.WriteString(p.text)
			continue
		}
		value, err := value(p)
		if err != nil {
			return Script{}, nil, err
		}
		variable := p.variable()
		for taken, ok := holds[variable]; ok && taken != value; taken, ok = holds[variable] {
			variable += "_" // a.b and a_b are different values
		}
		references = append(references, reference{part: p, offset: code.Len()})
		code.WriteString("${" + variable + "}")
		if _, ok := holds[variable]; !ok {
			holds[variable] = value
			script.Environ = append(script.Environ, variable+"="+value)
		}
	}
	script.Text = code.String()
	return script, references, nil
}

// shells are the shells that an argument of kind Shell can name, with the options that make
// a script end at the first command that fails.
var shells = map[string][]string{
	"sh":   {"sh", "-e", "-c"},
	"bash": {"bash", "-e", "-o", "pipefail", "-c"},
}

// shellArguments returns the program and the options of a shell. They are the same in every
// run, since the check of a script depends on them.
func shellArguments(v Value) ([]string, error) {
	if name, ok := v.Data.(string); ok {
		if args, ok := shells[name]; ok {
			return slices.Clone(args), nil
		}
	}
	list, _ := v.Data.([]Value)
	args := make([]string, len(list))
	for i, element := range list {
		args[i], _ = element.Data.(string)
		if args[i] == "" || strings.Contains(args[i], expressionOpen) {
			list = nil
			break
		}
	}
	if len(list) < 2 {
		return nil, fmt.Errorf("expected sh, bash, or a list of a program and its options that a command follows, as in [zsh, -e, -c], got %s",
			describeValue(v))
	}
	return args, nil
}

// checkProgram refuses the first element of a list if it is a command line: a list is one
// program and its arguments. A path may have a space in it.
func checkProgram(list []Value) error {
	if len(list) == 0 {
		return nil
	}
	program, _ := list[0].Data.(string)
	words := strings.Fields(program)
	if len(words) < 2 || strings.Contains(words[0], "/") || strings.Contains(program, expressionOpen) {
		return nil
	}
	return fmt.Errorf("a list is one program and its arguments, and there is no program with the name %q: "+
		"write several commands as a text, one on each line, or this one as [%s]", program, strings.Join(words, ", "))
}

// variableName matches the names of variables that a shell passes on.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkVariables checks the names of environment variables. Some shells drop variables with
// other names than variableName; a program that is started without a shell gets them.
func checkVariables(step *Step, v Value, d Definition) error {
	byShell := slices.ContainsFunc(d.Arguments, func(a Argument) bool {
		_, isList := step.Args[a.Name].Data.([]Value)
		return a.Kind == Command && !isList
	})
	table, _ := v.Data.(map[string]Value)
	for _, name := range sortedNames(table) {
		switch {
		case variableName.MatchString(name):
		case name == "" || strings.Contains(name, "="):
			return fmt.Errorf("%q cannot be the name of a variable", name)
		case byShell:
			return fmt.Errorf("not every shell passes on a variable with the name %s: use letters, digits and _, "+
				"or write the command as a list, which is run without a shell", name)
		}
	}
	return nil
}

// checkScript refuses a text for the shell in which an expression has no effect, since the
// shell does not expand the reference that it becomes.
func (c *checker) checkScript(step *Step, v Value, d Definition) error {
	shell, chosen := "sh", false
	for _, a := range d.Arguments {
		if a.Kind != Shell {
			continue
		}
		if args, err := shellArguments(step.Args[a.Name]); err == nil {
			shell, chosen = path.Base(args[0]), true
		}
	}
	data, ok := v.Data.(string)
	if !ok && chosen {
		return errors.New("a list is run without a shell: write the command as a text, or remove the shell")
	}
	if list, isList := v.Data.([]Value); isList {
		return checkProgram(list)
	}
	if !ok {
		return nil
	}
	t, err := parseTemplate(c.language, strings.TrimSpace(data))
	if _, single := t.expression(); single || err != nil {
		return err
	}
	script, references, err := t.script(func(p part) (string, error) { return p.text, nil })
	if err != nil || len(references) == 0 {
		return err
	}
	if !posixShell.MatchString(shell) {
		return fmt.Errorf("%s would become a reference to a variable, which %s does not expand: set a variable in env, and use that",
			references[0], shell)
	}
	offsets := make([]int, len(references))
	for i, r := range references {
		offsets[i] = r.offset
	}
	unexpanded := c.language.Unexpanded(script.Text, offsets)
	for _, r := range references {
		if reason, ok := unexpanded[r.offset]; ok {
			return fmt.Errorf("%s has no effect in line %d of the command: it is %s, where the shell expands no variable; "+
				"put it in double quotes, as in 'one '\"${{ name }}\"' two'", r, strings.Count(script.Text[:r.offset], "\n")+1, reason)
		}
	}
	return nil
}

// posixShell matches the shells that expand ${NAME}.
var posixShell = regexp.MustCompile(`^(?:(?:ba|da|a|z|[mk]+)?sh|busybox)(?:\.exe)?$`)
