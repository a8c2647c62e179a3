// Package resources holds what the resources and data sources have in common:
// what they are given by the provider, and how they report.
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
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Dependencies is what the provider passes to each resource and data source. Store and
// Cloud are opened on first use, so that a configuration without AWS resources needs no
// credentials, and one without versions no repository.
type Dependencies struct {
	Store func(ctx context.Context) (builddata.Store, error)
	Cloud func(ctx context.Context) (cluster.Cloud, error)
	// Region is the provider's region, known without credentials.
	Region func(ctx context.Context) (string, error)
	// Pipes runs the pipes of checkouts.
	Pipes Pipes

	DefaultTags tagging.Set
	// DefaultTagsUnknown means that some of them are not known yet.
	DefaultTagsUnknown bool
	RequiredTags       []string

	Clock   clock.Clock
	Entropy io.Reader
	// Holder identifies this process in leases.
	Holder string
}

// OpenStore opens the build data repository, or reports why it cannot.
func (d *Dependencies) OpenStore(ctx context.Context, diags *diag.Diagnostics) (store builddata.Store, ok bool) {
	store, err := d.Store(ctx)
	if err != nil {
		Fail(diags, "open the build data repository", err)
	}
	return store, err == nil
}

// Pipes loads and runs the pipes of checkouts.
type Pipes interface {
	// Load returns a pipe as it would run, or the problems in it.
	Load(ctx context.Context, req runner.Request) (*pipe.Pipe, error)
	// Run runs a pipe. The end of ctx interrupts it: its section last still runs.
	Run(ctx context.Context, req runner.Request) (pipe.Summary, error)
}

// ForResource gives a resource its Dependencies.
type ForResource struct{ *Dependencies }

// Configure implements resource.ResourceWithConfigure.
func (f *ForResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	f.Dependencies = from(req.ProviderData, &resp.Diagnostics)
}

// ForDataSource gives a data source its Dependencies.
type ForDataSource struct{ *Dependencies }

// Configure implements datasource.DataSourceWithConfigure.
func (f *ForDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	f.Dependencies = from(req.ProviderData, &resp.Diagnostics)
}

// from returns the Dependencies that the provider passed: nil before the provider is
// configured, which is not an error.
func from(data any, diags *diag.Diagnostics) *Dependencies {
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

// Fail reports that doing something failed, as in "allocate a version".
func Fail(diags *diag.Diagnostics, doing string, err error) {
	diags.AddError("Could not "+doing, err.Error())
}

// OptionalString is null where there is nothing to show.
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
