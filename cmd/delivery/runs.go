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
		Short: "List runs, newest first",
		Long: `List the runs of pipes, newest first. A run in progress that has given no sign of life for
two minutes is listed as lost: its machine has died.`,
		Example: `  delivery run list
  delivery run list --service strawberry --open`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withCatalog(cmd.Context(), func(cat *catalog.Catalog) error {
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
	flags.StringVar(&q.Service, "service", "", "list only runs of this service (default: all services)")
	flags.BoolVar(&q.Open, "open", false, "list only runs that have not ended, including lost ones")
	flags.StringVar(&q.Before, "before", "", "list only runs of the same service that are older than the run with this id")
	flags.IntVar(&q.Limit, "limit", 20, "maximum number of runs to list")
	complete(cmd, "service", c.serviceNames)
	complete(cmd, "before", c.runIDs)
	return cmd
}

func (c *common) printRuns(runs []catalog.Run) error {
	if c.output == asJSON {
		return c.printJSON(runs)
	}
	if len(runs) == 0 {
		_, err := fmt.Fprintln(c.out, "No runs found.")
		return err
	}
	rows := [][]string{{"RUN", "SERVICE", "VERSION", "PIPE", "STARTED", "STATUS", ""}}
	for _, r := range runs {
		rows = append(rows, []string{
			r.Run, r.Service, r.Version, r.Pipe + runScope(r), formatTime(r.StartedAt), string(r.Status), r.Message,
		})
	}
	return printTable(c.out, rows)
}

// runScope describes which part of its pipe a run was for; empty if all of it.
func runScope(r catalog.Run) string {
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
		Short: "Show a run and its events",
		Long: `Show a run and its events, where the logs of its steps are stored, and the end of the
output of each step that failed. With --output json, include the pipe as it ran.`,
		Example: `  delivery run show 01KB3ZJ8T0QW4E5R6T7Y8U9I0P`,
		Args:    exactArgs("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withCatalog(cmd.Context(), func(cat *catalog.Catalog) error {
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
	cmd.Flags().StringVar(&service, "service", "", "service of the run (default: search all services)")
	complete(cmd, "service", c.serviceNames)
	completeArgument(cmd, c.runIDs)
	return cmd
}

func (c *common) printRun(r catalog.Run) error {
	header := fmt.Sprintf("Run %s of %s, pipe %s%s: %s\n", r.Run, strings.TrimSpace(r.Service+" "+r.Version), r.Pipe, runScope(r), r.Status)
	for _, line := range [][2]string{
		{"Message", r.Message}, {"Revision", r.Revision}, {"Untraceable", r.Untraceable}, {"Run by", r.Holder},
		{"Started", formatTime(r.StartedAt)},
	} {
		if line[1] != "" {
			header += fmt.Sprintf("%-12s %s\n", line[0], line[1])
		}
	}
	if _, err := fmt.Fprintln(c.out, header); err != nil {
		return err
	}
	return printEvents(c.out, r.Events)
}

// serviceNames completes the names of services.
func (c *common) serviceNames(ctx context.Context, _ []string) []string {
	return c.withExisting(ctx, func(ctx context.Context, store builddata.Store) []string {
		names, _ := store.Services(ctx) // after an error, there are none
		return names
	})
}
