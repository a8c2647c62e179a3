package clock

import (
	"context"
	"fmt"
	"time"
)

// Look examines what is waited for, given how long that has taken already. It
// returns whether the wait is over, and in a few words what it saw, which ends
// up in progress messages and errors.
type Look func(ctx context.Context, waited time.Duration) (done bool, saw string, err error)

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

// pause is how long Poll waits after having waited so long already: at first
// half of that again, soon a second, and in the end a twentieth, so that a look
// that comes late makes no long wait more than 5 % longer.
func pause(waited time.Duration) time.Duration {
	return max(100*time.Millisecond, min(waited/2, time.Second), waited/20)
}

// Poll looks at once and then ever more rarely, in the end every so often,
// until look is done or fails, the context ends, or within has passed, which
// is a *TimeoutError. The last look is never earlier than the end of within.
func Poll(ctx context.Context, c Clock, every, within time.Duration, look Look) error {
	start := c.Now()
	for {
		waited := c.Now().Sub(start)
		done, saw, err := look(ctx, waited)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		waited = c.Now().Sub(start)
		if waited >= within {
			return &TimeoutError{After: waited, Saw: saw}
		}
		if err := c.Sleep(ctx, min(pause(waited), every, within-waited)); err != nil {
			return fmt.Errorf("interrupted after %s: %s: %w", waited.Round(time.Second), saw, err)
		}
	}
}
