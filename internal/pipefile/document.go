package pipefile

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// How large a file may be. A pipe that somebody wrote is far below; what is
// above was made by a program, to do harm or by mistake.
const (
	maxSize  = 1 << 20
	maxDepth = 64
	// maxKeys bounds what the parser does once for each pair of keys of a table.
	maxKeys = 20_000
	maxKey  = 1024
	// maxPaths bounds the memory for the paths that the parser keeps of every
	// key and entry.
	maxPaths = 32 << 20
	// maxNodes bounds a file once its aliases are replaced.
	maxNodes = 100_000
	// maxMarks bounds the tags and anchors before one value.
	maxMarks = 8
)

// parseDocument reads the one YAML document in a file. The node is nil if the
// file cannot be understood at all.
func parseDocument(file string, content []byte) (*node, pipe.Faults) {
	d := document{file: file, anchors: map[string]*node{}}
	text, ok := d.decode(content)
	if !ok {
		return nil, d.faults
	}
	d.lines = strings.Split(text, "\n")
	body := d.parse(text)
	if body == nil {
		return nil, d.faults
	}
	root := d.node(body)
	if d.tooLarge {
		return nil, d.faults
	}
	return root, d.faults
}

// document is a YAML document on its way to nodes.
type document struct {
	file   string
	lines  []string
	faults pipe.Faults
	// places are where tokens are in the file.
	places map[*token.Token]pipe.Position
	// anchors are those written so far: an alias means the latest.
	anchors  map[string]*node
	tooLarge bool
}

func (d *document) at(line, column int) pipe.Position {
	return pipe.Position{File: d.file, Line: max(line, 1), Column: max(column, 1)}
}

// byteOrderMark is what some editors put before UTF-8.
const byteOrderMark = "\uFEFF"

// decode returns the content as text in which every line ends with a line feed.
func (d *document) decode(content []byte) (string, bool) {
	if len(content) > maxSize {
		d.faults.Add(d.at(1, 1), "is larger than %d KiB: split it, and include the parts by ref", maxSize>>10)
		return "", false
	}
	text := strings.TrimPrefix(string(content), byteOrderMark)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		d.faults.Add(d.at(1, 1), "is written in UTF-16: save it as UTF-8")
		return "", false
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	line, column := 1, 1
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !utf8.ValidString(text[i:min(i+utf8.UTFMax, len(text))]) && !strings.HasPrefix(text[i:], "\uFFFD"):
			d.faults.Add(d.at(line, column), "is not UTF-8 here: save the file as UTF-8")
			return "", false
		case r < ' ' && r != '\n' && r != '\t' || r == 0x7f:
			d.faults.Add(d.at(line, column), "holds the control character %U, which YAML does not allow", r)
			return "", false
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return text, true
}

// parse returns the body of the only document. The parser breaks down at some
// malformed texts (index out of range, nil dereference), which says no more
// than that the text is malformed.
func (d *document) parse(text string) (body ast.Node) {
	defer func() {
		if problem := recover(); problem != nil {
			d.faults.Add(d.at(1, 1), "is not valid YAML (it made the YAML parser break down: %v)", problem)
			body = nil
		}
	}()
	tokens := lexer.Tokenize(text)
	d.locate(text, tokens)
	if !d.inspect(tokens) {
		return nil
	}
	// Keys that are there twice are found later, all of them.
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	for _, doc := range parsed.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || doc.Body == nil {
			continue
		}
		if body != nil {
			d.faults.Add(d.position(doc.Body), "begins a second document: a file holds one, so put this into a file of its own")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		d.faults.Add(d.at(1, 1), "is empty")
	}
	return body
}

// inspect judges the tokens before they are parsed: the parser calls itself for
// every level and for every key, and a stack that overflows cannot be recovered
// from.
func (d *document) inspect(tokens token.Tokens) bool {
	var n nesting
	var keys, marks, paths int
	for _, tk := range tokens {
		n.enter(tk)
		paths += n.path
		switch tk.Type {
		case token.MappingValueType:
			keys++
		case token.TagType, token.AnchorType:
			marks++
		case token.CommentType:
		default:
			if tk.Prev == nil || tk.Prev.Type != token.AnchorType {
				marks = 0
			}
		}
		problem := ""
		switch {
		case tk.Type == token.MappingKeyType:
			problem = "a ? begins a key of several lines, which is not understood here: write key: value"
		case len(n.levels) > maxDepth:
			problem = fmt.Sprintf("is nested more than %d levels deep", maxDepth)
		case keys > maxKeys:
			problem = fmt.Sprintf("has more than %d keys: split it, and include the parts by ref", maxKeys)
		case isKey(tk) && len(tk.Value) > maxKey:
			problem = fmt.Sprintf("is a key of more than %d characters", maxKey)
		case paths > maxPaths:
			problem = "has too much nested in keys that are too long: split it, and include the parts by ref"
		case marks > maxMarks:
			problem = "has too many tags and anchors before one value"
		}
		if problem != "" {
			d.faults.Add(d.tokenPosition(tk), "%s", problem)
			return false
		}
	}
	return true
}

// syntax adds a fault for an error of the parser, without the parser's excerpt
// of the file.
func (d *document) syntax(err error) {
	var positioned yaml.Error
	if !errors.As(err, &positioned) {
		d.faults.Add(d.at(1, 1), "is not valid YAML: %s", err)
		return
	}
	at := d.tokenPosition(positioned.GetToken())
	written := ""
	if at.Line <= len(d.lines) {
		written = d.lines[at.Line-1]
	}
	indentation := written[:len(written)-len(strings.TrimLeft(written, " \t"))]
	message := positioned.GetMessage()
	switch {
	case strings.Contains(indentation, "\t"):
		at.Column = strings.Index(indentation, "\t") + 1
		d.faults.Add(at, "is indented with a tab: YAML is indented with spaces only")
	case strings.Contains(written, "${{") && strings.Contains(message, "must be specified"):
		d.faults.Add(at, "is not valid YAML: within { } and [ ], a text with ${{ }} has to be in quotes")
	case strings.HasPrefix(message, "mapping value is not allowed"):
		d.faults.Add(at, "is not valid YAML: a key is not expected here; mind the indentation, and put a text that holds a colon and a space in quotes")
	default:
		d.faults.Add(at, "is not valid YAML: %s", message)
	}
}
