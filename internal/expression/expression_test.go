package expression_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// values are the values in the tests.
var values = map[string]string{
	"branch": "main", "tag": "v1.2", "empty": "", "no": "No", "yes": "yes", "docker.registry": "r.example.com", "ports.80": "http",
	"quoted": "a \"b\"\n<c>", "in": "a word of the language", "path": `C:\new`, "env.HOME": "/home/ada", "a_1": "x",
}

func lookUp(n pipe.Name) (string, error) {
	value, ok := values[n.Name]
	if !ok && !n.Optional {
		return "", &pipe.NotSetError{Name: n.Name}
	}
	return value, nil
}

func TestLanguage(t *testing.T) {
	for written, want := range map[string]string{
		// What could be written before there were operators.
		"branch": "main", " branch ": "main", "docker.registry": "r.example.com", "ports.80": "http", "in": "a word of the language",
		"missing ?? 'text'": "text", `missing ?? "it's"`: "it's", "empty ?? 'text'": "text", "branch ?? 'text'": "main", "empty": "",
		"env.HOME": "/home/ada", "env.MISSING ?? ''": "", `missing ?? 'C:\new'`: `C:\new`, "branch??'x'": "main", "ports.80 ?? 'x'": "http",
		"true ?? 'x'": "x", "missing ?? 'a ?? b'": "a ?? b",

		"branch == 'main'": "true", "branch != 'main'": "false", `branch == "main" && tag == 'v1.2'`: "true", "!yes": "false", "not yes": "false",
		"branch == 'release' || yes": "true", "(branch == 'x' or yes) and !no": "true", "!empty": "true", "no || empty": "false",
		"branch in ['main', 'release']": "true", "branch not in ['main']": "false", "docker.registry == 'r.example.com'": "true",
		"missing ?? branch": "main", "missing ?? other ?? 'x'": "x", "(missing ?? 'x') == 'x'": "true",
		"!(missing ?? '')": "true", "(missing ?? '') || yes": "true", "branch == 'x' && missing == 'y'": "false",
		"branch == 'main' ? 'prod' : 'test'": "prod", "missing ?? (no ? 'a' : branch)": "main",
		"tag matches '^v\\d+\\.\\d+$'": "true", "tag startsWith 'v'": "true", "tag endsWith '.2'": "true", "tag contains '3'": "false",
		`path == 'C:\new'`: "true", "ports['80'] == 'http'": "true", "env.HOME == '/home/ada'": "true", "`it's` == branch": "false",
		"json(quoted)": `"a \"b\"\n<c>"`, "json(branch == 'main')": "true", "json(missing ?? '}}')": `"}}"`, "json(a_1)": `"x"`,
	} {
		e, err := expression.Language{}.Expression(written)
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		if got, err := e.Evaluate(lookUp); err != nil || got != want {
			t.Errorf("%s: got %q and %v, want %q", written, got, err, want)
		}
	}
}

func TestLanguage_Names(t *testing.T) {
	required, optional := func(name string) pipe.Name { return pipe.Name{Name: name} }, func(name string) pipe.Name {
		return pipe.Name{Name: name, Optional: true}
	}
	for written, want := range map[string][]pipe.Name{
		"branch":             {required("branch")},
		"branch ?? ''":       {optional("branch")},
		"a.b == c && !d":     {required("a.b"), required("c"), required("d")},
		"a ?? b":             {optional("a"), required("b")},
		"a ?? b ?? 'c'":      {optional("a"), optional("b")},
		"a || b":             {required("a"), required("b")},
		"json(env.X ?? a)":   {optional("env.X"), required("a")},
		"a in ['b', c]":      {required("a"), required("c")},
		"a ?? (b ? c : 'd')": {optional("a"), required("b"), required("c")},
	} {
		e, err := expression.Language{}.Expression(written)
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		if diff := cmp.Diff(e.Names(), want); diff != "" {
			t.Errorf("%s: got (-) differs from want (+):\n%s", written, diff)
		}
	}
}

// A value that is not set is known by its type, also in an expression that is compiled.
func TestLanguage_NotSet(t *testing.T) {
	for _, written := range []string{"missing", "missing == 'x'", "!missing", "json(missing)", "empty ?? missing"} {
		e, err := expression.Language{}.Expression(written)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Evaluate(lookUp)
		var notSet *pipe.NotSetError
		if !errors.As(err, &notSet) || notSet.Name != "missing" {
			t.Errorf("%s: got %v", written, err)
		}
	}
}

func TestLanguage_Refuses(t *testing.T) {
	for written, want := range map[string]string{
		"": "unexpected token EOF", "branch ==": "unexpected token EOF", "'a": "literal not terminated", "branch = 'main'": "compare with ==",
		"branch == main'": "literal not terminated",
		// Always true elsewhere.
		"branch == 'main' || 'release'": "the text 'release' is not a condition", "branch || 'main'": "or give a default with ??",
		"branch == true": "write 'true' in quotes",
		"number == 17":   "put the number in quotes", "number > '9'": "values are texts, which have no order",
		"!branch == 'main'": "== takes texts, and !branch is true or false", "a == b == c": "== takes texts",
		"my-name":          "a name has letters, digits, _ and dots",
		"branch // 'main'": "the operator / is not known", "a /* b */": "the operator / is not known",
		"a + b": "the operator + is not known", "1..1000000000": "the operator .. is not known", "-a": "the operator - is not known",
		"branch in 'main'": "in takes a list", "branch in branches": "in takes a list", "branch matches pattern": "in quotes",
		"branch matches '('": "missing closing )", "['a']": "is not supported", "{a: b}": "is not supported", "len(a)": "is not supported",
		"all([a], # == b)": "is not supported", "map(1..9, #)": "is not supported", "required('a')": "the only function is json(value)",
		"let x = a; x": "is not supported", "a; b": "is not supported", "a?.b": "is not",
		"$env": "is not the name of a value", "$env['a']": "is not the name of a value",
		"a[1]": "is not the name of a value", "a == nil": "is not supported", "a ?? 'x' == 'x'": "Wrap either by parentheses",
		"'x' ?? 'y'": "?? gives a value a default", "json()": "the only function is json(value)", "a ? b == c : d": "? : takes texts",
		"a.b()": "the only function is json(value)", "b'x' == a": "is not supported", "if a { b } else { c }": "if is not supported",
		"(a == b) ?? 'x'":                "?? takes texts",
		strings.Repeat("!", 999) + "a":   "maximum allowed nodes",
		strings.Repeat("(", 1001):        "longer than 1000 characters",
		strings.Repeat("a&&", 300) + "a": "maximum allowed nodes",
	} {
		_, err := expression.Language{}.Expression(written)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", written, err, want)
		}
	}
}

// Any text is either compiled or refused, and what compiles is either evaluated or refused.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"branch", "a ?? 'b'", "branch == 'main' && !(tag matches '^v') || x in ['a', b]", "json(a ?? '}}')", "a ? b : 'c'", "a.b['c'].d",
		"all(1..9, # > 1)", "let a = 1; a", "`", "b'\\x'", "'\\", "$env?.a", "a not in [[]]", "((((", "-1.5e3", "a//b", "''??''", "#", "::a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, written string) {
		e, err := expression.Language{}.Expression(written)
		if err != nil {
			return
		}
		for _, n := range e.Names() {
			if !pipe.ValueName.MatchString(n.Name) {
				t.Errorf("%q uses the value %q", written, n.Name)
			}
		}
		asked := map[pipe.Name]bool{}
		for _, n := range e.Names() {
			asked[n] = true
		}
		_, err = e.Evaluate(func(n pipe.Name) (string, error) {
			if !asked[n] {
				t.Errorf("%q uses %v, and does not name it", written, n)
			}
			return "a", nil
		})
		if err != nil {
			t.Errorf("%q: %v", written, err)
		}
	})
}

// A default is the text exactly as it is written, double quotes and backslashes included.
func TestLanguage_TextsAreLiteral(t *testing.T) {
	check := func(s string) bool {
		s = strings.Map(func(r rune) rune {
			if r == '\'' || r == 0xFFFD {
				return -1
			}
			return r
		}, s)
		if len(s) > 900 {
			return true
		}
		for _, written := range []string{"missing ?? '%s'", "missing ?? ('%s')"} {
			e, err := expression.Language{}.Expression(fmt.Sprintf(strings.ReplaceAll(written, "%s", "%[1]s"), s))
			if err != nil {
				t.Logf("%q: %v", s, err)
				return false
			}
			if got, err := e.Evaluate(lookUp); err != nil || got != s {
				t.Logf("got %q and %v, want %q", got, err, s)
				return false
			}
		}
		return true
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	for _, s := range []string{`\`, `\n`, `a\\b`, "a\nb", "}}", `"`, "`", "//", "é"} {
		if !check(s) {
			t.Error(s)
		}
	}
}
