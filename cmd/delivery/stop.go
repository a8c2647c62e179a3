package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// Why a run ends early, or its section last, as its steps report it.
var (
	errStopped     = errors.New("the run was interrupted")
	errLastStopped = errors.New("the section last was interrupted, too")
)

// stoppable returns the contexts of a run that can be interrupted. The first
// Ctrl-C ends soft, together with ctx, and has no effect while the section last
// is running; the second ends hard. The third kills the process. A step that
// runs alone has no section last after it.
func stoppable(ctx context.Context, p *progress, alone bool) (hard, soft context.Context, release func()) {
	hard, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	soft, interrupt := context.WithCancelCause(hard)
	detach := context.AfterFunc(ctx, func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		switch section := p.reached(); {
		case section == "" || alone:
			p.announce("Stopping.")
		case section == pipe.Last:
			p.announce("The section last continues to its end; a second Ctrl-C stops it.")
		default:
			p.announce("Stopping; the section last still runs. A second Ctrl-C stops that, too.")
		}
		interrupt(errStopped)
		select {
		case <-signals:
			p.announce("Stopping at once. A third Ctrl-C does not wait, and leaves behind what is still running.")
			stop(errLastStopped)
			signal.Reset()
		case <-hard.Done():
		}
	})
	return hard, soft, func() {
		detach()
		stop(nil)
	}
}
