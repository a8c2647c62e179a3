package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/lease"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// deployApply is the type of the task that applies to an environment with users. A release
// runs it from a later revision.
const deployApply = "deploy.apply"

// deployLeaseTTL is the lifetime of the lease of a deploy. After a runner has died, the next
// deploy waits for as long.
const deployLeaseTTL = time.Minute

// argEnvironment is the argument of the tasks that act on an environment.
const argEnvironment = "environment"

// environmentArgument is that of the tasks that apply a configuration.
var environmentArgument = pipe.Argument{
	Name: argEnvironment, Kind: pipe.Text,
	Summary: "The environment that the configuration makes or changes, which the step's events name; " +
		"by default the workspace, or else the folder.",
}

// environment returns the environment on which a step acts.
func environment(args pipe.Args) string {
	workspace := args.Text("workspace")
	if workspace == defaultWorkspace {
		workspace = ""
	}
	return cmp.Or(args.Text(argEnvironment), workspace, path.Clean(filepath.ToSlash(args.Text("folder"))))
}

// checkEnvironment returns an error if a step names an environment by an invalid name.
func checkEnvironment(args pipe.Args) error {
	if !args.Has(argEnvironment) {
		return nil
	}
	return builddata.ValidateName("environment", args.Text(argEnvironment))
}

// deploy returns the task deploy.apply.
func (r *Registry) deploy() pipe.Definition {
	d := r.provision(deployApply)
	d.Summary = "Applies a Terraform configuration to an environment: one deploy of a service at a time, " +
		"and no older version over a newer one. Its outputs become values of the run."
	d.AnyRevision = true
	d.Run = r.runDeploy
	return d
}

// runDeploy applies a configuration under the lease of its service and environment, and
// records the deploy.
func (r *Registry) runDeploy(ctx context.Context, c *pipe.Call) (result pipe.Result, err error) {
	to := environment(c.Args)
	unlock, err := lockKey(ctx, c, &r.environments, to, "deploys to")
	if err != nil {
		return result, err
	}
	defer unlock()
	store, err := r.Store(ctx)
	if err != nil {
		return result, fmt.Errorf("nothing was deployed to %s, since the repository has to admit it: %w", to, err)
	}
	keeper := lease.Keeper{Leases: store, Clock: r.Clock, Progress: func(format string, args ...any) { printf(c, format, args...) }}
	request := builddata.LeaseRequest{
		Service: c.Run.Service, Name: builddata.DeployLease(to), Holder: fmt.Sprintf("%s, run %s", r.Holder, c.Run.Run), TTL: deployLeaseTTL,
	}
	started := false
	err = keeper.Hold(ctx, request, func(ctx context.Context, l builddata.Lease) (err error) {
		started = true
		if err = r.checkOrder(ctx, store, c, to); err != nil {
			return err
		}
		if result, err = r.runApply(ctx, c); err != nil {
			return err
		}
		return recordDeploy(ctx, store, l, c, to)
	})
	var held *builddata.HeldError
	switch {
	case errors.As(err, &held):
		return result, fmt.Errorf("another process is deploying %s to %s: %w; nothing was deployed: run the step again when that has ended",
			c.Run.Service, to, held)
	case err != nil && !started:
		return result, fmt.Errorf("nothing was deployed to %s: %w", to, err)
	}
	return result, err
}

// checkOrder refuses an older version than the one that was deployed last, unless that is
// allowed.
func (r *Registry) checkOrder(ctx context.Context, store builddata.Deploys, c *pipe.Call, to string) error {
	if c.Run.Number == 0 {
		return nil
	}
	latest, err := store.LatestDeploy(ctx, c.Run.Service, to)
	if errors.Is(err, builddata.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("nothing was deployed to %s: %w", to, err)
	}
	var older *builddata.OlderError
	err = latest.CheckOrder(builddata.Version{Service: c.Run.Service, Number: c.Run.Number, Name: c.Run.Version})
	if errors.As(err, &older) && r.AllowOlder {
		printf(c, "%s; it is deployed all the same, as allowed", older)
		return nil
	}
	if older != nil {
		return &refusedOlderError{older}
	}
	return err
}

// refusedOlderError says that nothing was deployed, since the version is older.
type refusedOlderError struct{ *builddata.OlderError }

func (e *refusedOlderError) Error() string { return e.OlderError.Error() + "; nothing was deployed" }

// Unwrap returns the error that the rule returned.
func (e *refusedOlderError) Unwrap() error { return e.OlderError }

// Hint implements pipe.Hinted.
func (e *refusedOlderError) Hint() pipe.Hint { return pipe.HintAllowOlder }

// recordTimeout bounds the record of a deploy after an interruption.
const recordTimeout = 10 * time.Second

// recordDeploy records that the version of the run is deployed. What was applied is
// recorded although the run is interrupted meanwhile.
func recordDeploy(ctx context.Context, store builddata.Deploys, l builddata.Lease, c *pipe.Call, to string) error {
	if c.Run.Number == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := store.RecordDeploy(ctx, l, builddata.Deploy{
		Service: c.Run.Service, Environment: to, Number: c.Run.Number, Run: c.Run.Run, Step: c.Step,
	})
	if err != nil {
		return fmt.Errorf("version %s was deployed to %s, but the repository does not know it, and may admit an older version: "+
			"run the step again: %w", c.Run.Version, to, err)
	}
	return nil
}
