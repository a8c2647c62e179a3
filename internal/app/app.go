// Package app puts together what the programs share: a runner of pipes whose
// tasks reach AWS.
package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/logstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// Config is what the programs are given.
type Config struct {
	// Repository is the address of the build data repository.
	Repository repository.Address
	// AWS says how to reach AWS. Programs that a run starts get its profile and
	// region.
	AWS awscloud.Config
	// Holder says who acts, for the holders of leases and runs.
	Holder string
	Clock  clock.Clock
}

// Open opens the build data repository. The caller closes it.
func (c Config) Open(ctx context.Context) (builddata.Store, error) {
	return repository.Open(ctx, c.Repository, repository.Config{Clock: c.Clock, AWS: c.AWS})
}

// Runner returns a runner of pipes. The programs that a run starts use the same
// repository, region and profile.
func (c Config) Runner() *runner.Runner {
	environ := []string{repository.Variable + "=" + c.Repository.String()}
	if c.AWS.Profile != "" {
		environ = append(environ, "AWS_PROFILE="+c.AWS.Profile)
	}
	if c.AWS.Region != "" {
		environ = append(environ, "AWS_REGION="+c.AWS.Region)
	}
	return &runner.Runner{
		Open: c.Open, RepositoryKey: c.Repository.Key(), Environ: environ, Tasks: c.tasks, Logs: c.logs,
		Holder: c.Holder, Clock: c.Clock,
	}
}

// logs returns the store for the logs of steps that the environment names, and nil if it
// names none.
func (c Config) logs() (pipe.LogStore, error) {
	return logstore.Open(os.Getenv(logstore.Variable), logstore.Config{
		Authorization: os.Getenv(logstore.AuthorizationVariable), AWS: c.cloud(""),
	})
}

// tasks returns what the tasks of a run need from AWS.
func (c Config) tasks(t runner.TaskContext) task.Dependencies {
	return task.Dependencies{
		Alarms: func(ctx context.Context) (task.Alarms, error) { return awscloud.Open(ctx, c.cloud("")) },
		Files: func(ctx context.Context, region string) (task.Files, error) {
			return awscloud.OpenFiles(ctx, c.cloud(region))
		},
		Remove: func(ctx context.Context, service, environment string, progress func(format string, args ...any)) error {
			if environment == "" || environment != t.OwnEnvironment() {
				return nil // another run may mean the same environment
			}
			store, err := t.Store(ctx)
			if err != nil {
				return err
			}
			return c.removeClusters(ctx, store, cluster.ID{Service: service, Environment: environment}, progress)
		},
	}
}

// removeClusters removes the clusters of an environment that no Terraform state
// has: their creation was killed together with its Terraform.
func (c Config) removeClusters(ctx context.Context, store builddata.Store, id cluster.ID, progress func(format string, args ...any)) error {
	clusters, err := store.LatestRollouts(ctx, builddata.ClusterQuery{Service: id.Service, Environment: id.Environment})
	if err != nil {
		return err
	}
	for _, r := range clusters {
		progress("cluster %s in %s is in no Terraform state; removing it by its record", id, r.Region)
		cloud, err := awscloud.Open(ctx, c.cloud(r.Region))
		if err != nil {
			return err
		}
		m := &rollout.Manager{
			Store: store, Cloud: cloud, Clock: c.Clock, Region: r.Region, Holder: c.Holder, Entropy: rand.Reader,
			Progress: func(_ context.Context, format string, args ...any) { progress(format, args...) },
		}
		if err := m.Destroy(ctx, id, nil); err != nil {
			return fmt.Errorf("remove the cluster %s in %s: %w", id, r.Region, err)
		}
	}
	return nil
}

// cloud says how to reach AWS in a region; empty is the usual one.
func (c Config) cloud(region string) awscloud.Config {
	config := c.AWS
	config.Clock = c.Clock
	if region != "" {
		config.Region = region
	}
	return config
}
