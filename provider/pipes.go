package provider

import (
	"context"
	"errors"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// pipes implements resources.Pipes by the same code as the command line.
type pipes struct {
	// known reports provider arguments that are not known yet.
	known func(arguments ...string) error
	pipes app.Pipes
}

func (p *pipes) Load(ctx context.Context, o resources.PipeOptions) (*pipe.Pipe, error) {
	pipes := p.pipes
	pipes.Folder = o.Folder
	project, err := pipes.Project()
	if err != nil {
		return nil, err
	}
	loaded, err := pipes.Pipe(ctx, project, o.Pipe, project.Begin(o.Values, o.Version))
	if err != nil {
		return nil, err
	}
	if o.To != "" {
		_, _, err = loaded.Find(o.To)
	}
	return loaded, err
}

func (p *pipes) Run(ctx context.Context, o resources.PipeOptions, tell func(format string, args ...any)) (pipe.Summary, error) {
	if err := p.known("repository", "region", "profile"); err != nil {
		return pipe.Summary{}, err
	}
	pipes := p.pipes
	pipes.Folder, pipes.Warn = o.Folder, tell
	project, err := pipes.Project()
	if err != nil {
		return pipe.Summary{}, err
	}
	summary, err := pipes.Run(context.WithoutCancel(ctx), project, app.RunOptions{
		Pipe: o.Pipe, Version: o.Version, To: o.To, Mock: o.Mock, AllowUnpushed: o.AllowUnpushed, Values: o.Values,
		Observer: observer(tell), Interrupt: ctx,
	})
	var unsent *spool.UnsentError
	if errors.As(err, &unsent) {
		tell("%v", err) // the pipe has run; the repository will know
		err = nil
	}
	return summary, err
}

// observer tells what a pipe does.
type observer func(format string, args ...any)

// StepBegan implements pipe.Observer.
func (o observer) StepBegan(s pipe.StepSummary) { o("%s begins", s.Name) }

// StepPrinted implements pipe.Observer.
func (o observer) StepPrinted(step, line string) { o("%s | %s", step, line) }

// StepEnded implements pipe.Observer.
func (o observer) StepEnded(s pipe.StepSummary) { o("%s %s: %s", s.Name, s.Status, s.Message) }
