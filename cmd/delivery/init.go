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
		Short: "Write a .delivery.yml for this repository",
		Long: `Write a .delivery.yml for this repository: which pipe it takes, and what the pipe
needs to know. A file that is there is left as it is.`,
		Example: "  delivery init --service strawberry --pipe ci",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			absolute, err := filepath.Abs(folder)
			if err != nil {
				return err
			}
			if service == "" {
				service = filepath.Base(absolute)
			}
			if err := builddata.ValidateService(service); err != nil {
				return &usageError{fmt.Errorf("%w; name it with --service", err)}
			}
			path := filepath.Join(folder, pipefile.ProjectFile)
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a file of the checkout
			if errors.Is(err, os.ErrExist) {
				return fmt.Errorf("%s is there already, and was left as it is; \"delivery pipe show\" shows what it runs", path)
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
			_, err = fmt.Fprintf(c.out, "Wrote %s for the service %s with the pipe %s.\nLook at it, then:\n  delivery pipe test    what it runs, without doing anything\n  delivery run          do it\n", path, service, pipe)
			return err
		},
	}
	cmd.Flags().StringVarP(&folder, "chdir", "C", ".", "folder of the repository")
	completeFolder(cmd, "chdir")
	cmd.Flags().StringVar(&service, "service", "", "what is built (default: the folder's name)")
	cmd.Flags().StringVar(&pipe, "pipe", "ci", "which pipe: ci, cd, cd-parallel, or one of your own")
	return cmd
}
