// Package version is the Packer data source delivery-version, which reads a
// version from the build data repository. It never allocates one: Packer runs data
// sources several times.
package version

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/packer"
)

//go:generate go tool -modfile=../../tools/packer-sdc/go.mod packer-sdc mapstructure-to-hcl2 -type Config,Output

// Config holds the data source's arguments. Without a version it reads that of the
// pipe's run, or outside of a run of the service the newest one that is not revoked.
type Config struct {
	packer.VersionRef `mapstructure:",squash"`
	// Read a revoked version too, instead of failing.
	AllowRevoked bool `mapstructure:"allow_revoked"`
	// The team that owns the service, for the tags.
	OwnerTeam string `mapstructure:"owner_team"`
	// The solution that the service's cost belongs to, for the tags.
	Solution string `mapstructure:"solution"`
}

// Output is what the data source returns.
type Output struct {
	// The service.
	Service string `mapstructure:"service"`
	// The version's name, for example `1.4.0`.
	Version string `mapstructure:"version"`
	// Its number, unique and rising within the service.
	Number int64 `mapstructure:"number"`
	// The SCM revision it is built from.
	SourceRevision string `mapstructure:"source_revision"`
	// How the number is rendered: `sequence`, `semver` or `calver`.
	Scheme string `mapstructure:"scheme"`
	// The labels it was allocated with.
	Labels map[string]string `mapstructure:"labels"`
	// When it was allocated, as in RFC 3339.
	CreatedAt string `mapstructure:"created_at"`
	// Tags for all that a build launches: `service`, `version`, `revision`, `run`,
	// `owner_team` and `solution`, without those that have no value.
	Tags map[string]string `mapstructure:"tags"`
}

// DataSource is delivery-version.
type DataSource struct{ config Config }

var _ packersdk.Datasource = (*DataSource)(nil)

// ConfigSpec implements packersdk.HCL2Speccer.
func (d *DataSource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec implements packersdk.Datasource.
func (d *DataSource) OutputSpec() hcldec.ObjectSpec {
	return new(Output).FlatMapstructure().HCL2Spec()
}

// Configure implements packersdk.Datasource. It reports all problems at once.
func (d *DataSource) Configure(raws ...any) error {
	if err := config.Decode(&d.config, nil, raws...); err != nil {
		return err
	}
	d.config.Complete()
	return errors.Join(d.config.Check()...)
}

// Execute implements packersdk.Datasource.
func (d *DataSource) Execute() (cty.Value, error) {
	v, err := d.read(context.Background()) // Packer passes none
	if err != nil {
		return cty.NullVal(cty.EmptyObject), d.config.Explain(err)
	}
	return hcl2helper.HCL2ValueFromConfig(Output{
		Service: v.Service, Version: v.Name, Number: v.Number, SourceRevision: v.SourceRevision,
		Scheme: string(v.Scheme), Labels: v.Labels, CreatedAt: v.CreatedAt.Format(time.RFC3339Nano),
		Tags: stamp.VersionTags(v, d.config.OwnerTeam, d.config.Solution, os.Getenv(packer.RunVariable)).NonEmpty(),
	}, d.OutputSpec()), nil
}

func (d *DataSource) read(ctx context.Context) (builddata.Version, error) {
	store, err := d.config.Open(ctx)
	if err != nil {
		return builddata.Version{}, err
	}
	defer store.Close() //nolint:errcheck // only read
	if d.config.Version == "" {
		return d.newest(ctx, store)
	}
	v, err := store.Version(ctx, d.config.Service, d.config.Version)
	if err != nil || d.config.AllowRevoked {
		return v, err
	}
	if v, err = builddata.Usable(v); err != nil {
		return v, fmt.Errorf("%w; set another version, remove version to get the newest that is not revoked, or set allow_revoked", err)
	}
	return v, nil
}

func (d *DataSource) newest(ctx context.Context, store builddata.Versions) (builddata.Version, error) {
	found, err := store.Versions(ctx, builddata.VersionQuery{
		Service: d.config.Service, IncludeRevoked: d.config.AllowRevoked, Limit: 1,
	})
	if err != nil {
		return builddata.Version{}, err
	}
	if len(found) == 0 {
		return builddata.Version{}, fmt.Errorf("a version of service %s: %w; allocate one first, with Terraform's delivery_version",
			d.config.Service, builddata.ErrNotFound)
	}
	return found[0], nil
}
