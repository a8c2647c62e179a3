// Package resources holds what the resources and data sources have in common: the
// dependencies that the provider passes to them, and helpers for diagnostics and values.
package resources

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Dependencies is what the provider passes to each resource and data source. Store and
// Cloud are opened on first use: a configuration without AWS resources needs no
// credentials, and a configuration without versions needs no repository.
type Dependencies struct {
	Store func(ctx context.Context) (builddata.Store, error)
	Cloud func(ctx context.Context) (cluster.Cloud, error)
	// Region returns the provider's region. It needs no credentials.
	Region func(ctx context.Context) (string, error)
	// Pipes runs the pipes of checkouts.
	Pipes Pipes

	DefaultTags tagging.Set
	// DefaultTagsUnknown says that some of the default tags are not known yet.
	DefaultTagsUnknown bool
	RequiredTags       []string
	// IgnoredTags are tags that others put on clusters.
	IgnoredTags tagging.Ignored

	Clock   clock.Clock
	Entropy io.Reader
	// Prober runs the checks of rollouts.
	Prober rollout.Prober
	// Holder identifies this process in leases.
	Holder string
}

// OpenStore opens the build data repository. If it cannot, it adds an error to diags and
// returns false.
func (d *Dependencies) OpenStore(ctx context.Context, diags *diag.Diagnostics) (store builddata.Store, ok bool) {
	store, err := d.Store(ctx)
	if err != nil {
		Fail(diags, "open the build data repository", err)
	}
	return store, err == nil
}

// Pipes loads and runs the pipes of checkouts.
type Pipes interface {
	// Load returns a pipe as it would run, or its diagnostics as an error.
	Load(ctx context.Context, req runner.Request) (*pipe.Pipe, error)
	// Run runs a pipe. When ctx ends, the run is interrupted; its section last still runs.
	Run(ctx context.Context, req runner.Request) (pipe.Summary, error)
}

// ForResource gives a resource its Dependencies.
type ForResource struct{ *Dependencies }

// Configure implements resource.ResourceWithConfigure.
func (f *ForResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	f.Dependencies = dependencies(req.ProviderData, &resp.Diagnostics)
}

// ForDataSource gives a data source its Dependencies.
type ForDataSource struct{ *Dependencies }

// Configure implements datasource.DataSourceWithConfigure.
func (f *ForDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	f.Dependencies = dependencies(req.ProviderData, &resp.Diagnostics)
}

// dependencies returns the Dependencies that the provider passed; nil, without an error,
// before the provider is configured.
func dependencies(data any, diags *diag.Diagnostics) *Dependencies {
	if data == nil {
		return nil
	}
	d, ok := data.(*Dependencies)
	if !ok {
		diags.AddError("Unexpected provider data",
			fmt.Sprintf("Expected *resources.Dependencies, got %T. This is a bug in the provider; please report it.", data))
	}
	return d
}

// Fail adds the error that doing something failed, such as "allocate a version".
func Fail(diags *diag.Diagnostics, doing string, err error) {
	diags.AddError("Could not "+doing, err.Error())
}

// OptionalString returns null for the empty string.
func OptionalString(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// WarnRevoked warns of a revoked version. It is not an error, because Terraform
// reads a data source also when it destroys what uses it.
func WarnRevoked(diags *diag.Diagnostics, v builddata.Version) {
	if _, err := builddata.Usable(v); err != nil {
		diags.AddWarning("The version is revoked", fmt.Sprintf("%s.\n\nWhat runs it keeps running, and can be changed and destroyed. "+
			"delivery_cluster refuses to start new servers of it.", upperFirst(err.Error())))
	}
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
