package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

func newRollout(c *common) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "rollout",
		Short: "Look at the rollouts of clusters, finish them or take them back",
		Long: `Look at the rollouts of clusters, finish them or take them back.

Terraform begins rollouts, when delivery_cluster gets another version. Every step
is on record in the build data repository, so one that was interrupted can be
finished or taken back from anywhere that reaches the repository and AWS.`,
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newRolloutStatus(c))
	for _, verb := range []struct {
		name, short, long, example string
		do                         func(m *rollout.Manager, ctx context.Context, id cluster.ID) (rollout.Inventory, error)
	}{
		{
			name: "undo", short: "Take an interrupted rollout back, or go back to the version before",
			long: `Take an interrupted rollout back: the old servers get all requests, and what was
made for the new version is removed.

If no rollout is open, go back to the version before the one that serves: to its
servers, if keep_previous has kept them, which is one change of weights; or else
by a rollout of that version's image. Terraform will see that, and plan to roll
out again what its configuration says.`,
			example: "  delivery rollout undo strawberry/prod",
			do:      (*rollout.Manager).Undo,
		},
		{
			name: "abort", short: "Have a rollout taken back, whoever is at work on it",
			long: `Have a rollout taken back that is in progress elsewhere, as in a CI job: whoever is
at work on it is asked to, and does so at its next step. If nobody is any more, it
is taken back from here. Without a rollout there is nothing to do.`,
			example: "  delivery rollout abort strawberry/prod",
			do:      (*rollout.Manager).Abort,
		},
		{
			name: "resume", short: "Go on with an interrupted rollout",
			long:    "Go on with an interrupted rollout, in the direction it had, as the next terraform apply would.",
			example: "  delivery rollout resume strawberry/prod --region eu-north-1",
			do:      (*rollout.Manager).Resume,
		},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: verb.name + " SERVICE/ENVIRONMENT", Short: verb.short, Long: verb.long, Example: verb.example, Args: exactly("SERVICE/ENVIRONMENT"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.change(cmd.Context(), args[0], verb.do)
			},
		})
	}
	return cmd
}

// change has a Manager do something with a cluster, and prints what there is then.
func (c *common) change(ctx context.Context, name string, do func(m *rollout.Manager, ctx context.Context, id cluster.ID) (rollout.Inventory, error)) (err error) {
	id, err := cluster.ParseID(name)
	if err != nil {
		return &usageError{err}
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	regions, err := c.regions(ctx, store, id)
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
	m := c.manager(store, regions[0])
	m.Cloud = cloud
	if _, err := do(m, ctx, id); err != nil {
		return err
	}
	return c.printStatus(ctx, store, id, regions)
}

func (c *common) manager(store builddata.Store, region string) *rollout.Manager {
	return &rollout.Manager{Store: store, Clock: c.clock, Region: region, Holder: app.Holder("delivery"), Entropy: c.entropy, Progress: c.progress}
}

// regions are those in which the repository knows a cluster, or the one that
// was given.
func (c *common) regions(ctx context.Context, store builddata.Store, id cluster.ID) ([]string, error) {
	if c.region != "" {
		return []string{c.region}, nil
	}
	clusters, err := c.clusters(ctx, store, builddata.ClusterQuery{Service: id.Service, Environment: id.Environment, IncludeGone: true})
	if err != nil {
		return nil, err
	}
	var regions []string
	for _, r := range clusters {
		regions = append(regions, r.Region)
	}
	if len(regions) == 0 {
		return nil, fmt.Errorf("the repository knows no cluster %s; \"delivery rollout status\" lists those that it knows", id)
	}
	return regions, nil
}

// clusters are the latest rollouts of each cluster, by service, environment and
// region. An empty service stands for all.
func (c *common) clusters(ctx context.Context, store builddata.Store, q builddata.ClusterQuery) (all []builddata.Rollout, err error) {
	services := []string{q.Service}
	if q.Service == "" {
		if services, err = store.Services(ctx); err != nil {
			return nil, err
		}
	}
	for _, q.Service = range services {
		latest, err := store.LatestRollouts(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, latest...)
	}
	return slices.DeleteFunc(all, func(r builddata.Rollout) bool { return c.region != "" && r.Region != c.region }), nil
}
