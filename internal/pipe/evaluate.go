package pipe

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// environmentPrefix begins the names of values that are environment variables.
const environmentPrefix = "env."

// scope is what expressions are evaluated in.
type scope struct {
	Values
	environ []string
	// mock has variables that are not set stand for themselves, so that what a
	// test of a pipe says does not depend on whose machine it is run on.
	mock bool
}

// expand is Values.Expand with the environment's variables.
func (s scope) expand(text string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range t {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := s.value(*p.expr)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// value evaluates an expression. An empty value counts as none.
func (s scope) value(e Expression) (string, error) {
	value, ok := s.Values[e.Name]
	if variable, found := strings.CutPrefix(e.Name, environmentPrefix); found && !ok {
		for _, entry := range s.environ {
			if name, text, _ := strings.Cut(entry, "="); name == variable {
				value, ok = text, true
			}
		}
		if !ok && s.mock && !e.Defaulted {
			return "mock-" + variable, nil
		}
	}
	switch {
	case ok && (value != "" || !e.Defaulted):
		return value, nil
	case e.Defaulted:
		return e.Default, nil
	}
	return "", &NotSetError{Name: e.Name}
}

// judged evaluates an argument, which has to be one of those that it may be. An
// empty one is as good as none.
func (s scope) judged(a Argument, v Value) (any, error) {
	value, err := s.argument(a.Kind, v)
	if text, ok := value.(string); ok && err == nil && text != "" && len(a.OneOf) > 0 && !slices.Contains(a.OneOf, text) {
		return nil, fmt.Errorf("is %q; use one of %s", clip(text, 40), strings.Join(a.OneOf, ", "))
	}
	return value, err
}

// argument evaluates a value, and brings it into the type of its kind.
func (s scope) argument(kind Kind, v Value) (any, error) {
	wrong := fmt.Errorf("is %s; it has to be a %s", describe(v), kind)
	switch kind {
	case List:
		if list, ok := v.Data.([]Value); ok {
			return s.list(list)
		}
		// A single text is a list of one; an empty one is none.
		text, err := s.text(v)
		if err != nil || text == "" {
			return []string{}, err
		}
		return []string{text}, nil
	case Table:
		table, ok := v.Data.(map[string]Value)
		if !ok {
			return nil, wrong
		}
		texts := make(map[string]string, len(table))
		for name, value := range table {
			text, err := s.text(value)
			if err != nil {
				return nil, fmt.Errorf("has at %s what %w", name, err)
			}
			texts[name] = text
		}
		return texts, nil
	case Command:
		return s.script(v)
	}
	text, err := s.text(v)
	if err != nil {
		return nil, err
	}
	switch kind {
	case Number:
		var n int64
		if _, err := fmt.Sscanf(text+"\n", "%d\n", &n); err != nil {
			return nil, wrong
		}
		return n, nil
	case Switch:
		switch text {
		case "true":
			return true, nil
		case "false", "":
			return false, nil
		}
		return nil, wrong
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("is %s; write a duration as 90s, 10m or 1h30m", describe(v))
		}
		return d, nil
	}
	return text, nil
}

func (s scope) list(values []Value) ([]string, error) {
	texts := make([]string, len(values))
	for i, value := range values {
		text, err := s.text(value)
		if err != nil {
			return nil, fmt.Errorf("has as number %d what %w", i+1, err)
		}
		texts[i] = text
	}
	return texts, nil
}

// text evaluates a scalar.
func (s scope) text(v Value) (string, error) {
	switch data := v.Data.(type) {
	case string:
		return s.expand(data)
	case bool, int64, float64:
		return fmt.Sprint(data), nil
	}
	return "", fmt.Errorf("is %s; it has to be a text", describe(v))
}

// script makes a command. In a text for the shell an expression becomes a
// reference to a variable, so that no value is taken for a part of the
// command; a text that is nothing but one expression is the command that the
// value holds.
func (s scope) script(v Value) (Script, error) {
	if list, ok := v.Data.([]Value); ok {
		args, err := s.list(list)
		if err == nil && (len(args) == 0 || args[0] == "") {
			err = errors.New("is an empty list; it has to be a program and its arguments")
		}
		return Script{Args: args, Text: strings.Join(args, " ")}, err
	}
	data, ok := v.Data.(string)
	if !ok {
		return Script{}, fmt.Errorf("is %s; it has to be a text for the shell, or a list of a program and its arguments", describe(v))
	}
	text, err := s.expand(data)
	if err != nil {
		return Script{}, err
	}
	if strings.TrimSpace(text) == "" {
		return Script{}, errors.New("is empty; it has to be a command")
	}
	t, err := parseTemplate(strings.TrimSpace(data))
	if err != nil {
		return Script{}, err
	}
	if len(t) == 1 {
		return Script{Args: shell(text), Text: text}, nil
	}
	var code strings.Builder
	script := Script{Text: text}
	holds := map[string]string{}
	for _, p := range t {
		if p.expr == nil {
			code.WriteString(p.text)
			continue
		}
		value, err := s.value(*p.expr)
		if err != nil {
			return Script{}, err
		}
		variable := "DELIVERY_VALUE_" + strings.ToUpper(strings.ReplaceAll(p.expr.Name, ".", "_"))
		for taken, ok := holds[variable]; ok && taken != value; taken, ok = holds[variable] {
			variable += "_" // a.b and a_b are two values
		}
		code.WriteString("${" + variable + "}")
		if _, ok := holds[variable]; !ok {
			holds[variable] = value
			script.Environ = append(script.Environ, variable+"="+value)
		}
	}
	script.Args = shell(code.String())
	return script, nil
}

// plainCommand is a text in which a shell has nothing to do but to split it.
var plainCommand = regexp.MustCompile(`^[A-Za-z0-9_./-]+( +[A-Za-z0-9_@%+=:,./-]+)*$`)

// shellWords are the commands that only a shell has.
var shellWords = strings.Fields(`. alias bg break case cd command continue do done elif else esac eval exec exit export fc fg fi for
	getopts hash if jobs local read readonly return set shift then times trap type ulimit umask unalias unset until wait while`)

// shell runs a text as POSIX has it: by the shell, unless that had nothing to
// do but to start one program. make does the same, which is faster, and finds
// a missing program before it is started.
func shell(text string) []string {
	if text = strings.TrimSpace(text); plainCommand.MatchString(text) {
		if words := strings.Fields(text); !slices.Contains(shellWords, words[0]) {
			return words
		}
	}
	return []string{"sh", "-c", text}
}

// describe names what somebody wrote.
func describe(v Value) string {
	switch data := v.Data.(type) {
	case nil:
		return "empty"
	case string:
		return fmt.Sprintf("%q", clip(data, 40))
	case []Value:
		return "a list"
	case map[string]Value:
		return "a table"
	default:
		return fmt.Sprint(data)
	}
}

// raw evaluates an argument that has no kind, keeping its shape.
func (s scope) raw(v Value) (any, error) {
	switch data := v.Data.(type) {
	case string:
		return s.expand(data)
	case []Value:
		list := make([]any, len(data))
		for i, value := range data {
			one, err := s.raw(value)
			if err != nil {
				return nil, err
			}
			list[i] = one
		}
		return list, nil
	case map[string]Value:
		table := make(map[string]any, len(data))
		for name, value := range data {
			one, err := s.raw(value)
			if err != nil {
				return nil, err
			}
			table[name] = one
		}
		return table, nil
	}
	return v.Data, nil
}

// args evaluates all the arguments of a step.
func (s scope) args(step *Step, d Definition) (Args, error) {
	args := Args{}
	known := map[string]Argument{}
	for _, a := range d.Arguments {
		known[a.Name] = a
	}
	for _, name := range sortedNames(step.Args) {
		var value any
		var err error
		if a, ok := known[name]; ok {
			value, err = s.judged(a, step.Args[name])
		} else {
			value, err = s.raw(step.Args[name])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: the argument %s: %w", step.Args[name].At, name, err)
		}
		args[name] = value
	}
	for _, a := range d.Arguments {
		if _, written := step.Args[a.Name]; written {
			continue
		}
		for _, name := range a.From {
			text, err := s.value(Expression{Name: name, Defaulted: true})
			if err != nil || text == "" {
				continue
			}
			value, err := s.judged(a, Value{At: step.At, Data: text})
			if err != nil {
				return nil, fmt.Errorf("%s: the argument %s, by the value %s: %w", step.At, a.Name, name, err)
			}
			args[a.Name] = value
			break
		}
	}
	return args, nil
}
