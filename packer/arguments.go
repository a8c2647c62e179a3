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

// RunVariable is the environment variable in which a pipe names its run to
// the programs that it starts.
const RunVariable = "DELIVERY_RUN"

// unknown is what Packer puts in the place of strings that it does not know
// yet: what a data source returns, during "packer validate", and what the
// builder says, before it has run. It asks again when it knows.
const unknown = "<unknown>"

// Known reports whether value can be judged already.
func Known(value string) bool { return value != unknown }

// KnownOf returns the values that can be judged already.
func KnownOf(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return !Known(value) })
}

// Release names a version of a service in a build data repository.
type Release struct {
	// URL of the build data repository. Defaults to the environment variable
	// `DELIVERY_REPOSITORY`, and else to a file in the user's data directory.
	Repository string `mapstructure:"repository"`
	// The service that is baked.
	Service string `mapstructure:"service" required:"true"`
	// The name of its version, for example `1.4.0`.
	Version string `mapstructure:"version"`
}

// Check returns what is wrong with the arguments. Whether the version exists
// is not asked yet: `packer validate` needs no repository.
func (r Release) Check() []error {
	var faults []error
	if _, err := repository.Resolve(r.Repository); err != nil && Known(r.Repository) {
		faults = append(faults, err)
	}
	if r.Service == "" {
		faults = append(faults, missing("service"))
	}
	return faults
}

// CheckVersion is Check where the version has to be given.
func (r Release) CheckVersion() []error {
	faults := r.Check()
	if r.Version == "" {
		faults = append(faults, missing("version"))
	}
	return faults
}

// Open opens the repository. The caller closes it.
func (r Release) Open(ctx context.Context) (builddata.Store, error) {
	address, err := repository.Resolve(r.Repository)
	if err != nil {
		return nil, err
	}
	return repository.Open(ctx, address, repository.Config{Clock: clock.System{}})
}

// Explain adds to an error that the version was not found where that was,
// since the usual cause is another repository than was meant.
func (r Release) Explain(err error) error {
	if !errors.Is(err, builddata.ErrNotFound) {
		return err
	}
	address, unresolved := repository.Resolve(r.Repository)
	if unresolved != nil {
		return err
	}
	return fmt.Errorf("%w (looked in %s)", err, address)
}

// Origin says who answers for an image, and which run of a pipe bakes it.
type Origin struct {
	// The team that owns the service.
	OwnerTeam string `mapstructure:"owner_team" required:"true"`
	// The solution that the service's cost belongs to.
	Solution string `mapstructure:"solution" required:"true"`
	// The pipe run that bakes the image. Defaults to the environment variable
	// `DELIVERY_RUN`, which a pipe sets for the programs that it starts.
	Run string `mapstructure:"run"`
}

// Complete fills in what the environment says.
func (o *Origin) Complete() { o.Run = cmp.Or(o.Run, os.Getenv(RunVariable)) }

// Check returns what is wrong with the arguments.
func (o Origin) Check() []error {
	var faults []error
	if o.OwnerTeam == "" {
		faults = append(faults, missing(tagging.OwnerTeam))
	}
	if o.Solution == "" {
		faults = append(faults, missing(tagging.Solution))
	}
	return faults
}

func missing(argument string) error {
	return fmt.Errorf("the argument %s is missing", argument)
}
