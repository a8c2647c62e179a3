package pipefile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

type v struct{}

func (v) Visit(n ast.Node) ast.Visitor {
	t := n.GetToken()
	if t == nil {
		fmt.Printf("  %T nil token\n", n)
	} else {
		fmt.Printf("  %T %s %q @%d:%d\n", n, t.Type, t.Value, t.Position.Line, t.Position.Column)
	}
	return v{}
}

func TestExplore(t *testing.T) {
	for _, s := range []string{
		"a: 1\nb:\n  c: |\n    x\n    y\n  d: >-\n    z\ne: 'q\n  r'\nf: \"ü\" # c\ng: ü: x\n",
		"ü: 1\n\"ää\": {é: ö, x: y}\n",
		"- a: 1\n  b: x\n-\n  - c\n  - d\n- \n",
		"a:\n\tb: 1\n", "a: 1\n\tb: 2\n", "\ta: 1", "- a\n\t- b\n", "a:\tx\n", "a: {\n\tb: 1}\n",
		"a: &x 1\nb: *x\nc: &y {d: 1}\ne:\n  <<: *y\n  f: 2\n<<: [*y, *y]\n",
		"a: 1\n---\nb: 2\n", "---\na: 1\n...\n", "# only\n", "", "---\n", "%YAML 1.2\n---\na: 1",
		"a: 0755\nb: 0o17\nc: 1_000\nd: 1.10\ne: 99999999999999999999\nf: .inf\ng: .nan\nh: yes\ni: True\nj: ~\nk: 2001-01-01\nl: 0x1F\nm: 1e3\nn: -1\no: +1\np: 0b11\nq: null\nr: NULL\ns: 1:30\nt: -99999999999999999999\nu: 18446744073709551615\n",
		"{command: ${{ x }}}\n", "- {do: a, command: ${{ x }}}\n", "[${{ x }}]", "a: ${{ x }}\n", "a: ${{ x ?? 'y' }} z\n", "a: ${{ x\n",
		"? a\n: b\n", "? [a]\n: b\n", "[a]: b\n", "{a: 1}: b\n", "!!str a: !!int 3\nb: !foo x\nc: !!str 1\nd: !!binary aGk=\n",
		"a: b: c\n", "a: [\n", "a: 'x\n", "a: \"\\q\"\n", "@x\n", "a: %\n", "- a\nb: c\n", "a: 1\na: 2\n", "*x : 1\n", "a: *x\n", "a: &x\nb: *x\n",
		"a: x\n  y: z\n", "  a: 1\n b: 2\n", "a: |\n x\n\ty\nb: 1\n", "a:\n - b\n -c\n", "name: Strawberry\n  - do:\n", "a:\n\n\n# c\n  b: |2\n      x\n# d\n  c: 1\n",
		"a: x\n y\n z\nb: 1\n", "key: \"multi\n  line\"\nb: 2\n", "a: \"x\\ny\"\nb: 'it''s'\nc: z\n",
	} {
		fmt.Printf("---- %q\n", s)
		func() {
			defer func() {
				if r := recover(); r != nil {
					fmt.Println("PANIC", r)
				}
			}()
			f, err := parser.ParseBytes([]byte(s), 0, parser.AllowDuplicateMapKey())
			if err != nil {
				e, ok := err.(interface {
					GetMessage() string
				})
				if ok {
					fmt.Println("  err", e.GetMessage(), strings.SplitN(err.Error(), "\n", 2)[0])
				} else {
					fmt.Printf("  err %T %v\n", err, err)
				}
				return
			}
			for _, d := range f.Docs {
				fmt.Printf(" doc %T\n", d.Body)
				if d.Body != nil {
					ast.Walk(v{}, d.Body)
				}
			}
		}()
	}
}

func TestSlow(t *testing.T) {
	run := func(name, s string) {
		start := time.Now()
		toks := lexer.Tokenize(s)
		lexed := time.Since(start)
		fmt.Printf("%s: %d bytes %d tokens lex %v", name, len(s), len(toks), lexed)
		start = time.Now()
		_, err := parser.Parse(toks, 0, parser.AllowDuplicateMapKey())
		fmt.Printf(" parse %v err %v\n", time.Since(start), err != nil)
	}
	var b strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&b, "k%d: v\n", i)
	}
	run("20k keys", b.String())
	run("list", strings.Repeat("- a\n", 100000))
	run("flow deep", strings.Repeat("[", 2000))
	run("dashes", strings.Repeat("- ", 2000)+"a")
	run("spaces", strings.Repeat(" ", 500000)+"a")
	run("newlines", strings.Repeat("\n", 500000)+"a")
	run("long plain", strings.Repeat("a", 500000))
	run("long plain words", strings.Repeat("a ", 250000))
	run("multi line plain", strings.Repeat("a\n", 100000))
	run("long quoted", "'"+strings.Repeat("a", 500000)+"'")
	run("literal", "a: |\n"+strings.Repeat("  x\n", 100000))
	run("folded", "a: >\n"+strings.Repeat("  x\n", 100000))
	run("comments", strings.Repeat("# x\n", 100000)+"a: 1")
	run("quotes", strings.Repeat("'", 100000))
	run("tags", strings.Repeat("!a ", 3000))
	run("anchors", strings.Repeat("&a ", 3000))
	run("colons", strings.Repeat(":", 100000))
	run("colon sp", strings.Repeat(": ", 10000))
	run("q", strings.Repeat("? ", 10000))
	run("commas", "["+strings.Repeat("a,", 100000)+"]")
}
