package pipefile

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// node is a piece of a file: a scalar, a list or a table.
type node struct {
	at   pipe.Position
	kind kind
	// text is a scalar as it was written, without its quotes; data is what it
	// means: nil, a string, bool, int64 or float64.
	text  string
	data  any
	items []*node
	pairs []pair
	// size counts the nodes, and depth the levels, from here on. What an alias
	// repeats counts again, although it is not copied.
	size, depth int
}

type pair struct {
	key   string
	at    pipe.Position
	value *node
}

type kind int

const (
	scalar kind = iota
	list
	table
)

// get returns the value of a key, nil if the table does not have it.
func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// describe describes a value for an error about its type.
func (n *node) describe() string {
	switch n.kind {
	case list:
		return "a list"
	case table:
		return "a table"
	}
	switch n.data.(type) {
	case nil:
		return "empty"
	case string:
		return fmt.Sprintf("%q", clip(n.text))
	case bool:
		return n.text
	}
	return "the number " + clip(n.text)
}

// clip shortens a text of the file for a message.
func clip(s string) string { return text.NoControl(text.Clip(s, 60)) }

// node makes a node of what the parser returned.
func (d *document) node(from ast.Node) *node {
	n := &node{at: d.position(from), size: 1, depth: 1}
	switch from := from.(type) {
	case nil, *ast.NullNode:
	case *ast.StringNode:
		n.text, n.data = from.Value, from.Value
		if strings.Contains(n.text, "\x00") { // from the escape \0
			d.diags.Add(n.at, "contains a NUL, which is not possible in commands and variables")
		}
	case *ast.LiteralNode:
		n.text, n.data = from.Value.Value, from.Value.Value
	case *ast.BoolNode:
		n.text, n.data = fmt.Sprint(from.Value), from.Value
	case *ast.IntegerNode:
		n.text, n.data = from.Token.Value, from.Token.Value
		switch value := from.Value.(type) {
		case int64:
			n.data = value
		case uint64:
			if int64(value) >= 0 { // larger numbers stay texts
				n.data = int64(value)
			}
		}
	case *ast.FloatNode:
		n.text, n.data = from.Token.Value, from.Value
	case *ast.MappingNode:
		n.kind = table
		d.pairs(n, from.Values)
	case *ast.MappingValueNode:
		n.kind = table
		d.pairs(n, []*ast.MappingValueNode{from})
	case *ast.SequenceNode:
		n.kind = list
		for _, value := range from.Values {
			item := d.node(value)
			n.items = append(n.items, item)
			d.grow(n, item)
		}
	case *ast.AnchorNode:
		// Defined after its value, so that no value can contain itself.
		inner := d.node(from.Value)
		d.anchors[from.Name.GetToken().Value] = inner
		return inner
	case *ast.AliasNode:
		return d.alias(from)
	case *ast.TagNode:
		return d.tagged(from)
	case *ast.InfinityNode, *ast.NanNode:
		n.text = from.GetToken().Value
		d.diags.Add(n.at, "%s is not a supported number: put it in quotes if it is a text", n.text)
		n.data = n.text
	default:
		d.diags.Add(n.at, "is not supported here: expected a text, a list or a table")
	}
	return n
}

// alias returns the value of an alias, as if it were written there.
func (d *document) alias(from *ast.AliasNode) *node {
	name := from.Value.GetToken().Value
	meant, ok := d.anchors[name]
	if !ok {
		d.diags.Add(d.position(from), "*%s is an unknown alias: there is no &%s before it; put it in quotes if it is a text",
			clip(name), clip(name))
		meant = &node{data: "", size: 1, depth: 1} // one diagnostic is enough
	}
	n := *meant
	n.at = d.position(from)
	return &n
}

// tagged returns a value with a tag. Only !!str is supported.
func (d *document) tagged(from *ast.TagNode) *node {
	n := d.node(from.Value)
	n.at = d.position(from)
	name := from.GetToken().Value
	if token.ReservedTagKeyword(name) != token.StringTag || n.kind != scalar {
		d.diags.Add(n.at, "the tag %s is not supported: remove it", clip(name))
		return n
	}
	n.data = n.text
	return n
}

// grow adds the size of a part to the whole.
func (d *document) grow(whole, part *node) {
	whole.size = min(whole.size+part.size, maxNodes+1)
	whole.depth = max(whole.depth, part.depth+1)
	if d.tooLarge || whole.size <= maxNodes && whole.depth <= maxDepth {
		return
	}
	d.tooLarge = true
	if whole.depth > maxDepth {
		d.diags.Add(part.at, "is nested more than %d levels deep once its aliases are replaced", maxDepth)
		return
	}
	d.diags.Add(part.at, "has more than %d values once its aliases are replaced", maxNodes)
}

// pairs fills a table.
func (d *document) pairs(n *node, from []*ast.MappingValueNode) {
	written := map[string]pipe.Position{}
	var merged []*node
	for _, value := range from {
		at := d.position(value.Key)
		if value.Key.IsMergeKey() {
			merged = append(merged, d.mergeable(d.node(value.Value))...)
			continue
		}
		p := pair{at: at, key: d.key(value.Key), value: d.node(value.Value)}
		d.grow(n, p.value)
		before, duplicate := written[p.key]
		switch {
		case p.key == "":
			d.diags.Add(at, "the key before the colon is missing, or not a text")
			continue
		case duplicate:
			d.diags.Add(at, "duplicate key %s, see line %d", clip(p.key), before.Line)
			continue
		}
		written[p.key] = at
		n.pairs = append(n.pairs, p)
	}
	for _, from := range merged {
		d.grow(n, from)
		for _, p := range from.pairs {
			if _, ok := written[p.key]; !ok {
				written[p.key] = p.at
				n.pairs = append(n.pairs, p)
			}
		}
	}
}

// key returns a key as it was written, so that 1.10 stays what it is.
func (d *document) key(from ast.MapKeyNode) string {
	switch from := from.(type) {
	case *ast.StringNode:
		return from.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return from.GetToken().Value
	}
	return ""
}

// mergeable returns the tables after a <<.
func (d *document) mergeable(n *node) []*node {
	switch n.kind {
	case table:
		return []*node{n}
	case list:
		var all []*node
		for _, item := range n.items {
			if item.kind != table {
				d.diags.Add(item.at, "is %s; expected a table or a list of tables after <<", item.describe())
				continue
			}
			all = append(all, item)
		}
		return all
	}
	d.diags.Add(n.at, "is %s; expected a table or a list of tables after <<", n.describe())
	return nil
}
