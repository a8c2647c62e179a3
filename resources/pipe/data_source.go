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
		MarkdownDescription: "Lists the steps of a pipe with all refs resolved, so that a plan shows what will run. " +
			"A pipe that cannot run is an error. " +
			"The data source does not read the build data repository. The guide \"Pipes\" explains pipes.",
		Attributes: map[string]schema.Attribute{
			"folder": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "A folder in the checkout. The nearest `.delivery.yml` in this folder or above it is used.",
			},
			"pipe": schema.StringAttribute{
				Optional: true, MarkdownDescription: "Name of the pipe. Defaults to the one that `.delivery.yml` names.",
			},
			"values": schema.MapAttribute{
				Optional: true, Validators: []validator.Map{resources.NoNull{}}, ElementType: types.StringType,
				MarkdownDescription: "Values to add to the context. They override those of `.delivery.yml`.",
			},
			"for_version": schema.StringAttribute{
				Optional: true, MarkdownDescription: "An existing version that the pipe would run for. " +
					"Without it, the pipe must allocate a version before a step uses it.",
			},
			"id":   schema.StringAttribute{Computed: true, MarkdownDescription: "The same as `name`."},
			"name": schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the pipe."},
			"steps": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The steps, in the order in which they are written.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"section": schema.StringAttribute{
						Computed: true, MarkdownDescription: "Section of the step: `first`, whose steps all run; " +
							"`main`, whose steps run until one fails; or `last`, whose steps always run.",
					},
					"branch": schema.StringAttribute{
						Computed: true, MarkdownDescription: "Branch of a step that runs in parallel with others: " +
							"the position of the parallel step in its section, a dot, and the number of the branch, both counted from 1. Null for other steps.",
					},
					"name":    schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the step, as `run_to` takes it."},
					"task":    schema.StringAttribute{Computed: true, MarkdownDescription: "Type of the task, such as `test.command`."},
					"written": schema.StringAttribute{Computed: true, MarkdownDescription: "Where the step is written: file, line and column."},
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
	loaded, err := d.Pipes.Load(ctx, runner.Request{Folder: m.Folder.ValueString(), Pipe: m.Pipe.ValueString(), Values: stringMap(m.Values),
		Version: m.ForVersion.ValueString()})
	if err != nil {
		fail(&resp.Diagnostics, "load the pipe", err)
		return
	}
	m.Name, m.ID = types.StringValue(loaded.Name), types.StringValue(loaded.Name)
	m.Steps = []stepModel{}
	for _, section := range pipe.Sections {
		m.addSteps(section, loaded.Section(section), "")
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// addSteps adds steps and the steps in their branches.
func (m *pipeModel) addSteps(section pipe.Section, steps []pipe.Step, branch string) {
	for i, step := range steps {
		if step.Task != "" {
			m.Steps = append(m.Steps, stepModel{
				Section: types.StringValue(string(section)), Branch: resources.OptionalString(branch), Name: types.StringValue(step.Name),
				Task: types.StringValue(step.Task), Written: types.StringValue(step.At.String()),
			})
		}
		for j, inside := range step.Parallel {
			m.addSteps(section, inside, strings.TrimPrefix(fmt.Sprintf("%s/%d.%d", branch, i+1, j+1), "/"))
		}
	}
}
