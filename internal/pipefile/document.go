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

// Limits of a file. A pipe that a person wrote is far below them; a file above was
// generated, by mistake or as an attack.
const (
	maxSize  = 1 << 20
	maxDepth = 64
	// maxKeys limits work that the parser does for each pair of keys of a table.
	maxKeys = 20_000
	maxKey  = 1024
	// maxPaths limits the memory for the paths that the parser keeps of every key
	// and entry.
	maxPaths = 32 << 20
	// maxNodes limits a file once its aliases are replaced.
	maxNodes = 100_000
	// maxMarks limits the tags and anchors before one value.
	maxMarks = 8
)

// parseDocument reads the one YAML document in a file. The node is nil if the
// file cannot be parsed.
func parseDocument(file pipe.Position, content []byte) (*node, pipe.Diagnostics) {
	d := document{file: file, anchors: map[string]*node{}}
	text, ok := d.decode(content)
	if !ok {
		return nil, d.diags
	}
	d.lines = strings.Split(text, "\n")
	body := d.parse(text)
	if body == nil {
		return nil, d.diags
	}
	root := d.node(body)
	if d.tooLarge {
		return nil, d.diags
	}
	return root, d.diags
}

// document is a YAML document that is converted to nodes.
type document struct {
	file  pipe.Position
	lines []string
	diags pipe.Diagnostics
	// positions are the positions of tokens.
	positions map[*token.Token]pipe.Position
	// anchors are those defined so far: an alias means the latest.
	anchors  map[string]*node
	tooLarge bool
}

func (d *document) at(line, column int) pipe.Position {
	at := d.file
	at.Line, at.Column = max(line, 1), max(column, 1)
	return at
}

// byteOrderMark is written by some editors before UTF-8.
const byteOrderMark = "\uFEFF"

// decode returns the content as text in which every line ends with a line feed.
func (d *document) decode(content []byte) (string, bool) {
	if len(content) > maxSize {
		d.diags.Add(d.at(1, 1), "is larger than %d KiB: split it, and include the parts with ref", maxSize>>10)
		return "", false
	}
	text := strings.TrimPrefix(string(content), byteOrderMark)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		d.diags.Add(d.at(1, 1), "is encoded as UTF-16: save it as UTF-8")
		return "", false
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	line, column := 1, 1
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") &&
			!utf8.ValidString(text[i:min(i+utf8.UTFMax, len(text))]):
			d.diags.Add(d.at(line, column), "is not UTF-8 here: save the file as UTF-8")
			return "", false
		case r < ' ' && r != '\n' && r != '\t' || r == 0x7f:
			d.diags.Add(d.at(line, column), "contains the control character %U, which YAML does not allow", r)
			return "", false
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return text, true
}

// parse returns the body of the only document. The parser panics on some malformed
// texts (index out of range, nil dereference).
func (d *document) parse(text string) (body ast.Node) {
	defer func() {
		if problem := recover(); problem != nil {
			d.diags.Add(d.at(1, 1), "is not valid YAML (the YAML parser panicked: %v)", problem)
			body = nil
		}
	}()
	tokens := lexer.Tokenize(text)
	d.locate(text, tokens)
	if !d.inspect(tokens) {
		return nil
	}
	// Duplicate keys are reported later, all of them.
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
			d.diags.Add(d.position(doc.Body), "begins a second document: move it to a file of its own")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		d.diags.Add(d.at(1, 1), "is empty")
	}
	return body
}

// inspect checks the tokens before they are parsed: the parser calls itself for
// every level and key, and a stack overflow cannot be recovered from.
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
			problem = "a ? begins a complex key, which is not supported: write key: value"
		case len(n.levels) > maxDepth:
			problem = fmt.Sprintf("is nested more than %d levels deep", maxDepth)
		case keys > maxKeys:
			problem = fmt.Sprintf("has more than %d keys: split it, and include the parts with ref", maxKeys)
		case isKey(tk) && len(tk.Value) > maxKey:
			problem = fmt.Sprintf("is a key of more than %d characters", maxKey)
		case paths > maxPaths:
			problem = "has too long keys with too much nested in them: split it, and include the parts with ref"
		case marks > maxMarks:
			problem = "has too many tags and anchors before one value"
		}
		if problem != "" {
			d.diags.Add(d.tokenPosition(tk), "%s", problem)
			return false
		}
	}
	return true
}

// syntax adds a diagnostic for an error of the parser, without the parser's
// excerpt of the file.
func (d *document) syntax(err error) {
	var positioned yaml.Error
	if !errors.As(err, &positioned) {
		d.diags.Add(d.at(1, 1), "is not valid YAML: %s", err)
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
		d.diags.Add(at, "is indented with a tab: YAML is indented with spaces only")
	case strings.Contains(written, "${{") && strings.Contains(message, "must be specified"):
		d.diags.Add(at, "is not valid YAML: in { } and [ ], put a text with ${{ }} in quotes")
	case strings.HasPrefix(message, "mapping value is not allowed"):
		d.diags.Add(at, "is not valid YAML: unexpected key: check the indentation, and put a text with a colon and a space in quotes")
	default:
		d.diags.Add(at, "is not valid YAML: %s", message)
	}
}
