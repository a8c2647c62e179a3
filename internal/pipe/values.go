package pipe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
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
	// Withheld says where an earlier run has set the value; empty if none has.
	Withheld Withheld
}

func (e *NotSetError) Error() string {
	if e.Withheld.Step == "" {
		return fmt.Sprintf("the value %s is not set", e.Name)
	}
	return fmt.Sprintf("the value %s is not set: the step %q set it in the run %s, but it was not stored, since it is a secret or holds one",
		e.Name, e.Withheld.Step, e.Withheld.Run)
}

// Hint implements Hinted.
func (e *NotSetError) Hint() Hint {
	if e.Withheld.Step == "" {
		return ""
	}
	return HintSetValue
}
