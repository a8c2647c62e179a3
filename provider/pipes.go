package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/keylock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// pipes implements resources.Pipes with the same runner as the command line.
type pipes struct {
	// open returns the runner. It is an error if the provider's arguments are not known
	// yet.
	open func() (*runner.Runner, error)
	// checkouts are locked while a pipe runs in them.
	checkouts keylock.Locks
}

// Load implements resources.Pipes.
func (p *pipes) Load(ctx context.Context, req runner.Request) (*pipe.Pipe, error) {
	project, err := runner.OpenProject(req.Folder, network(ctx))
	if err != nil {
		return nil, err
	}
	return project.Load(ctx, req)
}

// network logs what is waited for.
func network(ctx context.Context) scm.Network {
	return scm.Network{Waiting: func(server string) { tflog.Info(ctx, "waiting for "+server) }}
}

// errStopped is the cause of a run's interruption when Terraform is interrupted.
var errStopped = errors.New("Terraform was interrupted") //nolint:staticcheck // Terraform is a name

// Run implements resources.Pipes.
func (p *pipes) Run(ctx context.Context, req runner.Request) (pipe.Summary, error) {
	runs, err := p.open()
	if err != nil {
		return pipe.Summary{}, err
	}
	project, err := runner.OpenProject(req.Folder, network(ctx))
	if err != nil {
		return pipe.Summary{}, err
	}
	// Terraform applies resources concurrently, but a checkout has one run at a time.
	unlock, err := p.checkouts.Lock(ctx, project.Root)
	if err != nil {
		return pipe.Summary{}, fmt.Errorf("wait for another run of this apply in %s: %w", project.Root, cause(ctx))
	}
	defer unlock()
	hard := context.WithoutCancel(ctx)
	soft, interrupt := context.WithCancelCause(hard)
	defer interrupt(nil)
	defer context.AfterFunc(ctx, func() { interrupt(cause(ctx)) })()
	req.Interrupt = soft
	summary, err := runs.Run(hard, project, req)
	if err != nil && summary.Status != "" {
		req.Warn("%v", err) // the pipe has run to its end
		err = nil
	}
	return summary, err
}

// cause returns why a context ended.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return errStopped
}
