package pipefile

import (
	"embed"
	"io/fs"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

//go:embed builtin/*.yml
var builtInFiles embed.FS

// builtIn is the source of the built-in pipes.
func builtIn() *source {
	tree, err := fs.Sub(builtInFiles, "builtin")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return &source{Position: pipe.Position{Origin: pipe.OriginBuiltIn}, tree: tree, base: "."}
}
