package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func newRolloutStatus(c *common) *cobra.Command {
	var gone bool
	cmd := &cobra.Command{
		Use: "status [SERVICE/ENVIRONMENT]", Short: "Show what serves, and how far a rollout is",
		Long: `Show what serves in a cluster, and how far its rollout is: who runs it, which steps
are done and which are still to come; and in what its servers differ from those that
the version was tested on, if a run has tested it in another environment. Without a
cluster, list the clusters that the repository knows, one per line. Asks nothing of
AWS.`,
		Example: "  delivery rollout status\n  delivery rollout status strawberry/prod\n  delivery rollout status --output json",
		Args:    atMostOne("SERVICE/ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if len(args) == 0 {
				return c.withCatalog(ctx, func(cat *catalog.Catalog) error {
					clusters, err := cat.Clusters(ctx, catalog.ClusterFilter{Region: c.region, IncludeGone: gone})
					if err != nil {
						return err
					}
					return c.listClusters(clusters)
				})
			}
			id, err := cluster.ParseID(args[0])
			if err != nil {
				return &usageError{err}
			}
			return c.withCatalog(ctx, func(cat *catalog.Catalog) error {
				regions, err := c.regions(ctx, cat, id)
				if err != nil {
					return err
				}
				return c.printCluster(ctx, cat, id, regions)
			})
		},
	}
	cmd.Flags().BoolVar(&gone, "all", false, "also list clusters of which nothing is left")
	return cmd
}

// listClusters prints a line for each cluster.
func (c *common) listClusters(clusters []catalog.Cluster) error {
	if c.output == asJSON {
		return c.printJSON(append([]catalog.Cluster{}, clusters...))
	}
	if len(clusters) == 0 {
		_, err := fmt.Fprintln(c.out, "The repository knows no clusters. Terraform's delivery_cluster creates them.")
		return err
	}
	rows := [][]string{{"CLUSTER", "REGION", "VERSION", "LATEST ROLLOUT", "STATUS"}}
	for _, known := range clusters {
		version := ""
		if known.Serving != nil {
			version = known.Serving.Version
		}
		rows = append(rows, []string{known.Cluster, known.Region, version, movement(known.Rollout), rolloutState(known.Rollout)})
	}
	return printTable(c.out, rows)
}

// printCluster prints the status of a cluster in each region.
func (c *common) printCluster(ctx context.Context, cat *catalog.Catalog, id cluster.ID, regions []string) error {
	var clusters []catalog.Cluster
	for _, region := range regions {
		known, err := cat.Cluster(ctx, id, region)
		if err != nil {
			return err
		}
		clusters = append(clusters, known)
	}
	if c.output == asJSON {
		return c.printJSON(append([]catalog.Cluster{}, clusters...))
	}
	var b strings.Builder
	for i, known := range clusters {
		if i > 0 {
			b.WriteString("\n")
		}
		describeCluster(&b, known)
	}
	_, err := fmt.Fprint(c.out, b.String())
	return err
}

func describeCluster(b *strings.Builder, known catalog.Cluster) {
	fmt.Fprintf(b, "%s in %s\n", known.Cluster, known.Region)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(b, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	if known.Serving == nil {
		line("serves", "nothing")
	} else {
		line("serves", "version %s, from %s, as %s", known.Serving.Version, known.Serving.ImageID, known.Serving.Name)
		if tested := known.Serving.DiffersFromTested; tested != nil {
			line("", "differs from what was tested in %s:", tested)
			for _, d := range tested.Differences {
				line("", "  %s", d)
			}
		}
	}
	if p := known.Previous; p != nil {
		line("kept", "version %s, from %s, as %s", p.Version, p.ImageID, p.Name)
	}
	if len(known.Left) > 0 {
		line("left", "%s", strings.Join(known.Left, ", "))
	}
	r := known.Rollout
	if r == nil {
		line("rollout", "none yet")
		return
	}
	line("rollout", "%s, %s: %s", r.ID, movement(r), rolloutState(r))
	if r.Holder != "" {
		line("run by", "%s", r.Holder)
	}
	if r.AbortRequestedBy != "" {
		line("abort", "requested by %s", r.AbortRequestedBy)
	}
	for _, step := range r.Steps {
		at := "        "
		if step.At != nil {
			at = step.At.Format("15:04:05")
		}
		undo := ""
		if step.Undo {
			undo = "undo: "
		}
		fmt.Fprintf(b, "    %s  %-7s  %s%s\n", at, step.Phase, undo, step.Title)
		if step.Detail != "" {
			fmt.Fprintf(b, "                       %s\n", step.Detail)
		}
	}
}

// rolloutState says how far a rollout is, and since when.
func rolloutState(r *catalog.Rollout) string {
	state := string(r.Status)
	if r.Status == catalog.InProgress {
		state = "in progress"
	}
	if r.EndedAt == nil {
		return state + " since " + r.StartedAt.Format(time.RFC3339)
	}
	if r.RolledBack {
		state += " and was rolled back"
	}
	return fmt.Sprintf("%s at %s, after %s", state, r.EndedAt.Format(time.RFC3339), r.EndedAt.Sub(r.StartedAt).Round(time.Second))
}

// movement says from where to where a rollout goes.
func movement(r *catalog.Rollout) string {
	switch from, to := r.FromVersion, r.ToVersion; {
	case from == "" && to == "":
		return "removal of what was left"
	case from == "":
		return "creation with version " + to
	case to == "":
		return "removal of version " + from
	case from == to:
		return "version " + to + " again"
	default:
		return fmt.Sprintf("version %s to %s", from, to)
	}
}
