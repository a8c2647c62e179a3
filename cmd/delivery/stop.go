package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// The causes by which a run is stopped, as its steps report them.
var (
	errStopped     = errors.New("the run was interrupted")
	errLastStopped = errors.New("the section last was interrupted as well")
)

// interruptible returns the contexts of a run that Ctrl-C can interrupt. The first Ctrl-C
// ends ctx and soft, which the section last does not use; the second ends hard; the third
// kills the process. Alone says that one step is run by itself, without the section last.
// The caller calls release.
func interruptible(ctx context.Context, p *progress, alone bool) (hard, soft context.Context, release func()) {
	hard, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	soft, interrupt := context.WithCancelCause(hard)
	detach := context.AfterFunc(ctx, func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		switch section := p.currentSection(); {
		case section == "" || alone:
			p.announce("Stopping.")
		case section == pipe.Last:
			p.announce("The section last continues. A second Ctrl-C stops it.")
		default:
			p.announce("Stopping; the section last still runs. A second Ctrl-C stops it as well.")
		}
		interrupt(errStopped)
		select {
		case <-signals:
			p.announce("Stopping at once. A third Ctrl-C exits without waiting and leaves running processes behind.")
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
