// Package pipe holds the resource delivery_pipe_run and the data source
// delivery_pipe.
package pipe

import (
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
	ID                 types.String `tfsdk:"id"`
	Folder             types.String `tfsdk:"folder"`
	Pipe               types.String `tfsdk:"pipe"`
	ForVersion         types.String `tfsdk:"for_version"`
	RunTo              types.String `tfsdk:"run_to"`
	Mock               types.Bool   `tfsdk:"mock"`
	AllowUnpushed      types.Bool   `tfsdk:"allow_unpushed"`
	AllowOtherRevision types.Bool   `tfsdk:"allow_other_revision"`
	AllowOlder         types.Bool   `tfsdk:"allow_older"`
	Values             types.Map    `tfsdk:"values"`
	Secrets            types.Map    `tfsdk:"sensitive_values"`
	Triggers           types.Map    `tfsdk:"triggers"`

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

// replaceUnlessImported describes a plan modifier: a change of the value runs the pipe
// again, but the first value after an import, which does not know the arguments, does not.
const replaceUnlessImported = "A change runs the pipe again, except for the first value after an import."

func (r *runResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replaceString := []planmodifier.String{stringplanmodifier.RequiresReplaceIf(
		func(_ context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse) {
			resp.RequiresReplace = !imported(req.State)
		}, replaceUnlessImported, replaceUnlessImported)}
	replaceBool := []planmodifier.Bool{boolplanmodifier.RequiresReplaceIf(
		func(_ context.Context, req planmodifier.BoolRequest, resp *boolplanmodifier.RequiresReplaceIfFuncResponse) {
			resp.RequiresReplace = !imported(req.State)
		}, replaceUnlessImported, replaceUnlessImported)}
	replaceMap := []planmodifier.Map{mapplanmodifier.RequiresReplaceIf(
		func(_ context.Context, req planmodifier.MapRequest, resp *mapplanmodifier.RequiresReplaceIfFuncResponse) {
			resp.RequiresReplace = !imported(req.State)
		}, replaceUnlessImported, replaceUnlessImported)}
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Runs a pipe of a checkout when the resource is created. " +
			"The run uses the same engine as `delivery run`, and records each step in the build data repository. " +
			"If the pipe fails, the apply fails with the name of the step and the end of its output. " +
			"Nothing is stored in the state, so the next apply runs the pipe again. The guide \"Pipes\" explains pipes.\n\n" +
			"A change of an argument other than `timeouts` runs the pipe again. " +
			"Destroying the resource only removes the run from Terraform's state: what the pipe created and the history of the run remain. " +
			"The checkout must be pushed, so keep Terraform's own files outside of it, or let git ignore them. " +
			"A folder with a `.delivery.yml` has one run at a time; resources for the same folder take turns. " +
			"Tasks that call AWS use the provider's configuration. Programs that the steps start get its region and profile, but not its role. " +
			"Ctrl-C stops the running step; the section `last` of the pipe still runs. Set `TF_LOG_PROVIDER=INFO` to see what an apply is doing.",
		Attributes: map[string]schema.Attribute{
			"id": schema.StringAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "ID of the run, as `delivery run list` shows it; `mock` for a mock run. An import takes `SERVICE/RUN`.",
			},
			"folder": schema.StringAttribute{
				Required: true, PlanModifiers: replaceString, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "A folder in the checkout. The nearest `.delivery.yml` in this folder or above it is used.",
			},
			"pipe": schema.StringAttribute{
				Optional: true, PlanModifiers: replaceString,
				MarkdownDescription: "Name of the pipe. Defaults to the one that `.delivery.yml` names.",
			},
			"for_version": schema.StringAttribute{
				Optional: true, PlanModifiers: replaceString,
				MarkdownDescription: "An existing version to run the pipe for. Without it, the pipe allocates a version.",
			},
			"run_to": schema.StringAttribute{
				Optional: true, PlanModifiers: replaceString,
				MarkdownDescription: "Name of the step to run to. After it, only the section `last` runs.",
			},
			"mock": schema.BoolAttribute{
				Optional: true, PlanModifiers: replaceBool,
				MarkdownDescription: "Whether to run the mock of every task, which changes and records nothing. Defaults to `false`.",
			},
			"allow_unpushed": schema.BoolAttribute{
				Optional: true, PlanModifiers: replaceBool,
				MarkdownDescription: "Whether to run from a checkout that has not been pushed. " +
					"The run is then marked as untraceable, and its version cannot be promoted. Defaults to `false`.",
			},
			"allow_other_revision": schema.BoolAttribute{
				Optional: true, PlanModifiers: replaceBool,
				MarkdownDescription: "Whether to build although the checkout is not at the revision of `for_version`. Defaults to `false`.",
			},
			"allow_older": schema.BoolAttribute{
				Optional: true, PlanModifiers: replaceBool,
				MarkdownDescription: "Whether steps `deploy.apply` may deploy the version of the run although a newer one was deployed last to the " +
					"same environment. Defaults to `false`.",
			},
			"values": schema.MapAttribute{
				Optional: true, Validators: []validator.Map{resources.NoNull{}}, ElementType: types.StringType, PlanModifiers: replaceMap,
				MarkdownDescription: "Values to add to the context. They override those of `.delivery.yml`. " +
					"Terraform shows them and stores them in its state; use `sensitive_values` for secrets.",
			},
			"sensitive_values": schema.MapAttribute{
				Optional: true, Validators: []validator.Map{resources.NoNull{}}, Sensitive: true, WriteOnly: true, ElementType: types.StringType,
				MarkdownDescription: "Secret values to add to the context. " +
					"They are masked in all output, and are stored neither in the build data repository nor in Terraform's state. " +
					"A change therefore does not run the pipe again, unless `triggers` changes as well.",
			},
			"triggers": schema.MapAttribute{
				Optional: true, Validators: []validator.Map{resources.NoNull{}}, ElementType: types.StringType, PlanModifiers: replaceMap,
				MarkdownDescription: "Values that run the pipe again when they change, such as the revision of the checkout.",
			},
			"service": schema.StringAttribute{
				Computed: true, PlanModifiers: keep, MarkdownDescription: "Name of the service, from `.delivery.yml`.",
			},
			"version": schema.StringAttribute{
				Computed: true, PlanModifiers: keep, MarkdownDescription: "Version of the run; null if the run has none.",
			},
			"number": schema.Int64Attribute{
				Computed: true, PlanModifiers: []planmodifier.Int64{int64planmodifier.UseStateForUnknown()},
				MarkdownDescription: "Number of the version; null if the run has none.",
			},
			"revision": schema.StringAttribute{
				Computed: true, PlanModifiers: keep, MarkdownDescription: "SCM revision of the checkout; null if it has none.",
			},
			"status": schema.StringAttribute{
				Computed: true, PlanModifiers: keep,
				MarkdownDescription: "Status of the run: `succeeded`. An imported run can also be `failed`, `interrupted`, `lost` or `started`.",
			},
			"outputs": schema.MapAttribute{
				Computed: true, ElementType: types.StringType, PlanModifiers: []planmodifier.Map{mapplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "Values that the steps put on the context, without secrets, " +
					"such as the URL of an environment or the images of a bake. If two steps set the same value, it is that of the later step.",
			},
			"started_at": schema.StringAttribute{
				Computed: true, CustomType: timetypes.RFC3339Type{}, PlanModifiers: keep, MarkdownDescription: "Time at which the run began.",
			},

			"timeouts": timeouts.Attributes(ctx, timeouts.Opts{
				Create: true,
				CreateDescription: "How long the pipe may run, such as `2h`. After that time, the run is interrupted as by Ctrl-C. " +
					"By default there is no limit; each step can have a `timeout` in the pipe.",
			}),
		},
	}
}

// imported reports whether the state comes from an import, which does not know the folder.
func imported(state tfsdk.State) bool {
	var folder types.String
	return !state.GetAttribute(context.Background(), path.Root("folder"), &folder).HasError() && folder.IsNull()
}

// ModifyPlan validates the pipe when a creation is planned, unless an argument that the
// pipe depends on is not known yet. A replacement is planned as a creation as well.
func (r *runResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || !req.State.Raw.IsNull() || r.Dependencies == nil {
		return // nothing will run
	}
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, secretsPath, &m.Secrets)...) // a plan does not hold them
	if resp.Diagnostics.HasError() || m.Folder.IsUnknown() || m.Pipe.IsUnknown() || m.ForVersion.IsUnknown() || m.Values.IsUnknown() ||
		m.Secrets.IsUnknown() {
		return
	}
	if _, err := r.Pipes.Load(ctx, m.request()); err != nil {
		fail(&resp.Diagnostics, "load the pipe", err)
	}
}

// hints are the texts of the hints in errors, with the arguments of the resource.
var hints = map[pipe.Hint]string{
	pipe.HintVersion:       "Or run the pipe for an existing version, with for_version.",
	pipe.HintAllowUnpushed: "Or run it with allow_unpushed = true. The run is then marked as untraceable, and its version cannot be promoted.",
	pipe.HintAllowOtherRevision: "Check out the revision of the version, or build this one with allow_other_revision = true. " +
		"What the steps then make does not count for a promotion.",
	pipe.HintAllowOlder: "Deploy the latest version or a newer one, or this one with allow_older = true.",
	pipe.HintChoosePipe: "Or choose a pipe with the argument pipe.",
	pipe.HintSetValue:   "Give it in values, or in sensitive_values if it is a secret.",
	pipe.HintOmitRunTo:  "Omit run_to.",
}

// fail adds the error that doing something failed, with its hints.
func fail(diags *diag.Diagnostics, doing string, err error) {
	detail := err.Error()
	for _, hint := range pipe.Hints(err) {
		detail += "\n" + hints[hint]
	}
	diags.AddError("Could not "+doing, detail)
}

// request returns the run that the configuration asks for.
func (m *model) request() runner.Request {
	values, secrets := stringMap(m.Values), stringMap(m.Secrets)
	maps.Copy(values, secrets)
	return runner.Request{
		Folder: m.Folder.ValueString(), Pipe: m.Pipe.ValueString(), Version: m.ForVersion.ValueString(), To: m.RunTo.ValueString(),
		Values: values, Secrets: slices.Sorted(maps.Keys(secrets)), Mock: m.Mock.ValueBool(), AllowUnpushed: m.AllowUnpushed.ValueBool(),
		AllowOtherRevision: m.AllowOtherRevision.ValueBool(), AllowOlder: m.AllowOlder.ValueBool(),
	}
}

// stringMap decodes a map of strings.
func stringMap(m types.Map) map[string]string {
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
	timeout, diags := m.Timeouts.Create(ctx, 0)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	bounded := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %s (timeouts.create)", timeout))
		defer cancel()
	}
	req := m.request()
	req.Observer = observer(func(format string, args ...any) { tflog.Info(ctx, fmt.Sprintf(format, args...)) })
	var warnings []string
	req.Warn = func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	summary, err := r.Pipes.Run(bounded, req)
	warn(&resp.Diagnostics, "Warning from the pipe in "+m.Folder.ValueString(), warnings)
	if err != nil {
		fail(&resp.Diagnostics, "run the pipe", err)
		return
	}
	for _, step := range summary.Steps {
		warn(&resp.Diagnostics, fmt.Sprintf("The step %q %s with a warning", step.Name, step.Status), step.Warnings)
		if step.AllowedFailure {
			warn(&resp.Diagnostics, fmt.Sprintf("The step %q failed, which allow_failure allows", step.Name), []string{step.Message})
		}
	}
	if summary.Status != builddata.Succeeded {
		resp.Diagnostics.AddError(m.failure(summary))
		return
	}
	m.encode(summary)
	m.Secrets = types.MapNull(types.StringType)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// warn adds one diagnostic for all warnings with a title: of several diagnostics with the
// same title, Terraform shows only the first.
func warn(diags *diag.Diagnostics, title string, warnings []string) {
	if len(warnings) > 0 {
		diags.AddWarning(title, strings.Join(warnings, "\n\n"))
	}
}

// secretsPath is the path of the attribute that only the configuration holds.
var secretsPath = path.Root("sensitive_values")

// outcome words the status of a run or a step that has ended, for a sentence.
func outcome(status builddata.Status) string {
	if status == builddata.Interrupted {
		return "was interrupted"
	}
	return string(status)
}

// failure returns the diagnostic for a run that did not succeed.
func (m *model) failure(s pipe.Summary) (title, detail string) {
	title = fmt.Sprintf("The pipe %s of %s %s", s.Pipe, strings.TrimSpace(s.Service+" "+s.Version), outcome(s.Status))
	var b strings.Builder
	failed := s.Failed()
	if failed == nil {
		fmt.Fprintf(&b, "What happened: %s.\n", s.Message)
	} else {
		fmt.Fprintf(&b, "What happened: the step %q %s after %s: %s\n", failed.Name, outcome(failed.Status),
			failed.Elapsed.Round(time.Millisecond), failed.Message)
		for _, hint := range failed.Hints {
			b.WriteString(hints[hint] + "\n")
		}
		for _, step := range s.Steps {
			if step.Status == builddata.Failed && step.Name != failed.Name {
				fmt.Fprintf(&b, "The step %q failed as well: %s\n", step.Name, step.Message)
			}
		}
		if failed.Tail != "" {
			b.WriteString("\nThe end of its output:\n\n")
			for line := range strings.Lines(failed.ShortTail()) {
				b.WriteString("  " + line)
			}
			b.WriteString("\n")
		}
		if failed.Log != "" {
			fmt.Fprintf(&b, "\nComplete output: %s\n", failed.Log)
		}
		if failed.LogAddress != "" {
			fmt.Fprintf(&b, "Also stored at:  %s\n", failed.LogAddress)
		}
	}
	if m.Mock.ValueBool() {
		b.WriteString("\nState now: nothing was changed, because only mocks ran.\nWhat to do: fix the cause and apply again.")
		return title, b.String()
	}
	fmt.Fprintf(&b, "\nState now: run %s is recorded as %s; its section last has run.\n"+
		"What to do: fix the cause and apply again, which runs the pipe again. \"delivery run show %s\" shows this run.",
		s.Run, s.Status, s.Run)
	return title, b.String()
}

// encode sets the computed attributes.
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

// Read keeps the state of a run that has ended, which does not change. Of an imported run
// that has not ended in the state, it reads the record.
func (r *runResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || slices.Contains(finalStatuses, builddata.Status(m.Status.ValueString())) {
		return
	}
	store, ok := r.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	summary, err := readRun(ctx, store, m.Service.ValueString(), m.ID.ValueString(), r.Clock.Now())
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

// finalStatuses are the statuses of runs that do not change any more. A lost run may still
// turn out to have ended in another way.
var finalStatuses = []builddata.Status{builddata.Succeeded, builddata.Failed, builddata.Interrupted}

// readRun reads the summary of a run from the repository.
func readRun(ctx context.Context, store builddata.Store, service, id string, now time.Time) (pipe.Summary, error) {
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

// Update stores the new arguments. It runs nothing: only timeouts, or the first values
// after an import, are updated in place.
func (r *runResource) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

// Delete removes the run from the state only. Its record in the repository remains.
func (r *runResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// ImportState takes SERVICE/RUN.
func (r *runResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	service, run, ok := strings.Cut(req.ID, "/")
	if !ok || service == "" || run == "" {
		resp.Diagnostics.AddError("Invalid import id",
			fmt.Sprintf("Expected SERVICE/RUN, such as strawberry/01KB3ZJ8T0QW4E5R6T7Y8U9I0P, got %q. "+
				"\"delivery run list\" lists the runs.", req.ID))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("service"), service)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), run)...)
}
