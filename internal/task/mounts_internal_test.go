package task

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountPoints(t *testing.T) {
	table := `22 1 8:1 / / rw - ext4 /dev/sda1 rw
40 22 8:1 /cache /srv/app/dist/cache rw - ext4 /dev/sda1 rw
41 22 0:40 / /srv/app/build rw - tmpfs tmpfs rw
42 22 0:41 / /srv/app/a\040b rw - tmpfs tmpfs rw
43 22 0:42 / /srv/application rw - tmpfs tmpfs rw
44 22 0:43 / /srv/app rw - tmpfs tmpfs rw
`
	if diff := cmp.Diff(mountPoints(table, "/srv/app"), []string{"dist/cache", "build", "a b"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// What is mounted in a folder stays, and everything else in the folder is removed.
func TestMounts_Remove(t *testing.T) {
	for name, m := range map[string]mounts{
		"MountPoint":     {points: []string{filepath.Join("dist", "cache"), filepath.Join("dist", "one.txt")}},
		"AnotherDevice":  {device: deviceOf("cache", "one.txt")},
		"WholeIsMounted": {points: []string{"dist"}},
	} {
		t.Run(name, func(t *testing.T) {
			if m.device == nil {
				m.device = func(fs.FileInfo) (uint64, bool) { return 0, true }
			}
			folder := t.TempDir()
			for _, file := range []string{"dist/app.jar", "dist/cache/x/y", "dist/lib/z", "dist/one.txt"} {
				path := filepath.Join(folder, filepath.FromSlash(file))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close() //nolint:errcheck // of a test
			kept, err := m.remove(root, "dist")
			if err != nil {
				t.Fatal(err)
			}
			want, left := []string{"dist/cache", "dist/one.txt"}, []string{"dist/cache/x/y", "dist/one.txt"}
			if name == "WholeIsMounted" {
				want, left = []string{"dist"}, []string{"dist/app.jar", "dist/cache/x/y", "dist/lib/z", "dist/one.txt"}
			}
			if diff := cmp.Diff(kept, want); diff != "" {
				t.Errorf("kept: got (-) differs from want (+):\n%s", diff)
			}
			if diff := cmp.Diff(filesIn(t, folder), left); diff != "" {
				t.Errorf("left: got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}

// A path in a mounted file system is not removed either.
func TestMounts_RemoveInAMount(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "build", "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // of a test
	m := mounts{points: []string{"build"}, device: func(fs.FileInfo) (uint64, bool) { return 0, true }}
	kept, err := m.remove(root, filepath.Join("build", "cache"))
	if diff := cmp.Diff(kept, []string{filepath.Join("build", "cache")}); diff != "" || err != nil {
		t.Errorf("got %v; got (-) differs from want (+):\n%s", err, diff)
	}
	if _, err := os.Stat(filepath.Join(folder, "build", "cache")); err != nil {
		t.Error(err)
	}
}

// deviceOf puts files of these names on another device than all others.
func deviceOf(names ...string) func(fs.FileInfo) (uint64, bool) {
	return func(info fs.FileInfo) (uint64, bool) {
		for _, name := range names {
			if info.Name() == name {
				return 1, true
			}
		}
		return 0, true
	}
}

func filesIn(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(folder)+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
