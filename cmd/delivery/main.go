// Command delivery is the command line program. It works the same on a laptop and on any CI
// node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, std streams) int {
	cmd := newRoot(std)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitcode.OK
	}
	_, _ = fmt.Fprintf(std.err, "Error: %s\n", err)
	for _, hint := range pipe.Hints(err) {
		_, _ = fmt.Fprintln(std.err, hints[hint])
	}
	return exitCode(ctx, err)
}

// hints are the texts of the hints in errors, with the options of the command line.
var hints = map[pipe.Hint]string{
	pipe.HintVersion:       "Or run the pipe for an existing version, with --version.",
	pipe.HintAllowUnpushed: "Or run it with --allow-unpushed. The run is then marked as untraceable, and its version cannot be promoted.",
	pipe.HintAllowOtherRevision: "Check out the revision of the version, or build this one with --allow-other-revision. " +
		"What the steps then make does not count for a promotion.",
	pipe.HintAllowOlder: "Deploy the latest version or a newer one, or this one with --allow-older.",
	pipe.HintChoosePipe: "Or choose a pipe with --pipe.",
	pipe.HintSetValue:   "Give it with --set NAME=VALUE.",
	pipe.HintOmitRunTo:  "Omit --run-to.",
}

// exitCode returns the exit code for an error.
func exitCode(ctx context.Context, err error) int {
	var failed *failedError
	var coded interface {
		error
		ExitCode() int
	}
	hasCode := errors.As(err, &coded)
	switch {
	case hasCode && coded.ExitCode() == exitcode.Usage:
		return exitcode.Usage
	case errors.As(err, &failed) && failed.busy():
		return exitcode.Busy
	case errors.As(err, &failed) && failed.summary.Status != builddata.Interrupted:
		return exitcode.Failed // it had failed before the interrupt
	case errors.Is(ctx.Err(), context.Canceled):
		return exitcode.Interrupted
	case hasCode:
		return coded.ExitCode()
	}
	return exitcode.Failed
}
