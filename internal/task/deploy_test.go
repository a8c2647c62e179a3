package task_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// newDeploy returns a fixture with two versions and a configuration to deploy.
func newDeploy(t *testing.T) *fixture {
	t.Helper()
	b := newTerraform(t)
	b.Clock, b.Holder = clock.System{}, "ada@ci-7" // the lease is renewed in the background
	for range 2 {
		if _, err := b.store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// deploy deploys a version of the run.
func (b *fixture) deploy(t *testing.T, number int64, name string, args pipe.Args) error {
	t.Helper()
	b.run.Number, b.run.Version = number, name
	_, _, err := b.try(t, "deploy.apply", args)
	return err
}

func to(environment string) pipe.Args {
	return pipe.Args{"folder": "infra", "environment": environment, "variables": map[string]string{"name": "x"}}
}

func TestAccDeploy_OlderVersionOverANewer(t *testing.T) {
	b := newDeploy(t)
	deployed := func(environment string, number int64) {
		t.Helper()
		got, err := b.store.LatestDeploy(t.Context(), "strawberry", environment)
		if err != nil || got.Number != number || got.Run != b.run.Run || got.Step != "try" {
			t.Errorf("got %+v and %v, want version %d in %s", got, err, number, environment)
		}
	}
	if err := b.deploy(t, 2, "2", to("prod")); err != nil {
		t.Fatal(err)
	}
	deployed("prod", 2)
	err := b.deploy(t, 1, "1", to("prod"))
	wantError(t, err, "version 1 of strawberry is older than version 2, which was deployed to prod at", "nothing was deployed")
	if diff := cmp.Diff(pipe.Hints(err), []pipe.Hint{pipe.HintAllowOlder}); diff != "" {
		t.Error(diff)
	}
	deployed("prod", 2)
	if err := b.deploy(t, 1, "1", to("qa")); err != nil { // each environment has its own order
		t.Error(err)
	}
	deployed("qa", 1)
	if err := b.deploy(t, 2, "2", to("prod")); err != nil { // again
		t.Error(err)
	}
	b.AllowOlder = true
	if err := b.deploy(t, 1, "1", to("prod")); err != nil {
		t.Error(err)
	}
	deployed("prod", 1)
	if lease, err := b.store.Lease(t.Context(), "strawberry", "deploy:prod"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got the lease %+v (%v), want it to be released", lease, err)
	}
}

// What did not succeed is not the latest deploy.
func TestAccDeploy_Fails(t *testing.T) {
	b := newDeploy(t)
	broken := to("prod")
	broken["variables"] = map[string]string{}
	wantError(t, b.deploy(t, 2, "2", broken), "No value for required variable")
	if err := b.deploy(t, 1, "1", to("prod")); err != nil {
		t.Error(err)
	}
	wantError(t, b.deploy(t, 1, "1", to("my prod")), `invalid environment "my prod"`)
	b.run.Number, b.run.Version = 0, ""
	if err := b.deploy(t, 0, "", to("prod")); err != nil { // a run without a version
		t.Error(err)
	}
}

// calling is a clock whose Sleep calls f first.
type calling struct {
	*clock.Fake
	f func()
}

func (c calling) Sleep(ctx context.Context, d time.Duration) error {
	c.f()
	return c.Fake.Sleep(ctx, d)
}

// While another process deploys, nothing is started. Terraform is not needed here.
func TestDeploy_OneAtATime(t *testing.T) {
	b := newFixture(t)
	b.Holder = "grace@laptop"
	held, err := b.store.Acquire(t.Context(), builddata.LeaseRequest{
		Service: "strawberry", Name: builddata.DeployLease("infra"), Holder: "ada@ci-7", TTL: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	renew := func() {
		if _, err := b.store.Renew(t.Context(), held, 2*time.Minute); err != nil {
			t.Error(err)
		}
	}
	b.Clock = calling{clock.NewFake(noon), renew}
	_, out, err := b.try(t, "deploy.apply", pipe.Args{"folder": "./infra/"})
	wantError(t, err, "another process is deploying strawberry to infra", "is held by ada@ci-7", "nothing was deployed")
	if !errors.As(err, new(*builddata.HeldError)) {
		t.Errorf("got %v, want a HeldError", err)
	}
	if out == "" {
		t.Error("nothing says that it waits")
	}
}

// Parallel steps of one run wait for each other.
func TestAccDeploy_StepsOfOneRun(t *testing.T) {
	b := newDeploy(t)
	b.run.Number, b.run.Version = 1, "1"
	b.write(t, "other/main.tf", configuration)
	d := b.definition(t, "deploy.apply")
	var wait sync.WaitGroup
	for _, folder := range []string{"infra", "other"} {
		wait.Go(func() {
			args := to("prod")
			args["folder"] = folder
			c := b.call(args)
			if _, err := d.Run(t.Context(), &c.Call); err != nil {
				t.Errorf("%s: %v\n%s", folder, err, c.out)
			}
		})
	}
	wait.Wait()
}

func TestRegistry_EnvironmentOfAStep(t *testing.T) {
	b := newFixture(t)
	for _, tt := range []struct {
		args pipe.Args
		want string
	}{
		{pipe.Args{"folder": "infra/", "environment": "prod", "workspace": "eu"}, "prod"},
		{pipe.Args{"folder": "infra/", "workspace": "eu"}, "eu"},
		{pipe.Args{"folder": "infra/prod/", "workspace": "default"}, "infra/prod"},
		{pipe.Args{"folder": "./infra"}, "infra"},
	} {
		for _, name := range []string{"deploy.apply", "provision.apply", "provision.destroy"} {
			if got := b.definition(t, name).Environment(tt.args); got != tt.want {
				t.Errorf("%s: got %q for %v, want %q", name, got, tt.args, tt.want)
			}
		}
	}
}
