package pipe

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultStepTimeout bounds an attempt of a step if neither the step nor its pipe says
// otherwise. It leaves time for a rollout that observes its servers for an hour, and it ends
// a step that hangs, which would keep its environment forever.
const DefaultStepTimeout = 2 * time.Hour

// Limit is the setting that a timeout comes from.
type Limit string

// The limits.
const (
	LimitStep        Limit = "step"
	LimitStepTimeout Limit = "step_timeout"
	LimitDefault     Limit = "default"
	LimitPipe        Limit = "pipe"
)

// TimeoutError says that a step or a pipe took longer than its timeout.
type TimeoutError struct {
	After time.Duration
	Limit Limit
}

func (e *TimeoutError) Error() string {
	switch e.Limit {
	case LimitStepTimeout:
		return fmt.Sprintf("timed out after %s, the step_timeout of the pipe: if the step needs longer, give it a timeout", e.After)
	case LimitDefault:
		return fmt.Sprintf("timed out after %s, the default for a step: if the step needs longer, give it a timeout", e.After)
	case LimitPipe:
		return fmt.Sprintf("the pipe timed out after %s: if it needs longer, raise the timeout at the top of its file", e.After)
	}
	return fmt.Sprintf("timed out after %s", e.After)
}

// timeoutOf returns the timeout of an attempt of a step.
func (p *Pipe) timeoutOf(step *Step) *TimeoutError {
	switch {
	case step.Timeout > 0:
		return &TimeoutError{After: step.Timeout, Limit: LimitStep}
	case p.StepTimeout > 0:
		return &TimeoutError{After: p.StepTimeout, Limit: LimitStepTimeout}
	}
	return &TimeoutError{After: DefaultStepTimeout, Limit: LimitDefault}
}

// timeout returns the timeout of First and Main; nil if they have none.
func (p *Pipe) timeout() *TimeoutError {
	if p.Timeout == 0 {
		return nil
	}
	return &TimeoutError{After: p.Timeout, Limit: LimitPipe}
}

// withTimeout returns a context that ends with the timeout as its cause.
func withTimeout(ctx context.Context, timeout *TimeoutError) (context.Context, context.CancelFunc) {
	if timeout == nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, timeout.After, timeout)
}

// pipeTimeout returns the timeout of the pipe if it has ended the context; otherwise nil.
func pipeTimeout(ctx context.Context) *TimeoutError {
	var timeout *TimeoutError
	if errors.As(context.Cause(ctx), &timeout) && timeout.Limit == LimitPipe {
		return timeout
	}
	return nil
}

// withCause returns an error together with the timeout that caused it, if there is one.
func withCause(ctx context.Context, err error) error {
	var timeout *TimeoutError
	if errors.As(context.Cause(ctx), &timeout) && !errors.As(err, new(*TimeoutError)) {
		return errors.Join(timeout, err)
	}
	return err
}
