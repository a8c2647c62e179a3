package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

func printEvents(out io.Writer, all []catalog.Event) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "No events.")
		return err
	}
	rows := [][]string{{"AT", "TYPE", "STEP", "STATUS", "MESSAGE"}}
	for _, e := range all {
		rows = append(rows, []string{moment(e.At), e.Type, e.Step, string(e.Status), e.Message})
	}
	return table(out, rows)
}

func newEvent(c *common) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:                        "event",
		Short:                      "List what happened to versions",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newEventList(c))
	return cmd
}

func newEventList(c *common) *cobra.Command {
	s := newServiceFlags(c)
	var version, run string
	var q builddata.EventQuery
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what happened to a version, or in a run",
		Long: `List what happened to a version, or in a run, in the order in which it was
recorded. With --output json, each event has its report, and its id, from which
--after continues.`,
		Example: `  delivery event list --version 17
  delivery event list --run 01KB3ZJ8T0QW4E5R6T7Y8U9I0P --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (version == "") == (run == "") {
				return &usageError{fmt.Errorf("choose one of --version and --run\nSee \"%s --help\"", cmd.CommandPath())}
			}
			ctx := cmd.Context()
			list := func(store builddata.Store) error {
				all, err := store.Events(ctx, q)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(catalog.Events(all))
				}
				return printEvents(s.out, catalog.Events(all))
			}
			if run != "" {
				return s.read(ctx, func(cat *catalog.Catalog) error {
					r, err := cat.FindRun(ctx, s.service, run)
					if err != nil {
						return err
					}
					q.Service, q.Run = r.Service, run
					return list(cat.Store)
				})
			}
			return s.with(ctx, func(store builddata.Store, service string) error {
				v, err := store.Version(ctx, service, version)
				if err != nil {
					return err
				}
				q.Service, q.Number = service, v.Number
				return list(store)
			})
		},
	}
	s.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&version, "version", "", "the version")
	flags.StringVar(&run, "run", "", "id of the run")
	flags.StringVar(&q.After, "after", "", "continue after the event of this id")
	flags.IntVar(&q.Limit, "limit", 1000, "how many to list at most")
	complete(cmd, "version", s.versionNames)
	complete(cmd, "run", c.runIDs)
	return cmd
}
