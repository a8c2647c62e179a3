package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// eventView is an event for machines.
type eventView struct {
	ID      string            `json:"id"`
	At      time.Time         `json:"at"`
	Run     string            `json:"run,omitempty"`
	Step    string            `json:"step,omitempty"`
	What    string            `json:"what"`
	Where   string            `json:"where,omitempty"`
	Status  builddata.Status  `json:"status"`
	Message string            `json:"message,omitempty"`
	Report  string            `json:"report,omitempty"`
	Outputs map[string]string `json:"outputs,omitempty"`
}

func viewEvents(all []builddata.Event) []eventView {
	views := make([]eventView, len(all))
	for i, e := range all {
		views[i] = eventView{ID: e.ID, At: e.At, Run: e.Run, Step: e.Step, What: e.What, Where: e.Where, Status: e.Status, Message: e.Message, Report: e.Report, Outputs: e.Outputs}
	}
	return views
}

func printEvents(out io.Writer, all []builddata.Event) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "Nothing has happened to it.")
		return err
	}
	rows := [][]string{{"AT", "WHAT", "STEP", "STATUS", "MESSAGE"}}
	for _, e := range all {
		rows = append(rows, []string{moment(e.At), e.What, e.Step, string(e.Status), e.Message})
	}
	return table(out, rows)
}

func newEvents(c *common) *cobra.Command {
	s := &ofService{wheel: wheel{common: c}}
	var version, run, after string
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List what happened to a version, or in a run",
		Long: `List what happened to a version, or in a run, in the order in which it was
recorded. With --output json, each event has its report, and its id, from which
--after continues.`,
		Example: `  delivery events --version 17
  delivery events --run 01KB3ZJ8T0QW4E5R6T7Y8U9I0P --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (version == "") == (run == "") {
				return &usageError{fmt.Errorf("choose one of --version and --run\nSee \"%s --help\"", cmd.CommandPath())}
			}
			ctx := cmd.Context()
			list := func(store builddata.Store, q builddata.EventQuery) error {
				q.After, q.Limit = after, limit
				all, err := store.Events(ctx, q)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(viewEvents(all))
				}
				return printEvents(s.out, all)
			}
			if run != "" {
				return s.reading(ctx, func(store builddata.Store) error {
					if _, err := store.Run(ctx, run); err != nil {
						return err
					}
					return list(store, builddata.EventQuery{Run: run})
				})
			}
			return s.with(ctx, func(store builddata.Store, service string) error {
				v, err := store.Version(ctx, service, version)
				if err != nil {
					return err
				}
				return list(store, builddata.EventQuery{Service: service, Number: v.Number})
			})
		},
	}
	s.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&version, "version", "", "the version")
	flags.StringVar(&run, "run", "", "id of the run")
	flags.StringVar(&after, "after", "", "continue behind the event of this id")
	flags.IntVar(&limit, "limit", 1000, "how many to list at most")
	complete(cmd, "version", s.versionNames)
	complete(cmd, "run", c.runIDs)
	return cmd
}
