package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/keylock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// pipes implements resources.Pipes by the same code as the command line.
type pipes struct {
	// known reports provider arguments that are not known yet.
	known func(arguments ...string) error
	pipes app.Pipes
	// checkouts are locked while a pipe runs in them.
	checkouts keylock.Locks
}

func (p *pipes) Load(ctx context.Context, o resources.PipeOptions) (*pipe.Pipe, error) {
	pipes := p.pipes
	pipes.Folder = o.Folder
	project, err := pipes.Project()
	if err != nil {
		return nil, err
	}
	values, err := project.Begin(o.Values, o.Version)
	if err != nil {
		return nil, err
	}
	loaded, err := pipes.Pipe(ctx, project, o.Pipe, values)
	if err != nil {
		return nil, err
	}
	return loaded, app.Narrow(loaded, app.RunOptions{To: o.To})
}

// errStopped is why a run ends when Terraform does not want it any more.
var errStopped = errors.New("somebody stopped Terraform")

func (p *pipes) Run(ctx context.Context, o resources.PipeOptions, tell, warn func(format string, args ...any)) (pipe.Summary, error) {
	if err := p.known("repository", "region", "profile", "assume_role", "endpoints"); err != nil {
		return pipe.Summary{}, err
	}
	pipes := p.pipes
	pipes.Folder, pipes.Warn = o.Folder, warn
	project, err := pipes.Project()
	if err != nil {
		return pipe.Summary{}, err
	}
	// Terraform applies resources at the same time, and a checkout takes one run.
	unlock, err := p.checkouts.Lock(ctx, project.Root)
	if err != nil {
		return pipe.Summary{}, fmt.Errorf("while waiting for another run of this apply in %s: %w", project.Root, cause(ctx))
	}
	defer unlock()
	hard := context.WithoutCancel(ctx)
	soft, interrupt := context.WithCancelCause(hard)
	defer interrupt(nil)
	defer context.AfterFunc(ctx, func() { interrupt(cause(ctx)) })()
	summary, err := pipes.Run(hard, project, app.RunOptions{
		Pipe: o.Pipe, Version: o.Version, To: o.To, Mock: o.Mock, AllowUnpushed: o.AllowUnpushed, Values: o.Values, Secrets: o.Secrets,
		Observer: observer(tell), Interrupt: soft,
	})
	if err != nil && summary.Status != "" {
		warn("%v", err) // the pipe has run all the same
		err = nil
	}
	return summary, err
}

// cause is why a context ended.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return errStopped
}

// observer tells what a pipe does.
type observer func(format string, args ...any)

// StepBegan implements pipe.Observer.
func (o observer) StepBegan(s pipe.StepSummary) { o("%s begins", s.Name) }

// StepPrinted implements pipe.Observer.
func (o observer) StepPrinted(step, line string) { o("%s | %s", step, line) }

// StepEnded implements pipe.Observer.
func (o observer) StepEnded(s pipe.StepSummary) { o("%s %s: %s", s.Name, s.Status, s.Message) }
