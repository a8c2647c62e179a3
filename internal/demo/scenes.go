package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

const service = "strawberry"

// pipeRun runs a pipe by the command line and prints its progress, without the output
// of the steps.
func (s *harness) pipeRun(ctx context.Context, args ...string) (pipe.Summary, error) {
	args = append([]string{"run"}, args...)
	s.command("delivery " + strings.Join(args, " "))
	reader, writer := io.Pipe()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			if line := lines.Text(); !strings.Contains(line, " | ") {
				s.printf("| %s", line)
			}
		}
	}()
	out, err := s.run(ctx, writer, s.example(), s.program, append(args, "--output", "json")...)
	_ = writer.Close() // never fails
	<-shown
	var summary pipe.Summary
	if jsonErr := json.Unmarshal([]byte(out), &summary); jsonErr != nil {
		return summary, errors.Join(err, jsonErr)
	}
	return summary, err
}

// commit commits and pushes a change of the file CHANGES.
func (s *harness) commit(ctx context.Context, message, changes string) (revision string, err error) {
	if err := os.WriteFile(s.example("CHANGES"), []byte(changes), 0o600); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "--quiet", "-m", message}, {"push", "--quiet", "-u", "origin", "main"}} {
		if _, err := s.output(ctx, s.example(), "git", args...); err != nil {
			return "", err
		}
	}
	out, err := s.output(ctx, s.example(), "git", "rev-parse", "HEAD")
	return strings.TrimSpace(out), err
}

// application runs the whole pipe for a pushed change.
func (s *harness) application(ctx context.Context) error {
	before, err := rig.Leftovers(ctx, s.account, s.landscape)
	if err != nil {
		return err
	}
	revision, err := s.commit(ctx, "sweeter", "Sweeter.\n")
	if err != nil {
		return err
	}
	s.command("git push        # revision " + text.Revision(revision))
	summary, err := s.pipeRun(ctx)
	if err != nil {
		return err
	}
	s.version = summary.Version
	var ran []string
	for _, step := range summary.Steps {
		ran = append(ran, step.Name)
	}
	slices.Sort(ran) // the tests run at the same time
	want := []string{
		"bake", "build", "clean", "create test environment", "destroy test environment", "functional tests",
		"load tests", "notify", "promote", "unit tests", "version",
	}
	if !slices.Equal(ran, want) || summary.Revision != revision {
		return fmt.Errorf("ran %v for %s, want %v for %s", ran, summary.Revision, want, revision)
	}
	if err := s.notified(summary); err != nil {
		return err
	}
	if err := s.baked(ctx, summary); err != nil {
		return err
	}
	after, err := rig.Leftovers(ctx, s.account, s.landscape)
	if err != nil {
		return err
	}
	if !slices.Equal(after, before) {
		return fmt.Errorf("the account holds %v, want what was there before, %v", after, before)
	}
	s.printf("")
	s.printf("Nothing of the test environment is left in the account: no group, server, volume,")
	s.printf("template, target group or rule. The tests' requests went through the load balancer")
	s.printf("to servers of version %s.", s.version)
	return nil
}

// notified checks that the webhook received the same summary.
func (s *harness) notified(want pipe.Summary) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, note := range s.notes {
		var got pipe.Summary
		err := json.Unmarshal([]byte(note), &got)
		if err == nil && got.Run == want.Run && got.Version == want.Version && got.Status == builddata.Succeeded {
			return nil
		}
	}
	return fmt.Errorf("the webhook got %q, want run %s", s.notes, want.Run)
}

// baked checks that every image and snapshot of the version is stamped.
func (s *harness) baked(ctx context.Context, summary pipe.Summary) error {
	s.printf("")
	for _, region := range []string{home, abroad} {
		images, err := rig.Images(ctx, s.account, region)
		if err != nil {
			return err
		}
		baked := 0
		for _, image := range images {
			for _, id := range slices.Sorted(maps.Keys(image)) {
				tags := image[id]
				if tags["version"] != s.version {
					continue
				}
				baked++
				for key, want := range map[string]string{
					"service": service, "revision": summary.Revision, "run": summary.Run, "owner_team": "fruit", "solution": "shop",
				} {
					if tags[key] != want {
						return fmt.Errorf("%s in %s has tag %s = %q, want %q", id, region, key, tags[key], want)
					}
				}
				s.printf("%-10s  %-24s %s", region, id, join(tags))
			}
		}
		if baked != 2 {
			return fmt.Errorf("%d images and snapshots of version %s in %s, want one each", baked, s.version, region)
		}
	}
	s.printf("(An emulated AWS starts no machines, so nothing was installed in the images.)")
	return nil
}

// remember prints what the repository has recorded of the version.
func (s *harness) remember(ctx context.Context) error {
	s.command("delivery version show " + s.version)
	out, err := s.output(ctx, s.example(), s.program, "version", "show", s.version)
	if err != nil {
		return err
	}
	s.quote(out)
	v, err := s.store.Version(ctx, service, s.version)
	if err != nil {
		return err
	}
	events, err := s.store.Events(ctx, builddata.EventQuery{Service: service, Number: v.Number, Limit: 1000})
	if err != nil {
		return err
	}
	for _, step := range []string{"unit tests", "functional tests", "load tests"} {
		if !slices.ContainsFunc(events, func(e builddata.Event) bool {
			return e.Step == step && e.Status == builddata.Succeeded && strings.Contains(e.Report, `"passed":`)
		}) {
			return fmt.Errorf("no event of the %s with the counts of its report: %v", step, events)
		}
	}
	promoted, err := s.store.Promotions(ctx, builddata.PromotionQuery{Service: service, Stage: "passed_test", Limit: 1})
	if err != nil {
		return err
	}
	if len(promoted) != 1 || promoted[0].Number != v.Number {
		return fmt.Errorf("passed_test has %v, want version %s", promoted, s.version)
	}
	return nil
}

// join writes tags in the order of their keys.
func join(tags map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, key+"="+tags[key])
	}
	return strings.Join(all, " ")
}
