package version

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/boolvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/datasourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type dataModel struct {
	facts
	Latest types.Bool `tfsdk:"latest"`
}

var (
	_ datasource.DataSourceWithConfigure        = (*versionDataSource)(nil)
	_ datasource.DataSourceWithConfigValidators = (*versionDataSource)(nil)
)

type versionDataSource struct{ resources.ForDataSource }

// NewDataSource returns the data source delivery_version.
func NewDataSource() datasource.DataSource { return &versionDataSource{} }

func (d *versionDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_version"
}

func (d *versionDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := factsAttributes()
	attributes["service"] = schema.StringAttribute{
		Required: true, Validators: []validator.String{serviceValidator{}}, MarkdownDescription: "The service.",
	}
	attributes["version"] = schema.StringAttribute{
		Optional: true, Computed: true, MarkdownDescription: describeVersion + " Set either this or `latest`.",
	}
	attributes["latest"] = schema.BoolAttribute{
		Optional: true, Validators: []validator.Bool{boolvalidator.Equals(true)},
		MarkdownDescription: "Set to `true` for the newest version that is not revoked. Set either this or `version`.",
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads a version of a service from the build data repository. It never allocates one. " +
			"A revoked version is read with a warning: what runs it can be changed and destroyed.",
		Attributes: attributes,
	}
}

func (d *versionDataSource) ConfigValidators(context.Context) []datasource.ConfigValidator {
	return []datasource.ConfigValidator{datasourcevalidator.ExactlyOneOf(path.MatchRoot("version"), path.MatchRoot("latest"))}
}

func (d *versionDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m dataModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	store, ok := d.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	v, err := find(ctx, store, m)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "read a version", err)
		return
	}
	resources.WarnRevoked(&resp.Diagnostics, v)
	m.encode(v)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func find(ctx context.Context, store builddata.Versions, m dataModel) (builddata.Version, error) {
	service := m.Service.ValueString()
	if !m.Latest.ValueBool() {
		return store.Version(ctx, service, m.Version.ValueString())
	}
	newest, err := store.Versions(ctx, builddata.VersionQuery{Service: service, Limit: 1})
	if err == nil && len(newest) == 0 {
		err = errors.Join(fmt.Errorf("service %s has no version that is not revoked", service), builddata.ErrNotFound)
	}
	if err != nil {
		return builddata.Version{}, err
	}
	return newest[0], nil
}

// factsAttributes returns the attributes of facts for data sources.
func factsAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"service":         schema.StringAttribute{Computed: true, MarkdownDescription: "The service."},
		"version":         schema.StringAttribute{Computed: true, MarkdownDescription: describeVersion},
		"number":          schema.Int64Attribute{Computed: true, MarkdownDescription: describeNumber},
		"scheme":          schema.StringAttribute{Computed: true, MarkdownDescription: describeScheme},
		"key":             schema.StringAttribute{Computed: true, MarkdownDescription: describeKey},
		"source_revision": schema.StringAttribute{Computed: true, MarkdownDescription: describeRevision},
		"labels":          schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: describeLabels},
		"created_at":      schema.StringAttribute{Computed: true, CustomType: timetypes.RFC3339Type{}, MarkdownDescription: describeCreated},
		"revoked":         schema.BoolAttribute{Computed: true, MarkdownDescription: describeRevoked},
		"revoked_reason":  schema.StringAttribute{Computed: true, MarkdownDescription: describeRevokedReason},
	}
}
