package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// tested allocates version 1, and returns a function that records a run which has
// applied an environment and tested it.
func tested(t *testing.T, e *acctest.Env) (record func(run, environment string)) {
	_, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence, SourceRevision: "abc"})
	fatal(t, err)
	return func(run, environment string) {
		now := clock.System{}.Now()
		fatal(t, e.Store.SaveRun(t.Context(), builddata.Run{ID: run, Service: "strawberry", Number: 1, Pipe: "cd", Definition: []byte("{}"),
			Revision: "abc", Status: builddata.Started, StartedAt: now, SeenAt: now}))
		event := builddata.Event{Service: "strawberry", Number: 1, Run: run, Status: builddata.Succeeded}
		applied, passed := event, event
		applied.Type, applied.Step, applied.Location = "provision.apply", "create test environment", environment
		passed.Type, passed.Step = "test.command", "functional tests"
		fatal(t, e.Store.Append(t.Context(), applied, passed))
	}
}

// environment is a workspace with a worker cluster of version 1, whose user data has
// the environment's name.
type environment struct {
	t    *testing.T
	e    *acctest.Env
	name string
	*acctest.Workspace
}

func newEnvironment(t *testing.T, e *acctest.Env, name string) environment {
	return environment{t, e, name, acctest.NewWorkspace(t, "")}
}

// terraform runs a command with changes of the configuration. It expects a warning with
// the differences from what was tested, or none if there are no differences.
func (v environment) terraform(command string, changes arguments, differences ...string) {
	v.t.Helper()
	text := acctest.Required + config(v.e, worker, arguments{"version": `"1"`, "environment": fmt.Sprintf("%q", v.name),
		"user_data": fmt.Sprintf("%q", "ENV="+v.name+"\nTOKEN=hunter2\n")}, changes)
	fatal(v.t, os.WriteFile(filepath.Join(v.Folder(), "main.tf"), []byte(text), 0o600))
	args := []string{command, "-no-color"}
	if command != "plan" {
		args = append(args, "-auto-approve")
	}
	out, err := v.Run(v.t.Context(), args...)
	fatal(v.t, err)
	_, shown, warned := strings.Cut(out, "Warning: Cluster strawberry/"+v.name+" differs from what was tested")
	if warned != (len(differences) > 0) {
		v.t.Errorf("%s %v: warned: %t\n%s", command, changes, warned, out)
	}
	shown = strings.Join(strings.Fields(strings.ReplaceAll(shown, "│", " ")), " ")
	for _, d := range differences {
		if !strings.Contains(shown, d) {
			v.t.Errorf("%s %v: got no %q in:\n%s", command, changes, d, shown)
		}
	}
	if strings.Contains(shown, "TOKEN") {
		v.t.Errorf("%s %v: user data is shown:\n%s", command, changes, shown)
	}
}

// Servers of another kind than those that were tested are planned and started with a
// warning. Other changes are made without it.
func TestAccCluster_DiffersFromTested(t *testing.T) {
	e := acctest.New(t)
	record := tested(t, e)
	run, prod := newEnvironment(t, e, "run-1"), newEnvironment(t, e, "prod")
	large := arguments{"instance_type": `"m5.large"`}
	const differs = "instance_type: t3.micro when tested, m5.large now"

	run.terraform("apply", nil)
	prod.terraform("plan", large) // nothing was tested yet
	record("r-1", "run-1")
	run.terraform("plan", large) // it will be tested again
	run.terraform("destroy", nil)

	const where = "Version 1 of strawberry was tested in run r-1, in environment run-1 in " + acctest.Region
	prod.terraform("plan", nil)
	prod.terraform("plan", large, where, differs)
	prod.terraform("plan", arguments{"user_data": `"ENV=prod\nTOKEN=hunter3\n"`}, "user_data: differs (line 2)")
	prod.terraform("apply", large, where, differs)
	prod.terraform("apply", arguments{"instance_type": `"m5.large"`, "max_size": "5"})
	prod.terraform("apply", arguments{"instance_type": `"t3.large"`}, "instance_type: t3.micro when tested, t3.large now")
	prod.terraform("apply", nil)
	prod.terraform("destroy", nil)
	fatal(t, e.NothingLeft(t.Context()))
}

// What "$Latest" was in the tests is on record.
func TestAccCluster_DiffersFromTestedByTheLaunchTemplate(t *testing.T) {
	e := acctest.New(t)
	record := tested(t, e)
	data := &ec2types.RequestLaunchTemplateData{InstanceType: ec2types.InstanceTypeM5Large}
	created, err := e.EC2().CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("web"), LaunchTemplateData: data,
	})
	fatal(t, err)
	id := aws.ToString(created.LaunchTemplate.LaunchTemplateId)
	version := func(name string) arguments {
		return arguments{"instance_type": "", "security_group_ids": "", "user_data": "",
			"launch_template": fmt.Sprintf("{ id = %q, version = %q }", id, name)}
	}
	run, prod := newEnvironment(t, e, "run-1"), newEnvironment(t, e, "prod")
	run.terraform("apply", version("$Latest"))
	record("r-1", "run-1")
	prod.terraform("plan", version("$Latest"))
	prod.terraform("apply", version("1"))
	_, err = e.EC2().CreateLaunchTemplateVersion(t.Context(), &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateId: &id, LaunchTemplateData: data,
	})
	fatal(t, err)
	differs := fmt.Sprintf("launch_template: version 1 of %s when tested, version 2 of %s now", id, id)
	prod.terraform("plan", version("$Latest"), differs)
	prod.terraform("apply", version("$Latest"), differs)
	prod.terraform("plan", version("$Latest"))
	prod.terraform("apply", version("$Default"))
	prod.terraform("destroy", version("$Default"))
	run.terraform("destroy", version("$Latest"))
}
