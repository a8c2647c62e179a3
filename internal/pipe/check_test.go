package pipe_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestCheck(t *testing.T) {
	at := pipe.Position{Path: "pipe.yml", Line: 3, Column: 5}
	for name, tt := range map[string]struct {
		step pipe.Step
		want string
	}{
		"Word": {
			pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}, "word": {At: at, Data: "those"}}},
			`pipe.yml:3:5: step "strict": argument word of strict: expected one of this, that, got "those"`,
		},
		"SomeWord": {
			pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}, "word": {At: at, Data: "${{ revision }}"}}}, "",
		},
		"Reserved": {
			pipe.Step{Task: "work", At: at, Outputs: []string{"version"}},
			`pipe.yml:3:5: step "work": version cannot be one of its outputs: only the run itself sets it`,
		},
		"Variable": {
			pipe.Step{Task: "work", At: at, Outputs: []string{"env.HOME"}},
			`pipe.yml:3:5: step "work": env.HOME cannot be one of its outputs: names that begin with env. stand for environment variables`,
		},
		"Secret": {
			pipe.Step{Task: "work", At: at, Outputs: []string{"a"}, Secrets: []string{"a", "token"}},
			`pipe.yml:3:5: step "work": the secret token is not one of its outputs: list it in outputs, too`,
		},
		"ItsOutput": {pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}}, Outputs: []string{"made"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			p := &pipe.Pipe{Name: "p", Main: []pipe.Step{tt.step}}
			p.NameSteps()
			if err := pipe.Check(p, newHarness().tasks, expression.Language{}, nil); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A value cannot become code of an interpreter, however the list is written.
func TestCheck_InlineCode(t *testing.T) {
	tasks := registry{"run": {Type: "run", Arguments: []pipe.Argument{{Name: "command", Kind: pipe.Command}}}}
	for command, refused := range map[string]bool{
		"sh|-c|echo ${{ x }}":                                  true,
		"/bin/bash|-euo|pipefail|-c|echo ${{ x }}":             true,
		"bash|-o|pipefail|-ec|echo ${{ x }}":                   true,
		"env|A=1|sh|-c|echo ${{ x }}":                          true,
		"docker|run|image|sh|-c|echo ${{ x }}":                 true,
		"python3|-c|print('${{ x }}')":                         true,
		"perl|-ne|print ${{ x }}":                              true,
		"node|--eval|${{ x }}":                                 true,
		"powershell|-ExecutionPolicy|Bypass|-Command|${{ x }}": true,
		"php|-r|${{ x }}":                                      true,
		"powershell.exe|-Command|${{ x }}":                     true,
		`sh|-c|echo "$1"|sh|${{ x }}`:                          false,
		"python3|tool.py|-c|${{ x }}":                          false,
		"python3|-m|pytest|-c|${{ x }}":                        false,
		"sh|-e|${{ x }}":                                       false,
		"grep|-c|${{ x }}":                                     false,
		"make|${{ x }}":                                        false,
		"sh|-c|echo x":                                         false,
	} {
		var list []pipe.Value
		for _, word := range strings.Split(command, "|") {
			list = append(list, pipe.Value{Data: word})
		}
		p := &pipe.Pipe{Name: "p", Main: []pipe.Step{{Task: "run", Args: map[string]pipe.Value{"command": {Data: list}}}}}
		p.NameSteps()
		err := pipe.Check(p, tasks, expression.Language{}, pipe.Values{"x": "$(rm -rf /)"})
		if refused != (err != nil && strings.Contains(err.Error(), "${{ x }} would become code of")) {
			t.Errorf("%s: got %v, want refused: %t", command, err, refused)
		}
	}
}

// An expression that the shell would not replace is refused, wherever it can be seen.
func TestCheck_Quotes(t *testing.T) {
	tasks := registry{"run": {Type: "run", Arguments: []pipe.Argument{
		{Name: "command", Kind: pipe.Command}, {Name: "shell", Kind: pipe.Shell},
	}}}
	list := func(words ...string) pipe.Value {
		var all []pipe.Value
		for _, word := range words {
			all = append(all, pipe.Value{Data: word})
		}
		return pipe.Value{Data: all}
	}
	for _, tt := range []struct {
		command string
		shell   pipe.Value
		want    string
	}{
		{"sed 's/a/${{ x }}/'", pipe.Value{}, "${{ x }} has no effect in line 1 of the command: it is in single quotes"},
		{"true\n\ncat <<'END'\n  ${{ x ?? 'y' }}\nEND\n", pipe.Value{},
			"${{ x ?? 'y' }} has no effect in line 4 of the command: it is in a here-document"},
		{"echo '${{ x }}'", pipe.Value{Data: "bash"}, "has no effect in line 1"},
		{"print('${{ x }}')", list("python3", "-c"), "which python3 does not expand: set a variable in env"},
		{"echo ${{ x }}", list("fish", "-c"), "which fish does not expand"},
		{"print('$${{ x }}')", list("python3", "-c"), ""},
		{"${{ x }}", list("python3", "-c"), ""},
		{"echo \"${{ x }}\" '$${{ x }}' # don't", pipe.Value{}, ""},
		{"echo ${{ x }}", list("/bin/zsh", "-e", "-c"), ""},
		{"true", pipe.Value{Data: "zsh"},
			`expected sh, bash, or a list of a program and its options that a command follows, as in [zsh, -e, -c], got "zsh"`},
		{"true", list("zsh"), "expected sh, bash, or a list"},
		{"true", list("${{ x }}", "-c"), "expected sh, bash, or a list"},
	} {
		step := pipe.Step{Task: "run", Args: map[string]pipe.Value{"command": {Data: tt.command}}}
		if !tt.shell.IsZero() {
			step.Args["shell"] = tt.shell
		}
		p := &pipe.Pipe{Name: "p", Main: []pipe.Step{step}}
		p.NameSteps()
		err := pipe.Check(p, tasks, expression.Language{}, pipe.Values{"x": "v"})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.command, err, tt.want)
		}
	}
}

// Variables that a shell would drop, and command lines in the place of a program, are refused.
func TestCheck_Commands(t *testing.T) {
	tasks := registry{
		"run": {Type: "run", Arguments: []pipe.Argument{
			{Name: "command", Kind: pipe.Command}, {Name: "env", Kind: pipe.Variables}, {Name: "shell", Kind: pipe.Shell},
		}},
		"direct": {Type: "direct", Arguments: []pipe.Argument{{Name: "env", Kind: pipe.Variables}}},
	}
	at := pipe.Position{Path: "pipe.yml", Line: 3, Column: 5}
	text := func(s string) pipe.Value { return pipe.Value{At: at, Data: s} }
	list := func(words ...string) pipe.Value {
		var all []pipe.Value
		for _, word := range words {
			all = append(all, text(word))
		}
		return pipe.Value{At: at, Data: all}
	}
	env := func(name string) pipe.Value {
		return pipe.Value{At: at, Data: map[string]pipe.Value{name: text("${{ x }}")}}
	}
	for name, tt := range map[string]struct {
		task string
		args map[string]pipe.Value
		want string
	}{
		"Dots": {"run", map[string]pipe.Value{"command": text("run | x"), "env": env("spring.datasource.url")},
			"not every shell passes on a variable with the name spring.datasource.url"},
		"DotsPlain":     {"run", map[string]pipe.Value{"command": text("run"), "env": env("a-b")}, "the name a-b"},
		"DotsPreset":    {"run", map[string]pipe.Value{"env": env("1a")}, "the name 1a"},
		"DotsInList":    {"run", map[string]pipe.Value{"command": list("run"), "env": env("spring.datasource.url")}, ""},
		"DotsNoCommand": {"direct", map[string]pipe.Value{"env": env("spring.datasource.url")}, ""},
		"Equals":        {"run", map[string]pipe.Value{"command": list("run"), "env": env("a=b")}, `"a=b" cannot be the name of a variable`},
		"Empty":         {"direct", map[string]pipe.Value{"env": env("")}, `"" cannot be the name of a variable`},
		"Good":          {"run", map[string]pipe.Value{"command": text("run"), "env": env("_A1")}, ""},
		"NoTable":       {"run", map[string]pipe.Value{"command": text("run"), "env": list("A=b")}, "expected a table of variables, got a list"},
		"Commands":      {"run", map[string]pipe.Value{"command": list("echo one", "echo two")}, `no program with the name "echo one"`},
		"OneCommand":    {"run", map[string]pipe.Value{"command": list("make build")}, "or this one as [make, build]"},
		"Path":          {"run", map[string]pipe.Value{"command": list("/opt/my tools/make", "all")}, ""},
		"Shell":         {"run", map[string]pipe.Value{"command": list("make"), "shell": text("bash")}, "a list is run without a shell"},
	} {
		step := pipe.Step{Task: tt.task, Args: tt.args}
		p := &pipe.Pipe{Name: "p", Main: []pipe.Step{step}}
		p.NameSteps()
		err := pipe.Check(p, tasks, expression.Language{}, pipe.Values{"x": "v"})
		if tt.want == "" && err != nil ||
			tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "pipe.yml:3:5: ") || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// A task that needs a version must come after the one that allocates it, unless the run is
// for an existing version.
func TestCheck_NeedsVersion(t *testing.T) {
	l := registry{
		"init.version":    {Type: "init.version", AllocatesVersion: true, Outputs: []string{pipe.ValueVersion, pipe.ValueNumber}},
		"release.promote": {Type: "release.promote", NeedsVersion: true},
	}
	promote := []pipe.Step{{Name: "promote", Task: "release.promote"}}
	err := pipe.Check(&pipe.Pipe{Name: "p", Main: promote}, l, expression.Language{}, nil)
	if err == nil || !strings.Contains(err.Error(), "no earlier step gives the run its version") ||
		!slices.Equal(pipe.Hints(err), []pipe.Hint{pipe.HintVersion}) {
		t.Errorf("got %v with the hints %v", err, pipe.Hints(err))
	}
	for name, values := range map[string]pipe.Values{"Allocated": nil, "Existing": {pipe.ValueVersion: "17"}} {
		p := &pipe.Pipe{Name: "p", Main: promote}
		if values == nil {
			p.First = []pipe.Step{{Name: "version", Task: "init.version"}}
		}
		if err := pipe.Check(p, l, expression.Language{}, values); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHints_FindsWrappedErrors(t *testing.T) {
	var diagnostics pipe.Diagnostics
	diagnostics.AddHinted(pipe.HintVersion, pipe.Position{}, "one")
	diagnostics.Add(pipe.Position{}, "two")
	diagnostics.AddHinted(pipe.HintVersion, pipe.Position{}, "three")
	err := errors.Join(errors.New("other"), fmt.Errorf("load: %w", diagnostics.Err()), &pipe.Diagnostic{Advice: pipe.HintChoosePipe})
	if got, want := pipe.Hints(err), []pipe.Hint{pipe.HintVersion, pipe.HintChoosePipe}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := pipe.Hints(nil); got != nil {
		t.Errorf("got %v for no error", got)
	}
}
