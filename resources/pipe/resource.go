// Package pipe holds the resource delivery_pipe_run and the data source
// delivery_pipe.
package pipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type model struct {
	ID            types.String `tfsdk:"id"`
	Folder        types.String `tfsdk:"folder"`
	Pipe          types.String `tfsdk:"pipe"`
	ForVersion    types.String `tfsdk:"for_version"`
	RunTo         types.String `tfsdk:"run_to"`
	Mock          types.Bool   `tfsdk:"mock"`
	AllowUnpushed types.Bool   `tfsdk:"allow_unpushed"`
	Values        types.Map    `tfsdk:"values"`
	Secrets       types.Map    `tfsdk:"sensitive_values"`
	Triggers      types.Map    `tfsdk:"triggers"`

	Timeouts timeouts.Value `tfsdk:"timeouts"`

	Service   types.String      `tfsdk:"service"`
	Version   types.String      `tfsdk:"version"`
	Number    types.Int64       `tfsdk:"number"`
	Revision  types.String      `tfsdk:"revision"`
	Status    types.String      `tfsdk:"status"`
	Outputs   types.Map         `tfsdk:"outputs"`
	StartedAt timetypes.RFC3339 `tfsdk:"started_at"`
}

var (
	_ resource.ResourceWithConfigure   = (*runResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*runResource)(nil)
	_ resource.ResourceWithImportState = (*runResource)(nil)
)

type runResource struct{ resources.ForResource }

// NewResource returns the resource delivery_pipe_run.
func NewResource() resource.Resource { return &runResource{} }

func (r *runResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_pipe_run"
}

// ifKnown has a change run the pipe again, but not the first value after an
// import, which could not know it.
const ifKnown = "A change runs the pipe again; giving an imported run its value does not."

func (r *runResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	text := []planmodifier.String{stringplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse) {
		resp.RequiresReplace = !imported(req.State)
	}, ifKnown, ifKnown)}
	flag := []planmodifier.Bool{boolplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.BoolRequest, resp *boolplanmodifier.RequiresReplaceIfFuncResponse) {
		resp.RequiresReplace = !imported(req.State)
	}, ifKnown, ifKnown)}
	table := []planmodifier.Map{mapplanmodifier.RequiresReplaceIf(func(_ context.Context, req planmodifier.MapRequest, resp *mapplanmodifier.RequiresReplaceIfFuncResponse) {
		resp.RequiresReplace = !imported(req.State)
	}, ifKnown, ifKnown)}
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Runs a pipe of a checkout when the resource is created, by the same engine as `delivery run`, and records each step in the build data repository. " +
			"A pipe that fails fails the apply, with the step and the end of its output, and leaves nothing in the state: the next apply runs it again. The guide \"Pipes\" says what a pipe is.\n\n" +
			"A change of an argument, other than `timeouts`, runs the pipe again. Destroying the resource only forgets the run in Terraform's state: what the pipe made stays, and so does the history. " +
			"The checkout has to be pushed, so keep Terraform's own files out of it, or have git ignore them. One folder with a `.delivery.yml` takes one run at a time; several resources take turns. " +
			"Tasks that ask AWS do so as the provider does; programs that the steps start get its region and profile, but not its role. " +
			"Ctrl-C ends the step that is running, and the section `last` of the pipe still runs. `TF_LOG_PROVIDER=INFO` shows what an apply is doing.",
		Attributes: map[string]schema.Attribute{
			"id": schema.StringAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "Id of the run, as `delivery run list` lists it; `mock` for a mock. An import takes `SERVICE/RUN`.",
			},
			"folder": schema.StringAttribute{
				Required: true, PlanModifiers: text, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "A folder in the checkout. The nearest `.delivery.yml`, from there upwards, counts.",
			},
			"pipe": schema.StringAttribute{
				Optional: true, PlanModifiers: text,
				MarkdownDescription: "Name of the pipe. Defaults to the one that `.delivery.yml` names.",
			},
			"for_version": schema.StringAttribute{
				Optional: true, PlanModifiers: text,
				MarkdownDescription: "A version that exists, to run the pipe for. Without it the pipe allocates one.",
			},
			"run_to": schema.StringAttribute{
				Optional: true, PlanModifiers: text,
				MarkdownDescription: "Name of the step after which only the section `last` follows.",
			},
			"mock": schema.BoolAttribute{
				Optional: true, PlanModifiers: flag,
				MarkdownDescription: "Run the mock of every task: nothing is changed, nothing recorded. Defaults to `false`.",
			},
			"allow_unpushed": schema.BoolAttribute{
				Optional: true, PlanModifiers: flag,
				MarkdownDescription: "Run from a checkout that is not pushed. The run is marked as untraceable, and its version cannot be promoted. Defaults to `false`.",
			},
			"values": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, PlanModifiers: table,
				MarkdownDescription: "Values for the context, over those of `.delivery.yml`. They are kept in Terraform's state, and shown: for secrets there is `sensitive_values`.",
			},
			"sensitive_values": schema.MapAttribute{
				Optional: true, Sensitive: true, WriteOnly: true, ElementType: types.StringType,
				MarkdownDescription: "More values for the context, which are masked in all that is shown, and stored neither in the build data repository nor in Terraform's state. So a change does not run the pipe again, unless `triggers` says so.",
			},
			"triggers": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, PlanModifiers: table,
				MarkdownDescription: "Whatever runs the pipe again when it changes, such as the revision of the checkout.",
			},
			"service":  schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "The service, by `.delivery.yml`."},
			"version":  schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "The version that the run was for; null if the pipe gave it none."},
			"number":   schema.Int64Attribute{Computed: true, PlanModifiers: []planmodifier.Int64{int64planmodifier.UseStateForUnknown()}, MarkdownDescription: "The version's number; null if there is none."},
			"revision": schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "The SCM revision that the checkout was at; null if there is none."},
			"status":   schema.StringAttribute{Computed: true, PlanModifiers: keep, MarkdownDescription: "`succeeded`; of an imported run also `failed`, `interrupted`, `lost` or `started`."},
			"outputs": schema.MapAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.Map{mapplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "What the steps put on the context, but for secrets: the url of an environment, the images of a bake. Of two values of one name the later step's counts.",
			},
			"started_at": schema.StringAttribute{Computed: true, CustomType: timetypes.RFC3339Type{}, PlanModifiers: keep, MarkdownDescription: "When the run began."},

			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{
				Create:            true,
				CreateDescription: "How long the pipe may run, as `2h`. When that is over, the run is interrupted as by Ctrl-C. By default it may take as long as its steps do, each of which can have a `timeout` in the pipe.",
			}),
		},
	}
}

// imported reports whether the state is that of an import, which knows no folder.
func imported(state tfsdk.State) bool {
	var folder types.String
	return !state.GetAttribute(context.Background(), path.Root("folder"), &folder).HasError() && folder.IsNull()
}

// ModifyPlan judges the pipe before anything is applied, as soon as it is known
// which one is meant. A replacement is planned as a creation as well.
func (r *runResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || !req.State.Raw.IsNull() || r.Dependencies == nil {
		return // nothing will run
	}
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, secretsPath, &m.Secrets)...) // which no plan holds
	if resp.Diagnostics.HasError() || m.Folder.IsUnknown() || m.Pipe.IsUnknown() || m.ForVersion.IsUnknown() || m.Values.IsUnknown() || m.Secrets.IsUnknown() {
		return
	}
	if _, err := r.Pipes.Load(ctx, m.request()); err != nil {
		fail(&resp.Diagnostics, "load the pipe", err)
	}
}

// hints words the hints in errors by the arguments of the resource.
var hints = map[pipe.Hint]string{
	pipe.HintVersion:       "Or run the pipe for an existing version, with for_version.",
	pipe.HintAllowUnpushed: "Or run it with allow_unpushed = true: it is then marked as untraceable, and its version cannot be promoted.",
	pipe.HintChoosePipe:    "Or choose a pipe with the argument pipe.",
	pipe.HintLeaveOutRunTo: "Leave run_to out.",
}

func fail(diags *diag.Diagnostics, doing string, err error) {
	detail := err.Error()
	for _, hint := range pipe.Hints(err) {
		detail += "\n" + hints[hint]
	}
	diags.AddError("Could not "+doing, detail)
}

func (m *model) request() runner.Request {
	values, secrets := texts(m.Values), texts(m.Secrets)
	maps.Copy(values, secrets)
	return runner.Request{
		Folder: m.Folder.ValueString(), Pipe: m.Pipe.ValueString(), Version: m.ForVersion.ValueString(), To: m.RunTo.ValueString(),
		Values: values, Secrets: slices.Sorted(maps.Keys(secrets)), Mock: m.Mock.ValueBool(), AllowUnpushed: m.AllowUnpushed.ValueBool(),
	}
}

// texts is a map of texts.
func texts(m types.Map) map[string]string {
	all := map[string]string{}
	for name, value := range m.Elements() {
		if text, ok := value.(types.String); ok {
			all[name] = text.ValueString()
		}
	}
	return all
}

// Create runs the pipe. One that did not succeed leaves no state, so that the
// next apply runs it again.
func (r *runResource) Create(ctx context.Context, create resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(create.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(create.Config.GetAttribute(ctx, secretsPath, &m.Secrets)...)
	within, diags := m.Timeouts.Create(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	bounded := ctx
	if within > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, within, fmt.Errorf("timeouts.create, %s, is over", within))
		defer cancel()
	}
	req := m.request()
	req.Observer = observer(func(format string, args ...any) { tflog.Info(ctx, fmt.Sprintf(format, args...)) })
	req.Warn = func(format string, args ...any) {
		resp.Diagnostics.AddWarning("Run of the pipe in "+m.Folder.ValueString(), fmt.Sprintf(format, args...))
	}
	summary, err := r.Pipes.Run(bounded, req)
	if err != nil {
		fail(&resp.Diagnostics, "run the pipe", err)
		return
	}
	for _, step := range summary.Steps {
		for _, warning := range step.Warnings {
			resp.Diagnostics.AddWarning(fmt.Sprintf("The step %q %s with a warning", step.Name, step.Status), warning)
		}
	}
	if summary.Status != builddata.Succeeded {
		resp.Diagnostics.AddError(m.describe(summary))
		return
	}
	m.encode(summary)
	m.Secrets = types.MapNull(types.StringType)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// secretsPath leads to the attribute that is in the configuration only.
var secretsPath = path.Root("sensitive_values")

// describe says why a pipe did not succeed.
func (m *model) describe(s pipe.Summary) (title, detail string) {
	how := map[builddata.Status]string{builddata.Interrupted: "was interrupted"}
	say := func(status builddata.Status) string { return cmp.Or(how[status], string(status)) }
	title = fmt.Sprintf("The pipe %s of %s %s", s.Pipe, strings.TrimSpace(s.Service+" "+s.Version), say(s.Status))
	var b strings.Builder
	failed := s.Failed()
	if failed == nil {
		b.WriteString("What happened: it was interrupted between two steps.\n")
	} else {
		fmt.Fprintf(&b, "What happened: the step %q %s after %s: %s\n", failed.Name, say(failed.Status), failed.Elapsed.Round(time.Millisecond), failed.Message)
		for _, step := range s.Steps {
			if step.Status == builddata.Failed && step.Name != failed.Name {
				fmt.Fprintf(&b, "The step %q failed as well: %s\n", step.Name, step.Message)
			}
		}
		if failed.Tail != "" {
			b.WriteString("\nThe end of its output:\n\n")
			for line := range strings.Lines(failed.Tail) {
				b.WriteString("  " + line)
			}
			b.WriteString("\n")
		}
		if failed.Log != "" {
			fmt.Fprintf(&b, "\nAll of its output: %s\n", failed.Log)
		}
	}
	if m.Mock.ValueBool() {
		b.WriteString("\nState now: nothing was changed, for only mocks were run.\nWhat to do: mend the cause and apply again.")
		return title, b.String()
	}
	fmt.Fprintf(&b, "\nState now: run %s is on record as %s; its section last has been run.\nWhat to do: mend the cause and apply again, which runs the pipe again. \"delivery run show %s\" shows all of this run.", s.Run, s.Status, s.Run)
	return title, b.String()
}

func (m *model) encode(s pipe.Summary) {
	m.ID, m.Service, m.Status = types.StringValue(s.Run), types.StringValue(s.Service), types.StringValue(string(s.Status))
	m.Version, m.Revision = resources.OptionalString(s.Version), resources.OptionalString(s.Revision)
	m.Number = types.Int64Null()
	if s.Number > 0 {
		m.Number = types.Int64Value(s.Number)
	}
	m.StartedAt = timetypes.NewRFC3339TimeValue(s.StartedAt)
	outputs := map[string]string{}
	for _, step := range s.Steps {
		for name, value := range step.Outputs {
			outputs[name] = value
		}
	}
	m.Outputs = resources.StringMap(outputs)
}

// Read has nothing to look at: a run that is over does not change, and a mock
// is on no record. Of an imported one it reads what the repository remembers.
func (r *runResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || slices.Contains(final, builddata.Status(m.Status.ValueString())) {
		return
	}
	store, ok := r.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	summary, err := remembered(ctx, store, m.Service.ValueString(), m.ID.ValueString(), r.Clock.Now())
	if errors.Is(err, builddata.ErrNotFound) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resources.Fail(&resp.Diagnostics, "read a run", err)
		return
	}
	m.encode(summary)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// final are the ways in which a run ends for good; one that is lost may yet be
// found to have ended in another way.
var final = []builddata.Status{builddata.Succeeded, builddata.Failed, builddata.Interrupted}

// remembered is a run as the repository knows it.
func remembered(ctx context.Context, store builddata.Store, service, id string, now time.Time) (pipe.Summary, error) {
	run, err := store.Run(ctx, service, id)
	if err != nil {
		return pipe.Summary{}, err
	}
	s := pipe.Summary{
		Run: run.ID, Pipe: run.Pipe, Service: run.Service, Number: run.Number, Revision: run.Revision, Untraceable: run.Untraceable,
		Status: run.State(now), StartedAt: run.StartedAt,
	}
	if run.Number > 0 {
		v, err := store.VersionByNumber(ctx, service, run.Number)
		if err != nil {
			return s, err
		}
		s.Version = v.Name
	}
	for e, err := range builddata.AllEvents(ctx, store, builddata.EventQuery{Service: service, Run: id}) {
		if err != nil {
			return s, err
		}
		if e.Status != builddata.Started {
			s.Steps = append(s.Steps, pipe.StepSummary{Name: e.Step, Task: e.Type, Status: e.Status, Message: e.Message, Outputs: e.Outputs})
		}
	}
	return s, nil
}

// Update has nothing to do: it takes over what an import could not know.
func (r *runResource) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

// Delete forgets the run in the state only; history is not rewritten.
func (r *runResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// ImportState takes SERVICE/RUN.
func (r *runResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	service, run, ok := strings.Cut(req.ID, "/")
	if !ok || service == "" || run == "" {
		resp.Diagnostics.AddError("Invalid import id", fmt.Sprintf("Expected SERVICE/RUN, such as strawberry/01KB3ZJ8T0QW4E5R6T7Y8U9I0P, got %q. \"delivery run list\" lists the runs.", req.ID))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("service"), service)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), run)...)
}
