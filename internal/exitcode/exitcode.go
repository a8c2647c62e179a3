// Package exitcode lists the exit codes of the command line, so that scripts
// can tell failures apart. An error that has one of its own has the method
// ExitCode.
package exitcode

// The exit codes.
const (
	OK          = 0
	Failed      = 1   // a step failed, or anything else
	Usage       = 2   // the command line or the pipe is invalid
	Busy        = 3   // another process is changing the same thing
	Unavailable = 4   // the build data repository cannot be reached
	Untraceable = 5   // the checkout is not pushed
	Interrupted = 130 // Ctrl-C, as shells report it
)
