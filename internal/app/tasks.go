package app

import (
	"context"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// cloudIn says how to reach AWS in a region; empty is the usual one.
func (p *Pipes) cloudIn(region string) awscloud.Config {
	config := p.AWS
	config.Clock = p.Clock
	if region != "" {
		config.Region = region
	}
	return config
}

// dependencies are what the tasks of a run need of the outside.
func (p *Pipes) dependencies(r *repository, values pipe.Values) task.Dependencies {
	return task.Dependencies{
		Clock: p.Clock,
		Store: func(ctx context.Context) (task.Repository, error) { return r.store(ctx) },
		Alarms: func(ctx context.Context) (task.Alarms, error) {
			return awscloud.Open(ctx, p.cloudIn(""))
		},
		Remove: func(ctx context.Context, service, environment string, progress func(format string, args ...any)) error {
			store, err := r.store(ctx)
			if err != nil {
				return err
			}
			return p.remove(ctx, store, service, environment, values, progress)
		},
		Files: func(ctx context.Context, region string) (task.Files, error) {
			return awscloud.OpenFiles(ctx, p.cloudIn(region))
		},
	}
}
