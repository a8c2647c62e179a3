package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// cleanPaths are the folders that builds usually write to.
var cleanPaths = []string{"dist", "build", "target", "reports"}

// clean removes the results of earlier builds.
func (r *Registry) clean() pipe.Definition {
	return pipe.Definition{
		Type:    "setup.clean",
		Summary: "Removes the results of earlier builds from the checkout, if git ignores them. File systems that are mounted there stay.",
		Arguments: []pipe.Argument{
			{Name: "paths", Kind: pipe.List, Summary: "The files and folders to clean; by default " + strings.Join(cleanPaths, ", ") + "."},
		},
		Run: runClean,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "remove what git ignores in " + strings.Join(pathsToClean(c), ", ")
		}),
	}
}

// errNoRepository means that git cannot tell what may be removed.
var errNoRepository = errors.New("nothing was removed: outside of a git repository it is unknown what git would ignore")

func pathsToClean(c *pipe.Call) []string {
	if c.Args.Has("paths") {
		return c.Args.List("paths")
	}
	return cleanPaths
}

func runClean(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	paths := pathsToClean(c)
	for _, path := range paths {
		if !filepath.IsLocal(path) {
			return pipe.Result{}, fmt.Errorf("paths: %q is not inside of the checkout", path)
		}
	}
	if len(paths) == 0 {
		return pipe.Result{Message: "nothing to clean"}, nil
	}
	ignored, err := ignored(ctx, c, paths)
	if errors.Is(err, errNoRepository) {
		return pipe.Result{Warnings: []string{err.Error()}}, nil
	}
	if err != nil {
		return pipe.Result{}, err
	}
	// The root does not follow links that lead out of it.
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("open the checkout: %w", err)
	}
	defer root.Close() //nolint:errcheck // only a handle
	mounts, err := readMounts(c.Folder)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("nothing was removed: %w", err)
	}
	return removeIgnored(c, root, ignored, mounts)
}

// removeIgnored removes paths, but for mounted file systems in them.
func removeIgnored(c *pipe.Call, root *os.Root, ignored []string, mounts mounts) (result pipe.Result, err error) {
	var removed []string
	for _, path := range ignored {
		name := filepath.Clean(filepath.FromSlash(path))
		if name == "." || !filepath.IsLocal(name) {
			return pipe.Result{}, fmt.Errorf("git ignores the whole checkout %s, so nothing was removed", c.Folder)
		}
		kept, err := mounts.remove(root, name)
		if err != nil {
			return pipe.Result{}, fmt.Errorf("remove %s: %w", path, err)
		}
		for _, mount := range kept {
			result.Warnings = append(result.Warnings, fmt.Sprintf("%s was not removed, because another file system is mounted there: "+
				"clean it where it comes from, or leave it out of paths", mount))
		}
		if len(kept) == 0 {
			removed = append(removed, path)
			printf(c, "removed %s", path)
		}
	}
	result.Message = "nothing to clean"
	if len(removed) > 0 {
		result.Message = "removed " + text.ListSome(removed, 5)
	}
	return result, nil
}

// ignored lists what git ignores below the paths. Of a folder with tracked files
// it lists the other files only.
func ignored(ctx context.Context, c *pipe.Call, paths []string) ([]string, error) {
	var list, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args: slices.Concat([]string{
			"git", "--literal-pathspecs", "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--",
		}, paths),
		Dir: c.Folder, Environ: scm.Environ(c.Environ), Stdout: &list, Stderr: &problem,
	})
	var exit *process.ExitError
	switch {
	case errors.As(err, &exit) && strings.Contains(problem.String(), "not a git repository"):
		return nil, errNoRepository
	case errors.As(err, &exit):
		return nil, fmt.Errorf("nothing was removed: git ls-files: %s", text.Line(problem.String()))
	case err != nil:
		return nil, fmt.Errorf("nothing was removed: %w", err)
	}
	return strings.FieldsFunc(list.String(), func(r rune) bool { return r == 0 }), nil
}
