package pipe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Values is the context of a run: the values of .delivery.yml, those that the run sets
// itself, and the outputs of its steps.
type Values map[string]string

// Clone returns a copy, for example for a parallel branch.
func (v Values) Clone() Values {
	c := make(Values, len(v)+4)
	maps.Copy(c, v)
	return c
}

// ValueName matches valid names of values.
var ValueName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$`)

// The values that every run sets itself.
const (
	ValueService     = "service"
	ValueVersion     = "version"
	ValueNumber      = "number"
	ValueRun         = "run"
	ValuePipe        = "pipe"
	ValueRevision    = "revision"
	ValueBranch      = "branch"
	ValueEnvironment = "environment"
	// The next two are set in the section last only.
	ValueStatus     = "status"
	ValueFailedStep = "failed_step"
)

// Reserved are the names of values that only the run itself sets.
var Reserved = []string{ValueService, ValueVersion, ValueNumber, ValueRun, ValuePipe, ValueRevision, ValueBranch, ValueStatus,
	ValueFailedStep}

// NotSettable returns the reason why neither a step nor a request can set a value with this
// name; empty if they can.
func NotSettable(name string) string {
	switch {
	case !ValueName.MatchString(name):
		return "a name has letters, digits, underscores and dots, and does not begin with a digit"
	case slices.Contains(Reserved, name):
		return "only the run itself sets it"
	case strings.HasPrefix(name, environmentPrefix):
		return "names that begin with " + environmentPrefix + " stand for environment variables"
	}
	return ""
}

// Expression is the content of ${{ }}: the name of a value, and a default for when the
// value is not set.
type Expression struct {
	Name string
	// Default is the text after ??; Defaulted says that there is one.
	Default   string
	Defaulted bool
}

const expressionOpen, expressionClose = "${{", "}}"

var expressionPattern = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.]*)\s*(?:\?\?\s*(?:'([^']*)'|"([^"]*)"))?$`)

// template is a text with expressions in it.
type template []part

// part is a piece of text, or an expression.
type part struct {
	text string
	expr *Expression
}

// parseTemplate splits a text into its expressions and the text between them. Only ${{
// begins an expression: $VAR and ${VAR} are text.
func parseTemplate(s string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(s, expressionOpen)
		if before != "" {
			t = append(t, part{text: before})
		}
		if !found {
			return t, nil
		}
		inner, after, closed := strings.Cut(rest, expressionClose)
		if !closed {
			return nil, fmt.Errorf("%q is not closed: use ${{ name }}", expressionOpen+text.Clip(rest, 20))
		}
		m := expressionPattern.FindStringSubmatch(strings.TrimSpace(inner))
		if m == nil || !ValueName.MatchString(m[1]) {
			return nil, fmt.Errorf("%q is not a valid expression: use ${{ name }} or ${{ name ?? 'default' }}",
				expressionOpen+text.Clip(inner, 40)+expressionClose)
		}
		t = append(t, part{expr: &Expression{Name: m[1], Default: m[2] + m[3], Defaulted: strings.Contains(inner, "??")}})
		s = after
	}
}

// Expressions returns all expressions in a value.
func (v Value) Expressions() ([]Expression, error) {
	var all []Expression
	var first error
	v.eachText(func(s string) {
		t, err := parseTemplate(s)
		if err != nil && first == nil {
			first = err
		}
		for _, p := range t {
			if p.expr != nil {
				all = append(all, *p.expr)
			}
		}
	})
	return all, first
}

// eachText calls f with every text in v.
func (v Value) eachText(f func(string)) {
	switch data := v.Data.(type) {
	case string:
		f(data)
	case []Value:
		for _, e := range data {
			e.eachText(f)
		}
	case map[string]Value:
		for _, key := range slices.Sorted(maps.Keys(data)) {
			data[key].eachText(f)
		}
	}
}

// NotSetError says that an expression names a value that nothing has set.
type NotSetError struct {
	Name string
	// WithheldFrom is the step of an earlier run that set the value, which was not
	// stored; empty if there is none.
	WithheldFrom string
}

func (e *NotSetError) Error() string {
	if e.WithheldFrom == "" {
		return fmt.Sprintf("the value %s is not set", e.Name)
	}
	return fmt.Sprintf("the value %s is not set: the step %q of the earlier run set it, but it was not stored, since it is a secret or holds one; set it for this run",
		e.Name, e.WithheldFrom)
}
