package clock

import (
	"context"
	"fmt"
	"time"
)

// Condition checks whether a wait is over, given how long it has taken already.
// Saw describes in a few words what it found, for progress messages and errors.
type Condition func(ctx context.Context, waited time.Duration) (done bool, saw string, err error)

// TimeoutError says that a wait has timed out.
type TimeoutError struct {
	// After is how long the wait has taken.
	After time.Duration
	// Saw is what the last check found.
	Saw string
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("after %s: %s", e.After.Round(time.Second), e.Saw)
}

// pause is the time until the next check: at first half of the time that has
// passed, soon a second, and in the end a twentieth. So the pauses make a long
// wait at most 5 % longer.
func pause(waited time.Duration) time.Duration {
	return max(100*time.Millisecond, min(waited/2, time.Second), waited/20)
}

// Poll checks a condition at once, and then at growing intervals of at most
// every. It returns when the condition is done or fails, when the context ends,
// or when within has passed, which is a *TimeoutError. The last check is never
// before that.
func Poll(ctx context.Context, c Clock, every, within time.Duration, check Condition) error {
	return PollPaced(ctx, c, Growing(every), within, check)
}

// Growing is the pace of Poll: pauses that grow with the time that has passed, up to every.
func Growing(every time.Duration) func(waited time.Duration) time.Duration {
	return func(waited time.Duration) time.Duration { return min(pause(waited), every) }
}

// PollPaced is Poll with pauses that pace decides, given how long the wait has taken.
func PollPaced(ctx context.Context, c Clock, pace func(waited time.Duration) time.Duration, within time.Duration, check Condition) error {
	start := c.Now()
	for {
		waited := c.Now().Sub(start)
		done, saw, err := check(ctx, waited)
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
		if err := c.Sleep(ctx, min(pace(waited), within-waited)); err != nil {
			return fmt.Errorf("interrupted after %s: %s: %w", waited.Round(time.Second), saw, err)
		}
	}
}
