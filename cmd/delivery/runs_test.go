package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
)

// A list of runs names their versions, including revoked ones.
func TestRuns_Versions(t *testing.T) {
	c := newApplication(t)
	for range 3 {
		c.run(t, 0)
	}
	c.run(t, 0, "--version", "0.1.0", "--run-to", "build")
	_, out, _ := c.delivery(t, "version", "revoke", "0.2.0", "--reason", "slow", "-o", "json")
	var revoked catalog.Version
	if err := json.Unmarshal([]byte(out), &revoked); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(revoked.Stages, []string{"passed_test"}) {
		t.Errorf("got the stages %v", revoked.Stages)
	}
	_, out, _ = c.delivery(t, "run", "list", "-o", "json")
	var runs []catalog.Run
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, r.Version)
	}
	if want := []string{"0.1.0", "0.3.0", "0.2.0", "0.1.0"}; !slices.Equal(got, want) {
		t.Errorf("got the versions %v, want %v", got, want)
	}
	_, out, _ = c.delivery(t, "run", "list", "--limit", "1")
	if !regexp.MustCompile(`^RUN +SERVICE +VERSION +PIPE .*\n\S+ +strawberry +0\.1\.0 +app, run-to build `).MatchString(out) {
		t.Error(out)
	}
	_, out, _ = c.delivery(t, "run", "show", runs[1].Run)
	contains(t, out, " of strawberry 0.3.0, pipe app: succeeded")
}

// A list of stages names the version that is at each.
func TestStageList(t *testing.T) {
	c := newApplication(t)
	_, out, _ := c.delivery(t, "stage", "list")
	contains(t, out, "No version of strawberry was promoted to a stage.")
	first := c.run(t, 0)
	second := c.run(t, 0)
	_, out, _ = c.delivery(t, "stage", "list")
	if !regexp.MustCompile(`^STAGE +VERSION +SINCE +RUN\npassed_test +0\.2\.0 +\S+ \S+ +`+second.Run+`\n$`).MatchString(out) ||
		first.Run == second.Run {
		t.Error(out)
	}
	c.delivery(t, "version", "revoke", "0.2.0", "--reason", "slow")
	_, out, _ = c.delivery(t, "stage", "list", "--output", "json")
	var stages []catalog.Stage
	if err := json.Unmarshal([]byte(out), &stages); err != nil || len(stages) != 1 || !stages[0].Revoked || stages[0].Version != "0.2.0" {
		t.Errorf("got %+v and %v", stages, err)
	}
}

// A run that has no version yet is listed without one.
func TestRuns_NoVersion(t *testing.T) {
	c := newCheckout(t, "- {name: work, do: mock.dummy}")
	s := c.run(t, 0)
	_, out, _ := c.delivery(t, "run", "show", s.Run)
	contains(t, out, "Run "+s.Run+" of strawberry, pipe app: succeeded")
}

// The examples of the help texts have complete ids.
func TestExamples_IDs(t *testing.T) {
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, example := range regexp.MustCompile(`\b01[0-9A-Z]+`).FindAllString(cmd.Example, -1) {
			if want := len(id.New(time.Unix(0, 0))); len(example) != want {
				t.Errorf("%s: %q has %d characters, want %d", cmd.CommandPath(), example, len(example), want)
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(newRoot(streams{}))
}

// The images of a version are listed with their status, and can be forgotten.
func TestImage(t *testing.T) {
	c := newApplication(t)
	c.run(t, 0)
	_, out, _ := c.delivery(t, "image", "list", "0.1.0")
	contains(t, out, "Version 0.1.0 of strawberry has no image.")
	store := c.store(t)
	err := store.Register(t.Context(),
		builddata.Image{Service: "strawberry", Number: 1, Region: "eu-north-1", ID: "ami-1", Architecture: "arm64", Bake: "b-1"},
		builddata.Image{Service: "strawberry", Number: 1, Region: "us-east-1", ID: "ami-2", Architecture: "arm64", Bake: "b-1"})
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ = c.delivery(t, "image", "forget", "ami-2", "--region", "us-east-1", "-o", "json")
	contains(t, out, `"version": "0.1.0"`)
	contains(t, out, `"status": "forgotten"`)
	_, out, _ = c.delivery(t, "image", "list", "0.1.0")
	if !regexp.MustCompile(`^VERSION .*\n0\.1\.0 +eu-north-1 +ami-1 +arm64 +pending .*\n0\.1\.0 +us-east-1 +ami-2 +arm64 +forgotten .*\n$`).MatchString(out) {
		t.Error(out)
	}
	_, out, _ = c.delivery(t, "version", "show", "0.1.0")
	contains(t, out, "image.forget")
	if code, _, stderr := c.delivery(t, "image", "forget", "ami-2"); code != exitcode.Usage {
		t.Errorf("without a region: got exit code %d: %s", code, stderr)
	}
	code, _, stderr := c.delivery(t, "image", "forget", "ami-3", "--region", "eu-north-1")
	if code != exitcode.Failed {
		t.Errorf("an unknown image: got exit code %d", code)
	}
	contains(t, stderr, "image ami-3 in eu-north-1 of service strawberry: not found")
}
