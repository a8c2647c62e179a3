package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// runView is a run for machines.
type runView struct {
	Run         string            `json:"run"`
	Service     string            `json:"service"`
	Version     string            `json:"version,omitempty"`
	Number      int64             `json:"number,omitempty"`
	Pipe        string            `json:"pipe"`
	Only        string            `json:"only,omitempty"`
	Revision    string            `json:"revision,omitempty"`
	Untraceable string            `json:"untraceable,omitempty"`
	Holder      string            `json:"holder"`
	Status      builddata.Status  `json:"status"`
	Message     string            `json:"message,omitempty"`
	StartedAt   time.Time         `json:"started_at"`
	SeenAt      time.Time         `json:"seen_at"`
	EndedAt     *time.Time        `json:"ended_at,omitempty"`
	Context     map[string]string `json:"context,omitempty"`
	Definition  json.RawMessage   `json:"definition,omitempty"`
	Events      []eventView       `json:"events,omitempty"`
}

// viewRun shows a run as it is now: one that gave no sign of life for long is lost.
func (c *common) viewRun(r builddata.Run) runView {
	v := runView{
		Run: r.ID, Service: r.Service, Number: r.Number, Pipe: r.Pipe, Only: r.Only, Revision: r.Revision, Untraceable: r.Untraceable, Holder: r.Holder,
		Status: r.State(c.clock.Now()), Message: r.Message, StartedAt: r.StartedAt, SeenAt: r.SeenAt, Context: r.Context, Definition: r.Definition,
	}
	if v.Status == builddata.Lost && v.Message == "" {
		v.Message = "no sign of life since " + moment(r.SeenAt)
	}
	if !r.EndedAt.IsZero() {
		v.EndedAt = &r.EndedAt
	}
	return v
}

// reading calls f with the repository.
func (c *common) reading(ctx context.Context, f func(store builddata.Store) error) (err error) {
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return f(store)
}

func newRuns(c *common) *cobra.Command {
	var q builddata.RunQuery
	cmd := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List the runs of pipes, or show one",
		Long: `List the runs of pipes, the newest first, or show one with all that happened in it.
A run that went on, but has given no sign of life for two minutes, is lost: its
machine died. With --output json, one run is shown with its whole pipe as it ran.`,
		Example: `  delivery runs --service strawberry
  delivery runs 01KB3ZJ8T0QW4E5R6T7Y8U9I0P`,
		Args: atMostOne("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.reading(cmd.Context(), func(store builddata.Store) error {
				if len(args) == 1 {
					return c.showRun(cmd.Context(), store, args[0])
				}
				return c.listRuns(cmd.Context(), store, q)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Service, "service", "", "only those of this service")
	flags.BoolVar(&q.Open, "open", false, "only those that are not at their end, lost ones included")
	flags.StringVar(&q.Before, "before", "", "continue behind the run of this id")
	flags.IntVar(&q.Limit, "limit", 20, "how many to list at most")
	completeArgument(cmd, c.runIDs)
	complete(cmd, "before", c.runIDs)
	return cmd
}

func (c *common) listRuns(ctx context.Context, store builddata.Store, q builddata.RunQuery) error {
	all, err := store.Runs(ctx, q)
	if err != nil {
		return err
	}
	versions, err := versionNames(ctx, store, all)
	if err != nil {
		return err
	}
	views := make([]runView, len(all))
	for i, r := range all {
		views[i] = c.viewRun(r)
		views[i].Version = versions[numbered{r.Service, r.Number}]
	}
	if c.output == asJSON {
		return c.printJSON(views)
	}
	if len(views) == 0 {
		_, err := fmt.Fprintln(c.out, "The repository knows no such runs.")
		return err
	}
	rows := [][]string{{"RUN", "SERVICE", "VERSION", "PIPE", "STARTED", "STATUS", ""}}
	for _, v := range views {
		what := v.Pipe
		if v.Only != "" {
			what += ", " + v.Only
		}
		rows = append(rows, []string{v.Run, v.Service, v.Version, what, moment(v.StartedAt), string(v.Status), v.Message})
	}
	return table(c.out, rows)
}

// numbered is a version by its number.
type numbered struct {
	service string
	number  int64
}

// versionNames looks up the names of the versions of runs, the newest first.
// Their numbers lie close together, so that one page has those of most.
func versionNames(ctx context.Context, store builddata.Versions, runs []builddata.Run) (map[numbered]string, error) {
	names := map[numbered]string{}
	for _, r := range runs {
		if _, ok := names[numbered{r.Service, r.Number}]; ok || r.Number == 0 {
			continue
		}
		page, err := store.Versions(ctx, builddata.VersionQuery{Service: r.Service, IncludeRevoked: true, Before: r.Number + 1, Limit: len(runs)})
		if err != nil {
			return nil, err
		}
		for _, v := range page {
			names[numbered{v.Service, v.Number}] = v.Name
		}
	}
	return names, nil
}

func (c *common) showRun(ctx context.Context, store builddata.Store, id string) error {
	r, err := store.Run(ctx, id)
	if err != nil {
		return err
	}
	events, err := store.Events(ctx, builddata.EventQuery{Run: id, Limit: 10_000})
	if err != nil {
		return err
	}
	versions, err := versionNames(ctx, store, []builddata.Run{r})
	if err != nil {
		return err
	}
	v := c.viewRun(r)
	v.Version = versions[numbered{r.Service, r.Number}]
	if c.output == asJSON {
		v.Events = viewEvents(events)
		return c.printJSON(v)
	}
	text := fmt.Sprintf("Run %s of %s, pipe %s", v.Run, strings.TrimSpace(v.Service+" "+v.Version), v.Pipe)
	if v.Only != "" {
		text += ", " + v.Only
	}
	text += fmt.Sprintf(": %s\n", v.Status)
	for _, line := range [][2]string{
		{"Message", v.Message}, {"Revision", v.Revision}, {"Untraceable", v.Untraceable}, {"By", v.Holder}, {"Started", moment(v.StartedAt)},
	} {
		if line[1] != "" {
			text += fmt.Sprintf("%-12s %s\n", line[0], line[1])
		}
	}
	if _, err := fmt.Fprintln(c.out, text); err != nil {
		return err
	}
	return printEvents(c.out, events)
}
