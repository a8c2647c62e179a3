package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// Why a run ends, or its section last, as its steps tell.
var (
	errStopped     = errors.New("somebody stopped the run")
	errLastStopped = errors.New("somebody stopped the section last, too")
)

// stoppable returns the contexts of a run that people stop. Soft ends at the
// first Ctrl-C, with ctx, which has nothing to end if the section last is at
// work by then; hard at the second one. The third kills. A step that runs alone
// has no section last behind it.
func stoppable(ctx context.Context, p *progress, alone bool) (hard, soft context.Context, release func()) {
	hard, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	soft, interrupt := context.WithCancelCause(hard)
	detach := context.AfterFunc(ctx, func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		switch section := p.reached(); {
		case section == "" || alone:
			p.tell("Stopping.")
		case section == pipe.Last:
			p.tell("The section last goes on to its end; a second Ctrl-C stops it.")
		default:
			p.tell("Stopping; the section last still follows. A second Ctrl-C stops that, too.")
		}
		interrupt(errStopped)
		select {
		case <-signals:
			p.tell("Stopping for good. A third Ctrl-C does not wait, and leaves behind what is still at work.")
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
