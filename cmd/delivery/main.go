// Command delivery is the command line: the same on a laptop and on any CI node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// Exit codes, so that scripts can tell failures apart.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitBusy        = 3
	exitUnavailable = 4
	exitUntraceable = 5
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs the command and returns its exit code.
func run(ctx context.Context, args []string, std streams) int {
	cmd := newRoot(std)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(std.err, "Error: %s\n", err)
	return exitCode(ctx, err)
}

// exitCode tells kinds of failure apart.
func exitCode(ctx context.Context, err error) int {
	var usage *usageError
	var diagnostics pipe.Diagnostics
	var diagnostic *pipe.Diagnostic
	var noProject *pipefile.NotFoundError
	var noPipe *pipefile.MissingError
	var busyCheckout *app.CheckoutBusyError
	var untraceable *scm.UntraceableError
	var failed *failedError
	switch {
	case errors.As(err, &usage), errors.As(err, &diagnostics), errors.As(err, &diagnostic), errors.As(err, &noProject), errors.As(err, &noPipe):
		return exitUsage
	case errors.As(err, &failed) && failed.summary.Status != builddata.Interrupted:
		return exitFailed // before anybody stopped it
	case errors.Is(ctx.Err(), context.Canceled):
		return exitInterrupted
	case busy(err), errors.As(err, &busyCheckout):
		return exitBusy
	case errors.As(err, &untraceable):
		return exitUntraceable
	case errors.Is(err, builddata.ErrUnavailable):
		return exitUnavailable
	}
	return exitFailed
}
