package expression

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxScript limits what the parser of scripts gets: it calls itself for every level.
const maxScript = 64 << 10

// Unexpanded implements pipe.Language. A script that cannot be parsed is left to the shell.
func (Language) Unexpanded(script string, references []int) map[int]string {
	if len(references) == 0 || len(script) > maxScript {
		return nil
	}
	file, err := syntax.NewParser(syntax.KeepComments(true), syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil
	}
	// reasons holds the reason for each place, "" where the reference is expanded or harmless.
	reasons := map[int]string{}
	for _, offset := range references {
		reasons[offset] = "after a backslash"
	}
	within := func(from, to syntax.Pos, reason string) {
		for _, offset := range references {
			if offset >= int(from.Offset()) && offset < int(to.Offset()) {
				reasons[offset] = reason
			}
		}
	}
	// doubleQuoted are expansions within double quotes or here-documents. Single quotes in
	// their defaults quote nothing.
	doubleQuoted := map[syntax.WordPart]bool{}
	inDoubleQuotes := func(parts []syntax.WordPart) {
		for _, part := range parts {
			doubleQuoted[part] = true
		}
	}
	// The parts of a node come after it, and know better.
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.SglQuoted:
			within(n.Pos(), n.End(), "in single quotes")
		case *syntax.Redirect:
			if n.Hdoc != nil && quoted(n.Word) {
				within(n.Hdoc.Pos(), n.Hdoc.End(), "in a here-document whose delimiter is in quotes")
			} else if n.Hdoc != nil {
				inDoubleQuotes(n.Hdoc.Parts)
			}
		case *syntax.DblQuoted:
			inDoubleQuotes(n.Parts)
		case *syntax.ParamExp:
			within(n.Pos(), n.End(), "")
			return !doubleQuoted[n]
		case *syntax.Comment:
			within(n.Pos(), n.End(), "")
		case *syntax.Stmt:
			if call, ok := n.Cmd.(*syntax.CallExpr); ok && evaluates(call) {
				within(n.Pos(), n.End(), "")
				for _, redirect := range n.Redirs {
					if redirect.Hdoc != nil {
						within(redirect.Hdoc.Pos(), redirect.Hdoc.End(), "")
					}
				}
				return false
			}
		}
		return true
	})
	for offset, reason := range reasons {
		if reason == "" {
			delete(reasons, offset)
		}
	}
	return reasons
}

// quoted reports whether a word has a part in quotes.
func quoted(word *syntax.Word) bool {
	return slices.ContainsFunc(word.Parts, func(part syntax.WordPart) bool {
		lit, plain := part.(*syntax.Lit)
		return !plain || strings.Contains(lit.Value, `\`)
	})
}

// evaluators are commands that expand their arguments or their input as a shell does, in the
// same environment. wrappers start the command that follows them.
var (
	evaluators = []string{"eval", "trap", "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "envsubst"}
	wrappers   = []string{"command", "env", "exec", "find", "nice", "nohup", "parallel", "time", "timeout", "xargs"}
)

// evaluates reports whether a command expands the variables in its arguments or its input.
func evaluates(call *syntax.CallExpr) bool {
	for i, word := range call.Args {
		name := path.Base(word.Lit())
		if slices.Contains(evaluators, name) {
			return true
		}
		if i == 0 && !slices.Contains(wrappers, name) {
			return false
		}
	}
	return false
}
