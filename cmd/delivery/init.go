package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

// withoutMakefile says that the default commands of a built-in pipe do nothing here; it is
// empty if there is a makefile.
func withoutMakefile(folder, pipe string) string {
	for _, name := range []string{"GNUmakefile", "makefile", "Makefile"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return ""
		}
	}
	if !slices.Contains([]string{"ci", "cd", "cd-parallel"}, pipe) {
		return ""
	}
	return "There is no Makefile here, so set the values build and test in it: the defaults are make build and make test.\n"
}

func newInit(c *common) *cobra.Command {
	var folder, service, pipe string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a .delivery.yml for this checkout",
		Long: `Create a .delivery.yml for this checkout. The file names the pipe to run and holds the
values that its steps need. An existing file is not changed.`,
		Example: "  delivery init --service strawberry --pipe ci",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			absolute, err := filepath.Abs(folder)
			if err != nil {
				return err
			}
			if service == "" {
				service = filepath.Base(absolute)
			}
			if err := builddata.ValidateService(service); err != nil {
				return &usageError{fmt.Errorf("%w; set it with --service", err)}
			}
			path := filepath.Join(folder, pipefile.ProjectFile)
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a file of the checkout
			if errors.Is(err, os.ErrExist) {
				return fmt.Errorf("%s already exists and was not changed; \"delivery pipe show\" shows what it runs", path)
			}
			if err != nil {
				return err
			}
			_, err = file.Write(pipefile.Template(service, pipe))
			if err := errors.Join(err, file.Close()); err != nil {
				return err
			}
			if c.output == asJSON {
				return c.printJSON(map[string]string{"file": path, "service": service, "pipe": pipe})
			}
			_, err = fmt.Fprintf(c.out, "Wrote %s for the service %s with the pipe %s.\n%sCheck the file, then:\n"+
				"  delivery pipe test    show which steps run, without running them\n"+
				"  git add %s && git commit -m \"Deliver with delivery\" && git push    since a version belongs to a pushed revision\n"+
				"  delivery run          run the pipe\n", path, service, pipe, withoutMakefile(folder, pipe), pipefile.ProjectFile)
			return err
		},
	}
	cmd.Flags().StringVarP(&folder, "chdir", "C", ".", "folder of the checkout")
	completeFolder(cmd, "chdir")
	cmd.Flags().StringVar(&service, "service", "", "name of the service (default: the name of the folder)")
	cmd.Flags().StringVar(&pipe, "pipe", "ci", "pipe to run: ci, cd, cd-parallel, release, or one of your own")
	return cmd
}
