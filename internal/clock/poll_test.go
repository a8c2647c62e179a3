package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

func TestPoll(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	never := func(context.Context, time.Duration) (bool, string, error) { return false, "1 of 3", nil }

	t.Run("TimesOutWithWhatItSaw", func(t *testing.T) {
		c := clock.NewFake(start)
		err := clock.Poll(t.Context(), c, 7*time.Second, time.Minute, never)
		var timeout *clock.TimeoutError
		if !errors.As(err, &timeout) || timeout.Saw != "1 of 3" || timeout.After != time.Minute {
			t.Errorf("got %v, want a timeout after 1m0s that saw 1 of 3", err)
		}
		if got := c.Now().Sub(start); got != time.Minute {
			t.Errorf("waited %s, want exactly 1m0s", got)
		}
	})
	t.Run("LooksAtOnce", func(t *testing.T) {
		c := clock.NewFake(start)
		err := clock.Poll(t.Context(), c, time.Second, 0, func(context.Context, time.Duration) (bool, string, error) { return true, "", nil })
		if err != nil || !c.Now().Equal(start) {
			t.Errorf("got %v at %s, want success without waiting", err, c.Now())
		}
	})
	t.Run("EndsWithItsContext", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := clock.Poll(ctx, clock.System{}, time.Hour, 2*time.Hour, never)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("StopsAtAnError", func(t *testing.T) {
		broken := errors.New("broken")
		err := clock.Poll(t.Context(), clock.NewFake(start), time.Second, time.Hour,
			func(context.Context, time.Duration) (bool, string, error) { return false, "", broken })
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}
