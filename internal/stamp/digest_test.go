package stamp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
)

// folder makes a folder of files, given as path and content in turn.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(root, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func digest(t *testing.T, source string, inputs ...string) string {
	t.Helper()
	d, err := stamp.Digest(source, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDigest(t *testing.T) {
	files := []string{"scripts/a.sh", "one", "scripts/b/c.sh", "two", "app.jar", "three"}
	in := func(root string, names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(root, name))
		}
		return paths
	}
	root := folder(t, files...)
	base := digest(t, "ami-1", in(root, "scripts", "app.jar")...)

	t.Run("HasAFormThatIsKnown", func(t *testing.T) {
		// Changing it makes every image look as if made of other inputs.
		const want = "sha256:3119e08597cdb277a16d32c47e5422575b4bb97cbfce3264e7020e4facf662eb"
		if base != want {
			t.Errorf("got %s, want %s", base, want)
		}
	})
	t.Run("SameElsewhereAndInAnyOrder", func(t *testing.T) {
		if got := digest(t, "ami-1", in(folder(t, files...), "app.jar", "scripts")...); got != base {
			t.Errorf("got %s, want %s", got, base)
		}
	})
	t.Run("DoesNotNameTheWorkingFolder", func(t *testing.T) {
		var got []string
		for range 2 {
			t.Chdir(folder(t, files...))
			got = append(got, digest(t, "ami-1", "."))
		}
		if got[0] != got[1] {
			t.Errorf("got %s and %s in two folders", got[0], got[1])
		}
	})
	t.Run("EmptyWithoutInputs", func(t *testing.T) {
		if got := digest(t, "ami-1"); got != "" {
			t.Errorf("got %s", got)
		}
	})

	different := map[string]string{}
	for name, d := range map[string]string{
		"Base":        base,
		"NoSource":    digest(t, "", in(root, "scripts", "app.jar")...),
		"OtherSource": digest(t, "ami-2", in(root, "scripts", "app.jar")...),
		"LessInputs":  digest(t, "ami-1", in(root, "scripts")...),
		"OtherContent": digest(t, "ami-1", in(folder(t, "scripts/a.sh", "one", "scripts/b/c.sh", "two", "app.jar", "3"), "scripts",
			"app.jar")...),
		"OtherName": digest(t, "ami-1", in(folder(t, "scripts/a.sh", "one", "scripts/b/d.sh", "two", "app.jar", "three"), "scripts",
			"app.jar")...),
		"Swapped": digest(t, "ami-1", in(folder(t, "scripts/a.sh", "two", "scripts/b/c.sh", "one", "app.jar", "three"), "scripts",
			"app.jar")...),
		"EmptyFolder": digest(t, "ami-1", t.TempDir()),
	} {
		if other, ok := different[d]; ok {
			t.Errorf("%s and %s have the same digest %s", name, other, d)
		}
		different[d] = name
	}
}

func TestDigest_Refuses(t *testing.T) {
	root := folder(t, "a/same", "1", "b/same", "2", "links/file", "3")
	if err := os.Symlink("file", filepath.Join(root, "links", "link")); err != nil {
		t.Skip(err) // Windows, without the privilege
	}
	for name, tt := range map[string]struct {
		inputs []string
		says   string
	}{
		"Missing":       {[]string{filepath.Join(root, "nothing")}, "nothing does not exist"},
		"Empty":         {[]string{""}, "empty path"},
		"LinkInFolder":  {[]string{filepath.Join(root, "links")}, "link is a symbolic link"},
		"Link":          {[]string{filepath.Join(root, "links", "link")}, "link is a symbolic link"},
		"SameName":      {[]string{filepath.Join(root, "a", "same"), filepath.Join(root, "b", "same")}, "have the same name"},
		"SameFileTwice": {[]string{filepath.Join(root, "a", "same"), filepath.Join(root, "a", "same")}, "have the same name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := stamp.Digest("", tt.inputs)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
			if checked := stamp.CheckInputs(tt.inputs); checked == nil || checked.Error() != err.Error() {
				t.Errorf("CheckInputs says %v, Digest says %v", checked, err)
			}
		})
	}
}
