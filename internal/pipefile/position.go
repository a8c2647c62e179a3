package pipefile

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// blank is the space between tokens.
const blank = " \t\n"

// locate finds the positions of tokens in the text. Those of the lexer are not
// exact: they do not count tabs, and are wrong after tags and after spaces at the
// end of a line.
func (d *document) locate(text string, tokens token.Tokens) {
	d.positions = make(map[*token.Token]pipe.Position, len(tokens))
	at := d.at(1, 1)
	pass := func(n int) {
		for _, r := range text[:n] {
			if at.Column++; r == '\n' {
				at.Line, at.Column = at.Line+1, 1
			}
		}
		text = text[n:]
	}
	for _, tk := range tokens {
		pass(len(text) - len(strings.TrimLeft(text, blank)))
		length, ok := span(text, tk.Origin)
		if !ok {
			return // the others keep the lexer's positions
		}
		d.positions[tk] = at
		pass(length)
	}
}

// span returns the length of a token in the text. The token's origin has lost some
// of the blanks.
func span(text, origin string) (length int, ok bool) {
	for _, r := range origin {
		if strings.ContainsRune(blank, r) {
			continue
		}
		length += len(text[length:]) - len(strings.TrimLeft(text[length:], blank))
		next, size := utf8.DecodeRuneInString(text[length:])
		if next != r {
			return 0, false
		}
		length += size
	}
	return length, true
}

// tokenPosition returns the position of a token. Tokens that the parser has added
// have only the lexer's position.
func (d *document) tokenPosition(tk *token.Token) pipe.Position {
	if tk == nil || tk.Position == nil {
		return d.at(1, 1)
	}
	if at, ok := d.positions[tk]; ok {
		return at
	}
	return d.at(tk.Position.Line, tk.Position.Column)
}

func (d *document) position(n ast.Node) pipe.Position {
	switch n := n.(type) {
	case nil:
		return d.at(1, 1)
	case *ast.MappingNode:
		// Its own token is the colon after the first key.
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return d.position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.position(n.Key)
	}
	return d.tokenPosition(n.GetToken())
}
