package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

func newStage(c *common) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use:                        "stage",
		Short:                      "List the stages of services",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newStageList(c))
	return cmd
}

func newStageList(c *common) *cobra.Command {
	s := newServiceFlags(c)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the stages of a service, with the version that is at each",
		Example: `  delivery stage list
  delivery stage list --service strawberry --output json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
				stages, err := s.catalog(store).Stages(cmd.Context(), service)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(stages)
				}
				if len(stages) == 0 {
					_, err := fmt.Fprintf(s.out, "No version of %s was promoted to a stage.\n", service)
					return err
				}
				rows := [][]string{{"STAGE", "VERSION", "SINCE", "RUN", ""}}
				for _, stage := range stages {
					note := ""
					if stage.Revoked {
						note = "revoked"
					}
					rows = append(rows, []string{stage.Stage, stage.Version, formatTime(stage.Since), stage.Run, note})
				}
				return printTable(s.out, rows)
			})
		},
	}
	s.addTo(cmd)
	complete(cmd, "service", c.serviceNames)
	return cmd
}
