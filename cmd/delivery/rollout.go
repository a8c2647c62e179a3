package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/probe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// clusterAction changes a cluster.
type clusterAction func(m *rollout.Manager, ctx context.Context, id cluster.ID) (rollout.Inventory, error)

func newRollout(c *common) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use:   "rollout",
		Short: "Show the rollouts of clusters, finish them or roll them back",
		Long: `Show the rollouts of clusters, finish them or roll them back.

Terraform starts a rollout when delivery_cluster gets another version. Every step is
recorded in the build data repository, so an interrupted rollout can be finished or
rolled back from every machine that reaches the repository and AWS.`,
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newRolloutStatus(c))
	for _, verb := range []struct {
		name, short, long, example string
		do                         clusterAction
	}{
		{
			name: "undo", short: "Roll an interrupted rollout back, or go back to the previous version",
			long: `Roll an interrupted rollout back: the old servers get all requests, and what was
created for the new version is removed.

If no rollout is open, go back to the version before the one that serves: to its
servers, if keep_previous has kept them, which is one change of weights; or else
by a rollout of that version's image. The next terraform plan shows the difference,
and proposes to roll out again what its configuration says.`,
			example: "  delivery rollout undo strawberry/prod",
			do:      (*rollout.Manager).Undo,
		},
		{
			name: "abort", short: "Have a running rollout rolled back by the process that runs it",
			long: `Have a rollout rolled back that runs elsewhere, as in a CI job: the process that runs
it is asked to, and does so at its next step. If that process is gone, the rollout
is rolled back from here. Without a rollout, nothing is done.`,
			example: "  delivery rollout abort strawberry/prod",
			do:      (*rollout.Manager).Abort,
		},
		{
			name: "resume", short: "Continue an interrupted rollout",
			long:    "Continue an interrupted rollout in the direction it had, as the next terraform apply would.",
			example: "  delivery rollout resume strawberry/prod --region eu-north-1",
			do:      (*rollout.Manager).Resume,
		},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: verb.name + " SERVICE/ENVIRONMENT", Short: verb.short, Long: verb.long, Example: verb.example,
			Args: exactArgs("SERVICE/ENVIRONMENT"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.changeCluster(cmd.Context(), args[0], verb.do)
			},
		})
	}
	return cmd
}

// changeCluster changes a cluster, and prints its status.
func (c *common) changeCluster(ctx context.Context, name string, do clusterAction) error {
	id, err := cluster.ParseID(name)
	if err != nil {
		return &usageError{err}
	}
	return c.withCatalog(ctx, func(cat *catalog.Catalog) error {
		regions, err := c.regions(ctx, cat, id)
		if err != nil {
			return err
		}
		if len(regions) != 1 {
			return &usageError{fmt.Errorf("cluster %s is in %s: choose one with --region", id, strings.Join(regions, " and in "))}
		}
		cloud, err := c.cloud(ctx, regions[0])
		if err != nil {
			return err
		}
		m := &rollout.Manager{
			Store: cat.Store, Cloud: cloud, Clock: c.clock, Region: regions[0], Holder: app.Holder("delivery"), Entropy: c.entropy,
			Progress: c.progress, Prober: probe.Prober{},
		}
		if _, err := do(m, ctx, id); err != nil {
			return err
		}
		return c.printCluster(ctx, cat, id, regions)
	})
}

// regions are those in which the repository knows a cluster, or the one given
// with --region.
func (c *common) regions(ctx context.Context, cat *catalog.Catalog, id cluster.ID) ([]string, error) {
	if c.region != "" {
		return []string{c.region}, nil
	}
	clusters, err := cat.Clusters(ctx, catalog.ClusterFilter{Service: id.Service, Environment: id.Environment, IncludeGone: true})
	if err != nil {
		return nil, err
	}
	var regions []string
	for _, known := range clusters {
		regions = append(regions, known.Region)
	}
	if len(regions) == 0 {
		return nil, fmt.Errorf("the repository knows no cluster %s; \"delivery rollout status\" lists those that it knows", id)
	}
	return regions, nil
}
