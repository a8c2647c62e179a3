package architecture_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// avoided are words that the glossary in ARCHITECTURE.md replaces, with what to write
// instead. The linter misspell finds some of them in Go earlier, while one writes.
var avoided = []struct {
	word    *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix"},
	{regexp.MustCompile(`(?i)\babortions?\b`), "abort"},
	{regexp.MustCompile(`\b([Ss]ome|[Aa]ny|[Nn]o)body\b`), "who it is, or the passive"},
	{regexp.MustCompile(`(?i)\bwhoever\b`), "who it is"},
	{regexp.MustCompile(`(?i)\bobituary\b`), "lost-run record"},
	{regexp.MustCompile(`(?i)\bwheels?\b`), "flags, options"},
	{regexp.MustCompile(`(?i)\bbr(oke|eaks?) down\b`), "panicked"},
	{regexp.MustCompile(`(?i)\bat work\b`), "running, in progress"},
	{regexp.MustCompile(`(?i)\bpatiently\b`), "what is retried or waited for"},
	// "%q is no URL", but not "there is no file" or "it is no longer running".
	{regexp.MustCompile(`(?:%[qsv]|\bit) is no ([a-km-zA-KM-Z]|l[a-np-z])\w*`), "is not a valid"},
}

// exempt are files that may contain avoided words, and why.
var exempt = map[string]string{
	".golangci.yml":               "lists them",
	"internal/vocabulary_test.go": "lists them",
}

// checked are the extensions of files that people read.
var checked = []string{".go", ".golden", ".hcl", ".md", ".sh", ".sql", ".tf", ".tmpl", ".yaml", ".yml"}

func TestVocabulary(t *testing.T) {
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == ".git" || path == ".tools" || path == "dist" || entry.Name() == ".terraform"):
			return fs.SkipDir
		case entry.IsDir() || exempt[path] != "" || !slices.Contains(checked, filepath.Ext(path)):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		number := 0
		for line := range strings.Lines(string(content)) {
			number++
			for _, a := range avoided {
				if found := a.word.FindString(line); found != "" {
					t.Errorf("%s:%d: %q; write: %s", path, number, found, a.instead)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
