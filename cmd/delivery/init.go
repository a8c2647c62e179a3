package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

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
			_, err = fmt.Fprintf(c.out, "Wrote %s for the service %s with the pipe %s.\nCheck the file, then:\n"+
				"  delivery pipe test    show which steps run, without running them\n  delivery run          run the pipe\n", path, service, pipe)
			return err
		},
	}
	cmd.Flags().StringVarP(&folder, "chdir", "C", ".", "folder of the checkout")
	completeFolder(cmd, "chdir")
	cmd.Flags().StringVar(&service, "service", "", "name of the service (default: the name of the folder)")
	cmd.Flags().StringVar(&pipe, "pipe", "ci", "pipe to run: ci, cd, cd-parallel, release, or one of your own")
	return cmd
}
