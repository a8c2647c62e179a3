package version

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type listModel struct {
	Service        types.String `tfsdk:"service"`
	SourceRevision types.String `tfsdk:"source_revision"`
	IncludeRevoked types.Bool   `tfsdk:"include_revoked"`
	Limit          types.Int64  `tfsdk:"limit"`
	Versions       []facts      `tfsdk:"versions"`
}

var _ datasource.DataSourceWithConfigure = (*listDataSource)(nil)

type listDataSource struct{ resources.ForDataSource }

// NewListDataSource returns the data source delivery_versions.
func NewListDataSource() datasource.DataSource { return &listDataSource{} }

func (d *listDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_versions"
}

func (d *listDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lists the versions of a service, newest first.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				Required: true, Validators: []validator.String{serviceValidator{}},
				MarkdownDescription: "The service. The list is empty if it has no version yet.",
			},
			"source_revision": schema.StringAttribute{Optional: true, MarkdownDescription: "Only versions built from this SCM revision."},
			"include_revoked": schema.BoolAttribute{Optional: true, MarkdownDescription: "Include revoked versions. Defaults to `false`."},
			"limit": schema.Int64Attribute{
				Optional: true, Validators: []validator.Int64{int64validator.Between(1, 10_000)},
				MarkdownDescription: "The maximum number of versions, 1 to 10000. Defaults to 100.",
			},
			"versions": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The versions, newest first.",
				NestedObject: schema.NestedAttributeObject{Attributes: factsAttributes()},
			},
		},
	}
}

func (d *listDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m listModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	store, ok := d.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	all, err := store.Versions(ctx, builddata.VersionQuery{
		Service:        m.Service.ValueString(),
		SourceRevision: m.SourceRevision.ValueString(),
		IncludeRevoked: m.IncludeRevoked.ValueBool(),
		Limit:          int(m.Limit.ValueInt64()),
	})
	if err != nil {
		resources.Fail(&resp.Diagnostics, "list versions", err)
		return
	}
	m.Versions = make([]facts, len(all))
	for i, v := range all {
		m.Versions[i].encode(v)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}
