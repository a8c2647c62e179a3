package pipefile

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// The keys of a step that belong to the engine; all others are arguments of
// its task.
const (
	keyDo           = "do"
	keyType         = "type" // the name of do in tasks
	keyRef          = "ref"
	keyParallel     = "parallel"
	keyTasks        = "tasks"
	keySecrets      = "secrets"
	keyMaxParallel  = "max_parallel"
	keyAllowFailure = "allow_failure"
	keyName         = "name"
	keyWhen         = "when"
	keyOutputs      = "outputs"
	keyTimeout      = "timeout"
	keyRetries      = "retries"
	keyRetryAfter   = "retry_after"
)

const (
	maxRetries  = 100
	maxBranches = 1000
	maxName     = 200
)

// taskName matches the type of a task. It may become a part of the name of a
// program, so it must not contain a path.
var taskName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`)

// task reads a step that has a task. The key of its type is do, or type in tasks.
func (r *reader) task(n *node, typeKey string) entry {
	step := pipe.Step{At: n.at}
	if n.kind == scalar {
		step.Task = r.taskType(n)
		return entry{step: step}
	}
	var retryAfter pipe.Position
	for _, p := range n.pairs {
		switch p.key {
		case typeKey:
			step.Task = r.taskType(p.value)
		case keyDo, keyRef, keyParallel, keyTasks:
			r.diags.Add(p.at, "%s is not allowed with %s: %s", p.key, typeKey, oneOf)
		case keyName:
			step.Name = r.name(p.value)
		case keyWhen:
			step.When = r.when(p.value)
		case keyOutputs:
			step.Outputs = r.names(p.value)
		case keySecrets:
			step.Secrets = r.names(p.value)
		case keyTimeout:
			step.Timeout = r.duration(p)
		case keyRetryAfter:
			step.RetryAfter, retryAfter = r.duration(p), p.at
		case keyRetries:
			step.Retries = r.count(p.value, 0, maxRetries, "number of retries")
		case keyAllowFailure:
			step.AllowFailure = r.yes(p)
		default:
			if step.Args == nil {
				step.Args = map[string]pipe.Value{}
			}
			step.Args[p.key] = r.argument(p)
		}
	}
	if retryAfter.Line > 0 && n.get(keyRetries) == nil {
		r.diags.Add(retryAfter, "retry_after has no effect without retries: add, for example, retries: 3")
	}
	return entry{step: step}
}

func (r *reader) taskType(n *node) string {
	if _, ok := n.data.(string); n.kind != scalar || !ok || !taskName.MatchString(n.text) {
		r.diags.Add(n.at, "is %s; expected the type of a task, as in do: test.command", n.describe())
		return ""
	}
	return n.text
}

func (r *reader) name(n *node) string {
	switch {
	case n.kind != scalar || n.data == nil || strings.TrimSpace(n.text) == "":
		r.diags.Add(n.at, "is %s; expected a name, as in name: unit tests", n.describe())
	case len(n.text) > maxName || strings.ContainsFunc(n.text, unicode.IsControl):
		r.diags.Add(n.at, "is not a valid name: a name is one line of at most %d characters", maxName)
	case strings.Contains(n.text, "${{"):
		r.diags.Add(n.at, "a name is the same in every run, so it cannot contain ${{ }}")
	}
	return n.text
}

func (r *reader) when(n *node) pipe.Value {
	if n.kind != scalar || n.data == nil {
		r.diags.Add(n.at, "is %s; expected an expression, as in when: ${{ branch == 'main' }}", n.describe())
		return pipe.Value{At: n.at}
	}
	v := pipe.Value{At: n.at, Data: n.data}
	if err := v.CheckWhen(expression.Language{}); err != nil {
		r.diags.Add(n.at, "%s", err)
	}
	return v
}

func (r *reader) names(n *node) []string {
	if n.kind != list {
		r.diags.Add(n.at, "is %s; expected a list of names, as in [url, cluster]", n.describe())
		return nil
	}
	var names []string
	for _, item := range n.items {
		switch {
		case item.kind != scalar || !pipe.ValueName.MatchString(item.text):
			r.diags.Add(item.at, "is %s; expected a name: letters, digits, _ and dots, not beginning with a digit", item.describe())
		case slices.Contains(names, item.text):
			r.diags.Add(item.at, "%s is listed twice", item.text)
		default:
			names = append(names, item.text)
		}
	}
	return names
}

func (r *reader) duration(p pair) time.Duration {
	d, err := time.ParseDuration(p.value.text)
	if p.value.kind != scalar || err != nil || d <= 0 {
		r.diags.Add(p.value.at, "is %s; expected a duration above 0 for %s, such as 90s, 10m or 1h30m", p.value.describe(), p.key)
		return 0
	}
	return d
}

func (r *reader) count(n *node, from, to int64, what string) int {
	count, ok := n.data.(int64)
	if !ok || count < from || count > to {
		r.diags.Add(n.at, "is %s; expected a %s from %d to %d", n.describe(), what, from, to)
		return 0
	}
	return int(count)
}

func (r *reader) yes(p pair) bool {
	yes, ok := p.value.data.(bool)
	if !ok {
		r.diags.Add(p.value.at, "is %s; expected true or false for %s", p.value.describe(), p.key)
	}
	return yes
}

func (r *reader) argument(p pair) pipe.Value {
	if p.value.kind == scalar && p.value.data == nil {
		r.diags.Add(p.at, "%s has no value: add one, or remove the key; '' is an empty text", p.key)
		return pipe.Value{At: p.value.at}
	}
	return r.value(p.value)
}

// value reads a value and the values in it.
func (r *reader) value(n *node) pipe.Value {
	v := pipe.Value{At: n.at, Data: n.data}
	switch n.kind {
	case list:
		items := make([]pipe.Value, len(n.items))
		for i, item := range n.items {
			items[i] = r.value(item)
		}
		v.Data = items
		return v
	case table:
		values := make(map[string]pipe.Value, len(n.pairs))
		for _, p := range n.pairs {
			values[p.key] = r.value(p.value)
		}
		v.Data = values
		return v
	}
	switch data := n.data.(type) {
	case string:
		if err := v.CheckExpressions(expression.Language{}); err != nil {
			r.diags.Add(n.at, "%s", err)
		}
	case int64, float64:
		// Version numbers are meant as texts; as numbers they lose their zeros.
		if f, ok := data.(float64); fmt.Sprint(data) != n.text || ok && math.IsInf(f, 0) {
			r.diags.Add(n.at, "YAML reads %s as the number %v: write %v, or put it in quotes if it is a text",
				clip(n.text), data, data)
		}
	}
	return v
}
