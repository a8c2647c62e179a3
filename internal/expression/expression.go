// Package expression compiles the expressions in pipes, and finds those that a shell would not
// expand. It implements pipe.Language.
package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Limits of an expression. The language has no loops, so that its length also limits the time
// that it takes.
const (
	maxLength = 1000
	maxNodes  = 300
	// maxMemory limits the size of lists, in the unit of the library.
	maxMemory = 10_000
)

// Language implements pipe.Language.
type Language struct{}

// Expression implements pipe.Language.
func (Language) Expression(written string) (pipe.Expression, error) {
	written = strings.TrimSpace(written)
	if m := simple.FindStringSubmatch(written); m != nil {
		return &defaulted{name: pipe.Name{Name: m[1], Optional: strings.Contains(written, "??")}, text: m[2] + m[3]}, nil
	}
	e, err := compile(written)
	if err != nil {
		return nil, fmt.Errorf("${{ %s }} is not a valid expression: %w", text.Clip(written, 60), err)
	}
	return e, nil
}

// simple matches the two most common forms, which need no compiler. A name in them may be a
// word of the language, and have digits after a dot.
var simple = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*(?:\?\?\s*(?:'([^']*)'|"([^"]*)"))?$`)

// defaulted is the expression name, or name ?? 'text'.
type defaulted struct {
	name pipe.Name
	text string
}

// Names implements pipe.Expression.
func (d *defaulted) Names() []pipe.Name { return []pipe.Name{d.name} }

// Evaluate implements pipe.Expression.
func (d *defaulted) Evaluate(value func(pipe.Name) (string, error)) (string, error) {
	found, err := value(d.name)
	if err == nil && found == "" {
		return d.text, nil
	}
	return found, err
}

// compiled is any other expression.
type compiled struct {
	names   []pipe.Name
	program *vm.Program
}

// compile compiles an expression with the library's parser, checker and compiler. In between,
// names and conditions become calls of the functions in environment.
func compile(written string) (*compiled, error) {
	if len(written) > maxLength {
		return nil, fmt.Errorf("it is longer than %d characters: move a part of it to a command", maxLength)
	}
	source, err := literals(written)
	if err != nil {
		return nil, err
	}
	config := conf.New(environment(nil))
	config.MaxNodes = maxNodes
	config.Builtins = nil
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return nil, syntaxError(err)
	}
	c := &compiled{}
	if tree.Node, _, err = c.rewrite(tree.Node, false); err != nil {
		return nil, err
	}
	if _, err = checker.Check(tree, config); err != nil {
		return nil, syntaxError(err)
	}
	if c.program, err = compiler.Compile(tree, config); err != nil {
		return nil, syntaxError(err)
	}
	return c, nil
}

// literal matches a text in an expression.
var literal = regexp.MustCompile("'[^']*'|\"[^\"]*\"|`[^`]*`")

// literals escapes the texts, in which every character stands for itself. Outside of them, a
// slash would begin a comment.
func literals(written string) (string, error) {
	if rest := literal.ReplaceAllString(written, "''"); strings.Contains(rest, "/") {
		return "", errors.New("the operator / is not known; put a text in quotes")
	}
	return literal.ReplaceAllStringFunc(written, func(s string) string {
		if s[0] == '`' {
			return s
		}
		return escapes.Replace(s)
	}), nil
}

// escapes replaces what cannot stand in a text of the library as it is.
var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// syntaxError returns an error of the library without its excerpt of the expression.
func syntaxError(err error) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return err
	}
	if strings.Contains(e.Message, `Operator("=")`) {
		return errors.New("compare with ==")
	}
	return fmt.Errorf("%s; expected, for example, name ?? 'text' or name == 'text'", e.Message)
}

// The names of the functions in environment. An expression can call only jsonFunction by its
// name: all its other names become calls.
const (
	requiredFunction = "required"
	optionalFunction = "optional"
	truthFunction    = "truth"
	jsonFunction     = "json"
)

// environment returns the functions that a compiled expression calls.
func environment(value func(pipe.Name) (string, error)) map[string]any {
	return map[string]any{
		requiredFunction: func(name string) (string, error) { return value(pipe.Name{Name: name}) },
		optionalFunction: func(name string) (any, error) {
			found, err := value(pipe.Name{Name: name, Optional: true})
			if err != nil || found == "" {
				return nil, err
			}
			return found, nil
		},
		truthFunction: func(text string) bool { return pipe.True(text) },
		jsonFunction: func(v any) (string, error) {
			var b strings.Builder
			encoder := json.NewEncoder(&b)
			encoder.SetEscapeHTML(false)
			err := encoder.Encode(v)
			return strings.TrimSuffix(b.String(), "\n"), err
		},
	}
}

// Names implements pipe.Expression.
func (c *compiled) Names() []pipe.Name { return c.names }

// Evaluate implements pipe.Expression.
func (c *compiled) Evaluate(value func(pipe.Name) (string, error)) (string, error) {
	machine := vm.VM{MemoryBudget: maxMemory}
	result, err := machine.Run(c.program, environment(value))
	var notSet *pipe.NotSetError
	if errors.As(err, &notSet) {
		return "", notSet
	}
	return fmt.Sprint(result), err
}

// kind is the kind of a part of an expression.
type kind int

const (
	aText kind = iota
	aCondition
)

// rewrite returns a part of an expression as the library is to compile it, and its kind. What
// is not in this list is not a part of the language. Optional says that a name may be not set,
// since a default follows.
func (c *compiled) rewrite(node ast.Node, optional bool) (ast.Node, kind, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n, aText, nil
	case *ast.IntegerNode, *ast.FloatNode:
		return nil, 0, errors.New("values are texts: put the number in quotes, as in number == '17'") // n has lost the zero of 1.10
	case *ast.BoolNode:
		return nil, 0, fmt.Errorf("values are texts: write '%s' in quotes, or the value alone as a condition", n)
	case *ast.IdentifierNode, *ast.MemberNode:
		name, ok := valueName(n)
		if !ok {
			return nil, 0, fmt.Errorf("%s is not the name of a value", n)
		}
		c.names = append(c.names, pipe.Name{Name: name, Optional: optional})
		function := requiredFunction
		if optional {
			function = optionalFunction
		}
		return call(function, &ast.StringNode{Value: name}), aText, nil
	case *ast.UnaryNode:
		if n.Operator != "!" && n.Operator != "not" {
			return nil, 0, fmt.Errorf("the operator %s is not known", n.Operator)
		}
		var err error
		n.Node, err = c.condition(n.Node)
		return n, aCondition, err
	case *ast.ConditionalNode:
		if !n.Ternary {
			return nil, 0, errors.New("if is not supported: write condition ? 'text' : 'other text'")
		}
		var err error
		if n.Cond, err = c.condition(n.Cond); err == nil {
			if n.Exp1, err = c.text(n.Exp1, "? :", optional); err == nil {
				n.Exp2, err = c.text(n.Exp2, "? :", optional)
			}
		}
		return n, aText, err
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); !ok || callee.Value != jsonFunction || len(n.Arguments) != 1 {
			return nil, 0, fmt.Errorf("%s is not known: the only function is json(value)", n)
		}
		var err error
		n.Arguments[0], _, err = c.rewrite(n.Arguments[0], false)
		return n, aText, err
	case *ast.BinaryNode:
		return c.binary(n, optional)
	}
	return nil, 0, fmt.Errorf("%s is not supported", text.Clip(node.String(), 40))
}

// binary rewrites an expression with an operator between two parts.
func (c *compiled) binary(n *ast.BinaryNode, optional bool) (_ ast.Node, _ kind, err error) {
	switch n.Operator {
	case "&&", "and", "||", "or":
		if n.Left, err = c.condition(n.Left); err == nil {
			n.Right, err = c.condition(n.Right)
		}
		return n, aCondition, err
	case "??":
		switch n.Left.(type) {
		case *ast.IdentifierNode, *ast.MemberNode, *ast.BinaryNode:
		default:
			return nil, 0, errors.New("?? gives a value a default: name ?? 'text'")
		}
		if n.Left, err = c.text(n.Left, n.Operator, true); err == nil {
			n.Right, err = c.text(n.Right, n.Operator, optional)
		}
		return n, aText, err
	case "==", "!=", "contains", "startsWith", "endsWith":
		if n.Left, err = c.text(n.Left, n.Operator, false); err == nil {
			n.Right, err = c.text(n.Right, n.Operator, false)
		}
		return n, aCondition, err
	case "matches":
		if _, ok := n.Right.(*ast.StringNode); !ok {
			return nil, 0, errors.New("matches takes a regular expression in quotes: name matches '^v[0-9]+$'")
		}
		n.Left, err = c.text(n.Left, n.Operator, false)
		return n, aCondition, err
	case "in":
		list, ok := n.Right.(*ast.ArrayNode)
		if !ok {
			return nil, 0, errors.New("in takes a list: name in ['one', 'two']")
		}
		if n.Left, err = c.text(n.Left, n.Operator, false); err != nil {
			return nil, 0, err
		}
		for i := range list.Nodes {
			if list.Nodes[i], err = c.text(list.Nodes[i], n.Operator, false); err != nil {
				return nil, 0, err
			}
		}
		return n, aCondition, nil
	case "-":
		return nil, 0, errors.New("the operator - is not known; a name has letters, digits, _ and dots")
	case "<", ">", "<=", ">=":
		return nil, 0, fmt.Errorf("the operator %s is not known: values are texts, which have no order; compare with == or !=", n.Operator)
	}
	return nil, 0, fmt.Errorf("the operator %s is not known", n.Operator)
}

// text rewrites a part that has to be a text.
func (c *compiled) text(node ast.Node, operator string, optional bool) (ast.Node, error) {
	written := node.String()
	node, kind, err := c.rewrite(node, optional)
	if err == nil && kind != aText {
		return nil, fmt.Errorf("%s takes texts, and %s is true or false", operator, text.Clip(written, 40))
	}
	return node, err
}

// condition rewrites a part that is true or false. A text is true unless pipe.True says
// otherwise.
func (c *compiled) condition(node ast.Node) (ast.Node, error) {
	if n, ok := node.(*ast.StringNode); ok {
		return nil, fmt.Errorf("the text '%s' is not a condition: compare it with a value, as in name == '%s', or give a default with ??",
			n.Value, n.Value)
	}
	node, kind, err := c.rewrite(node, false)
	if err == nil && kind == aText {
		node = call(truthFunction, node)
	}
	return node, err
}

// call returns a call of a function in environment.
func call(function string, argument ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: function}, Arguments: []ast.Node{argument}}
}

// valueName returns the name of a value that a part of an expression consists of.
func valueName(node ast.Node) (name string, ok bool) {
	var parts []string
	for {
		switch n := node.(type) {
		case *ast.IdentifierNode:
			parts = append(parts, n.Value)
			slices.Reverse(parts)
			name = strings.Join(parts, ".")
			return name, pipe.ValueName.MatchString(name)
		case *ast.MemberNode:
			property, isText := n.Property.(*ast.StringNode)
			if !isText || n.Optional || n.Method {
				return "", false
			}
			parts = append(parts, property.Value)
			node = n.Node
			continue
		}
		return "", false
	}
}
