package scm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Network bounds how long git waits for servers. The zero value uses the system's clock and
// reports nothing.
type Network struct {
	Clock clock.Clock
	// Waiting is called for a server that has not answered for ReportAfter; it may be nil.
	Waiting func(server string)
	// Offline says that no server may be asked.
	Offline bool
}

const (
	// ReportAfter is how long a server may take until a person is told what is waited for.
	ReportAfter = 2 * time.Second
	// AnswerLimit is how long a server may take to answer a small question.
	AnswerLimit = 10 * time.Second
	// FetchLimit is how long a server may take to send what is fetched from it.
	FetchLimit = time.Minute
)

// SilentError says that a server has not answered within a limit.
type SilentError struct {
	Server string
	Limit  time.Duration
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("no answer from %s within %s", e.Server, e.Limit)
}

// ErrOffline says that a server would have to be asked, and that no server may be.
var ErrOffline = errors.New("no server is asked")

// Ask calls f, which asks a server, and ends its context after the limit. The error is then
// a *SilentError.
func (n Network) Ask(ctx context.Context, server string, limit time.Duration, f func(ctx context.Context) error) error {
	if n.Offline {
		return ErrOffline
	}
	c := n.Clock
	if c == nil {
		c = clock.System{}
	}
	late := &SilentError{server, limit}
	ctx, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if c.Sleep(ctx, ReportAfter) != nil {
			return
		}
		if n.Waiting != nil {
			n.Waiting(server)
		}
		if c.Sleep(ctx, limit-ReportAfter) == nil {
			stop(late)
		}
	}()
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), late) {
		err = late
	}
	stop(nil)
	<-watched
	return err
}
