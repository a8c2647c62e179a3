// Package packer holds the arguments that the components of the Packer plugin
// have in common.
package packer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// The environment variables by which a pipe passes its run to the programs that
// it starts. VersionVariable is empty while the run has no version.
const (
	RunVariable     = "DELIVERY_RUN"
	ServiceVariable = "DELIVERY_SERVICE"
	VersionVariable = "DELIVERY_VERSION"
	// BakeVariable is set by the step that runs Packer. It identifies this execution, whose
	// images the step makes available once Packer has succeeded.
	BakeVariable = "DELIVERY_BAKE"
)

// unknown is Packer's placeholder for strings that are not known yet: results of data
// sources during "packer validate", and of builders before they run. Packer validates
// again when they are known.
const unknown = "<unknown>"

// Known reports whether a value is known, so that it can be validated.
func Known(value string) bool { return value != unknown }

// KnownOf returns the known values.
func KnownOf(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return !Known(value) })
}

// VersionRef names a version of a service in a build data repository.
type VersionRef struct {
	// URL of the build data repository. Defaults to the environment variable
	// `DELIVERY_REPOSITORY`, or else to a file in the user's data directory.
	Repository string `mapstructure:"repository"`
	// The service in the image.
	Service string `mapstructure:"service" required:"true"`
	// The name of its version, for example `1.4.0`. In a pipe that runs for the
	// service, it defaults to the version of the run, and no other is accepted.
	Version string `mapstructure:"version"`
}

// Complete sets the version to that of the pipe's run, if Packer runs in a run of
// the service and no version is set.
func (r *VersionRef) Complete() {
	if r.inRun() && r.Version == "" {
		r.Version = os.Getenv(VersionVariable)
	}
}

// inRun reports whether Packer runs in a pipe's run of the service.
func (r VersionRef) inRun() bool {
	return os.Getenv(RunVariable) != "" && os.Getenv(ServiceVariable) == r.Service
}

// checkRun refuses another version than that of the pipe's run: two runs at once
// would register their images as each other's.
func (r VersionRef) checkRun() error {
	if !r.inRun() {
		return nil
	}
	switch version := os.Getenv(VersionVariable); {
	case version == "":
		return fmt.Errorf("the run of the pipe for service %s has no version yet: "+
			"add an init.version step before the step that runs Packer", r.Service)
	case r.Version != version && Known(r.Version):
		return fmt.Errorf("the template names version %s, and the run of the pipe is for version %s of service %s: "+
			"leave the argument version out, so that it is that of the run", r.Version, version, r.Service)
	}
	return nil
}

// Check returns the problems of the arguments. It does not look the version up:
// `packer validate` needs no repository.
func (r VersionRef) Check() []error {
	var problems []error
	if _, err := repository.Resolve(r.Repository); err != nil && Known(r.Repository) {
		problems = append(problems, err)
	}
	if r.Service == "" {
		problems = append(problems, missing("service"))
	} else if err := r.checkRun(); err != nil {
		problems = append(problems, err)
	}
	return problems
}

// CheckVersion is Check for components that require the version.
func (r VersionRef) CheckVersion() []error {
	problems := r.Check()
	if r.Version == "" {
		problems = append(problems, missing("version"))
	}
	return problems
}

// Open opens the repository. The caller closes it.
func (r VersionRef) Open(ctx context.Context) (builddata.Store, error) {
	address, err := repository.Resolve(r.Repository)
	if err != nil {
		return nil, err
	}
	return repository.Open(ctx, address, repository.Config{Clock: clock.System{}})
}

// Explain adds the searched repository to an error about an unknown version, since the
// usual cause is a wrong repository.
func (r VersionRef) Explain(err error) error {
	if !errors.Is(err, builddata.ErrNotFound) {
		return err
	}
	address, unresolved := repository.Resolve(r.Repository)
	if unresolved != nil {
		return err
	}
	return fmt.Errorf("%w (in the repository %s)", err, address)
}

// Origin is the owner of an image, and the pipe run that bakes it.
type Origin struct {
	// The team that owns the service.
	OwnerTeam string `mapstructure:"owner_team" required:"true"`
	// The solution that the service's cost belongs to.
	Solution string `mapstructure:"solution" required:"true"`
	// The pipe run that bakes the image. Defaults to the environment variable
	// `DELIVERY_RUN`, which a pipe sets for the programs that it starts.
	Run string `mapstructure:"run"`
}

// Complete sets the arguments whose default is in the environment.
func (o *Origin) Complete() { o.Run = cmp.Or(o.Run, os.Getenv(RunVariable)) }

// Check returns the problems of the arguments.
func (o Origin) Check() []error {
	var problems []error
	if o.OwnerTeam == "" {
		problems = append(problems, missing(tagging.OwnerTeam))
	}
	if o.Solution == "" {
		problems = append(problems, missing(tagging.Solution))
	}
	return problems
}

func missing(argument string) error {
	return fmt.Errorf("the argument %s is missing", argument)
}
