package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// printEvents prints events as a table, and below it the addresses of the logs and the end of
// the output of failed steps.
func printEvents(out io.Writer, all []catalog.Event) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "No events.")
		return err
	}
	rows := [][]string{{"AT", "TYPE", "STEP", "STATUS", "MESSAGE"}}
	logs := [][]string{{"STEP", "RUN", "LOG"}}
	var tails strings.Builder
	for _, e := range all {
		rows = append(rows, []string{formatTime(e.At), e.Type, e.Step, string(e.Status), e.Message})
		if e.LogAddress != "" {
			logs = append(logs, []string{e.Step, e.Run, e.LogAddress})
		}
		if e.OutputTail != "" {
			fmt.Fprintf(&tails, "\nThe end of the output of %s, which %s at %s:\n\n", e.Step, outcome(e.Status), formatTime(e.At))
			for line := range strings.Lines(e.OutputTail) {
				fmt.Fprintf(&tails, "  %s\n", text.NoControl(strings.TrimRight(line, "\n")))
			}
		}
	}
	if err := printTable(out, rows); err != nil {
		return err
	}
	if len(logs) > 1 {
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		if err := printTable(out, logs); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, tails.String())
	return err
}

func newEvent(c *common) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use:                        "event",
		Short:                      "List the events of versions and runs",
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
		Short: "List the events of a version or a run",
		Long: `List the events of a version or a run in the order in which they were recorded, then where
the logs of steps are stored, and the end of the output of each step that failed. With
--output json, each event includes its report, and the id that --after takes.`,
		Example: `  delivery event list --version 17
  delivery event list --run 01KB3ZJ8T0QW4E5R6T7Y8U9I0P --output json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (version == "") == (run == "") {
				return &usageError{fmt.Errorf("give either --version or --run\nSee \"%s --help\"", cmd.CommandPath())}
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
				return s.withCatalog(ctx, func(cat *catalog.Catalog) error {
					r, err := cat.FindRun(ctx, s.service, run)
					if err != nil {
						return err
					}
					q.Service, q.Run = r.Service, run
					return list(cat.Store)
				})
			}
			return s.withStore(ctx, func(store builddata.Store, service string) error {
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
	flags.StringVar(&version, "version", "", "list the events of this version")
	flags.StringVar(&run, "run", "", "list the events of the run with this id")
	flags.StringVar(&q.After, "after", "", "list only events after the event with this id")
	flags.IntVar(&q.Limit, "limit", 1000, "maximum number of events to list")
	complete(cmd, "version", s.versionNames)
	complete(cmd, "run", c.runIDs)
	return cmd
}
