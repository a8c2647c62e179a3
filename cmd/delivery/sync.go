package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func newSync(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Send the remaining records of earlier runs to the build data repository",
		Long: `Send the records that earlier runs on this machine could not send, because the build data
repository could not be reached or because the run died. Every record is stored once, and
in order.

Each run does this when it begins. Use this command when no other run follows.`,
		Example: "  delivery sync",
		Args:    exactArgs(),
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
				_, err = fmt.Fprintln(c.out, "Nothing to send.")
			}
			return err
		},
	}
}
