package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// cleanPaths are where builds usually leave what they make.
var cleanPaths = []string{"dist", "build", "target", "reports"}

// clean removes what earlier builds have made.
func (l *Library) clean() pipe.Definition {
	return pipe.Definition{
		Type: "setup.clean", Summary: "Removes what earlier builds have left in the checkout, as far as git ignores it.",
		Arguments: []pipe.Argument{
			{Name: "paths", Kind: pipe.List, Summary: "The files and folders to clean, by default " + strings.Join(cleanPaths, ", ") + "."},
		},
		Run: runClean,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "remove what git ignores in " + strings.Join(toClean(c), ", ")
		}),
	}
}

// errNoRepository says that there is nobody to ask what may be removed.
var errNoRepository = errors.New("nothing was removed: outside of a git repository nobody can tell what may be")

func toClean(c *pipe.Call) []string {
	if c.Args.Has("paths") {
		return c.Args.List("paths")
	}
	return cleanPaths
}

func runClean(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	paths := toClean(c)
	for _, path := range paths {
		if !filepath.IsLocal(path) {
			return pipe.Result{}, fmt.Errorf("paths: %q does not lie in the checkout, so it is not cleaned", path)
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
	// What the root opens cannot lead out of it, by links neither.
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("open the checkout: %w", err)
	}
	defer root.Close() //nolint:errcheck // only a handle
	for _, path := range ignored {
		name := filepath.Clean(filepath.FromSlash(path))
		if name == "." || !filepath.IsLocal(name) {
			return pipe.Result{}, fmt.Errorf("git ignores the whole checkout %s, which is not removed", c.Folder)
		}
		if err := root.RemoveAll(name); err != nil {
			return pipe.Result{}, fmt.Errorf("remove %s: %w", path, err)
		}
		say(c, "removed %s", path)
	}
	if len(ignored) == 0 {
		return pipe.Result{Message: "nothing to clean"}, nil
	}
	return pipe.Result{Message: "removed " + strings.Join(ignored[:min(len(ignored), 5)], ", ") + more(len(ignored)-5)}, nil
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// ignored lists what git ignores below the paths. Folders with anything that
// is tracked in them are not listed, only what else is in them.
func ignored(ctx context.Context, c *pipe.Call, paths []string) ([]string, error) {
	var list, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args: append([]string{"git", "--literal-pathspecs", "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--"}, paths...),
		Dir:  c.Folder, Environ: scm.Environ(c.Environ), Stdout: &list, Stderr: &problem,
	})
	var exit *process.ExitError
	switch {
	case errors.As(err, &exit) && strings.Contains(problem.String(), "not a git repository"):
		return nil, errNoRepository
	case errors.As(err, &exit):
		return nil, fmt.Errorf("git does not say what may be removed, so nothing was: %s", text.Line(problem.String()))
	case err != nil:
		return nil, fmt.Errorf("nothing was removed: %w", err)
	}
	return strings.FieldsFunc(list.String(), func(r rune) bool { return r == 0 }), nil
}
