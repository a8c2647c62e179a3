// Command delivery is the command line: the same on a laptop and on any CI node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes, so that scripts can tell failures apart.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitBusy        = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(ctx.Err(), context.Canceled):
		return exitInterrupted
	case busy(err):
		return exitBusy
	}
	return exitFailed
}
