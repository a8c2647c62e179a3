package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

const (
	service     = "strawberry"
	environment = "run-1"
	revision    = "4f2a9c1"
)

// allocate has Terraform allocate a version, twice.
func (s *stage) allocate(ctx context.Context) error {
	s.command(fmt.Sprintf("terraform -chdir=examples/strawberry/release apply -var source_revision=%s -var run=%s", revision, environment))
	var err error
	for range 2 {
		if s.version, err = s.allocateFor(ctx, revision, environment); err != nil {
			return err
		}
	}
	all, err := s.store.Versions(ctx, builddata.VersionQuery{Service: service, SourceRevision: revision})
	if err != nil {
		return err
	}
	if len(all) != 1 || all[0].Name != s.version {
		return fmt.Errorf("the repository holds %v, want version %s alone", all, s.version)
	}
	s.say("%s %s was allocated for commit %s. Applied a second time, it is still %s.", service, s.version, revision, s.version)
	return nil
}

// allocateFor applies the release for a revision and a run. Another one than
// before is another version.
func (s *stage) allocateFor(ctx context.Context, revision, run string) (version string, err error) {
	folder := s.example("release")
	if _, err := s.tool(ctx, folder, "terraform", "init", "-no-color"); err != nil {
		return "", err
	}
	if _, err := s.tool(ctx, folder, "terraform", "apply", "-auto-approve", "-no-color", "-var", "source_revision="+revision, "-var", "run="+run); err != nil {
		return "", err
	}
	out, err := s.tool(ctx, folder, "terraform", "output", "-raw", "version")
	return strings.TrimSpace(out), err
}

// bake has Packer make and stamp images.
func (s *stage) bake(ctx context.Context) error {
	s.command("GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go build -o dist/strawberry .")
	s.command("DELIVERY_RUN=" + environment + " packer build -var version=" + s.version + " .")
	if err := s.bakeVersion(ctx, s.version); err != nil {
		return err
	}
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
				for key, want := range map[string]string{"service": service, "revision": revision, "run": environment, "owner_team": "fruit", "solution": "shop"} {
					if tags[key] != want {
						return fmt.Errorf("%s in %s has tag %s = %q, want %q", id, region, key, tags[key], want)
					}
				}
				s.say("%-10s  %-24s %s", region, id, join(tags))
			}
		}
		if baked != 2 {
			return fmt.Errorf("%d images and snapshots of version %s in %s, want one each", baked, s.version, region)
		}
	}
	s.say("Every image and snapshot is stamped, and the repository knows which image holds %s %s.", service, s.version)
	s.say("(An emulated AWS starts no machines, so nothing was installed in the images.)")
	return nil
}

// bakeVersion has Packer make and stamp the images of a version.
func (s *stage) bakeVersion(ctx context.Context, version string) error {
	if _, err := s.output(ctx, rig.Root(), "env", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "go", "build", "-o", s.example("dist", service), "./examples/strawberry"); err != nil {
		return err
	}
	_, err := s.tool(ctx, s.example(), "packer", "build", "-color=false",
		"-var", "version="+version, "-var", "source_ami="+rig.BaseImage, "-var", "rehearsal=true",
		"-var", fmt.Sprintf("regions=[%q,%q]", home, abroad), ".")
	return err
}

// variables are those of the environment's configuration.
func (s *stage) variables() []string {
	list := func(all ...string) string { return `["` + strings.Join(all, `","`) + `"]` }
	return []string{
		"-no-color",
		"-var", "region=" + home,
		"-var", "name=" + environment,
		"-var", "version_to_test=" + s.version,
		"-var", "subnet_ids=" + list(s.landscape.Subnets...),
		"-var", "security_group_ids=" + list(s.landscape.SecurityGroup),
		"-var", "listener=" + s.landscape.Listener,
	}
}

// create applies the environment and looks at it from AWS's side.
func (s *stage) create(ctx context.Context) error {
	folder := s.example("environment")
	before, err := rig.Leftovers(ctx, s.account, s.landscape)
	if err != nil {
		return err
	}
	s.before = before
	s.command("terraform -chdir=examples/strawberry/environment apply -var version_to_test=" + s.version + " -var name=" + environment + " …")
	if _, err := s.tool(ctx, folder, "terraform", "init", "-no-color"); err != nil {
		return err
	}
	if _, err := s.tool(ctx, folder, "terraform", append([]string{"apply", "-auto-approve"}, s.variables()...)...); err != nil {
		return err
	}
	url, err := s.tool(ctx, folder, "terraform", "output", "-raw", "url")
	if err != nil {
		return err
	}
	servers, err := s.healthy(ctx)
	if err != nil {
		return err
	}
	s.say("Cluster %s/%s serves %s with %d healthy servers: %s.", service, environment, strings.TrimSpace(url), len(servers), strings.Join(servers, ", "))
	s.say("Everything in it is tagged:")
	things, err := rig.Tags(ctx, s.account, s.landscape)
	if err != nil {
		return err
	}
	for _, thing := range slices.Sorted(maps.Keys(things)) {
		tags := things[thing]
		if slices.Contains(s.production, thing) {
			continue
		}
		for key, want := range map[string]string{
			"service": service, "environment": environment, "version": s.version, "owner_team": "fruit", "solution": "shop",
		} {
			if tags[key] != want {
				return fmt.Errorf("%s has tag %s = %q, want %q", thing, key, tags[key], want)
			}
		}
		kind, id, _ := strings.Cut(thing, ":")
		if parts := strings.Split(id, "/"); strings.HasPrefix(id, "arn:") {
			id = parts[len(parts)-1]
		}
		s.say("  %-18s %s", kind, id)
	}
	s.say("  each with   %s", join(map[string]string{"service": service, "environment": environment, "version": s.version, "owner_team": "fruit", "solution": "shop"}))
	return nil
}

// healthy lists the servers that the load balancer finds healthy; all must be.
func (s *stage) healthy(ctx context.Context) ([]string, error) {
	client := elb.NewFromConfig(s.seen.Config(home))
	groups, err := client.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, group := range groups.TargetGroups {
		if !strings.HasPrefix(aws.ToString(group.TargetGroupName), service+"-"+environment+"-") {
			continue
		}
		health, err := client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroupArn})
		if err != nil {
			return nil, err
		}
		for _, target := range health.TargetHealthDescriptions {
			if target.TargetHealth.State != "healthy" {
				return nil, fmt.Errorf("server %s is %s", aws.ToString(target.Target.Id), target.TargetHealth.State)
			}
			servers = append(servers, aws.ToString(target.Target.Id))
		}
	}
	if len(servers) != 2 {
		return nil, fmt.Errorf("%d healthy servers, want 2", len(servers))
	}
	return servers, nil
}

// planAgain checks that there is nothing left to do.
func (s *stage) planAgain(ctx context.Context) error {
	s.command("terraform -chdir=examples/strawberry/environment plan …")
	_, err := s.tool(ctx, s.example("environment"), "terraform", append([]string{"plan", "-detailed-exitcode"}, s.variables()...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return fmt.Errorf("the plan is not empty: %w", err)
	}
	if err != nil {
		return err
	}
	s.say("No changes. What is there is what was asked for.")
	return nil
}

// destroy checks that nothing but the history stays.
func (s *stage) destroy(ctx context.Context) error {
	s.command("terraform -chdir=examples/strawberry/environment destroy …")
	if _, err := s.tool(ctx, s.example("environment"), "terraform", append([]string{"destroy", "-auto-approve"}, s.variables()...)...); err != nil {
		return err
	}
	left, err := rig.Leftovers(ctx, s.account, s.landscape)
	if err != nil {
		return err
	}
	if !slices.Equal(left, s.before) {
		return fmt.Errorf("the account holds %v, want what was there before, %v", left, s.before)
	}
	s.say("Nothing of it is left in the account: no group, server, volume, template, target group or rule.")
	v, err := s.store.Version(ctx, service, s.version)
	if err != nil {
		return err
	}
	events, err := s.store.Events(ctx, builddata.EventQuery{Service: service, Number: v.Number})
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("version %s has no history", s.version)
	}
	s.say("The history stays:")
	s.say("  %s  version %s allocated for %s", v.CreatedAt.Format("15:04:05"), v.Name, v.SourceRevision)
	for _, e := range events {
		s.say("  %s  %s %s in %s: %s", e.At.Format("15:04:05"), e.What, e.Status, e.Where, e.Message)
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
