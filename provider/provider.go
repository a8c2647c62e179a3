// Package provider implements the Terraform provider: its configuration, and the list of
// its resources and data sources.
package provider

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/probe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
	clusterresource "github.com/pipes-as-code/terraform-provider-delivery/resources/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources/image"
	piperesource "github.com/pipes-as-code/terraform-provider-delivery/resources/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/resources/tags"
	"github.com/pipes-as-code/terraform-provider-delivery/resources/version"
)

type model struct {
	Repository   types.String `tfsdk:"repository"`
	Region       types.String `tfsdk:"region"`
	Profile      types.String `tfsdk:"profile"`
	AssumeRole   types.Object `tfsdk:"assume_role"`
	Endpoints    types.Map    `tfsdk:"endpoints"`
	DefaultTags  types.Map    `tfsdk:"default_tags"`
	RequiredTags types.Set    `tfsdk:"required_tags"`
	IgnoreTags   types.Object `tfsdk:"ignore_tags"`
}

// requireKnown returns an error for the first of the arguments whose value is not known
// yet. With the default instead, resources would not be found, and Terraform would plan to
// create them again.
func (m model) requireKnown(arguments ...string) error {
	values := map[string]attr.Value{
		"repository": m.Repository, "region": m.Region, "profile": m.Profile, "assume_role": m.AssumeRole, "endpoints": m.Endpoints,
		"ignore_tags": m.IgnoreTags,
	}
	for _, argument := range arguments {
		if !isKnown(values[argument]) {
			return fmt.Errorf("the provider's argument %s is not known yet: apply what it depends on first, with -target", argument)
		}
	}
	return nil
}

// isKnown reports whether a value and everything inside it is known.
func isKnown(v attr.Value) bool {
	value, err := v.ToTerraformValue(context.Background())
	return err == nil && value.IsFullyKnown()
}

type assumeRoleModel struct {
	RoleARN     types.String `tfsdk:"role_arn"`
	SessionName types.String `tfsdk:"session_name"`
	ExternalID  types.String `tfsdk:"external_id"`
	Duration    types.String `tfsdk:"duration"`
}

type ignoreTagsModel struct {
	Keys        types.Set `tfsdk:"keys"`
	KeyPrefixes types.Set `tfsdk:"key_prefixes"`
}

// ignoredTags decodes ignore_tags. Without the block, or as long as it is not known, no tag
// is ignored.
func (m model) ignoredTags(ctx context.Context) (ignored tagging.Ignored, diags diag.Diagnostics) {
	if m.IgnoreTags.IsNull() || !isKnown(m.IgnoreTags) {
		return ignored, nil
	}
	var block ignoreTagsModel
	diags.Append(m.IgnoreTags.As(ctx, &block, basetypes.ObjectAsOptions{})...)
	diags.Append(block.Keys.ElementsAs(ctx, &ignored.Keys, false)...)
	diags.Append(block.KeyPrefixes.ElementsAs(ctx, &ignored.KeyPrefixes, false)...)
	return ignored, diags
}

type deliveryProvider struct {
	version string
	clock   clock.Clock
}

var (
	_ provider.Provider                   = (*deliveryProvider)(nil)
	_ provider.ProviderWithValidateConfig = (*deliveryProvider)(nil)
)

// New returns a constructor of the provider in the given version, with the system's clock.
func New(version string) func() provider.Provider { return NewWithClock(version, clock.System{}) }

// NewWithClock returns a constructor of the provider in the given version, with the clock
// c.
func NewWithClock(version string, c clock.Clock) func() provider.Provider {
	return func() provider.Provider { return &deliveryProvider{version: version, clock: c} }
}

func (p *deliveryProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "delivery"
	resp.Version = p.version
}

func (p *deliveryProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The provider for continuous delivery on AWS: " +
			"it manages build versions, the images that contain them, and immutable server clusters that run those images.",
		Attributes: map[string]schema.Attribute{
			"repository": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Address of the build data repository, such as `sqlite:///absolute/path/file.db`. " +
					"Defaults to the environment variable `DELIVERY_REPOSITORY`, " +
					"or else to the file `delivery/delivery.db` in the user's data directory (`$XDG_DATA_HOME` or `~/.local/share`). " +
					"The file is created on first use. Only its owner can read it.",
			},
			"region": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "AWS region. Defaults to `AWS_REGION`, or else to the region of the profile.",
			},
			"profile": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Profile in the shared AWS configuration files. Defaults to `AWS_PROFILE`.",
			},
			"endpoints": schema.MapAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Custom endpoints of AWS services: `autoscaling`, `cloudwatch`, `ec2`, `elasticloadbalancing`, `logs`, `s3`, " +
					"`sts`. `AWS_ENDPOINT_URL` sets the endpoint of all services.",
				Validators: []validator.Map{resources.NoNull{}, mapvalidator.KeysAre(stringvalidator.OneOf(awscloud.EndpointNames...))},
			},
			"default_tags": schema.MapAttribute{
				Optional: true, Validators: []validator.Map{resources.NoNull{}}, ElementType: types.StringType,
				MarkdownDescription: "Tags of all clusters and tag sets, typically `owner_team` and `solution`. " +
					"The tags of a cluster or a tag set override them.",
			},
			"required_tags": schema.SetAttribute{
				Optional: true, Validators: []validator.Set{resources.NoNull{}}, ElementType: types.StringType,
				MarkdownDescription: "Tag keys that every cluster and every tag set must have a value for, so that costs can be assigned. " +
					"Defaults to `service`, `owner_team`, `solution` and `environment`. With the empty set, no tags are required.",
			},
		},
		Blocks: map[string]schema.Block{
			"ignore_tags": schema.SingleNestedBlock{
				MarkdownDescription: "Tags that others put on what a cluster consists of. They are not shown, not compared and not removed. " +
					"A tag that the configuration sets cannot be ignored. " +
					"A rollout creates new groups and servers, and does not copy the ignored tags to them.",
				Attributes: map[string]schema.Attribute{
					"keys": schema.SetAttribute{
						Optional: true, ElementType: types.StringType, Validators: tagKeys, MarkdownDescription: "Keys of ignored tags.",
					},
					"key_prefixes": schema.SetAttribute{
						Optional: true, ElementType: types.StringType, Validators: tagKeys,
						MarkdownDescription: "Prefixes of the keys of ignored tags, such as `backup:`.",
					},
				},
			},
			"assume_role": schema.SingleNestedBlock{
				Validators:          []validator.Object{resources.Required{"role_arn"}},
				MarkdownDescription: "IAM role to assume.",
				Attributes: map[string]schema.Attribute{
					"role_arn": schema.StringAttribute{Optional: true, MarkdownDescription: "ARN of the role. Required in the block."},
					"session_name": schema.StringAttribute{
						Optional: true, MarkdownDescription: "Name of the session, as CloudTrail shows it. Defaults to `terraform-provider-delivery`.",
						Validators: []validator.String{stringvalidator.LengthBetween(2, 64)},
					},
					"external_id": schema.StringAttribute{Optional: true, MarkdownDescription: "External ID that the role's trust policy requires."},
					"duration": schema.StringAttribute{
						Optional: true, Validators: []validator.String{resources.DurationBetween{Least: 15 * time.Minute, Most: 12 * time.Hour}},
						MarkdownDescription: "Duration of the session, between `15m` and `12h`. Defaults to one hour.",
					},
				},
			},
		},
	}
}

// tagKeys are keys of tags, or what they begin with.
var tagKeys = []validator.Set{resources.NoNull{}, setvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))}

// ValidateConfig validates the address of the repository and the tags.
func (p *deliveryProvider) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if address := m.Repository.ValueString(); address != "" {
		if _, err := repository.Resolve(address); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root("repository"), "Invalid address of the build data repository", err.Error())
		}
	}
	tags, diags := resources.Tags(ctx, m.DefaultTags)
	resp.Diagnostics.Append(diags...)
	if err := tags.ValidateOwn(); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("default_tags"), "AWS would refuse these tags", err.Error())
	}
	ignored, diags := m.ignoredTags(ctx)
	resp.Diagnostics.Append(diags...)
	if err := ignored.Validate(tags); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("ignore_tags"), "A tag is both set and ignored", err.Error())
	}
}

func (p *deliveryProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	cloudConfig := awscloud.Config{Region: m.Region.ValueString(), Profile: m.Profile.ValueString(), Clock: p.clock}
	if !m.AssumeRole.IsNull() && isKnown(m.AssumeRole) {
		var assume assumeRoleModel
		resp.Diagnostics.Append(m.AssumeRole.As(ctx, &assume, basetypes.ObjectAsOptions{})...)
		role := awscloud.AssumeRole{
			RoleARN: assume.RoleARN.ValueString(), SessionName: assume.SessionName.ValueString(), ExternalID: assume.ExternalID.ValueString(),
		}
		if role.SessionName == "" {
			role.SessionName = "terraform-provider-delivery"
		}
		if !assume.Duration.IsNull() {
			duration, err := time.ParseDuration(assume.Duration.ValueString())
			if err != nil { // the schema's validator has accepted it
				resp.Diagnostics.AddAttributeError(path.Root("assume_role").AtName("duration"), "Invalid duration", err.Error())
			}
			role.Duration = duration
		}
		cloudConfig.AssumeRole = &role
	}
	if !m.Endpoints.IsNull() && isKnown(m.Endpoints) {
		resp.Diagnostics.Append(m.Endpoints.ElementsAs(ctx, &cloudConfig.Endpoints, false)...)
	}
	defaultTags, diags := resources.Tags(ctx, m.DefaultTags)
	resp.Diagnostics.Append(diags...)
	ignored, diags := m.ignoredTags(ctx)
	resp.Diagnostics.Append(diags...)
	required := tagging.Required
	if !m.RequiredTags.IsNull() && isKnown(m.RequiredTags) {
		required = nil
		resp.Diagnostics.Append(m.RequiredTags.ElementsAs(ctx, &required, false)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}

	config := app.Config{AWS: cloudConfig, Holder: app.Holder("terraform"), Clock: p.clock}
	// resolved returns the configuration with the repository's address.
	resolved := func() (app.Config, error) {
		address, err := repository.Resolve(m.Repository.ValueString())
		resolved := config
		resolved.Repository = address
		return resolved, err
	}
	d := &resources.Dependencies{
		Store: once(func(ctx context.Context) (builddata.Store, error) {
			if err := m.requireKnown("repository"); err != nil {
				return nil, err
			}
			config, err := resolved()
			if err != nil {
				return nil, err
			}
			return config.Open(ctx)
		}),
		Cloud: once(func(ctx context.Context) (cluster.Cloud, error) {
			if err := m.requireKnown("region", "profile", "assume_role", "endpoints", "ignore_tags"); err != nil {
				return nil, err
			}
			cloud, err := awscloud.Open(ctx, cloudConfig)
			if err != nil {
				return nil, err
			}
			return cloud, nil
		}),
		Region: func(ctx context.Context) (string, error) {
			if err := m.requireKnown("region", "profile"); err != nil {
				return "", err
			}
			return awscloud.Region(ctx, cloudConfig)
		},
		Pipes: &pipes{open: func() (*runner.Runner, error) {
			if err := m.requireKnown("repository", "region", "profile", "assume_role", "endpoints"); err != nil {
				return nil, err
			}
			config, err := resolved()
			if err != nil {
				return nil, err
			}
			return config.Runner(), nil
		}},
		DefaultTags:        defaultTags,
		DefaultTagsUnknown: !isKnown(m.DefaultTags),
		RequiredTags:       required,
		IgnoredTags:        ignored,
		Clock:              p.clock,
		Entropy:            rand.Reader,
		Prober:             probe.Prober{},
		Holder:             config.Holder,
	}
	resp.ResourceData, resp.DataSourceData = d, d
}

// once returns a function that calls f until it succeeds, and from then on returns the same
// value. After an error, the next call tries again.
func once[T any](f func(ctx context.Context) (T, error)) func(ctx context.Context) (T, error) {
	var (
		mu     sync.Mutex
		opened bool
		value  T
	)
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if opened {
			return value, nil
		}
		v, err := f(ctx)
		if err == nil {
			value, opened = v, true
		}
		return v, err
	}
}

func (p *deliveryProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{version.NewResource, piperesource.NewResource, clusterresource.NewResource}
}

func (p *deliveryProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{version.NewDataSource, version.NewListDataSource, image.NewDataSource, piperesource.NewDataSource,
		tags.NewDataSource}
}
