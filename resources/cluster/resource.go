package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// Defaults of the timeouts.
const (
	defaultCreate = 15 * time.Minute
	defaultUpdate = 15 * time.Minute
	defaultDelete = 90 * time.Minute // an hour of it may be the deregistration delay
)

var (
	_ resource.ResourceWithConfigure        = (*clusterResource)(nil)
	_ resource.ResourceWithConfigValidators = (*clusterResource)(nil)
	_ resource.ResourceWithValidateConfig   = (*clusterResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*clusterResource)(nil)
	_ resource.ResourceWithImportState      = (*clusterResource)(nil)
)

type clusterResource struct{ resources.ForResource }

// NewResource returns the resource delivery_cluster.
func NewResource() resource.Resource { return &clusterResource{} }

func (r *clusterResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cluster"
}

func (r *clusterResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	root := path.MatchRoot
	validators := []resource.ConfigValidator{
		resourcevalidator.RequiredTogether(root("listener"), root("target")),
		resourcevalidator.ExactlyOneOf(root("launch_template"), root("instance_type")),
	}
	for _, plain := range []string{"security_group_ids", "iam_instance_profile", "user_data", "root_volume_size"} {
		validators = append(validators, resourcevalidator.Conflicting(root("launch_template"), root(plain)))
	}
	return validators
}

// ValidateConfig judges what needs neither AWS nor all values.
func (r *clusterResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var least, most types.Int32
	var tags types.Map
	var listener types.String
	var rule types.Object
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("min_size"), &least)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("max_size"), &most)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("tags"), &tags)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("listener"), &listener)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("listener_rule"), &rule)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !least.IsUnknown() && !most.IsUnknown() {
		if err := (cluster.Size{Min: least.ValueInt32(), Max: most.ValueInt32()}).Validate(); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root("min_size"), "The sizes contradict each other", err.Error())
		}
	}
	own, diags := resources.Tags(ctx, tags)
	resp.Diagnostics.Append(diags...)
	if err := own.ValidateOwn(); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("tags"), "AWS would refuse these tags", err.Error())
	}
	for _, key := range []string{tagging.Service, tagging.Environment, tagging.Version} {
		if _, ok := own[key]; ok {
			resp.Diagnostics.AddAttributeError(path.Root("tags"), "This tag is set by an argument", fmt.Sprintf("Tag %q has the value of the argument %s. Leave it out here.", key, key))
		}
	}
	if listener.IsNull() && !rule.IsNull() && !rule.IsUnknown() {
		resp.Diagnostics.AddAttributeError(path.Root("listener_rule"), "A rule needs a listener", "Set listener, or leave listener_rule out for a worker cluster.")
	}
}

// ModifyPlan says which tags will be there, replaces a cluster that misses a
// part, and judges by what AWS holds whether the cluster can be made.
func (r *clusterResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || r.Dependencies == nil {
		return // it will be destroyed
	}
	create := req.State.Raw.IsNull()
	if !create {
		var missing types.List
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("missing"), &missing)...)
		if len(missing.Elements()) > 0 {
			resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("missing"), []string{})...)
			resp.RequiresReplace = append(resp.RequiresReplace, path.Root("missing"))
			return // the plan of the replacement comes here again
		}
	}
	if !req.Config.Raw.IsFullyKnown() || r.DefaultTagsUnknown {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("tags_all"), types.MapUnknown(types.StringType))...)
		return // the apply checks what could not be checked here
	}
	var planned model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &planned)...)
	if resp.Diagnostics.HasError() {
		return
	}
	s, diags := planned.spec(ctx, r.DefaultTags)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("tags_all"), resources.StringMap(s.Tags))...)
	if err := r.validate(s); err != nil {
		resp.Diagnostics.AddError(fmt.Sprintf("Cluster %s cannot be made like this", s.ID), err.Error())
		return
	}
	if !create {
		return
	}
	cloud, err := r.Cloud(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "reach AWS", err)
		return
	}
	if err := cloud.Check(ctx, s); err != nil {
		resp.Diagnostics.AddError(fmt.Sprintf("Cluster %s cannot be made like this", s.ID), err.Error())
	}
}

// validate judges a whole specification without asking AWS.
func (r *clusterResource) validate(s cluster.Spec) error {
	if missing := s.Tags.Missing(r.RequiredTags); len(missing) > 0 {
		return fmt.Errorf("these required tags have no value: %s; give them in tags or in the provider's default_tags, or change its required_tags", strings.Join(missing, ", "))
	}
	return s.Validate()
}

func (r *clusterResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	m, s, manager := r.planned(ctx, req.Plan, &resp.Diagnostics)
	within, diags := m.Timeouts.Create(ctx, defaultCreate)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	var entropy [8]byte
	if _, err := io.ReadFull(r.Entropy, entropy[:]); err != nil {
		resources.Fail(&resp.Diagnostics, "name a generation", err)
		return
	}
	g := cluster.NewGeneration(s.ID, entropy)
	// All of a generation is found by its name, so this is identity enough
	// for Terraform to destroy it, however far the creation comes.
	m.begin(g, s)
	if err := manager.Create(ctx, g, s, within); err != nil {
		var failure *cluster.CreateError
		if errors.As(err, &failure) && failure.Left {
			resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
		}
		resources.Fail(&resp.Diagnostics, "make cluster "+s.ID.String(), err)
		return
	}
	diags = r.refresh(ctx, manager, &m, &resp.State)
	if diags.HasError() {
		// It serves. An error here would have the next apply replace it.
		detail := "Cluster " + s.ID.String() + " was made and serves, but reading it failed. The next refresh completes the state.\n\n" + diags[0].Detail()
		diags = diag.Diagnostics{diag.NewWarningDiagnostic("The cluster could not be read back", detail)}
	}
	resp.Diagnostics.Append(diags...)
}

// planned decodes a plan that is to be applied, and finds the means.
func (r *clusterResource) planned(ctx context.Context, plan tfsdk.Plan, diags *diag.Diagnostics) (m model, s cluster.Spec, manager *cluster.Manager) {
	diags.Append(plan.Get(ctx, &m)...)
	if diags.HasError() {
		return m, s, nil
	}
	s, more := m.spec(ctx, r.DefaultTags)
	diags.Append(more...)
	if err := r.validate(s); err != nil {
		diags.AddError(fmt.Sprintf("Cluster %s cannot be made like this", s.ID), err.Error())
		return m, s, nil
	}
	manager, err := r.manager(ctx)
	if err != nil {
		resources.Fail(diags, "reach AWS", err)
	}
	return m, s, manager
}

// begin fills in what is known before the first part of a cluster is made.
func (m *model) begin(g cluster.Generation, s cluster.Spec) {
	m.ID = types.StringValue(s.ID.String())
	m.Generation = types.StringValue(g.Name)
	m.TagsAll = resources.StringMap(s.Tags)
	m.AutoScalingGroupName, m.TargetGroupARN, m.LaunchTemplateID = types.StringNull(), types.StringNull(), types.StringNull()
	m.Missing = types.ListNull(types.StringType)
}

// refresh writes what there is of the cluster into the state.
func (r *clusterResource) refresh(ctx context.Context, manager *cluster.Manager, m *model, state *tfsdk.State) (diags diag.Diagnostics) {
	o, err := manager.Cloud.Observe(ctx, m.generation(), m.Listener.ValueString())
	if err != nil {
		resources.Fail(&diags, "read cluster "+m.identity().String(), err)
		// What is known stays known: Terraform must not lose the generation.
		diags.Append(state.Set(ctx, m)...)
		return diags
	}
	if o.Gone() {
		state.RemoveResource(ctx)
		return diags
	}
	diags.Append(m.encode(ctx, o, r.DefaultTags)...)
	diags.Append(state.Set(ctx, m)...)
	return diags
}

func (r *clusterResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	manager, err := r.manager(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "reach AWS", err)
		return
	}
	resp.Diagnostics.Append(r.refresh(ctx, manager, &m, &resp.State)...)
}

func (r *clusterResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	m, s, manager := r.planned(ctx, req.Plan, &resp.Diagnostics)
	within, diags := m.Timeouts.Update(ctx, defaultUpdate)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := manager.Update(ctx, m.generation(), s, within); err != nil {
		resources.Fail(&resp.Diagnostics, "change cluster "+s.ID.String(), err)
	}
	// Also after a failure: the state then says how far it came.
	resp.Diagnostics.Append(r.refresh(context.WithoutCancel(ctx), manager, &m, &resp.State)...)
}

func (r *clusterResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	s, diags := m.spec(ctx, r.DefaultTags)
	resp.Diagnostics.Append(diags...)
	within, diags := m.Timeouts.Delete(ctx, defaultDelete)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	manager, err := r.manager(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "reach AWS", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := manager.Delete(ctx, m.generation(), s.Listener); err != nil {
		resources.Fail(&resp.Diagnostics, "destroy cluster "+m.identity().String(), fmt.Errorf("%w\n\nWhat is left of it stays in the state; destroy again to go on", err))
	}
}

func (r *clusterResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, err := cluster.ParseID(req.ID)
	if err != nil {
		resp.Diagnostics.AddError("The import id names no cluster", err.Error())
		return
	}
	cloud, err := r.Cloud(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "reach AWS", err)
		return
	}
	generations, err := cloud.Generations(ctx, id)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "import cluster "+req.ID, err)
		return
	}
	if len(generations) != 1 {
		resources.Fail(&resp.Diagnostics, "import cluster "+req.ID, fmt.Errorf("%d Auto Scaling groups carry the tag %s = %s, but exactly one is needed: %v", len(generations), tagging.Cluster, id, generations))
		return
	}
	for name, value := range map[string]string{"id": req.ID, "service": id.Service, "environment": id.Environment, "generation": generations[0].Name} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// manager acts on AWS and reports its progress to Terraform's log.
func (r *clusterResource) manager(ctx context.Context) (*cluster.Manager, error) {
	cloud, err := r.Cloud(ctx)
	if err != nil {
		return nil, err
	}
	return &cluster.Manager{
		Cloud: cloud,
		Clock: r.Clock,
		Progress: func(ctx context.Context, format string, args ...any) {
			tflog.Info(ctx, fmt.Sprintf(format, args...))
		},
	}, nil
}
