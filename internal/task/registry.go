// Package task holds the built-in tasks, which the steps of a pipe run.
package task

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/keylock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
)

// Dependencies are what the tasks need from outside. Functions that open
// something are called on first use, so that a pipe without such a task does not
// need it.
type Dependencies struct {
	Clock clock.Clock
	// Holder says who runs the tasks, for the holders of leases.
	Holder string
	// AllowOlder allows to deploy an older version than the latest one.
	AllowOlder bool
	// Store opens the build data repository.
	Store func(ctx context.Context) (Repository, error)
	// Alarms opens the source of alarm states.
	Alarms func(ctx context.Context) (Alarms, error)
	// Files opens the store of files in a region; empty is the region of the
	// environment.
	Files func(ctx context.Context, region string) (Files, error)
	// Remove removes the clusters of a service's environment that are in no
	// Terraform state. Nil removes nothing.
	Remove func(ctx context.Context, service, environment string, progress func(format string, args ...any)) error
	// LookPath finds the programs of external tasks; nil means exec.LookPath.
	LookPath func(program string) (path string, err error)
}

// Repository is the part of the build data repository that the tasks use.
type Repository interface {
	stamp.Repository
	builddata.Runs
	builddata.Leases
	builddata.Deploys
	Allocate(ctx context.Context, a builddata.Allocation) (builddata.Version, error)
	Promote(ctx context.Context, p builddata.Promotion) (builddata.Promotion, error)
}

// Alarms returns the states of alarms.
type Alarms interface {
	Alarms(ctx context.Context, names []string) ([]cluster.Alarm, error)
}

// Files stores files in buckets.
type Files interface {
	// Upload stores a file under a key, and replaces an existing one.
	Upload(ctx context.Context, bucket, key, contentType string, content io.ReadSeeker) error
}

// Registry holds the built-in tasks and finds external ones. It implements
// pipe.Registry.
type Registry struct {
	Dependencies
	// definitions are the built-in tasks by type, in lower case.
	definitions map[string]pipe.Definition
	// folders are locked while Terraform runs in them: the selected workspace is
	// written there, and parallel branches would select each other's.
	folders keylock.Locks
	// environments are locked while a step deploys to them, so that parallel branches of one
	// run wait for each other.
	environments keylock.Locks
	outputs      outputFiles
}

// New returns a registry of all built-in tasks.
func New(d Dependencies) *Registry {
	if d.LookPath == nil {
		d.LookPath = exec.LookPath
	}
	r := &Registry{Dependencies: d, definitions: map[string]pipe.Definition{}}
	for _, definition := range []pipe.Definition{
		r.clean(), r.version(),
		r.build("build.command", ""), r.build("build.gradle", "gradle build"),
		r.build("build.maven", "mvn -B package"), r.build("build.go", "go build ./..."),
		r.tests(), r.contracts(),
		r.provision(provisionApply), r.destroy(), r.deploy(),
		r.packer(), r.alarms(), r.publish(), r.promote(),
		r.metrics(), r.log(), r.files(),
		r.slack(), r.webhook(), r.email(),
		r.dummy(),
	} {
		r.definitions[strings.ToLower(definition.Type)] = definition
	}
	return r
}

// aliases are other names of built-in tasks.
var aliases = map[string]string{
	"init.cerebro": InitVersion, // used in the articles
}

// Task implements pipe.Registry. A type that is not built in is an external task
// if its program exists.
func (r *Registry) Task(name string) (pipe.Definition, bool) {
	key := strings.ToLower(name)
	if definition, ok := r.definitions[cmp.Or(aliases[key], key)]; ok {
		return definition, true
	}
	return r.external(name)
}

// Types implements pipe.Registry. It lists the built-in tasks only.
func (r *Registry) Types() []string { return slices.Sorted(maps.Keys(r.definitions)) }

// printf prints a line to the output of a step.
func printf(c *pipe.Call, format string, args ...any) {
	_, _ = fmt.Fprintf(c.Output, format+"\n", args...) // a failed print must not fail the step
}

// run is the type of a definition's Run and Mock.
type run func(ctx context.Context, c *pipe.Call) (pipe.Result, error)

// mock only prints what would be done, and sets all declared outputs.
func mock(outputs map[string]string, would func(c *pipe.Call) string) run {
	return func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		result := pipe.Result{Message: "would " + would(c), Outputs: map[string]string{}}
		printf(c, "%s", result.Message)
		for _, name := range c.Declared {
			result.Outputs[name] = "mock-" + name
		}
		maps.Copy(result.Outputs, outputs)
		return result, nil
	}
}

var typePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
