package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func newSync(c *common) *cobra.Command {
	w := newProjectFlags(c)
	return &cobra.Command{
		Use:   "sync",
		Short: "Send to the repository what runs on this machine could not",
		Long: `Send to the build data repository what runs on this machine could not, because it
could not be reached, or because they died. Everything arrives once, in order. Each
run does so by itself when it begins; this is for when no run follows.`,
		Example: "  delivery sync",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			told, all, err := w.pipes().Sync(cmd.Context())
			if w.output == asJSON {
				type synced struct {
					catalog.Run
					Records   int      `json:"records"`
					LostSteps []string `json:"lost_steps,omitempty"`
				}
				views := make([]synced, len(all))
				for i, s := range all {
					views[i] = synced{catalog.NewRun(s.Run, w.clock.Now()), s.Records, s.LostSteps}
				}
				if printErr := w.printJSON(views); err == nil {
					err = printErr
				}
				return err
			}
			for _, line := range told {
				if _, err := fmt.Fprintln(w.out, line); err != nil {
					return err
				}
			}
			if len(told) == 0 && err == nil {
				_, err = fmt.Fprintln(w.out, "Nothing is left to send.")
			}
			return err
		},
	}
}
