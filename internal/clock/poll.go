package clock

import (
	"context"
	"fmt"
	"time"
)

// Look examines what is waited for. It returns whether the wait is over, and
// in a few words what it saw, which ends up in progress messages and errors.
type Look func(ctx context.Context) (done bool, saw string, err error)

// TimeoutError says that a wait was given up.
type TimeoutError struct {
	// After is how long was waited.
	After time.Duration
	// Saw is what the last look saw.
	Saw string
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("after %s: %s", e.After.Round(time.Second), e.Saw)
}

// Poll looks at once and then every so often until look is done or fails, the
// context ends, or within has passed, which is a *TimeoutError. The last look
// is never earlier than the end of within.
func Poll(ctx context.Context, c Clock, every, within time.Duration, look Look) error {
	start := c.Now()
	for {
		done, saw, err := look(ctx)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		waited := c.Now().Sub(start)
		if waited >= within {
			return &TimeoutError{After: waited, Saw: saw}
		}
		if err := c.Sleep(ctx, min(every, within-waited)); err != nil {
			return fmt.Errorf("interrupted after %s: %s: %w", waited.Round(time.Second), saw, err)
		}
	}
}
