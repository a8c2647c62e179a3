package pipe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// environmentPrefix begins the names of values that stand for environment variables.
const environmentPrefix = "env."

// scope holds the values by which expressions are evaluated.
type scope struct {
	Values
	language Language
	environ  []string
	// withheld are the values of an earlier run that were not stored, by their names.
	withheld map[string]Withheld
	// escape is that of the argument.
	escape func(before, value string) string
	// mask is applied to a text before an error quotes it.
	mask func(text string) string
	// mock gives environment variables that are not set a value, so that a test of a pipe
	// has the same result on every machine.
	mock bool
}

// expand replaces the expressions in a text with their values.
func (s scope) expand(text string) (string, error) {
	t, err := parseTemplate(s.language, text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range t {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := p.expr.Evaluate(s.value)
		if err != nil {
			return "", err
		}
		if s.escape != nil {
			value = s.escape(b.String(), value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// value returns the text of a value. If it is optional and not set, that is empty.
func (s scope) value(n Name) (string, error) {
	value, ok := s.Values[n.Name]
	if variable, found := strings.CutPrefix(n.Name, environmentPrefix); found {
		value, ok = "", false // only the environment has it
		for _, entry := range s.environ {
			if name, text, _ := strings.Cut(entry, "="); name == variable {
				value, ok = text, true
			}
		}
		if !ok && s.mock && !n.Optional {
			return "mock-" + variable, nil
		}
	}
	if ok || n.Optional {
		return value, nil
	}
	return "", &NotSetError{Name: n.Name, Withheld: s.withheld[n.Name]}
}

// Texts returns the texts in an argument that is a text or a list of them, evaluated by the
// values, and whether all expressions in it could be evaluated. Texts with an expression that
// could not be are returned as they are written.
func (v Values) Texts(language Language, argument Value) (texts []string, known bool) {
	known = true
	argument.eachText(func(written string) {
		text, err := scope{Values: v, language: language}.expand(written)
		if err != nil {
			text, known = written, false
		}
		texts = append(texts, text)
	})
	return texts, known
}

// kindError says that a value does not have the expected kind.
func kindError(v Value, expected Kind) error {
	return fmt.Errorf("expected a %s, got %s", expected, describeValue(v))
}

// argument evaluates an argument to the Go type of its kind, and checks that it is one of
// the allowed texts. An empty text is always allowed: it has the meaning of an omitted
// argument.
func (s scope) argument(a Argument, v Value) (any, error) {
	s.escape = a.Escape
	value, err := s.evaluate(a.Kind, v)
	if text, ok := value.(string); ok && err == nil && text != "" && len(a.OneOf) > 0 && !slices.Contains(a.OneOf, text) {
		if s.mask != nil {
			text = s.mask(text)
		}
		return nil, fmt.Errorf("expected one of %s, got %s", strings.Join(a.OneOf, ", "), describeValue(Value{Data: text}))
	}
	return value, err
}

// evaluate evaluates a value to the Go type of a kind.
func (s scope) evaluate(kind Kind, v Value) (any, error) {
	switch kind {
	case List:
		if list, ok := v.Data.([]Value); ok {
			return s.list(list)
		}
		// A single text is a list of one; an empty one is an empty list.
		text, err := s.text(v)
		if err != nil || text == "" {
			return []string{}, err
		}
		return []string{text}, nil
	case Table, Variables:
		return s.table(kind, v)
	case Command:
		return s.script(v)
	case Shell:
		return shellArguments(v)
	}
	text, err := s.text(v)
	if err != nil {
		return nil, err
	}
	switch kind {
	case Number:
		var n int64
		if _, err := fmt.Sscanf(text+"\n", "%d\n", &n); err != nil {
			return nil, kindError(v, kind)
		}
		return n, nil
	case Switch:
		switch text {
		case "true":
			return true, nil
		case "false", "":
			return false, nil
		}
		return nil, kindError(v, kind)
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("expected a duration such as 90s, 10m or 1h30m, got %s", describeValue(v))
		}
		return d, nil
	}
	return text, nil
}

// table evaluates a table of texts.
func (s scope) table(kind Kind, v Value) (map[string]string, error) {
	table, ok := v.Data.(map[string]Value)
	if !ok {
		return nil, kindError(v, kind)
	}
	texts := make(map[string]string, len(table))
	for _, name := range sortedNames(table) {
		text, err := s.text(table[name])
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", name, err)
		}
		texts[name] = text
	}
	return texts, nil
}

// list evaluates a list of texts.
func (s scope) list(values []Value) ([]string, error) {
	texts := make([]string, len(values))
	for i, value := range values {
		text, err := s.text(value)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
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
	return "", kindError(v, Text)
}

// describeValue describes a value as it was written.
func describeValue(v Value) string {
	switch data := v.Data.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("%q", text.Clip(data, 40))
	case []Value:
		return "a list"
	case map[string]Value:
		return "a table"
	default:
		return fmt.Sprint(data)
	}
}

// untyped evaluates an argument without a kind to texts, lists and tables of them.
func (s scope) untyped(v Value) (any, error) {
	switch data := v.Data.(type) {
	case string:
		return s.expand(data)
	case []Value:
		list := make([]any, len(data))
		for i, value := range data {
			one, err := s.untyped(value)
			if err != nil {
				return nil, err
			}
			list[i] = one
		}
		return list, nil
	case map[string]Value:
		table := make(map[string]any, len(data))
		for name, value := range data {
			one, err := s.untyped(value)
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
			value, err = s.argument(a, step.Args[name])
		} else {
			value, err = s.untyped(step.Args[name])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: argument %s: %w", step.Args[name].At, name, err)
		}
		args[name] = value
	}
	for _, a := range d.Arguments {
		if _, written := step.Args[a.Name]; written {
			continue
		}
		for _, name := range a.From {
			text, err := s.value(Name{Name: name, Optional: true})
			if err != nil || text == "" {
				continue
			}
			value, err := s.argument(a, Value{At: step.At, Data: text})
			if err != nil {
				return nil, fmt.Errorf("%s: argument %s, from the value %s: %w", step.At, a.Name, name, err)
			}
			args[a.Name] = value
			break
		}
	}
	return args, nil
}
