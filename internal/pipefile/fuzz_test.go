package pipefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

// FuzzLoad reads any pipe with any .delivery.yml: it ends, and what is wrong
// with either is a diag with a place in it.
func FuzzLoad(f *testing.F) {
	f.Setenv("PATH", "") // without git, which would ask other machines for libraries
	const project = "pipe: p\nservice: strawberry\nsecrets: [A]\nnested: {a: {b: 1}}\n"
	err := filepath.WalkDir("testdata/articles", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		f.Add(string(content), project)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, content := range []string{
		"", "\n", "---\n...\n", "- a", "a", "17", "~", "[]", "{}", "\uFEFF- a\r\n- b\r", "- a\n---\n- b\n", "%YAML 1.2\n---\n- a\n", "%TAG ! tag:x,2000:\n---\n- !a b\n",
		"%TAG !! x\n---\n!a ",
		"name: p\ndescription: d\nfirst: [a]\nmain:\n- do: b\n  name: n\n  when: ${{ x ?? 'y' }}\n  outputs: [o]\n  timeout: 1m\n  retries: 2\n  retry_after: 5s\n  arg: {l: [1, 2.5, true, ~, 'q', \"d\\n\"]}\nlast:\n- ref: ci\n",
		"- parallel: [[a, b], {do: c}, d]\n  when: ${{ x }}\n- ref: ./p.yml\n- ref: q\n- ref: ../../x\n",
		"pipe:\n- do: [{tasks: [{name: a, type: b}]}, {tasks: [c]}]\n  parallel: true\n- tasks: [{type: d}]\n",
		"- &a {do: x, y: &b [1]}\n- *a\n- <<: *a\n  z: *b\n- <<: [*a, *a]\n- *nope\n",
		"- do: x\n  a: &a [*a]\n  b: *a\n", "? a\n: b\n", "? [a]\n: {b}\n", "*a : b\n&a b: c\n", "[a]: b\n{a}: b\n",
		"- do: x\n  a: !!str 1\n  b: !!binary aGk=\n  c: !x {}\n  d: !!set {a, b}\n  e: !!int 'x'\n  f: !!float .inf\n",
		"- do: x\n  a: |\n    b\n   c\n  d: >+2\n      e\n\n  f: |-\n",
		"- do: x\n  a: 'b\n\n    c'\n  d: \"e\\\n    f\\x41\\u00e9\\U0001F600\"\n  g: h\n    i\n",
		"- do: x\n  a: 99999999999999999999\n  b: 0755\n  c: 0x1F\n  d: 0b1\n  e: 1_000\n  f: -.inf\n  g: .nan\n  h: 1e400\n  i: +1\n  j: 0o17\n",
		"- do: x\n  a: 1\n  a: 2\n", "- do:\n\tx\n", "\t- a", "- a: b: c", "- {a: ${{ x }}}\n", "- [",
		"- {", "- 'a", "- \"a", "- }", "- ]", "- ,", "- @a", "- `a", "- %a", "- |x",
		"- >9\n a", "- &", "- *", "- !", "- !!", "- ?", "- :", "- - - - -", "-\n-\n-",
		strings.Repeat("[", 100), strings.Repeat("- ", 100), strings.Repeat("{a: ", 100),
		strings.Repeat("!a ", 20), strings.Repeat("&a ", 20), strings.Repeat("? ", 100),
		"- \xff", "- \x00", "- \x1b[0m", "- a #", "#", "- a\u2028b\u0085c", "- ${{", "- do: ${{ x",
		"- do: a\n  when: ${{ x == 'y' && !(z in ['a', 'b']) || v matches '^1' }}\n  b: $${{ ${{ json(x ?? '}}') }} ${{ a ? 'b' : c.d }}\n",
		"- do: x\n  a: {\n    b: c,\n    # d\n    e: [f, g\n    ]}\n# h\n", "<<: {a: b}\n<<: [c]\n", "- <<: {do: x}\n",
	} {
		f.Add(content, project)
		f.Add("- a\n", content)
	}
	f.Fuzz(func(t *testing.T, content, project string) {
		root := t.TempDir()
		for name, text := range map[string]string{
			"pipes/p.yml": content, "pipes/q.yml": "main: [q]\nlast: [{ref: p}]\n", ".delivery.yml": project,
		} {
			file := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l := &pipefile.Loader{Root: root, CacheDir: filepath.Join(root, "cache")}
		if _, err := l.Project(); err != nil {
			judge(t, err, project)
			l = &pipefile.Loader{Root: root}
			if err := os.Remove(filepath.Join(root, ".delivery.yml")); err != nil {
				t.Fatal(err)
			}
		}
		p, err := l.Pipe(t.Context(), "p")
		if err != nil {
			judge(t, err, content)
			return
		}
		for _, step := range p.Tasks() {
			if step.At.Line < 1 || step.At.Column < 1 || step.Task == "" {
				t.Errorf("the step %s is at %s", step.Task, step.At)
			}
		}
		if len(p.First)+len(p.Main)+len(p.Last) == 0 {
			t.Error("a pipe without steps")
		}
	})
}

// judge judges an error about content.
func judge(t *testing.T, err error, content string) {
	t.Helper()
	var diags pipe.Diagnostics
	if !errors.As(err, &diags) || len(diags) == 0 {
		t.Fatalf("%T is no Diagnostics: %v", err, err)
	}
	lines := strings.Count(strings.ReplaceAll(strings.ReplaceAll(content, "\r\n", "\n"), "\r", "\n"), "\n") + 1
	for _, diag := range diags {
		if diag.At.Line < 1 || diag.At.Column < 1 || diag.At.Path == "" || diag.Problem == "" {
			t.Errorf("a diag without a place or a problem: %v", diag)
		}
		if diag.At.Line > lines && !strings.HasPrefix(diag.At.Path, ".delivery") && !strings.HasSuffix(diag.At.Path, "q.yml") {
			t.Errorf("%v: the file has %d lines", diag, lines)
		}
		if strings.Contains(diag.Problem, "\x1b") {
			t.Errorf("%q holds what a terminal acts on", diag.Problem)
		}
	}
}
