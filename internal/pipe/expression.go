package pipe

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Language is the language of the expressions in pipes. Package expression implements it.
type Language interface {
	// Expression compiles the content of ${{ }}.
	Expression(text string) (Expression, error)
	// Unexpanded finds references to variables in a shell script that the shell does not
	// expand, such as those in single quotes. The references are the offsets of their dollar
	// signs. It returns the reasons by offset. References in comments are not among them.
	Unexpanded(script string, references []int) map[int]string
}

// Expression is a compiled expression.
type Expression interface {
	// Names returns the values that the expression uses.
	Names() []Name
	// Evaluate returns the text of the expression. The function returns the text of a value.
	Evaluate(value func(Name) (string, error)) (string, error)
}

// Name is the name of a value in an expression.
type Name struct {
	Name string
	// Optional says that the expression has a default for when the value is not set or empty.
	Optional bool
}

// falseTexts are the texts that are false in a condition.
var falseTexts = []string{"", "false", "no", "off", "0"}

// True reports whether a text is true in a condition: in when, and as an operand of !, && and
// ||. The empty text, false, no, off and 0, in any letter case, are false; all others are true.
func True(text string) bool {
	return !slices.Contains(falseTexts, strings.ToLower(strings.TrimSpace(text)))
}

const expressionOpen, expressionClose = "${{", "}}"

// closed matches the content of an expression up to its end. In a text in quotes, braces do not
// close it.
var closed = regexp.MustCompile("^((?:[^'\"`}]|'[^']*'|\"[^\"]*\"|`[^`]*`|}[^}])*)}}")

// template is a text with expressions in it.
type template []part

// part is a piece of text, or an expression.
type part struct {
	// text is the piece of text, or the content of the expression.
	text string
	expr Expression
}

// String returns the part as it is written.
func (p part) String() string {
	if p.expr == nil {
		return p.text
	}
	return expressionOpen + " " + p.text + " " + expressionClose
}

// named matches an expression that consists of a name and perhaps a default.
var named = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.]*)\s*(?:\?\?\s*(?:'[^']*'|"[^"]*"))?$`)

// variable returns the name of the variable that holds the value of an expression.
func (p part) variable() string {
	name := "EXPRESSION"
	if m := named.FindStringSubmatch(p.text); m != nil {
		name = "VALUE_" + strings.ToUpper(strings.ReplaceAll(m[1], ".", "_"))
	}
	return "DELIVERY_" + name
}

// expression returns the expression of a template that consists of one expression and no text.
func (t template) expression() (p part, ok bool) {
	if len(t) != 1 || t[0].expr == nil {
		return part{}, false
	}
	return t[0], true
}

// parseTemplate splits a text into its expressions and the text between them. Only ${{
// begins an expression: $VAR and ${VAR} are text, and $${{ stands for the text ${{.
func parseTemplate(language Language, s string) (template, error) {
	var t template
	literal := ""
	for {
		before, rest, found := strings.Cut(s, expressionOpen)
		if unescaped, escaped := strings.CutSuffix(before, "$"); found && escaped {
			literal, s = literal+unescaped+expressionOpen, rest
			continue
		}
		if literal += before; literal != "" {
			t = append(t, part{text: literal})
		}
		if !found {
			return t, nil
		}
		m := closed.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is not closed: use ${{ name }}, or $${{ for the text ${{", expressionOpen+text.Clip(rest, 20))
		}
		expr, err := language.Expression(m[1])
		if err != nil {
			return nil, err
		}
		t = append(t, part{text: strings.TrimSpace(m[1]), expr: expr})
		literal, s = "", rest[len(m[0]):]
	}
}

// expressions returns all expressions in a value, and the first error.
func (v Value) expressions(language Language) (all []part, first error) {
	v.eachText(func(s string) {
		t, err := parseTemplate(language, s)
		if err != nil && first == nil {
			first = err
		}
		for _, p := range t {
			if p.expr != nil {
				all = append(all, p)
			}
		}
	})
	return all, first
}

// CheckExpressions checks that all expressions in a value can be compiled.
func (v Value) CheckExpressions(language Language) error {
	_, err := v.expressions(language)
	return err
}

// CheckWhen checks that a condition is exactly one expression, or true or false. Most other
// texts would always be true.
func (v Value) CheckWhen(language Language) error {
	written, ok := v.Data.(string)
	if _, isBool := v.Data.(bool); isBool || ok && (written == "true" || written == "false") {
		return nil
	}
	t, err := parseTemplate(language, strings.TrimSpace(written))
	if err != nil {
		return err
	}
	if _, ok := t.expression(); ok {
		return nil
	}
	return errors.New("when has to be exactly one expression, without text around it: write the whole condition within ${{ }}, " +
		"as in when: ${{ branch == 'main' }}")
}
