// Package image holds the data source delivery_image.
package image

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type model struct {
	Service      types.String      `tfsdk:"service"`
	Version      types.String      `tfsdk:"version"`
	Region       types.String      `tfsdk:"region"`
	Architecture types.String      `tfsdk:"architecture"`
	ImageID      types.String      `tfsdk:"image_id"`
	Digest       types.String      `tfsdk:"digest"`
	Run          types.String      `tfsdk:"run"`
	RegisteredAt timetypes.RFC3339 `tfsdk:"registered_at"`
	Revoked      types.Bool        `tfsdk:"revoked"`
}

var _ datasource.DataSourceWithConfigure = (*imageDataSource)(nil)

type imageDataSource struct{ resources.ForDataSource }

// NewDataSource returns the data source delivery_image.
func NewDataSource() datasource.DataSource { return &imageDataSource{} }

func (d *imageDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_image"
}

func (d *imageDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the AMI of a version of a service in one region, which the Packer post-processor " +
			"`delivery-stamp` has registered. It is an error if there is none, or more than one.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{Required: true, MarkdownDescription: "The service."},
			"version": schema.StringAttribute{Required: true, MarkdownDescription: "The version's name, such as `17` or `1.4.0`."},
			"region": schema.StringAttribute{
				Optional: true, Computed: true, MarkdownDescription: "The AWS region. Defaults to the provider's.",
			},
			"architecture": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "The architecture, such as `x86_64` or `arm64`. Only required if the version has images of several.",
			},
			"image_id": schema.StringAttribute{Computed: true, MarkdownDescription: "The id of the AMI."},
			"digest": schema.StringAttribute{
				Computed: true, MarkdownDescription: "Digest of what the image was built from: its source image and its input files.",
			},
			"run": schema.StringAttribute{Computed: true, MarkdownDescription: "The pipe run that baked it, if any."},
			"revoked": schema.BoolAttribute{
				Computed: true,
				MarkdownDescription: "Whether the version is revoked. The image of a revoked version is read with a warning, " +
					"so that what runs it can be changed and destroyed; `delivery_cluster` refuses to start new servers of it.",
			},
			"registered_at": schema.StringAttribute{
				Computed: true, CustomType: timetypes.RFC3339Type{}, MarkdownDescription: "When it was registered, in UTC (RFC 3339).",
			},
		},
	}
}

func (d *imageDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	region := m.Region.ValueString()
	if region == "" {
		var err error
		if region, err = d.Region(ctx); err != nil {
			resources.Fail(&resp.Diagnostics, "determine the region of the image", err)
			return
		}
	}
	store, ok := d.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	v, image, err := find(ctx, store, m, region)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "find the image", err)
		return
	}
	resources.WarnRevoked(&resp.Diagnostics, v)
	m.Revoked = types.BoolValue(v.Revocation != nil)
	m.Region = types.StringValue(image.Region)
	m.Architecture = types.StringValue(image.Architecture)
	m.ImageID = types.StringValue(image.ID)
	m.Digest = types.StringValue(image.Digest)
	m.Run = resources.OptionalString(image.Run)
	m.RegisteredAt = timetypes.NewRFC3339TimeValue(image.RegisteredAt.Truncate(time.Second))
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// store is the part of build data that this data source uses.
type store interface {
	builddata.Versions
	builddata.Images
}

// find returns the version and the one image of it that the model selects.
func find(ctx context.Context, s store, m model, region string) (builddata.Version, builddata.Image, error) {
	v, err := s.Version(ctx, m.Service.ValueString(), m.Version.ValueString())
	if err != nil {
		return v, builddata.Image{}, err
	}
	images, err := s.Images(ctx, builddata.ImageQuery{Service: v.Service, Number: v.Number})
	if err != nil {
		return v, builddata.Image{}, err
	}
	image, err := builddata.SelectImage(v, images, region, m.Architecture.ValueString())
	return v, image, err
}
