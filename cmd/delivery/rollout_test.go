package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// delivery runs the command line.
func delivery(t *testing.T, args ...string) (code int, out, stderr string) {
	t.Helper()
	var outBuffer, errBuffer bytes.Buffer
	code = run(t.Context(), args, streams{&outBuffer, &errBuffer})
	return code, outBuffer.String(), errBuffer.String()
}

// contains fails the test unless s contains each of the parts.
func contains(t *testing.T, s string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(s, part) {
			t.Errorf("%q is not in\n%.4000s", part, s)
		}
	}
}

func TestDelivery_BadInput(t *testing.T) {
	t.Setenv("DELIVERY_REPOSITORY", "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "delivery.db")))
	for name, c := range map[string]struct {
		args string
		code int
		want string
	}{
		"NoSuchCommand":     {"rollout frobnicate", exitcode.Usage, `unknown command "frobnicate"`},
		"NoSuchGroup":       {"rollouts status", exitcode.Usage, "did you mean rollout?"},
		"NoSuchFlag":        {"rollout status --frobnicate", exitcode.Usage, "unknown flag: --frobnicate"},
		"NoCluster":         {"rollout undo", exitcode.Usage, `"delivery rollout undo" takes SERVICE/ENVIRONMENT, and got none`},
		"TwoClusters":       {"rollout status a/b c/d", exitcode.Usage, `takes one SERVICE/ENVIRONMENT or none, and got "a/b c/d"`},
		"NoEnvironment":     {"rollout undo strawberry", exitcode.Usage, "use service/environment"},
		"UnknownOutput":     {"rollout status --output xml", exitcode.Usage, "use text or json"},
		"UnknownCluster":    {"rollout status strawberry/prod", exitcode.Failed, "the repository knows no cluster strawberry/prod"},
		"UnknownRepository": {"rollout status --repository ftp://x", exitcode.Usage, `the scheme "ftp" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := delivery(t, strings.Fields(c.args)...)
			if code != c.code || out != "" {
				t.Errorf("got code %d and %q, want code %d and nothing", code, out, c.code)
			}
			contains(t, stderr, c.want)
		})
	}
	t.Run("NothingKnown", func(t *testing.T) {
		code, out, _ := delivery(t, "rollout", "status")
		if code != 0 {
			t.Errorf("got code %d", code)
		}
		contains(t, out, "The repository knows no clusters")
		if _, out, _ := delivery(t, "rollout", "status", "-o", "json"); out != "[]\n" {
			t.Errorf("got %q, want an empty list", out)
		}
	})
	t.Run("Help", func(t *testing.T) {
		_, out, _ := delivery(t, "rollout", "undo", "--help")
		contains(t, out, "delivery rollout undo strawberry/prod", "--region")
	})
}

// What serves is shown with its differences from what was tested.
func TestDescribeCluster_DiffersFromTested(t *testing.T) {
	var b strings.Builder
	describeCluster(&b, catalog.Cluster{Cluster: "strawberry/prod", Region: "eu-north-1", Serving: &catalog.Generation{
		Version: "17", Name: "strawberry-prod-bcdf1234", ImageID: "ami-17", DiffersFromTested: &catalog.Comparison{
			Run: "r-1", Environment: "run-1", Region: "eu-north-1", Differences: []cluster.Difference{
				{Attribute: "instance_type", Detail: "t3.small when tested, m5.large now"}, {Attribute: "user_data", Detail: "differs (line 3)"},
			},
		},
	}})
	const want = `strawberry/prod in eu-north-1
  serves     version 17, from ami-17, as strawberry-prod-bcdf1234
             differs from what was tested in run r-1, in environment run-1 in eu-north-1:
               instance_type: t3.small when tested, m5.large now
               user_data: differs (line 3)
  rollout    none yet
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &b, want)
	}
}

// The package that the provider uses rolls a cluster out. The command line then shows,
// resumes and rolls back its rollouts.
func TestAccDelivery_Rollout(t *testing.T) {
	account := rig.NewAccount(t)
	landscape, err := rig.Prepare(t.Context(), account, "eu-north-1")
	fatal(t, err)
	for _, setting := range account.Environ() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	repository := filepath.Join(t.TempDir(), "delivery.db")
	t.Setenv("DELIVERY_REPOSITORY", "sqlite://"+filepath.ToSlash(repository))
	store, err := sqlite.Open(t.Context(), repository, clock.System{})
	fatal(t, err)
	t.Cleanup(func() { fatal(t, store.Close()) })
	cloud, err := awscloud.Open(t.Context(), awscloud.Config{Region: "eu-north-1"})
	fatal(t, err)
	m := &rollout.Manager{
		Cloud: cloud, Store: store, Clock: clock.System{}, Region: "eu-north-1", Holder: "the test", Entropy: rand.Reader,
		Progress: func(context.Context, string, ...any) {},
	}
	spec := func(version string) cluster.Spec {
		return cluster.Spec{
			ID: cluster.ID{Service: "strawberry", Environment: "prod"}, Version: version, ImageID: rig.BaseImage,
			Servers: cluster.Servers{InstanceType: "t3.micro", SubnetIDs: landscape.Subnets}, Size: cluster.Size{Min: 2, Max: 4},
			Listener: &cluster.Listener{ARN: landscape.Listener, Rule: &cluster.Rule{Priority: 1, Hosts: []string{"strawberry.example.com"}}},
			Target: &cluster.Target{Port: 80, Protocol: "HTTP", Health: cluster.HealthCheck{
				Path: "/", Matcher: "200", Interval: 10 * time.Second, Timeout: 5 * time.Second, HealthyThreshold: 2, UnhealthyThreshold: 2,
			}},
			Tags: tagging.Set{"service": "strawberry", "environment": "prod", "version": version, "owner_team": "fruit", "solution": "shop"},
		}
	}
	settings := rollout.Settings{HealthyWithin: time.Minute, KeepPrevious: true, OnFailure: rollout.Undo, Protected: rollout.Wait}
	// serving is the generation in the state of Terraform.
	var serving *rollout.GenerationRecord
	apply := func(version string) error {
		estate, err := m.Apply(t.Context(), spec(version), settings, serving)
		serving = estate.Serving
		return err
	}
	// interrupted begins a rollout and interrupts it after its servers have started.
	interrupted := func(version string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := *m
		m.Progress = func(_ context.Context, format string, args ...any) {
			if strings.HasPrefix(fmt.Sprintf(format, args...), rollout.WaitHealthy.Title()) {
				cancel()
			}
		}
		if _, err := m.Apply(ctx, spec(version), settings, serving); err == nil {
			t.Fatal("the rollout was not interrupted")
		}
	}
	look := func(want string) {
		t.Helper()
		code, out, stderr := delivery(t, "rollout", "status", "strawberry/prod", "--output", "json")
		var all []catalog.Cluster
		if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != 1 {
			t.Fatalf("got code %d, %v: %s%s", code, err, out, stderr)
		}
		s := all[0]
		got := fmt.Sprintf("%s serves", s.Serving.Version)
		if s.Previous != nil {
			got += fmt.Sprintf(", %s kept", s.Previous.Version)
		}
		if got += ", " + string(s.Rollout.Status); got != want {
			t.Fatalf("got %q, want %q: %s", got, want, out)
		}
	}
	// do runs a command, which must succeed.
	do := func(verb string) (out string) {
		t.Helper()
		code, out, stderr := delivery(t, "rollout", verb, "strawberry/prod")
		if code != 0 {
			t.Fatalf("%s: got code %d: %s%s", verb, code, out, stderr)
		}
		return out
	}

	fatal(t, apply("1"))
	if code, _, stderr := delivery(t, "rollout", "undo", "strawberry/prod"); code != exitcode.Failed ||
		!strings.Contains(stderr, "version 1 is its first") {
		t.Errorf("got code %d and %q, want to be told that there is nothing before", code, stderr)
	}
	fatal(t, apply("2"))
	look("2 serves, 1 kept, succeeded")

	// Roll back to the kept servers, and forward again.
	first := serving.Name
	contains(t, do("undo"), "version 1, from "+rig.BaseImage, "version 2, from", rollout.ScaleToLive.Title())
	look("1 serves, 2 kept, succeeded")
	contains(t, do("undo"), "as "+first)
	look("2 serves, 1 kept, succeeded")

	if code, _, stderr := delivery(t, "rollout", "resume", "strawberry/prod"); code != exitcode.Failed ||
		!strings.Contains(stderr, "no rollout of this cluster is in progress") {
		t.Errorf("got code %d and %q", code, stderr)
	}
	do("abort")
	look("2 serves, 1 kept, succeeded")

	interrupted("3")
	_, out, _ := delivery(t, "rollout", "status")
	contains(t, out, "strawberry/prod  eu-north-1  2        version 2 to 3  interrupted since")
	_, out, _ = delivery(t, "rollout", "status", "strawberry/prod")
	contains(t, out, "version 2 to 3: interrupted since", "done     start the servers:", "pending  send all requests:")
	do("resume")
	look("3 serves, 2 kept, succeeded")
	serving = nil
	p, err := rollout.ReadStatus(t.Context(), m.Store, spec("3").ID, m.Region)
	fatal(t, err)
	serving = p.Serving

	interrupted("4")
	do("undo")
	look("3 serves, 2 kept, failed")
	interrupted("4")
	do("abort")
	look("3 serves, 2 kept, failed")

	// Another process is running the rollout.
	settings.ObserveFor = 10 * time.Minute
	applied := make(chan error, 1)
	go func() { applied <- apply("5") }()
	for { // until the rollout is in progress
		if p, err := rollout.ReadStatus(t.Context(), m.Store, spec("5").ID, m.Region); err == nil && p.Open != nil &&
			p.Serving.Spec.Version == "5" {
			break
		}
	}
	_, out, _ = delivery(t, "rollout", "status", "strawberry/prod")
	contains(t, out, "in progress since", "run by     the test")
	do("abort")
	var failure *rollout.Error
	if err := <-applied; !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack ||
		!strings.Contains(err.Error(), "abort requested by") {
		t.Errorf("got %v, want it rolled back because of the abort", err)
	}
	look("3 serves, 2 kept, failed")

	fatal(t, m.Destroy(t.Context(), spec("3").ID, nil))
	fatal(t, rig.NothingLeft(t.Context(), account, landscape))
	_, out, _ = delivery(t, "rollout", "status", "strawberry/prod")
	contains(t, out, "serves     nothing", "removal of version 3: succeeded")
	if _, out, _ := delivery(t, "rollout", "status"); strings.Contains(out, "strawberry") {
		t.Errorf("a cluster that is gone is listed: %s", out)
	}
	_, out, _ = delivery(t, "rollout", "status", "--all")
	contains(t, out, "strawberry/prod  eu-north-1           removal of version 3  succeeded")
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
