package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
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
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// Default timeouts.
const (
	// noTimeout is the default for creations and changes, because each of their
	// waits has a timeout of its own.
	noTimeout     = 7 * 24 * time.Hour
	defaultDelete = 90 * time.Minute // the deregistration delay may take an hour of it
	// readTimeout bounds reading the cluster after a change, also after an
	// interrupted one.
	readTimeout = time.Minute
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
		resourcevalidator.AtLeastOneOf(root("launch_template"), root("instance_type"), root("mixed_instances")),
		resourcevalidator.Conflicting(root("launch_template"), root("instance_type")),
		resourcevalidator.Conflicting(root("mixed_instances"), root("instance_type")),
		resourcevalidator.Conflicting(root("user_data"), root("user_data_base64")),
	}
	for _, plain := range templateArguments {
		validators = append(validators, resourcevalidator.Conflicting(root("launch_template"), root(plain)))
	}
	return validators
}

// ValidateConfig validates what needs neither AWS nor all values.
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
			resp.Diagnostics.AddAttributeError(path.Root("tags"), "This tag is set by an argument",
				fmt.Sprintf("Tag %q has the value of the argument %s. Leave it out here.", key, key))
		}
	}
	var settingsObject types.Object
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("rollout"), &settingsObject)...)
	if known, err := settingsObject.ToTerraformValue(ctx); err == nil && known.IsFullyKnown() && !settingsObject.IsNull() {
		var m model
		resp.Diagnostics.Append(settingsObject.As(ctx, &m.Rollout, objectOptions)...)
		settings, diags := m.settings(ctx, cluster.Spec{})
		resp.Diagnostics.Append(diags...)
		if err := settings.Validate(); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root("rollout"), "The rollout settings contradict each other", err.Error())
		}
	}
	if listener.IsNull() && !rule.IsNull() && !rule.IsUnknown() {
		resp.Diagnostics.AddAttributeError(path.Root("listener_rule"), "A rule needs a listener",
			"Set listener, or leave listener_rule out for a worker cluster.")
	}
}

// ModifyPlan plans the tags and the rollout, and checks with AWS whether the
// rollout can start.
func (r *clusterResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || r.Dependencies == nil {
		return // it will be destroyed
	}
	set := func(attribute string, value any) {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root(attribute), value)...)
	}
	var before *model
	if !req.State.Raw.IsNull() {
		before = &model{}
		resp.Diagnostics.Append(req.State.Get(ctx, before)...)
		if resp.Diagnostics.HasError() {
			return
		}
	}
	if !req.Config.Raw.IsFullyKnown() || r.DefaultTagsUnknown {
		// The apply checks what cannot be checked here.
		set("tags_all", types.MapUnknown(types.StringType))
		if before == nil {
			return
		}
		var image, version types.String
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("image_id"), &image)...)
		resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("version"), &version)...)
		if image.IsUnknown() && version.Equal(before.Version) {
			set("image_id", before.ImageID)
		}
		all := before.interrupted() || before.incomplete() || mayNeedNewServers(req.State.Raw, resp.Plan.Raw)
		for attribute, unknown := range unknownAfterRollout {
			if all || slices.Contains([]string{"traffic", "previous_version", "last_rollout"}, attribute) {
				set(attribute, unknown)
			}
		}
		return
	}
	var planned model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &planned)...)
	if resp.Diagnostics.HasError() {
		return
	}
	r.completeImage(ctx, &planned, before, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	set("image_id", planned.ImageID)
	s, settings := r.wanted(ctx, &planned, before == nil, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	set("tags_all", resources.StringMap(s.Tags))
	newServers, reattaches := true, false
	var was *rollout.GenerationRecord
	if before != nil {
		var diags diag.Diagnostics
		was, diags = before.known(ctx, r.IgnoredTags)
		resp.Diagnostics.Append(diags...)
		if resp.Diagnostics.HasError() {
			return
		}
		reattaches = !s.Attachments.Same(was.Spec.Attachments)
		newServers = before.incomplete() || !s.SameServers(was.Spec)
	}
	for attribute, value := range planned.rolloutPlan(before, settings, newServers, reattaches) {
		set(attribute, value)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	if before != nil && before.TakeOver.IsNull() && !planned.TakeOver.IsNull() {
		resp.Diagnostics.AddAttributeWarning(path.Root("take_over_target_group_arn"), "Nothing is taken over",
			fmt.Sprintf("Cluster %s exists already, and only a creation takes requests over. The argument can be removed.", s.ID))
	}
	if before != nil && len(before.ForeignConditions.Elements()) > 0 && !before.sameListener(&planned) {
		resp.Diagnostics.AddAttributeError(path.Root("listener_rule"), "Conditions of the listener rule would be lost",
			fmt.Sprintf("The present rule of cluster %s has conditions that this provider cannot express, and cannot move to another listener or "+
				"to a default action: %s. Remove them from the rule first.", s.ID, before.ForeignConditions))
		return
	}
	if !newServers {
		r.warnRevoked(ctx, s, &resp.Diagnostics)
		if !reflect.DeepEqual(s.FurtherRules, was.Spec.FurtherRules) {
			r.checkRules(ctx, s, &resp.Diagnostics)
		}
		return
	}
	for _, warning := range s.Warnings() {
		resp.Diagnostics.AddAttributeWarning(path.Root("listener_rule"), "AWS may refuse the listener rule",
			fmt.Sprintf("Cluster %s: %s.", s.ID, warning))
	}
	r.checkVersion(ctx, &planned, s, &resp.Diagnostics)
	if before == nil {
		r.warnExists(ctx, s.ID, &resp.Diagnostics)
	}
	cloud, err := r.Cloud(ctx)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "reach AWS", err)
		return
	}
	s, err = cloud.Check(ctx, s)
	if err == nil && settings.Preview != nil {
		err = cloud.CheckPreview(ctx, s, *settings.Preview)
	}
	if err != nil {
		resp.Diagnostics.AddError(fmt.Sprintf("Cluster %s cannot be created with this configuration", s.ID), err.Error())
		return
	}
	if was != nil {
		if _, err := (&rollout.Manager{Cloud: cloud}).Carry(ctx, *was, settings); err != nil {
			resp.Diagnostics.AddError(fmt.Sprintf("Cluster %s cannot be rolled out", s.ID), err.Error())
			return
		}
	}
	r.warnNotAsTested(ctx, s, &resp.Diagnostics)
}

// checkRules refuses further rules that an apply could not make. With new servers, everything is
// checked.
func (r *clusterResource) checkRules(ctx context.Context, s cluster.Spec, diags *diag.Diagnostics) {
	cloud, err := r.Cloud(ctx)
	if err != nil {
		resources.Fail(diags, "reach AWS", err)
		return
	}
	if err := cloud.CheckRules(ctx, s); err != nil {
		diags.AddAttributeError(path.Root("further_rule"), fmt.Sprintf("Cluster %s cannot have these rules", s.ID), err.Error())
	}
}

// wanted decodes a model whose values are all known, and validates it without
// AWS. Only a creation takes something over.
func (r *clusterResource) wanted(ctx context.Context, m *model, created bool, diags *diag.Diagnostics) (cluster.Spec, rollout.Settings) {
	s, more := m.spec(ctx, r.DefaultTags, r.IgnoredTags)
	diags.Append(more...)
	if created {
		s.TakeOver = m.TakeOver.ValueString()
	}
	settings, more := m.settings(ctx, s)
	diags.Append(more...)
	if diags.HasError() {
		return s, settings
	}
	if err := errors.Join(r.validate(s), settings.Validate(), settings.ValidateFor(s)); err != nil {
		diags.AddError(fmt.Sprintf("Cluster %s cannot be created with this configuration", s.ID), err.Error())
	}
	return s, settings
}

// validate validates a whole specification without AWS.
func (r *clusterResource) validate(s cluster.Spec) error {
	if missing := s.Tags.Missing(r.RequiredTags); len(missing) > 0 {
		return fmt.Errorf("these required tags have no value: %s; set them in tags or in the provider's default_tags, "+
			"or change its required_tags", strings.Join(missing, ", "))
	}
	return s.Validate()
}

func (r *clusterResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	within, diags := m.Timeouts.Create(ctx, noTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	r.completeImage(ctx, &m, nil, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	s, settings := r.wanted(ctx, &m, true, &resp.Diagnostics)
	manager := r.manager(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	r.checkVersion(ctx, &m, s, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	inventory, err := manager.Apply(bounded, s, settings, nil)
	if err != nil {
		var failure *rollout.Error
		if !errors.As(err, &failure) || failure.Outcome != rollout.Irreversible || inventory.Serving == nil {
			// Without state: otherwise Terraform would destroy the cluster before it
			// tries again. What may exist is on record, and the next apply continues.
			r.fail(&resp.Diagnostics, "create cluster "+s.ID.String(), err)
			return
		}
		// It serves; only the removal of other generations is incomplete.
		resp.Diagnostics.AddWarning(headline(failure))
	}
	r.warnNotAsTested(ctx, inventory.Serving.Spec, &resp.Diagnostics)
	warnUntried(ctx, manager, s, &resp.Diagnostics)
	m.begin(inventory.Serving.Name, s)
	resp.Diagnostics.Append(r.complete(ctx, manager, &m, req.Plan, &resp.State)...)
}

// complete writes the state after a success: what was planned, completed by what
// the repository and AWS say now. It only warns: the cluster serves, and after an
// error the next apply would replace it.
func (r *clusterResource) complete(
	ctx context.Context, manager *rollout.Manager, m *model, plan tfsdk.Plan, state *tfsdk.State,
) (diags diag.Diagnostics) {
	begun := *m
	problems := r.refresh(ctx, manager, m, state)
	switch {
	case problems.HasError():
		diags.AddWarning("The cluster could not be read back",
			"The change of cluster "+m.identity().String()+" succeeded, but reading it failed. The next refresh completes the state.\n\n"+
				problems[0].Detail())
	case state.Raw.IsNull():
		diags.AddWarning("The cluster was removed meanwhile",
			"The change of cluster "+m.identity().String()+" succeeded, and something else removed the cluster since. The next plan shows that.")
		diags.Append(state.Set(ctx, begun)...)
	case !m.Listener.IsNull() && m.Traffic.ValueInt32() != 100:
		diags.AddWarning("The requests were redirected meanwhile",
			fmt.Sprintf("The change of cluster %s succeeded, and something else changed its listener rule since, or AWS does not show the new rule yet: "+
				"the generation %s gets %d %% of the requests. The next plan shows that, if it is still so.",
				m.identity(), m.Generation.ValueString(), m.Traffic.ValueInt32()))
	}
	state.Raw = keepPlanned(plan.Raw, state.Raw)
	return diags
}

// warnUntried warns of a rollout that started no server.
func warnUntried(ctx context.Context, manager *rollout.Manager, s cluster.Spec, diags *diag.Diagnostics) {
	untried, err := rollout.Untried(ctx, manager.Store, s.ID, manager.Region)
	switch {
	case err != nil:
		diags.AddWarning("It is not known whether the version was tried",
			fmt.Sprintf("The steps of the rollout of cluster %s could not be read: %s", s.ID, err))
	case untried:
		diags.AddAttributeWarning(path.Root("version"), "The version was not tried",
			fmt.Sprintf("Cluster %s is scaled to 0, so its rollout to version %s started no server. "+
				"Whether the version works shows only when the cluster is scaled up.", s.ID, s.Version))
	}
}

// begin fills in what is known of a generation before it is read.
func (m *model) begin(generation string, s cluster.Spec) {
	m.ID = types.StringValue(s.ID.String())
	m.Generation = types.StringValue(generation)
	m.TagsAll = resources.StringMap(s.Tags)
	m.AutoScalingGroupName, m.TargetGroupARN, m.LaunchTemplateID = types.StringNull(), types.StringNull(), types.StringNull()
	m.Missing, m.ForeignConditions = types.ListNull(types.StringType), types.ListNull(types.StringType)
	m.CarriedAttachments = types.ListNull(types.StringType)
	// Values that were planned stay as they were planned.
	if m.Traffic.IsUnknown() {
		m.Traffic = types.Int32Null()
	}
	if m.PreviousVersion.IsUnknown() {
		m.PreviousVersion = types.StringNull()
	}
	if m.ListenerRule != nil && m.ListenerRule.Priority.IsUnknown() {
		m.ListenerRule.Priority = types.Int32Null()
	}
	m.LastRollout = withoutUnknowns(m.LastRollout)
}

// fail reports an error. A rollout's error has a headline of its own.
func (r *clusterResource) fail(diags *diag.Diagnostics, doing string, err error) {
	var failure *rollout.Error
	if !errors.As(err, &failure) {
		resources.Fail(diags, doing, err)
		return
	}
	diags.AddError(headline(failure))
}

// headline splits the text of a rollout's error into summary and detail.
func headline(failure *rollout.Error) (summary, detail string) {
	summary, detail, _ = strings.Cut(failure.Error(), "\n\n")
	return strings.ToUpper(summary[:1]) + strings.TrimSuffix(summary[1:], "."), detail
}

// refresh writes into the state which generation serves according to the
// repository, and what AWS says of that generation.
func (r *clusterResource) refresh(ctx context.Context, manager *rollout.Manager, m *model, state *tfsdk.State) (diags diag.Diagnostics) {
	status, err := manager.Status(ctx, m.identity())
	if err != nil {
		resources.Fail(&diags, "read the rollouts of cluster "+m.identity().String(), err)
		diags.Append(state.Set(ctx, m)...)
		return diags
	}
	m.encodeStatus(status)
	g := cluster.Generation{Cluster: m.identity(), Name: m.Generation.ValueString()}
	o, err := manager.Cloud.Observe(ctx, g, m.Listener.ValueString())
	if err != nil {
		resources.Fail(&diags, "read cluster "+m.identity().String(), err)
		// The state keeps what it had: Terraform must not lose the generation.
		diags.Append(state.Set(ctx, m)...)
		return diags
	}
	if o.Gone() && status.Open == nil && status.Kept == nil && len(status.Left) == 0 {
		state.RemoveResource(ctx)
		return diags
	}
	attached, err := manager.Cloud.Attached(ctx, g)
	if err != nil {
		resources.Fail(&diags, "read what is attached to cluster "+m.identity().String(), err)
		diags.Append(state.Set(ctx, m)...)
		return diags
	}
	d := decoder{ctx: ctx}
	rules, share, err := manager.Cloud.Rules(ctx, g, d.further(m))
	if err != nil {
		resources.Fail(&diags, "read the further rules of cluster "+m.identity().String(), err)
		diags.Append(state.Set(ctx, m)...)
		return diags
	}
	o.Share = min(o.Share, share)
	o.Tags = o.Tags.WithoutIgnored(r.IgnoredTags)
	if len(o.ForeignConditions) > 0 {
		diags.AddAttributeWarning(path.Root("listener_rule"), "The listener rule has conditions that this provider cannot express",
			fmt.Sprintf("The rule of cluster %s also has these conditions, which are kept as they are: %s.",
				o.ID, strings.Join(o.ForeignConditions, ", ")))
	}
	diags.Append(m.encode(ctx, o, r.DefaultTags)...)
	e := encoder{ctx: ctx}
	e.further(m, rules)
	diags.Append(append(d.diags, e.diags...)...)
	if o.GroupName != "" {
		diags.Append(m.encodeAttached(ctx, attached, r.Clock.Now())...)
	}
	diags.Append(state.Set(ctx, m)...)
	return diags
}

func (r *clusterResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	manager := r.manager(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(r.refresh(ctx, manager, &m, &resp.State)...)
}

func (r *clusterResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var before, m model
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	within, diags := m.Timeouts.Update(ctx, noTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	known, diags := before.known(ctx, r.IgnoredTags)
	resp.Diagnostics.Append(diags...)
	r.completeImage(ctx, &m, &before, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	s, settings := r.wanted(ctx, &m, false, &resp.Diagnostics)
	manager := r.manager(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	newServers := before.incomplete() || !s.SameServers(known.Spec)
	if newServers {
		r.checkVersion(ctx, &m, s, &resp.Diagnostics)
		if resp.Diagnostics.HasError() {
			return
		}
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	inventory, err := manager.Apply(bounded, s, settings, known)
	if err != nil {
		r.fail(&resp.Diagnostics, "change cluster "+s.ID.String(), err)
	}
	if err != nil && (inventory.Serving == nil || inventory.Serving.Name == known.Name) {
		m = before // the same generation serves
	}
	m.begin(known.Name, s)
	if inventory.Serving != nil {
		m.Generation = types.StringValue(inventory.Serving.Name)
	}
	// After a failure, too: the state then says how far the change came.
	reading, stop := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer stop()
	if err == nil {
		if newServers {
			r.warnNotAsTested(reading, inventory.Serving.Spec, &resp.Diagnostics)
			warnUntried(reading, manager, s, &resp.Diagnostics)
		}
		resp.Diagnostics.Append(r.complete(reading, manager, &m, req.Plan, &resp.State)...)
		return
	}
	resp.Diagnostics.Append(r.refresh(reading, manager, &m, &resp.State)...)
}

func (r *clusterResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	known, diags := m.known(ctx, r.IgnoredTags)
	resp.Diagnostics.Append(diags...)
	within, diags := m.Timeouts.Delete(ctx, defaultDelete)
	resp.Diagnostics.Append(diags...)
	manager := r.manager(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := manager.Destroy(ctx, m.identity(), known); err != nil {
		r.fail(&resp.Diagnostics, "destroy cluster "+m.identity().String(), err)
	}
}

func (r *clusterResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, err := cluster.ParseID(req.ID)
	if err != nil {
		resp.Diagnostics.AddError("The import ID is not a valid cluster", err.Error())
		return
	}
	manager := r.manager(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name, err := serving(ctx, manager, id)
	if err != nil {
		resources.Fail(&resp.Diagnostics, "import cluster "+req.ID, err)
		return
	}
	for name, value := range map[string]string{"id": req.ID, "service": id.Service, "environment": id.Environment, "generation": name} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// serving names the generation that serves according to the repository. If the
// repository has no record of the cluster, it is the only one that exists.
func serving(ctx context.Context, manager *rollout.Manager, id cluster.ID) (string, error) {
	status, err := manager.Status(ctx, id)
	if err != nil {
		return "", err
	}
	if status.Serving != nil {
		return status.Serving.Name, nil
	}
	generations, err := manager.Cloud.Generations(ctx, id)
	if err != nil {
		return "", err
	}
	if len(generations) != 1 {
		return "", fmt.Errorf("the repository has no record of this cluster, and %d Auto Scaling groups have the tag %s = %s, "+
			"where exactly one is needed: %v", len(generations), tagging.Cluster, id, generations)
	}
	return generations[0].Name, nil
}

// manager returns a Manager that reports its progress to Terraform's log.
func (r *clusterResource) manager(ctx context.Context, diags *diag.Diagnostics) *rollout.Manager {
	cloud, err := r.Cloud(ctx)
	if err != nil {
		resources.Fail(diags, "reach AWS", err)
		return nil
	}
	region, err := r.Region(ctx)
	if err != nil {
		resources.Fail(diags, "reach AWS", err)
		return nil
	}
	store, ok := r.OpenStore(ctx, diags)
	if !ok {
		return nil
	}
	return &rollout.Manager{
		Cloud: cloud, Store: store, Clock: r.Clock, Region: region, Holder: r.Holder, Entropy: r.Entropy,
		Progress: func(ctx context.Context, format string, args ...any) {
			tflog.Info(ctx, fmt.Sprintf(format, args...))
		},
		Prober: r.Prober,
		Warn: func(_ context.Context, format string, args ...any) {
			diags.AddWarning("The version was not checked", strings.ToUpper(format[:1])+fmt.Sprintf(format[1:], args...)+".")
		},
	}
}
