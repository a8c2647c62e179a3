package pipefile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestLoader_Forms(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"Sections": {`
name: application
description: |
  All of it.
first: [setup.clean]
main:
  - {name: unit tests, do: test.command, command: "make test REV=${{ revision }}"}
  - do: deploy.apply
    when: ${{ deploy ?? '' }}
    folder: prod
    outputs: [url, cluster.name]
    timeout: 10m
    retries: 3
    retry_after: 90s
last:
  - notify.slack
`, `
application pipes/p.yml:2:1
first:
  setup.clean pipes/p.yml:5:9
main:
  test.command pipes/p.yml:7:5 name="unit tests" command="make test REV=${{ revision }}"@7:51
  deploy.apply pipes/p.yml:8:5 when="${{ deploy ?? '' }}"@9:11 outputs=url,cluster.name timeout=10m0s retries=3 after 1m30s folder="prod"@10:13
last:
  notify.slack pipes/p.yml:16:5
`},
		"List": {`- setup.clean
- do: build.command
  command:
    - make
    - ü: x
    -   build
- mock.dummy
`, `
p pipes/p.yml:1:1
main:
  setup.clean pipes/p.yml:1:3
  build.command pipes/p.yml:2:3 command=["make"@4:7 {ü="x"@5:10}@5:7 "build"@6:9]@4:5
  mock.dummy pipes/p.yml:7:3
`},
		"TypesOfValues": {`- do: x
  a: true
  b: 17
  c: 1.5
  d: "1.10"
  e: -3
  f: {g: ~, "h i": yes, 1.10: z}
  j: []
  k: ''
  l: |
    first
      second
  m: >-
    one
    two
  n: 'multi
    line'
  o: 99999999999999999999
  p: 2026-01-02
  q: !!str 007
`, `
p pipes/p.yml:1:1
main:
  x pipes/p.yml:1:3 a=bool(true)@2:6 b=int64(17)@3:6 c=float64(1.5)@4:6 d="1.10"@5:6 e=int64(-3)@6:6 f={1.10="z"@7:31 g=<nil>(<nil>)@7:10 h i="yes"@7:20}@7:6 j=[]@8:6 k=""@9:6 l="first\n  second\n"@10:6 m="one two"@13:6 n="multi line"@16:6 o="99999999999999999999"@18:6 p="2026-01-02"@19:6 q="007"@20:6
`},
		"Parallel": {`- parallel:
    - - a
      - b
    - {name: c, do: c}
    - d
    - - parallel: [[e, f], g]
  when: ${{ wide }}
`, `
p pipes/p.yml:1:1
main:
  parallel pipes/p.yml:1:3
    branch:
      a pipes/p.yml:2:9 when="${{ wide }}"@7:9
      b pipes/p.yml:3:9 when="${{ wide }}"@7:9
    branch:
      c pipes/p.yml:4:7 when="${{ wide }}"@7:9
    branch:
      d pipes/p.yml:5:7 when="${{ wide }}"@7:9
    branch:
      parallel pipes/p.yml:6:9
        branch:
          e pipes/p.yml:6:21 when="${{ wide }}"@7:9
          f pipes/p.yml:6:24 when="${{ wide }}"@7:9
        branch:
          g pipes/p.yml:6:28 when="${{ wide }}"@7:9
`},
		"AnchorsAndMergeKeys": {`- &test
  do: test.command
  command: a
  env: &env {A: "1"}
- <<: *test
  name: again
  env: {<<: *env, B: "2"}
- *test
`, `
p pipes/p.yml:1:1
main:
  test.command pipes/p.yml:2:3 command="a"@3:12 env={A="1"@4:17}@4:13
  test.command pipes/p.yml:5:3 name="again" command="a"@3:12 env={A="1"@4:17 B="2"@7:22}@7:8
  test.command pipes/p.yml:8:3 name="test.command (2)" command="a"@3:12 env={A="1"@4:17}@4:13
`},
		"ByteOrderMarkAndCRLF": {"\uFEFFmain:\r\n  - do: a\r\n    text: |\r\n      x\r\n      y\r\n  - b\r\n", `
p pipes/p.yml:1:1
main:
  a pipes/p.yml:2:5 text="x\ny\n"@3:11
  b pipes/p.yml:6:5
`},
		"PlacesAfterTabsTagsAndTrailingSpaces": {"- {a: !!str x, b: 'y', do: z, c: w}\n- do: b  \n  c: d  \n    e\t\n  f:\tg\n", `
p pipes/p.yml:1:1
main:
  z pipes/p.yml:1:3 a="x"@1:7 b="y"@1:19 c="w"@1:34
  b pipes/p.yml:2:3 c="d e"@3:6 f="g"@5:6
`},
		"Limits": {"timeout: 90m\nstep_timeout: 10m\nmain:\n- {do: a, allow_failure: true, outputs: [x, y], secrets: [y]}\n- {parallel: [b], max_parallel: 2}\n", `
p pipes/p.yml:1:1 timeout=1h30m0s step_timeout=10m0s
main:
  a pipes/p.yml:4:3 outputs=x,y secrets=y allow_failure
  parallel pipes/p.yml:5:3 max_parallel=2
    branch:
      b pipes/p.yml:5:15
`},
		"DocumentMarks": {"%YAML 1.2\n---\n- a\n...\n", `
p pipes/p.yml:3:1
main:
  a pipes/p.yml:3:3
`},
		"TypeIsAnArgumentOutsideTasks": {"- do: mine\n  type: x\n", `
p pipes/p.yml:1:1
main:
  mine pipes/p.yml:1:3 type="x"@2:9
`},
		"Form2014WithArguments": {`pipe:
- do:
  - tasks:
    - {name: A, type: a, when: false, timeout: 5s, x: 1}
    - b
  parallel: false
- tasks: [{type: c}]
`, `
p pipes/p.yml:1:1
main:
  a pipes/p.yml:4:7 name="A" when=bool(false)@4:32 timeout=5s retries=0 after 0s x=int64(1)@4:55
  b pipes/p.yml:5:7
  c pipes/p.yml:7:11
`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := repository(t, map[string]string{"pipes/p.yml": test.content}).Pipe(t.Context(), "p")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(trim(test.want), outline(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// oneExpression is what is wrong with most conditions.
const oneExpression = "when has to be exactly one expression, without text around it: " +
	"write the whole condition within ${{ }}, as in when: ${{ branch == 'main' }}"

func TestLoader_Diagnostics(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for name, test := range map[string]struct {
		content string
		want    string
	}{
		"UnknownSection": {"mian: [a]\nlasst: [b]\nzzzzzzzz: 1\n", `
1:1: there is no section mian; did you mean main?; the keys of a pipe are name, description, timeout, step_timeout, first, main and last
2:1: there is no section lasst; did you mean last?; the keys of a pipe are name, description, timeout, step_timeout, first, main and last
3:1: there is no section zzzzzzzz; the keys of a pipe are name, description, timeout, step_timeout, first, main and last`},
		"StepInsteadOfSections": {"do: a\n", `
1:1: do belongs in a list of steps: put "- " before it`},
		"PipeBesideMain": {"main: [a]\npipe: [b]\n", `
2:1: pipe is the name of main in the form of 2014: use only one of them`},
		"WrongSections": {"name: {}\ndescription: []\nfirst:\nmain: a\nlast: {do: b}\n", `
1:7: is a table; expected a name, as in name: unit tests
2:14: is a list; expected a text
3:1: first has no steps: add some, or remove it
4:7: is "a"; expected a list of steps, each beginning with "- "
5:7: is a table; expected a list of steps, each beginning with "- "`},
		"Empty":       {"", "\n1:1: is empty"},
		"OnlyComment": {"# nothing\n", "\n1:1: is empty"},
		"NoSteps":     {"main: []\nlast: []\n", "\n1:1: has no steps"},
		"EmptyList":   {"[]", "\n1:1: has no steps"},
		"Text":        {"hello\n", `` + "\n" + `1:1: is "hello"; expected a list of steps, or the sections first, main and last`},
		"Steps": {`- 17
-
- [a]
- {}
- name: x
- test: x
  command: y
- type: mock.Dummy
  name: z
- rel: build
- do: 12
- do: ../../bin/sh
- "a b"
- do: a
  ref: b
- ref: p
  name: x
  timeout: 10s
- parallel: true
- parallel: [[], a]
  name: x
- ref: [12]
`, `
1:3: is the number 17; expected the type of a task, as in do: test.command
2:2: is empty; a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])
3:3: is a list within a list of steps; use parallel: to run lists of steps at the same time
4:3: the step has no do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])
5:3: the step has no do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])
6:3: the step has no do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])
8:3: the step has no do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]]); type is a key in tasks only, use do
10:3: the step has no do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]]); did you mean ref by rel?
11:7: is the number 12; expected the type of a task, as in do: test.command
12:7: is "../../bin/sh"; expected the type of a task, as in do: test.command
13:3: is "a b"; expected the type of a task, as in do: test.command
15:3: ref is not allowed with do: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]])
17:3: name is not allowed with ref: only when is, everything else belongs to the included file
18:3: timeout is not allowed with ref: only when is, everything else belongs to the included file
19:13: is true; expected a list of branches, each a step or a list of steps
20:14: is a branch without steps
21:3: name is not allowed with parallel: only when and max_parallel are, everything else belongs to the steps
22:8: is a list; expected a ref: the name of a file in pipes, without its extension, or a path
16:8: circular refs: pipes/p.yml:16 → pipes/p.yml`},
		"EngineKeys": {`- do: a
  name: ""
  when: []
  outputs: url
  timeout: 10
  retries: 101
  retry_after: 0s
- do: a
  name: "two\nlines"
  outputs: [1a, b, b, {}]
  timeout: -1s
  retries: "3"
- do: a
  name: x ${{ y }}
  when:
  timeout: 1 hour
  retry_after: 1s
- {do: a, allow_failure: "yes"}
- parallel: [a, b]
  max_parallel: 0
`, `
2:9: is ""; expected a name, as in name: unit tests
3:9: is a list; expected an expression, as in when: ${{ branch == 'main' }}
4:12: is "url"; expected a list of names, as in [url, cluster]
5:12: is the number 10; expected a duration above 0 for timeout, such as 90s, 10m or 1h30m
6:12: is the number 101; expected a number of retries from 0 to 100
7:16: is "0s"; expected a duration above 0 for retry_after, such as 90s, 10m or 1h30m
9:9: is not a valid name: a name is one line of at most 200 characters
10:13: is "1a"; expected a name: letters, digits, _ and dots, not beginning with a digit
10:20: b is listed twice
10:23: is a table; expected a name: letters, digits, _ and dots, not beginning with a digit
11:12: is "-1s"; expected a duration above 0 for timeout, such as 90s, 10m or 1h30m
12:12: is "3"; expected a number of retries from 0 to 100
14:9: a name is the same in every run, so it cannot contain ${{ }}
15:8: is empty; expected an expression, as in when: ${{ branch == 'main' }}
16:12: is "1 hour"; expected a duration above 0 for timeout, such as 90s, 10m or 1h30m
17:3: retry_after has no effect without retries: add, for example, retries: 3
18:26: is "yes"; expected true or false for allow_failure
20:17: is the number 0; expected a number of branches from 1 to 1000`},
		"When": {`- do: a
  when: "${{ branch }} == main"
- do: a
  when: branch == 'main'
- do: a
  when: ${{ a }}${{ b }}
- do: a
  when: no
- do: a
  when: 1
- do: a
  when: ${{ branch = 'main' }}
- do: a
  when: "${{ branch == 'main' || 'release' }}"
- ref: build
  when: not ${{ a }}
- parallel: [a, b]
  when: $${{ a }}
- {do: a, when: true}
- {do: a, when: "false"}
- {do: a, when: " ${{ branch == 'main' && !skip }} "}
`, `
2:9: ` + oneExpression + `
4:9: ` + oneExpression + `
6:9: ` + oneExpression + `
8:9: ` + oneExpression + `
10:9: ` + oneExpression + `
12:9: ${{ branch = 'main' }} is not a valid expression: compare with ==
14:9: ${{ branch == 'main' || 'release' }} is not a valid expression: the text 'release' is not a condition: compare it with a value, ` +
			`as in name == 'release', or give a default with ??
16:9: ` + oneExpression + `
18:9: ` + oneExpression},
		"Arguments": {`- do: a
  empty:
  version: 1.10
  mode: 0755
  big: 1_000
  id: 18446744073709551615
  far: .inf
  open: ${{ x
  list: [ok, "${{ a b }}"]
`, `
2:3: empty has no value: add one, or remove the key; '' is an empty text
3:12: YAML reads 1.10 as the number 1.1: write 1.1, or put it in quotes if it is a text
4:9: YAML reads 0755 as the number 493: write 493, or put it in quotes if it is a text
5:8: YAML reads 1_000 as the number 1000: write 1000, or put it in quotes if it is a text
7:8: .inf is not a supported number: put it in quotes if it is a text
8:9: "${{ x" is not closed: use ${{ name }}, or $${{ for the text ${{
9:14: ${{ a b }} is not a valid expression: unexpected token Identifier("b"); expected, for example, name ?? 'text' or name == 'text'`},
		"Form2014": {`pipe:
- do: []
- do: [{tasks: []}]
  name: x
  parallel: yes
- tasks: [{name: y}]
  parallel: true
`, `
2:7: is a list without steps
3:16: is a list; expected a list of tasks, each with a name and a type
4:3: name is not allowed with a list under do: only parallel is
5:13: is "yes"; with a list under do, parallel must be true or false
6:11: the step has no type: a step is a task (do: test.command), another file (ref: build), or branches (parallel: [[…], […]]); in tasks, the key of a task's type is type
7:3: parallel is not allowed with tasks`},
		"DuplicateKeys": {"- do: a\n  x: 1\n  y: {z: 1, z: 2}\n  x: 2\n", `
3:13: duplicate key z, see line 3
4:3: duplicate key x, see line 2`},
		"NotUTF8":          {"- a\n- \"b\xff\"\n", "\n2:5: is not UTF-8 here: save the file as UTF-8"},
		"UTF16":            {"\xff\xfe-\x00", "\n1:1: is encoded as UTF-16: save it as UTF-8"},
		"ControlCharacter": {"- a\n- b\x1b[31m\n", "\n2:4: contains the control character U+001B, which YAML does not allow"},
		"NUL":              {"- do: a\n  b: \"x\\0\"\n", "\n2:6: contains a NUL, which is not possible in commands and variables"},
		"Tab":              {"main:\n\t- a\n", "\n2:1: is indented with a tab: YAML is indented with spaces only"},
		"TabBeforeKey":     {"\tmain: [a]\n", "\n1:1: is indented with a tab: YAML is indented with spaces only"},
		"TwoDocuments":     {"- a\n---\n- b\n", "\n3:1: begins a second document: move it to a file of its own"},
		"ExpressionInFlow": {"- {do: a, command: ${{ x }}}\n", "\n1:21: is not valid YAML: in { } and [ ], put a text with ${{ }} in quotes"},
		"ColonInText": {
			"- do: a\n  text: b: c\n",
			"\n2:9: is not valid YAML: unexpected key: check the indentation, and put a text with a colon and a space in quotes",
		},
		"Unclosed": {"- do: 'a\n", "\n1:7: is not valid YAML: could not find end character of single-quoted text"},
		"ParserPanics": {
			"%TAG !! x\n---\n!a ",
			"\n1:1: is not valid YAML (the YAML parser panicked: runtime error: invalid memory address or nil pointer dereference)",
		},
		"UnknownAlias": {"- do: a\n  b: *c\n", "\n2:6: *c is an unknown alias: there is no &c before it; put it in quotes if it is a text"},
		"AliasOfItself": {
			"- do: a\n  b: &c [*c]\n",
			"\n2:10: *c is an unknown alias: there is no &c before it; put it in quotes if it is a text",
		},
		"Tags": {
			"- do: a\n  b: !secret x\n  c: !!binary aGk=\n",
			"\n2:6: the tag !secret is not supported: remove it\n3:6: the tag !!binary is not supported: remove it",
		},
		"MergeOfText":       {"- do: a\n  <<: b\n", "\n2:7: is \"b\"; expected a table or a list of tables after <<"},
		"LongKey":           {"- do: a\n  ? b\n  : c\n", "\n2:3: a ? begins a complex key, which is not supported: write key: value"},
		"TooDeep":           {"- do: a\n  b: " + deep + "\n", "\n2:68: is nested more than 64 levels deep"},
		"TooDeepByDashes":   {strings.Repeat("- ", 100_000) + "a", "\n1:129: is nested more than 64 levels deep"},
		"TooDeepByBrackets": {strings.Repeat("[", 1_000_000), "\n1:65: is nested more than 64 levels deep"},
		"TooManyMarks":      {"- " + strings.Repeat("!a ", 10_000), "\n1:27: has too many tags and anchors before one value"},
		"TooLarge":          {"- a\n#" + strings.Repeat(" ", 1<<20), "\n1:1: is larger than 1024 KiB: split it, and include the parts with ref"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, map[string]string{"pipes/p.yml": test.content}).Pipe(t.Context(), "p")
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) {
				t.Fatalf("%v is not pipe.Diagnostics", err)
			}
			want := strings.ReplaceAll(test.want, "\n", "\npipes/p.yml:")
			if diff := cmp.Diff(trim(want), diags.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a few lines can blow up to is bounded before it costs anything.
func TestLoader_Bombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("- do: x\n  a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := range 9 {
		n := string(rune('0' + i))
		laughs.WriteString("  a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+n+", ", 10) + "]\n")
	}
	var keys, paths, merged strings.Builder
	keys.WriteString("- do: x\n")
	for i := range 30_000 {
		keys.WriteString("  k" + strings.Repeat("0", i%7) + string(rune('a'+i%26)) + ": 1\n")
	}
	for i := range 60 {
		paths.WriteString(strings.Repeat(" ", i) + strings.Repeat("k", 1000) + ":\n")
	}
	for range 15_000 {
		paths.WriteString(strings.Repeat(" ", 60) + "- a\n")
	}
	merged.WriteString("- &m0 {do: x}\n")
	for i := range 80 {
		merged.WriteString("- &m" + string(rune('0'+(i+1)%10)) + " {a: *m" + string(rune('0'+i%10)) + "}\n")
	}
	for name, test := range map[string]struct{ content, want string }{
		"Laughs": {laughs.String(), "once its aliases are replaced"},
		"Keys":   {keys.String(), "has more than 20000 keys"},
		"Paths":  {paths.String(), "too long keys with too much nested in them"},
		"Depth":  {merged.String(), "levels deep once its aliases are replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, map[string]string{"pipes/p.yml": test.content}).Pipe(t.Context(), "p")
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) || len(diags) != 1 || diags[0].At.Line == 0 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v; want one diagnostic with %q", err, test.want)
			}
		})
	}
}
