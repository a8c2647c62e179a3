package pipefile

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed ready-made/*.yml
var readyMadeFiles embed.FS

// readyMade is the source of the pipes that come with the program.
func readyMade() *source {
	tree, err := fs.Sub(readyMadeFiles, "ready-made")
	if err != nil {
		panic(err) // the folder is named above
	}
	return &source{tree: tree, base: ".", from: fromReadyMade, fileName: func(p string) string {
		return "ready-made pipe " + strings.TrimSuffix(p, path.Ext(p))
	}}
}
