package main

import (
	"context"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
)

const deployPipe = `main:
  - {name: roll out, do: deploy.apply, folder: infra, environment: prod, terraform: ./no/terraform}
`

// newDeploy returns a checkout with deployPipe and two versions, of which the second was
// deployed to prod under the lease that it returns.
func newDeploy(t *testing.T) (c *checkout, store builddata.Store, l builddata.Lease) {
	t.Helper()
	c = newCheckout(t, deployPipe)
	c.write(t, "infra/main.tf", "")
	c.push(t)
	address, err := repository.Parse(c.repository())
	fatal(t, err)
	store, err = repository.Open(t.Context(), address, repository.Config{Clock: clock.System{}})
	fatal(t, err)
	t.Cleanup(func() { fatal(t, store.Close()) })
	for range 2 {
		_, err = store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
		fatal(t, err)
	}
	l, err = store.Acquire(t.Context(), builddata.LeaseRequest{
		Service: "strawberry", Name: builddata.DeployLease("prod"), Holder: "ada@ci-7", TTL: time.Minute,
	})
	fatal(t, err)
	fatal(t, store.RecordDeploy(t.Context(), l, builddata.Deploy{
		Service: "strawberry", Environment: "prod", Number: 2, Run: "r-2", Step: "roll out",
	}))
	return c, store, l
}

func TestRun_DeploysAnOlderVersion(t *testing.T) {
	c, store, l := newDeploy(t)
	fatal(t, store.Release(t.Context(), l))
	s := c.run(t, exitcode.Failed, "--version", "1")
	contains(t, s.Steps[0].Message, "version 1 of strawberry is older than version 2, which was deployed to prod at", "in run r-2")
	if s.Steps[0].Environment != "prod" || s.Steps[0].Reason != pipe.ReasonOlder {
		t.Errorf("got %+v", s.Steps[0])
	}
	_, out, _ := c.delivery(t, "run", "--version", "1")
	contains(t, out, "or this one with --allow-older")
	_, out, _ = c.delivery(t, "run", "--version", "1", "--allow-older")
	contains(t, out, "no/terraform: the program", "--allow-older") // it was admitted
	events, err := store.Events(t.Context(), builddata.EventQuery{Service: "strawberry", Number: 1})
	fatal(t, err)
	if len(events) != 6 || events[0].Location != "prod" || events[1].Location != "prod" || events[1].Reason != string(pipe.ReasonOlder) {
		t.Errorf("got the events %+v", events)
	}
}

func TestRun_DeploysWhileAnotherRunDoes(t *testing.T) {
	c, store, l := newDeploy(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // the other run is alive
		defer close(done)
		for clock.Clock(clock.System{}).Sleep(ctx, 50*time.Millisecond) == nil {
			if _, err := store.Renew(t.Context(), l, time.Minute); err != nil {
				t.Error(err)
			}
		}
	}()
	code, out, stderr := c.delivery(t, "run", "--version", "2")
	stop()
	<-done
	if code != exitcode.Busy {
		t.Errorf("got exit code %d, want %d", code, exitcode.Busy)
	}
	contains(t, out, "another process is deploying strawberry to prod", "is held by ada@ci-7", "nothing was deployed")
	contains(t, stderr, "waiting to see whether it is alive")
}
