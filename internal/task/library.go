// Package task is the library of tasks: what the steps of a pipe can do.
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
)

// Dependencies are what the tasks need of the outside. Whatever opens something
// is asked on first use, so that a pipe without such a task needs none of it.
type Dependencies struct {
	Clock clock.Clock
	// Store opens the build data repository.
	Store func(ctx context.Context) (Repository, error)
	// Alarms opens what tells the state of alarms.
	Alarms func(ctx context.Context) (Alarms, error)
	// Files opens the store of files in a region; empty is the one that the
	// environment says.
	Files func(ctx context.Context, region string) (Files, error)
	// Remove removes what is left of a service's environment that no Terraform
	// state knows. Nil removes nothing.
	Remove func(ctx context.Context, service, environment string, progress func(format string, args ...any)) error
	// LookPath finds a program, as exec.LookPath does, which is what nil stands
	// for. By it is known which own tasks there are.
	LookPath func(program string) (path string, err error)
}

// Repository is what the tasks use of the build data repository.
type Repository interface {
	Allocate(ctx context.Context, a builddata.Allocation) (builddata.Version, error)
	Version(ctx context.Context, service, name string) (builddata.Version, error)
	Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error)
	Promote(ctx context.Context, p builddata.Promotion) (builddata.Promotion, error)
}

// Alarms tells the state of alarms.
type Alarms interface {
	Alarms(ctx context.Context, names []string) ([]cluster.Alarm, error)
}

// Files keeps files in buckets.
type Files interface {
	// Upload stores a file under a key, in place of what was there.
	Upload(ctx context.Context, bucket, key, contentType string, content io.ReadSeeker) error
}

// Library is all tasks. It implements pipe.Library.
type Library struct {
	Dependencies
	// definitions are by type, in lower case.
	definitions map[string]pipe.Definition
	// folders are locked while Terraform runs in them: which workspace is
	// selected is written there, and parallel branches would select each other's.
	folders keylock.Locks
	outputs outputFiles
}

// New returns the library.
func New(d Dependencies) *Library {
	if d.LookPath == nil {
		d.LookPath = exec.LookPath
	}
	l := &Library{Dependencies: d, definitions: map[string]pipe.Definition{}}
	for _, definition := range []pipe.Definition{
		l.clean(), l.version(),
		l.build("build.command", ""), l.build("build.gradle", "gradle build"), l.build("build.maven", "mvn -B package"), l.build("build.go", "go build ./..."),
		l.tests(), l.contracts(),
		l.provision("provision.apply"), l.destroy(), l.provision("deploy.apply"),
		l.packer(), l.alarms(), l.publish(), l.promote(),
		l.metrics(), l.log(), l.files(),
		l.slack(), l.webhook(), l.email(),
		l.dummy(),
	} {
		l.definitions[strings.ToLower(definition.Type)] = definition
	}
	return l
}

// aliases are names that tasks had elsewhere.
var aliases = map[string]string{
	"init.cerebro": InitVersion, // in the articles
}

// Task implements pipe.Library. A type that is not in the library is an own
// task, if there is a program for it.
func (l *Library) Task(name string) (pipe.Definition, bool) {
	key := strings.ToLower(name)
	if definition, ok := l.definitions[cmp.Or(aliases[key], key)]; ok {
		return definition, true
	}
	return l.own(name)
}

// Types implements pipe.Library. Own tasks are not listed.
func (l *Library) Types() []string { return slices.Sorted(maps.Keys(l.definitions)) }

// say prints a line.
func say(c *pipe.Call, format string, args ...any) {
	_, _ = fmt.Fprintf(c.Output, format+"\n", args...) // what is printed is not what is done
}

// run is what a Definition's Run and Mock are.
type run func(ctx context.Context, c *pipe.Call) (pipe.Result, error)

// mock only says what would be done, and returns all that the step promises.
func mock(outputs map[string]string, would func(c *pipe.Call) string) run {
	return func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		result := pipe.Result{Message: "would " + would(c), Outputs: map[string]string{}}
		say(c, "%s", result.Message)
		for _, name := range c.Declared {
			result.Outputs[name] = "mock-" + name
		}
		maps.Copy(result.Outputs, outputs)
		return result, nil
	}
}

var typePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
