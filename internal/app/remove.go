package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// environmentPrefix begins the names of environments that are unique to a run.
const environmentPrefix = "run-"

// isRunEnvironment reports whether a run has made up the name of an environment.
func isRunEnvironment(name string) bool {
	suffix, ok := strings.CutPrefix(name, environmentPrefix)
	return ok && cluster.IsSuffix(suffix)
}

func suffix(random [8]byte) string { return cluster.Suffix(random) }

// remove removes what a run has left in its environment that no Terraform
// state knows: a cluster whose creation was killed with its Terraform. That is
// done only in environments whose name a run has made up for itself, so that
// nothing of anybody else's can be meant.
func (p *Pipes) remove(ctx context.Context, store builddata.Store, service, environment string, values pipe.Values, progress func(format string, args ...any)) error {
	if environment != values[pipe.ValueEnvironment] || !isRunEnvironment(environment) {
		return nil
	}
	id := cluster.ID{Service: service, Environment: environment}
	clusters, err := store.LatestRollouts(ctx, builddata.ClusterQuery{Service: service, Environment: environment})
	if err != nil {
		return err
	}
	for _, r := range clusters {
		progress("cluster %s in %s is in no Terraform state; removing it by its record", id, r.Region)
		cloud, err := awscloud.Open(ctx, p.cloudIn(r.Region))
		if err != nil {
			return err
		}
		m := &rollout.Manager{
			Store: store, Cloud: cloud, Clock: p.Clock, Region: r.Region, Holder: p.Holder, Entropy: rand.Reader,
			Progress: func(_ context.Context, format string, args ...any) { progress(format, args...) },
		}
		if err := m.Destroy(ctx, id, nil); err != nil {
			return fmt.Errorf("remove the cluster %s in %s: %w", id, r.Region, err)
		}
	}
	return nil
}
