package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func newSync(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Send to the repository what runs on this machine could not",
		Long: `Send to the build data repository what runs on this machine could not, because it
could not be reached, or because they died. Everything arrives once, in order. Each
run does so by itself when it begins; this is for when no run follows.`,
		Example: "  delivery sync",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.app()
			if err != nil {
				return err
			}
			reports, all, err := config.Runner().Sync(cmd.Context())
			if c.output == asJSON {
				type synced struct {
					catalog.Run
					Records   int      `json:"records"`
					LostSteps []string `json:"lost_steps,omitempty"`
				}
				views := make([]synced, len(all))
				for i, s := range all {
					views[i] = synced{catalog.NewRun(s.Run, c.clock.Now()), s.Records, s.LostSteps}
				}
				if printErr := c.printJSON(views); err == nil {
					err = printErr
				}
				return err
			}
			for _, line := range reports {
				if _, err := fmt.Fprintln(c.out, line); err != nil {
					return err
				}
			}
			if len(reports) == 0 && err == nil {
				_, err = fmt.Fprintln(c.out, "Nothing is left to send.")
			}
			return err
		},
	}
}
