package pipefile_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

var update = flag.Bool("update", false, "write the golden files")

// The pipes of the articles of July 2014 and 2015 run as they stand there. The
// text that is left of the articles has lost some lines and the indentation;
// they are restored.
func TestLoader_Articles(t *testing.T) {
	for _, article := range []string{"2014-strawberry", "2014-tasks", "2015-small", "2015-include", "2015-full"} {
		t.Run(article, func(t *testing.T) {
			l := &pipefile.Loader{Root: filepath.Join("testdata", "articles", article)}
			p, err := l.Pipe(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, outline(p))
		})
	}
}

// golden compares with a golden file.
func golden(t *testing.T, got string) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(t.Name())+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
