package pipefile

import (
	"github.com/goccy/go-yaml/token"
)

// nesting follows tokens through the levels of lists and tables, as the parser
// will.
type nesting struct {
	levels []level
	// path is the approximate length of the parser's path to the current token.
	path int
}

// level is a list or a table. One in brackets ends at its closing bracket, any
// other by the column.
type level struct {
	brackets bool
	column   int
	list     bool
	// key is the length of the current key.
	key int
}

// isKey reports whether a token is the key of a table.
func isKey(tk *token.Token) bool {
	return tk.Next != nil && tk.Next.Type == token.MappingValueType
}

func (n *nesting) enter(tk *token.Token) {
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.push(level{brackets: true, list: tk.Type == token.SequenceStartType})
		return
	case token.MappingEndType, token.SequenceEndType:
		n.leave()
		return
	case token.DocumentHeaderType, token.DocumentEndType:
		n.levels, n.path = nil, 0
		return
	}
	entry := tk.Type == token.SequenceEntryType
	if !entry && !isKey(tk) {
		return
	}
	if !n.inBrackets() {
		n.indent(tk.Position.Column, entry)
	}
	if len(n.levels) > 0 && isKey(tk) {
		top := &n.levels[len(n.levels)-1]
		n.path += len(tk.Value) - top.key
		top.key = len(tk.Value)
	}
}

// indent finds the level of a column. A list may stand in the column of the
// key that it belongs to.
func (n *nesting) indent(column int, list bool) {
	for len(n.levels) > 0 {
		top := n.levels[len(n.levels)-1]
		if top.column < column || top.column == column && (top.list == list || list) {
			break
		}
		n.pop()
	}
	if len(n.levels) > 0 {
		if top := n.levels[len(n.levels)-1]; !top.brackets && top.column == column && top.list == list {
			return
		}
	}
	n.push(level{column: column, list: list})
}

func (n *nesting) inBrackets() bool {
	return len(n.levels) > 0 && n.levels[len(n.levels)-1].brackets
}

// leave ends the innermost brackets.
func (n *nesting) leave() {
	if n.inBrackets() {
		n.pop()
	}
}

// separator is the approximate length of what the parser puts before each part of
// a path.
const separator = 8

func (n *nesting) push(l level) {
	n.levels = append(n.levels, l)
	n.path += separator
}

func (n *nesting) pop() {
	n.path -= separator + n.levels[len(n.levels)-1].key
	n.levels = n.levels[:len(n.levels)-1]
}
