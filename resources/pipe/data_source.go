package pipe

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type pipeModel struct {
	Folder types.String `tfsdk:"folder"`
	Pipe   types.String `tfsdk:"pipe"`
	Values types.Map    `tfsdk:"values"`

	ForVersion types.String `tfsdk:"for_version"`

	ID    types.String `tfsdk:"id"`
	Name  types.String `tfsdk:"name"`
	Steps []stepModel  `tfsdk:"steps"`
}

type stepModel struct {
	Section types.String `tfsdk:"section"`
	Branch  types.String `tfsdk:"branch"`
	Name    types.String `tfsdk:"name"`
	Task    types.String `tfsdk:"task"`
	Written types.String `tfsdk:"written"`
}

var _ datasource.DataSourceWithConfigure = (*pipeDataSource)(nil)

type pipeDataSource struct{ resources.ForDataSource }

// NewDataSource returns the data source delivery_pipe.
func NewDataSource() datasource.DataSource { return &pipeDataSource{} }

func (d *pipeDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_pipe"
}

func (d *pipeDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The steps of a pipe, with all refs resolved, so that a plan shows what will run. A pipe that could not run is an error. Nothing is asked of the build data repository. The guide \"Pipes\" says what a pipe is.",
		Attributes: map[string]schema.Attribute{
			"folder":      schema.StringAttribute{Required: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)}, MarkdownDescription: "A folder in the checkout. The nearest `.delivery.yml`, from there upwards, counts."},
			"pipe":        schema.StringAttribute{Optional: true, MarkdownDescription: "Name of the pipe. Defaults to the one that `.delivery.yml` names."},
			"values":      schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Values for the context, over those of `.delivery.yml`."},
			"for_version": schema.StringAttribute{Optional: true, MarkdownDescription: "A version that the pipe would be run for. Without it the pipe has to allocate one before a step uses it."},
			"id":          schema.StringAttribute{Computed: true, MarkdownDescription: "The same as `name`."},
			"name":        schema.StringAttribute{Computed: true, MarkdownDescription: "The pipe's name."},
			"steps": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The steps, in the order in which they are written.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"section": schema.StringAttribute{Computed: true, MarkdownDescription: "`first`, all of which runs; `main`, each of which runs while all goes well; or `last`, which always runs."},
					"branch":  schema.StringAttribute{Computed: true, MarkdownDescription: "Of a step that runs in parallel with others: the number of the parallel step in its section, a dot, and the number of the branch, from 1. Null otherwise."},
					"name":    schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the step, for `run_to`."},
					"task":    schema.StringAttribute{Computed: true, MarkdownDescription: "Type of the task."},
					"written": schema.StringAttribute{Computed: true, MarkdownDescription: "Where it is written: file, line and column."},
				}},
			},
		},
	}
}

func (d *pipeDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m pipeModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	loaded, err := d.Pipes.Load(ctx, runner.Request{Folder: m.Folder.ValueString(), Pipe: m.Pipe.ValueString(), Values: texts(m.Values), Version: m.ForVersion.ValueString()})
	if err != nil {
		fail(&resp.Diagnostics, "load the pipe", err)
		return
	}
	m.Name, m.ID = types.StringValue(loaded.Name), types.StringValue(loaded.Name)
	m.Steps = []stepModel{}
	for _, section := range pipe.Sections {
		m.list(section, loaded.Section(section), "")
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// list adds steps and what is in their branches.
func (m *pipeModel) list(section pipe.Section, steps []pipe.Step, branch string) {
	for i, step := range steps {
		if step.Task != "" {
			m.Steps = append(m.Steps, stepModel{
				Section: types.StringValue(string(section)), Branch: resources.OptionalString(branch), Name: types.StringValue(step.Name),
				Task: types.StringValue(step.Task), Written: types.StringValue(step.At.String()),
			})
		}
		for j, inside := range step.Parallel {
			m.list(section, inside, strings.TrimPrefix(fmt.Sprintf("%s/%d.%d", branch, i+1, j+1), "/"))
		}
	}
}
