package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

func newRolloutStatus(c *common) *cobra.Command {
	var gone bool
	cmd := &cobra.Command{
		Use: "status [SERVICE/ENVIRONMENT]", Short: "Show what serves, and how far a rollout is",
		Long: `Show what serves in a cluster, and how far a rollout is: who is at work on it, which
steps it has taken and which are still to come. Without a cluster, list those that
the repository knows, a line for each. Asks nothing of AWS.`,
		Example: "  delivery rollout status\n  delivery rollout status strawberry/prod\n  delivery rollout status --output json",
		Args:    atMostOne("SERVICE/ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			store, err := c.open(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			if len(args) == 1 {
				id, err := cluster.ParseID(args[0])
				if err != nil {
					return &usageError{err}
				}
				regions, err := c.regions(ctx, store, id)
				if err != nil {
					return err
				}
				return c.printStatus(ctx, store, id, regions)
			}
			latest, err := c.clusters(ctx, store, builddata.ClusterQuery{IncludeGone: gone})
			if err != nil {
				return err
			}
			var all []status
			for _, r := range latest {
				s, err := c.status(ctx, store, cluster.ID{Service: r.Service, Environment: r.Environment}, r.Region)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			if c.output == asJSON {
				return c.show(all)
			}
			return c.list(all)
		},
	}
	cmd.Flags().BoolVar(&gone, "all", false, "list clusters of which nothing is there any more, too")
	return cmd
}

// list prints a line for each cluster.
func (c *common) list(all []status) error {
	var b strings.Builder
	if len(all) == 0 {
		b.WriteString("The repository knows no clusters. Terraform's delivery_cluster makes them.\n")
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range all {
		serves := "nothing serves"
		if s.Serving != nil {
			serves = "version " + s.Serving.Version + " serves"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s: %s\n", s.Cluster, s.Region, serves, movement(s.Rollout.FromVersion, s.Rollout.ToVersion), s.Rollout.state())
	}
	_ = table.Flush() // a Builder takes everything
	_, err := fmt.Fprint(c.out, b.String())
	return err
}

// status is what the repository knows of a cluster, for machines.
type status struct {
	Cluster  string         `json:"cluster"`
	Region   string         `json:"region"`
	Serving  *generation    `json:"serving"`
	Previous *generation    `json:"previous,omitempty"`
	Left     []string       `json:"left,omitempty"`
	Rollout  *rolloutStatus `json:"rollout"`
}

type generation struct {
	Version string `json:"version"`
	Name    string `json:"generation"`
	ImageID string `json:"image_id"`
}

type rolloutStatus struct {
	ID               string     `json:"id"`
	FromVersion      string     `json:"from_version,omitempty"`
	ToVersion        string     `json:"to_version,omitempty"`
	Status           string     `json:"status"`
	StartedAt        time.Time  `json:"started_at"`
	EndedAt          *time.Time `json:"ended_at,omitempty"`
	AtWork           string     `json:"at_work,omitempty"`
	AbortRequestedBy string     `json:"abort_requested_by,omitempty"`
	Steps            []step     `json:"steps"`
}

type step struct {
	Step  string     `json:"step"`
	Title string     `json:"title"`
	Phase string     `json:"phase"`
	Undo  bool       `json:"undo,omitempty"`
	At    *time.Time `json:"at,omitempty"`
	Note  string     `json:"note,omitempty"`
	// detail is the note for people.
	detail string
}

// waiting is the phase of a step that is still to come.
const waiting = "waiting"

func (c *common) status(ctx context.Context, store builddata.Store, id cluster.ID, region string) (status, error) {
	s := status{Cluster: id.String(), Region: region}
	p, err := rollout.ReadStatus(ctx, store, id, region)
	if err != nil || p.Last == nil {
		return s, err
	}
	s.Serving, s.Previous = describe(p.Serving), describe(p.Kept)
	for _, left := range p.Left {
		s.Left = append(s.Left, left.Name)
	}
	last, err := store.Rollout(ctx, id.Service, p.Last.ID)
	if err != nil {
		return s, err
	}
	r := &rolloutStatus{
		ID: last.ID, FromVersion: last.FromVersion, ToVersion: last.ToVersion, Status: string(last.Status),
		StartedAt: last.StartedAt, AbortRequestedBy: last.AbortRequestedBy, Steps: []step{},
	}
	if !last.EndedAt.IsZero() {
		r.EndedAt = &last.EndedAt
	}
	lease, held, err := rollout.ReadLease(ctx, store, c.clock, id, region)
	if err != nil {
		return s, err
	}
	if p.Open != nil {
		r.Status = string(builddata.Interrupted)
		if held {
			r.Status, r.AtWork = "in progress", lease.Holder
		}
	}
	steps, err := rollout.Steps(last)
	if err != nil {
		return s, err
	}
	for _, state := range steps {
		one := step{Step: state.Step, Title: state.Title, Phase: string(state.Phase), Undo: state.Undo, Note: state.Note, detail: state.Detail}
		if one.Phase == "" {
			one.Phase = waiting
		} else {
			one.At = &state.At
		}
		r.Steps = append(r.Steps, one)
	}
	s.Rollout = r
	return s, nil
}

func describe(s *rollout.GenerationRecord) *generation {
	if s == nil {
		return nil
	}
	return &generation{Version: s.Spec.Version, Name: s.Name, ImageID: s.Spec.ImageID}
}

func (c *common) printStatus(ctx context.Context, store builddata.Store, id cluster.ID, regions []string) error {
	var all []status
	for _, region := range regions {
		s, err := c.status(ctx, store, id, region)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	return c.show(all)
}

// show prints clusters for people, or for machines.
func (c *common) show(all []status) error {
	if c.output == asJSON {
		return c.printJSON(append([]status{}, all...))
	}
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		s.write(&b)
	}
	_, err := fmt.Fprint(c.out, b.String())
	return err
}

func (s status) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s in %s\n", s.Cluster, s.Region)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	if s.Serving == nil {
		line("serves", "nothing")
	} else {
		line("serves", "version %s, from %s, as %s", s.Serving.Version, s.Serving.ImageID, s.Serving.Name)
	}
	if s.Previous != nil {
		line("kept", "version %s, from %s, as %s", s.Previous.Version, s.Previous.ImageID, s.Previous.Name)
	}
	if len(s.Left) > 0 {
		line("left", "%s", strings.Join(s.Left, ", "))
	}
	r := s.Rollout
	if r == nil {
		line("rollout", "none yet")
		return
	}
	line("rollout", "%s, %s: %s", r.ID, movement(r.FromVersion, r.ToVersion), r.state())
	if r.AtWork != "" {
		line("at work", "%s", r.AtWork)
	}
	if r.AbortRequestedBy != "" {
		line("abort", "asked for by %s", r.AbortRequestedBy)
	}
	for _, one := range r.Steps {
		at := "        "
		if one.At != nil {
			at = one.At.Format("15:04:05")
		}
		undo := ""
		if one.Undo {
			undo = "undo: "
		}
		fmt.Fprintf(b, "    %s  %-7s  %s%s\n", at, one.Phase, undo, one.Title)
		if one.detail != "" {
			fmt.Fprintf(b, "                       %s\n", one.detail)
		}
	}
}

func (r *rolloutStatus) state() string {
	if r.EndedAt == nil {
		return r.Status + " since " + r.StartedAt.Format(time.RFC3339)
	}
	how := r.Status
	if slices.ContainsFunc(r.Steps, func(s step) bool { return s.Undo }) {
		how += " and was taken back"
	}
	return fmt.Sprintf("%s at %s, after %s", how, r.EndedAt.Format(time.RFC3339), r.EndedAt.Sub(r.StartedAt).Round(time.Second))
}

// movement says from where to where a rollout goes.
func movement(from, to string) string {
	switch {
	case from == "" && to == "":
		return "removal of what was left"
	case from == "":
		return "creation with version " + to
	case to == "":
		return "removal of version " + from
	case from == to:
		return "version " + to + " again"
	}
	return fmt.Sprintf("version %s to %s", from, to)
}
