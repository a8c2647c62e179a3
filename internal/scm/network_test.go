package scm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// A server that does not answer is reported, and then given up. The clock of the test moves
// at once.
func TestNetwork_Silent(t *testing.T) {
	var reported []string
	fake := clock.NewFake(time.Unix(0, 0))
	n := scm.Network{Clock: fake, Waiting: func(server string) { reported = append(reported, server) }}
	err := n.Ask(t.Context(), "origin", scm.FetchLimit, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err == nil || err.Error() != "no answer from origin within 1m0s" {
		t.Errorf("got %v, want that origin did not answer", err)
	}
	if len(reported) != 1 || reported[0] != "origin" || !fake.Now().Equal(time.Unix(60, 0)) {
		t.Errorf("reported %q until %s", reported, fake.Now())
	}
}

func TestNetwork_Answers(t *testing.T) {
	failed := errors.New("it has failed")
	for _, want := range []error{nil, failed} {
		n := scm.Network{Waiting: func(server string) { t.Errorf("reported %s", server) }}
		if err := n.Ask(t.Context(), "origin", scm.FetchLimit, func(context.Context) error { return want }); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	called := false
	err := scm.Network{Offline: true}.Ask(t.Context(), "origin", scm.FetchLimit, func(context.Context) error { called = true; return nil })
	if !errors.Is(err, scm.ErrOffline) || called {
		t.Errorf("got %v, called: %t", err, called)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = scm.Network{}.Ask(ctx, "origin", scm.FetchLimit, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "origin") {
		t.Errorf("got %v, want that it was canceled", err)
	}
}
