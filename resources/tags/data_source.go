// Package tags holds the data source delivery_tags.
package tags

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type model struct {
	Service     types.String `tfsdk:"service"`
	OwnerTeam   types.String `tfsdk:"owner_team"`
	Solution    types.String `tfsdk:"solution"`
	Environment types.String `tfsdk:"environment"`
	Version     types.String `tfsdk:"version"`
	Tags        types.Map    `tfsdk:"tags"`

	Map               types.Map          `tfsdk:"map"`
	GroupTags         []groupTag         `tfsdk:"asg_tags"`
	TagSpecifications []tagSpecification `tfsdk:"tag_specifications"`
}

type groupTag struct {
	Key               types.String `tfsdk:"key"`
	Value             types.String `tfsdk:"value"`
	PropagateAtLaunch types.Bool   `tfsdk:"propagate_at_launch"`
}

type tagSpecification struct {
	ResourceType types.String `tfsdk:"resource_type"`
	Tags         types.Map    `tfsdk:"tags"`
}

// taggedAtLaunch are the types of resources that a launch template tags.
var taggedAtLaunch = []string{"instance", "volume", "network-interface"}

var _ datasource.DataSourceWithConfigure = (*tagsDataSource)(nil)

type tagsDataSource struct{ resources.ForDataSource }

// NewDataSource returns the data source delivery_tags.
func NewDataSource() datasource.DataSource { return &tagsDataSource{} }

func (d *tagsDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_tags"
}

func (d *tagsDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Returns one set of tags in the three forms that AWS resources accept. It includes the provider's `default_tags`; " +
			"a key in its `required_tags` without a value is an error. It does not call AWS.",
		Attributes: map[string]schema.Attribute{
			"service": schema.StringAttribute{
				Optional: true, MarkdownDescription: "Tag `service`: the unit that is built and deployed on its own.",
			},
			"owner_team":  schema.StringAttribute{Optional: true, MarkdownDescription: "Tag `owner_team`: the team that owns the service."},
			"solution":    schema.StringAttribute{Optional: true, MarkdownDescription: "Tag `solution`: the solution that the cost belongs to."},
			"environment": schema.StringAttribute{Optional: true, MarkdownDescription: "Tag `environment`."},
			"version":     schema.StringAttribute{Optional: true, MarkdownDescription: "Tag `version`."},
			"tags": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "More tags.",
			},
			"map": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "The tags as a map, for the argument `tags` of most resources.",
			},
			"asg_tags": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The tags for the `tag` blocks of an Auto Scaling group, in the order of their keys.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"key":   schema.StringAttribute{Computed: true, MarkdownDescription: "The key."},
					"value": schema.StringAttribute{Computed: true, MarkdownDescription: "The value."},
					"propagate_at_launch": schema.BoolAttribute{
						Computed: true, MarkdownDescription: "Always `true`: instances get the tags of their group.",
					},
				}},
			},
			"tag_specifications": schema.ListNestedAttribute{
				Computed: true,
				MarkdownDescription: "The tags for the `tag_specifications` blocks of a launch template: " +
					"for instances, volumes and network interfaces, none of which inherit `default_tags`.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"resource_type": schema.StringAttribute{Computed: true, MarkdownDescription: "`instance`, `volume` or `network-interface`."},
					"tags":          schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The tags."},
				}},
			},
		},
	}
}

func (d *tagsDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	more, diags := resources.Tags(ctx, m.Tags)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if d.DefaultTagsUnknown {
		resources.Fail(&resp.Diagnostics, "make a set of tags",
			errors.New("the provider's argument default_tags is not known yet: apply what it depends on first, with -target"))
		return
	}
	set := tagging.Merge(d.DefaultTags, more, tagging.Set{
		tagging.Service:     m.Service.ValueString(),
		tagging.OwnerTeam:   m.OwnerTeam.ValueString(),
		tagging.Solution:    m.Solution.ValueString(),
		tagging.Environment: m.Environment.ValueString(),
		tagging.Version:     m.Version.ValueString(),
	}.NonEmpty())
	if err := set.ValidateOwn(); err != nil {
		resources.Fail(&resp.Diagnostics, "make a set of tags", err)
		return
	}
	if missing := set.Missing(d.RequiredTags); len(missing) > 0 {
		err := fmt.Errorf("these required tags have no value: %s; set them here or in the provider's default_tags", strings.Join(missing, ", "))
		resources.Fail(&resp.Diagnostics, "make a set of tags", err)
		return
	}
	m.encode(set)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (m *model) encode(set tagging.Set) {
	m.Map = resources.StringMap(set)
	m.GroupTags, m.TagSpecifications = nil, nil
	for _, key := range set.Keys() {
		m.GroupTags = append(m.GroupTags, groupTag{
			Key: types.StringValue(key), Value: types.StringValue(set[key]), PropagateAtLaunch: types.BoolValue(true),
		})
	}
	for _, kind := range taggedAtLaunch {
		m.TagSpecifications = append(m.TagSpecifications, tagSpecification{ResourceType: types.StringValue(kind), Tags: m.Map})
	}
}
