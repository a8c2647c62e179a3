package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func newRunList(c *common) *cobra.Command {
	var q builddata.RunQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the runs of pipes, the newest first",
		Long: `List the runs of pipes, the newest first. A run in progress that has given no sign
of life for two minutes is lost: its machine died.`,
		Example: `  delivery run list
  delivery run list --service strawberry --open`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.read(cmd.Context(), func(cat *catalog.Catalog) error {
				if q.Before != "" && q.Service == "" {
					r, err := cat.FindRun(cmd.Context(), "", q.Before)
					if err != nil {
						return err
					}
					q.Service = r.Service
				}
				runs, err := cat.Runs(cmd.Context(), q)
				if err != nil {
					return err
				}
				return c.printRuns(runs)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Service, "service", "", "only those of this service (default: all services)")
	flags.BoolVar(&q.Open, "open", false, "only those that have not ended, lost ones included")
	flags.StringVar(&q.Before, "before", "", "continue after the run of this id, with the runs of its service")
	flags.IntVar(&q.Limit, "limit", 20, "how many to list at most")
	complete(cmd, "service", c.serviceNames)
	complete(cmd, "before", c.runIDs)
	return cmd
}

func (c *common) printRuns(runs []catalog.Run) error {
	if c.output == asJSON {
		return c.printJSON(runs)
	}
	if len(runs) == 0 {
		_, err := fmt.Fprintln(c.out, "The repository has no such runs.")
		return err
	}
	rows := [][]string{{"RUN", "SERVICE", "VERSION", "PIPE", "STARTED", "STATUS", ""}}
	for _, r := range runs {
		rows = append(rows, []string{r.Run, r.Service, r.Version, r.Pipe + part(r), moment(r.StartedAt), string(r.Status), r.Message})
	}
	return table(c.out, rows)
}

// part says which part of its pipe a run was to run; empty if all of it.
func part(r catalog.Run) string {
	switch {
	case r.RunTo != "":
		return ", run-to " + r.RunTo
	case r.RunTask != "":
		return ", run-task " + r.RunTask
	}
	return ""
}

func newRunShow(c *common) *cobra.Command {
	var service string
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show a run with everything that happened in it",
		Long: `Show a run with everything that happened in it. With --output json, the run is
shown with its whole pipe as it ran.`,
		Example: `  delivery run show 01KB3ZJ8T0QW4E5R6T7Y8U9I0P`,
		Args:    exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.read(cmd.Context(), func(cat *catalog.Catalog) error {
				r, err := cat.Run(cmd.Context(), service, args[0])
				if err != nil {
					return err
				}
				if c.output == asJSON {
					return c.printJSON(r)
				}
				return c.printRun(r)
			})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "the service of the run (default: look in all services)")
	complete(cmd, "service", c.serviceNames)
	completeArgument(cmd, c.runIDs)
	return cmd
}

func (c *common) printRun(r catalog.Run) error {
	text := fmt.Sprintf("Run %s of %s, pipe %s%s: %s\n", r.Run, strings.TrimSpace(r.Service+" "+r.Version), r.Pipe, part(r), r.Status)
	for _, line := range [][2]string{
		{"Message", r.Message}, {"Revision", r.Revision}, {"Untraceable", r.Untraceable}, {"By", r.Holder}, {"Started", moment(r.StartedAt)},
	} {
		if line[1] != "" {
			text += fmt.Sprintf("%-12s %s\n", line[0], line[1])
		}
	}
	if _, err := fmt.Fprintln(c.out, text); err != nil {
		return err
	}
	return printEvents(c.out, r.Events)
}

// serviceNames are the services in the repository.
func (c *common) serviceNames(ctx context.Context, _ []string) (names []string) {
	c.peek(ctx, func(store builddata.Store) {
		names, _ = store.Services(ctx) // what cannot be found out has no candidates
	})
	return names
}
