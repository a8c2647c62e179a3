package pipe

import (
	"fmt"
	"path"
	"strings"
)

// Origin says where the file of a pipe comes from.
type Origin string

// The origins.
const (
	// OriginCheckout is the checkout that the pipe runs in.
	OriginCheckout Origin = "checkout"
	// OriginLibrary is a library that .delivery.yml names.
	OriginLibrary Origin = "library"
	// OriginBuiltIn is the program itself.
	OriginBuiltIn Origin = "built_in"
)

// PipesFolder is the folder of the pipes in a checkout or a library.
const PipesFolder = "pipes"

// Position is a position in the file of a pipe.
type Position struct {
	Origin Origin `json:"origin,omitempty"`
	// Library is the name of the library if that is the origin.
	Library string `json:"library,omitempty"`
	// Path is relative to the origin's root, with slashes.
	Path string `json:"path"`
	// Line and Column count from 1; 0 means unknown.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Source returns a description of the origin: "checkout", "library shared", "built-in".
func (p Position) Source() string {
	switch p.Origin {
	case OriginLibrary:
		return "library " + p.Library
	case OriginBuiltIn:
		return "built-in"
	}
	return "checkout"
}

// File returns a description of the file: "pipes/ci.yml", "library shared: pipes/ci.yml",
// "built-in pipe cd".
func (p Position) File() string {
	switch p.Origin {
	case OriginLibrary:
		return p.Source() + ": " + p.Path
	case OriginBuiltIn:
		return "built-in pipe " + p.stem()
	}
	return p.Path
}

// PipeName returns a name by which the pipe in the file can be run. It may differ from the
// name in the file.
func (p Position) PipeName() string {
	switch p.Origin {
	case OriginLibrary:
		return strings.ReplaceAll(strings.TrimPrefix(p.stem(), PipesFolder+"/"), "/", ".")
	case OriginBuiltIn:
		return p.stem()
	}
	return p.Path
}

// stem returns the path without its extension.
func (p Position) stem() string { return strings.TrimSuffix(p.Path, path.Ext(p.Path)) }

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File()
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File(), p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File(), p.Line, p.Column)
}
