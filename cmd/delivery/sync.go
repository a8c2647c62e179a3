package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

func newSync(c *common) *cobra.Command {
	var list bool
	var discard string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Send the remaining records of earlier runs to the build data repository",
		Long: `Send the records that earlier runs on this machine could not send, because the build data
repository could not be reached or because the run died. Every record is stored once, and
in order.

Each run does this when it begins. Use this command when no other run follows.

Records that cannot be sent stay on this machine: those of a repository whose file was
removed or replaced, and those in a damaged file. --list lists all that are kept for the
repository, and --discard removes those of one run. Neither opens the repository.`,
		Example: `  delivery sync
  delivery sync --list
  delivery sync --discard 01KB3ZJ8T0QW4E5R6T7Y8U9I0P`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := rejectEmpty(cmd, "discard"); err != nil {
				return err
			}
			switch {
			case list && discard != "":
				return &usageError{errors.New("--list and --discard cannot be used together")}
			case list:
				return c.listKept()
			case discard != "":
				return c.discard(discard)
			}
			return c.sync(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the records that are kept on this machine, and send nothing")
	cmd.Flags().StringVar(&discard, "discard", "", "remove the records of this run from this machine, and send nothing")
	complete(cmd, "discard", func(context.Context, []string) (ids []string) {
		all, _ := c.kept() // after an error, there are no candidates
		for _, k := range all {
			ids = append(ids, cobra.CompletionWithDesc(k.ID, k.Run.Service+", "+k.Run.Pipe))
		}
		return ids
	})
	return cmd
}

// sync sends the records and prints a report of each run.
func (c *common) sync(ctx context.Context) error {
	config, err := c.app()
	if err != nil {
		return err
	}
	reports, all, err := config.Runner().Sync(ctx)
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
}

// kept describes the records that are kept on this machine for the repository.
func (c *common) kept() ([]spool.Kept, error) {
	config, err := c.app()
	if err != nil {
		return nil, err
	}
	return config.Runner().Kept()
}

func (c *common) listKept() error {
	all, err := c.kept()
	if err != nil {
		return err
	}
	if c.output == asJSON {
		views := make([]keptView, len(all))
		for i, k := range all {
			views[i] = newKeptView(k)
		}
		return c.printJSON(views)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(c.out, "This machine keeps no records for the repository.")
		return err
	}
	rows := [][]string{{"RUN", "SERVICE", "PIPE", "STATE", "RECORDS", "FILE"}}
	for _, k := range all {
		v := newKeptView(k)
		rows = append(rows, []string{v.Run, v.Service, v.Pipe, cmp.Or(v.Damage, v.State), fmt.Sprint(v.Records), v.File})
	}
	return printTable(c.out, rows)
}

// discard removes the records of a run, and prints what they were.
func (c *common) discard(run string) error {
	config, err := c.app()
	if err != nil {
		return err
	}
	k, err := config.Runner().Discard(run)
	if err != nil {
		return err
	}
	v := newKeptView(k)
	if c.output == asJSON {
		return c.printJSON(v)
	}
	of := "which could not be read"
	if v.Damage == "" {
		of = fmt.Sprintf("%s (%s, %s)", text.Count(v.Records, "record"), v.Service, v.Pipe)
	}
	_, err = fmt.Fprintf(c.out, "Discarded what this machine kept of the run %s: %s.\n", v.Run, of)
	return err
}

// keptView is a spool file as it is printed.
type keptView struct {
	Run     string `json:"run"`
	Service string `json:"service,omitempty"`
	Pipe    string `json:"pipe,omitempty"`
	// State is the status of the run by its last record, "in progress", or "damaged".
	State   string `json:"state"`
	Records int    `json:"records"`
	File    string `json:"file"`
	Damage  string `json:"damage,omitempty"`
}

func newKeptView(k spool.Kept) keptView {
	v := keptView{Run: k.ID, Service: k.Run.Service, Pipe: k.Run.Pipe, State: string(k.Run.Status), Records: k.Records, File: k.Path}
	switch {
	case k.Damage != nil:
		v.State, v.Damage = "damaged", "damaged: "+k.Damage.Error()
	case k.InProgress:
		v.State = "in progress"
	}
	return v
}
