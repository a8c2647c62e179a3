package version

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type model struct {
	facts
	ID      types.String `tfsdk:"id"`
	Bump    types.String `tfsdk:"bump"`
	Keepers types.Map    `tfsdk:"keepers"`
}

var (
	_ resource.ResourceWithConfigure      = (*versionResource)(nil)
	_ resource.ResourceWithImportState    = (*versionResource)(nil)
	_ resource.ResourceWithValidateConfig = (*versionResource)(nil)
)

type versionResource struct{ resources.ForResource }

// NewResource returns the resource delivery_version.
func NewResource() resource.Resource { return &versionResource{} }

func (r *versionResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_version"
}

// replaceIfSet describes that a change of an argument replaces the resource only if it
// had a value before. After an import it has none, and setting it must not allocate
// another version.
const replaceIfSet = "A change allocates a new version; setting the value of an imported version does not."

func replaceStringIfSet(
	_ context.Context, req planmodifier.StringRequest, resp *stringplanmodifier.RequiresReplaceIfFuncResponse,
) {
	resp.RequiresReplace = !req.StateValue.IsNull()
}

func replaceMapIfSet(_ context.Context, req planmodifier.MapRequest, resp *mapplanmodifier.RequiresReplaceIfFuncResponse) {
	resp.RequiresReplace = !req.StateValue.IsNull()
}

func (r *versionResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	replace := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	replaceMap := []planmodifier.Map{mapplanmodifier.RequiresReplace()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Allocates a version of a service, once, in the build data repository. " +
			"The number is allocated when the resource is created, never by a plan, and is unique under concurrent requests.\n\n" +
			"Any change allocates a new version. Destroying the resource only removes it from Terraform's state: " +
			"the version and its history stay in the repository.",
		Attributes: map[string]schema.Attribute{
			"id": schema.StringAttribute{
				Computed: true, MarkdownDescription: "`service/version`, which is also the import id.",
				PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			},
			"service": schema.StringAttribute{
				Required: true, PlanModifiers: replace, Validators: []validator.String{serviceValidator{}},
				MarkdownDescription: "The service: 1 to 64 letters, digits, dots, underscores and hyphens.",
			},
			"scheme": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: replace,
				Default:             stringdefault.StaticString(string(builddata.Sequence)),
				Validators:          []validator.String{stringvalidator.OneOf(text.Strings(builddata.Schemes)...)},
				MarkdownDescription: describeScheme + " Defaults to `sequence`.",
			},
			"bump": schema.StringAttribute{
				Optional: true,
				PlanModifiers: []planmodifier.String{
					stringplanmodifier.RequiresReplaceIf(replaceStringIfSet, replaceIfSet, replaceIfSet),
				},
				Validators: []validator.String{stringvalidator.OneOf(text.Strings(builddata.Bumps)...)},
				MarkdownDescription: "The part of a `semver` version that rises: `patch` (the default), `minor` or `major`. " +
					"The first version is 0.0.1, 0.1.0 or 1.0.0.",
			},
			"key": schema.StringAttribute{
				Optional: true, Computed: true,
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplaceIfConfigured(), stringplanmodifier.UseStateForUnknown()},
				Validators:    []validator.String{stringvalidator.LengthBetween(1, 512)},
				MarkdownDescription: "Idempotency key: the same service and key always give the same version. " +
					"A key belongs to one service, one source revision and one set of labels; using it with others is an error. " +
					"Defaults to a digest of all arguments if there are `keepers`. Without key and keepers, each creation allocates a new number.",
			},
			"keepers": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, Validators: []validator.Map{resources.NoNull{}},
				PlanModifiers: []planmodifier.Map{mapplanmodifier.RequiresReplaceIf(replaceMapIfSet, replaceIfSet, replaceIfSet)},
				MarkdownDescription: "Arbitrary values whose change allocates a new version. The same revision and keepers give the same version; " +
					"add the id of the pipe run if each build of the same commit needs its own version.",
			},
			"source_revision": schema.StringAttribute{
				Optional: true, PlanModifiers: replace, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "The SCM revision it is built from, such as a commit hash.",
			},
			"labels": schema.MapAttribute{
				Optional: true, ElementType: types.StringType, PlanModifiers: replaceMap, Validators: []validator.Map{resources.NoNull{}},
				MarkdownDescription: "Labels to store with the version, such as its branch.",
			},
			"version": schema.StringAttribute{Computed: true, MarkdownDescription: describeVersion},
			"number":  schema.Int64Attribute{Computed: true, MarkdownDescription: describeNumber},
			"created_at": schema.StringAttribute{
				Computed: true, CustomType: timetypes.RFC3339Type{}, MarkdownDescription: describeCreated,
			},
			"revoked":        schema.BoolAttribute{Computed: true, MarkdownDescription: describeRevoked},
			"revoked_reason": schema.StringAttribute{Computed: true, MarkdownDescription: describeRevokedReason},
		},
	}
}

func (r *versionResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || m.Scheme.IsUnknown() {
		return
	}
	if !m.Bump.IsNull() && m.Scheme.ValueString() != string(builddata.Semver) {
		resp.Diagnostics.AddAttributeError(path.Root("bump"), "Only a semver version can be bumped", "Set scheme = \"semver\", or remove bump.")
	}
}

func (r *versionResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	allocation, err := m.allocation(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "decode the plan", err)
		return
	}
	store, ok := r.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	v, err := store.Allocate(ctx, allocation)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "allocate a version", err)
		return
	}
	m.encode(v)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (r *versionResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	store, ok := r.OpenStore(ctx, &resp.Diagnostics)
	if !ok {
		return
	}
	v, err := store.Version(ctx, m.Service.ValueString(), m.Version.ValueString())
	if errors.Is(err, builddata.ErrNotFound) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resources.Fail(&resp.Diagnostics, "read a version", err)
		return
	}
	m.encode(v)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// Update only stores a bump or keepers that were unknown to an import.
func (r *versionResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

// Delete only removes the version from the state; its history stays.
func (r *versionResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

func (r *versionResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	service, name, ok := strings.Cut(req.ID, "/")
	if !ok || service == "" || name == "" {
		resp.Diagnostics.AddError("Invalid import id", fmt.Sprintf("Got %q. Use service/version, for example \"strawberry/17\".", req.ID))
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("service"), service)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("version"), name)...)
}

func (m *model) encode(v builddata.Version) {
	labels := m.Labels
	m.facts.encode(v)
	if !labels.IsNull() && len(v.Labels) == 0 {
		m.Labels = resources.StringMap(v.Labels) // {} is in the configuration
	}
	m.ID = types.StringValue(v.Service + "/" + v.Name)
}

// allocation converts the plan to an allocation.
func (m *model) allocation(ctx context.Context) (builddata.Allocation, error) {
	a := builddata.Allocation{
		Service:        m.Service.ValueString(),
		Scheme:         builddata.Scheme(m.Scheme.ValueString()),
		Bump:           builddata.Bump(m.Bump.ValueString()),
		Key:            m.Key.ValueString(),
		SourceRevision: m.SourceRevision.ValueString(),
	}
	if a.Bump == "" {
		a.Bump = builddata.Patch
	}
	if diags := m.Labels.ElementsAs(ctx, &a.Labels, false); !m.Labels.IsNull() && diags.HasError() {
		return a, fmt.Errorf("labels: %s", diags[0].Detail())
	}
	var keepers map[string]string
	if diags := m.Keepers.ElementsAs(ctx, &keepers, false); !m.Keepers.IsNull() && diags.HasError() {
		return a, fmt.Errorf("keepers: %s", diags[0].Detail())
	}
	if a.Key == "" && len(keepers) > 0 {
		key, err := defaultKey(a, keepers)
		if err != nil {
			return a, err
		}
		a.Key = key
	}
	return a, nil
}

// defaultKey is a digest of what is built and the keepers. It includes the service, so
// that two services of one repository never share a key.
func defaultKey(a builddata.Allocation, keepers map[string]string) (string, error) {
	// JSON sorts the keys of a map and separates values unambiguously.
	encoded, err := json.Marshal([]any{a.Service, a.SourceRevision, a.Scheme, a.Bump, a.Labels, keepers})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// serviceValidator validates the name of a service by the domain's rule.
type serviceValidator struct{}

func (serviceValidator) Description(context.Context) string { return "a service's name" }

func (v serviceValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (serviceValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := builddata.ValidateService(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid service name", err.Error())
	}
}
