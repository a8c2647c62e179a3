// Package cluster holds the resource delivery_cluster.
package cluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type model struct {
	ID          types.String `tfsdk:"id"`
	Service     types.String `tfsdk:"service"`
	Environment types.String `tfsdk:"environment"`
	Version     types.String `tfsdk:"version"`
	ImageID     types.String `tfsdk:"image_id"`

	AllowRevoked           types.Bool `tfsdk:"allow_revoked"`
	AllowUnregisteredImage types.Bool `tfsdk:"allow_unregistered_image"`

	InstanceType       types.String   `tfsdk:"instance_type"`
	SubnetIDs          types.Set      `tfsdk:"subnet_ids"`
	SecurityGroupIDs   types.Set      `tfsdk:"security_group_ids"`
	IAMInstanceProfile types.String   `tfsdk:"iam_instance_profile"`
	UserData           types.String   `tfsdk:"user_data"`
	UserDataBase64     types.String   `tfsdk:"user_data_base64"`
	RootVolumeSize     types.Int32    `tfsdk:"root_volume_size"`
	MetadataTokens     types.String   `tfsdk:"metadata_http_tokens"`
	LaunchTemplate     *templateModel `tfsdk:"launch_template"`
	launchModel

	MinSize types.Int32 `tfsdk:"min_size"`
	MaxSize types.Int32 `tfsdk:"max_size"`

	Listener     types.String `tfsdk:"listener"`
	ListenerRule *ruleModel   `tfsdk:"listener_rule"`
	FurtherRules types.List   `tfsdk:"further_rule"`
	Target       *targetModel `tfsdk:"target"`
	TakeOver     types.String `tfsdk:"take_over_target_group_arn"`

	attachmentsModel

	Rollout *rolloutModel `tfsdk:"rollout"`

	Tags    types.Map `tfsdk:"tags"`
	TagsAll types.Map `tfsdk:"tags_all"`

	Generation           types.String `tfsdk:"generation"`
	AutoScalingGroupName types.String `tfsdk:"autoscaling_group_name"`
	TargetGroupARN       types.String `tfsdk:"target_group_arn"`
	ForeignConditions    types.List   `tfsdk:"foreign_conditions"`
	LaunchTemplateID     types.String `tfsdk:"launch_template_id"`
	CarriedAttachments   types.List   `tfsdk:"carried_attachments"`
	Missing              types.List   `tfsdk:"missing"`
	Traffic              types.Int32  `tfsdk:"traffic"`
	PreviousVersion      types.String `tfsdk:"previous_version"`
	LastRollout          types.Object `tfsdk:"last_rollout"`

	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

type templateModel struct {
	ID      types.String `tfsdk:"id"`
	Version types.String `tfsdk:"version"`
}

type targetModel struct {
	Port                types.Int32  `tfsdk:"port"`
	Protocol            types.String `tfsdk:"protocol"`
	DeregistrationDelay types.String `tfsdk:"deregistration_delay"`
	Stickiness          types.String `tfsdk:"stickiness"`
	HealthCheck         types.Object `tfsdk:"health_check"`
}

type healthCheckModel struct {
	Path               types.String `tfsdk:"path"`
	Port               types.Int32  `tfsdk:"port"`
	Protocol           types.String `tfsdk:"protocol"`
	Matcher            types.String `tfsdk:"matcher"`
	Interval           types.String `tfsdk:"interval"`
	Timeout            types.String `tfsdk:"timeout"`
	HealthyThreshold   types.Int32  `tfsdk:"healthy_threshold"`
	UnhealthyThreshold types.Int32  `tfsdk:"unhealthy_threshold"`
	GracePeriod        types.String `tfsdk:"grace_period"`
}

// identity names the cluster.
func (m *model) identity() cluster.ID {
	return cluster.ID{Service: m.Service.ValueString(), Environment: m.Environment.ValueString()}
}

// known is the generation in the state, as it was when it was last read. So its
// tags are those that exist, not those that are configured.
func (m *model) known(ctx context.Context, ignored tagging.Ignored) (*rollout.GenerationRecord, diag.Diagnostics) {
	s, diags := m.spec(ctx, nil, ignored)
	all, more := resources.Tags(ctx, m.TagsAll)
	diags.Append(more...)
	s.Tags = all
	return &rollout.GenerationRecord{Name: m.Generation.ValueString(), Spec: s}, diags
}

// tags merges the provider's default tags, the resource's own, and those that
// arguments set. The tags of the generation are not among them.
func (m *model) tags(ctx context.Context, defaults tagging.Set) (tagging.Set, diag.Diagnostics) {
	own, diags := resources.Tags(ctx, m.Tags)
	return tagging.Merge(defaults, own, tagging.Set{
		tagging.Service:     m.Service.ValueString(),
		tagging.Environment: m.Environment.ValueString(),
		tagging.Version:     m.Version.ValueString(),
	}), diags
}

// spec decodes the model. Everything in it must be known.
func (m *model) spec(ctx context.Context, defaults tagging.Set, ignored tagging.Ignored) (cluster.Spec, diag.Diagnostics) {
	d := decoder{ctx: ctx}
	s := cluster.Spec{
		ID:      m.identity(),
		Version: m.Version.ValueString(),
		ImageID: m.ImageID.ValueString(),
		Servers: cluster.Servers{
			InstanceType:     m.InstanceType.ValueString(),
			SubnetIDs:        d.strings(m.SubnetIDs),
			SecurityGroupIDs: d.strings(m.SecurityGroupIDs),
			InstanceProfile:  m.IAMInstanceProfile.ValueString(),
			RootVolumeSize:   m.RootVolumeSize.ValueInt32(),
			OptionalTokens:   m.MetadataTokens.ValueString() == tokensOptional,
		},
		Size:        cluster.Size{Min: m.MinSize.ValueInt32(), Max: m.MaxSize.ValueInt32()},
		IgnoredTags: ignored,
	}
	d.userData(m, &s.Servers)
	m.launchModel.decode(&s.Servers)
	if m.LaunchTemplate != nil {
		s.Servers.Template = &cluster.Template{ID: m.LaunchTemplate.ID.ValueString(), Version: m.LaunchTemplate.Version.ValueString()}
	}
	if !m.Listener.IsNull() {
		s.Listener = &cluster.Listener{ARN: m.Listener.ValueString()}
		if r := m.ListenerRule; r != nil {
			s.Listener.Rule = d.rule(*r)
		}
	}
	if m.Target != nil {
		s.Target = d.target(*m.Target)
	}
	s.FurtherRules = d.further(m)
	s.Attachments = d.attachments(&m.attachmentsModel)
	var diags diag.Diagnostics
	s.Tags, diags = m.tags(ctx, defaults)
	d.diags.Append(diags...)
	return s, d.diags
}

// decoder collects the diagnostics of decoding a model.
type decoder struct {
	ctx   context.Context
	diags diag.Diagnostics
}

func (d *decoder) strings(set types.Set) (all []string) {
	if set.IsNull() || set.IsUnknown() {
		return nil
	}
	d.diags.Append(set.ElementsAs(d.ctx, &all, false)...)
	return all
}

// userData decodes the user data, however it is written.
func (d *decoder) userData(m *model, s *cluster.Servers) {
	data := []byte(m.UserData.ValueString())
	if !m.UserDataBase64.IsNull() {
		var err error
		if data, err = cluster.DecodeUserData(m.UserDataBase64.ValueString()); err != nil { // the schema's validators have accepted it
			d.diags.AddAttributeError(path.Root("user_data_base64"), "Invalid user data", err.Error())
		}
	}
	s.SetUserData(data)
}

func (d *decoder) target(t targetModel) *cluster.Target {
	target := &cluster.Target{
		Port:                t.Port.ValueInt32(),
		Protocol:            t.Protocol.ValueString(),
		DeregistrationDelay: d.duration(t.DeregistrationDelay),
		Stickiness:          d.duration(t.Stickiness),
	}
	target.SetHealth(d.health(t.HealthCheck))
	return target
}

// health decodes a health check. Without one, the default is used: a block cannot have one
// in the schema.
func (d *decoder) health(o types.Object) cluster.HealthCheck {
	if o.IsNull() {
		o = defaultHealthCheck
	}
	var h healthCheckModel
	d.diags.Append(o.As(d.ctx, &h, objectOptions)...)
	return cluster.HealthCheck{
		Path: h.Path.ValueString(), Port: h.Port.ValueInt32(), Protocol: h.Protocol.ValueString(), Matcher: h.Matcher.ValueString(),
		Interval: d.duration(h.Interval), Timeout: d.duration(h.Timeout),
		HealthyThreshold: h.HealthyThreshold.ValueInt32(), UnhealthyThreshold: h.UnhealthyThreshold.ValueInt32(),
		GracePeriod: d.duration(h.GracePeriod),
	}
}

func (d *decoder) duration(v types.String) time.Duration {
	if v.IsNull() || v.IsUnknown() {
		return 0
	}
	duration, err := time.ParseDuration(v.ValueString())
	if err != nil { // the schema's validators have accepted it
		d.diags.AddError("Invalid duration", err.Error())
	}
	return duration
}

// encode updates the model with what was observed. The attributes of missing
// parts keep their values, so that the absence shows only in "missing".
func (m *model) encode(ctx context.Context, o cluster.Observed, defaults tagging.Set) diag.Diagnostics {
	e := encoder{ctx: ctx}
	if m.Rollout != nil && m.Rollout.Checks.IsNull() {
		m.Rollout.Checks = types.ListValueMust(checkType, nil) // the state is from before there were checks
	}
	imported := m.ImageID.IsNull()
	m.ID = types.StringValue(o.ID.String())
	if o.GroupName != "" {
		m.AutoScalingGroupName = types.StringValue(o.GroupName)
		m.MinSize, m.MaxSize = types.Int32Value(o.Size.Min), types.Int32Value(o.Size.Max)
		m.SubnetIDs = e.set(o.Servers.SubnetIDs)
		m.encodeGroup(o.Servers)
		// Otherwise an edited version tag would replace the servers.
		if imported {
			m.Version = types.StringValue(o.Version)
		}
		m.encodeTags(e.ctx, o, defaults, imported)
	}
	if o.TemplateID != "" {
		m.LaunchTemplateID = types.StringValue(o.TemplateID)
		m.ImageID = types.StringValue(o.ImageID)
		m.MetadataTokens = types.StringValue(tokensRequired)
		if o.Servers.OptionalTokens {
			m.MetadataTokens = types.StringValue(tokensOptional)
		}
		// With a copied launch template, the configuration does not have these.
		if m.LaunchTemplate == nil {
			m.InstanceType = types.StringNull()
			if m.Mixed == nil {
				m.InstanceType = resources.OptionalString(o.Servers.InstanceType)
			}
			m.SecurityGroupIDs = e.set(o.Servers.SecurityGroupIDs)
			m.IAMInstanceProfile = resources.OptionalString(o.Servers.InstanceProfile)
			m.encodeUserData(o.Servers)
			m.encodeTemplate(o.Servers)
			if !m.RootVolumeSize.IsNull() || o.OwnRootVolumeSize {
				m.RootVolumeSize = types.Int32Value(o.Servers.RootVolumeSize)
			}
		}
	}
	if o.Target != nil {
		m.TargetGroupARN = types.StringValue(o.TargetGroupARN)
		m.Target = e.target(*o.Target, m.Target)
	}
	if o.Listener != nil {
		m.Listener = types.StringValue(o.Listener.ARN)
		m.ListenerRule = nil
		if r := o.Listener.Rule; r != nil {
			m.ListenerRule = e.rule(*r)
		}
	}
	m.Traffic = types.Int32Null()
	if !m.Listener.IsNull() {
		m.Traffic = types.Int32Value(o.Share)
	}
	m.Missing, m.ForeignConditions = e.list(o.Missing), e.list(o.ForeignConditions)
	return e.diags
}

// encodeUserData keeps the argument by which the user data is set, and its spelling if the
// data is the same. Data that is not text needs base64.
func (m *model) encodeUserData(s cluster.Servers) {
	if m.UserDataBase64.IsNull() && s.UserDataBase64 == "" {
		m.UserData = resources.OptionalString(s.UserData)
		return
	}
	m.UserData = types.StringNull()
	was, err := cluster.DecodeUserData(m.UserDataBase64.ValueString())
	if err != nil || base64.StdEncoding.EncodeToString(was) != s.EncodedUserData() {
		m.UserDataBase64 = resources.OptionalString(s.EncodedUserData())
	}
}

// encodeTags splits the existing tags into those that the resource sets and those
// that come from the provider or from other arguments.
func (m *model) encodeTags(ctx context.Context, o cluster.Observed, defaults tagging.Set, imported bool) {
	all := o.Tags.Without(tagging.Cluster, tagging.Generation)
	if all["Name"] == m.Generation.ValueString() {
		all = all.Without("Name")
	}
	m.TagsAll = resources.StringMap(all)
	automatic := tagging.Merge(defaults, tagging.Set{
		tagging.Service: o.Service, tagging.Environment: o.Environment, tagging.Version: o.Version,
	})
	was, _ := resources.Tags(ctx, m.Tags) // a state's map decodes
	own := tagging.Set{}
	for key, value := range all {
		_, had := was[key]
		if had || imported && automatic[key] != value {
			own[key] = value
		}
	}
	if len(own) > 0 || !m.Tags.IsNull() && !imported {
		m.Tags = resources.StringMap(own)
	} else {
		m.Tags = types.MapNull(types.StringType)
	}
}

// encoder collects the diagnostics of encoding a model.
type encoder struct {
	ctx   context.Context
	diags diag.Diagnostics
}

func (e *encoder) set(all []string) types.Set {
	if len(all) == 0 {
		return types.SetNull(types.StringType)
	}
	set, diags := types.SetValueFrom(e.ctx, types.StringType, all)
	e.diags.Append(diags...)
	return set
}

// list is empty, not null, for no strings.
func (e *encoder) list(all []string) types.List {
	list, diags := types.ListValueFrom(e.ctx, types.StringType, append([]string{}, all...))
	e.diags.Append(diags...)
	return list
}

func (e *encoder) target(t cluster.Target, was *targetModel) *targetModel {
	if was == nil {
		was = &targetModel{Stickiness: types.StringNull(), HealthCheck: types.ObjectNull(healthCheckTypes)}
	}
	m := &targetModel{
		Port: types.Int32Value(t.Port), Protocol: types.StringValue(t.Protocol),
		DeregistrationDelay: durationValue(t.DeregistrationDelay, was.DeregistrationDelay),
		Stickiness:          types.StringNull(),
		HealthCheck:         e.health(t, was.HealthCheck),
	}
	if t.Stickiness > 0 || !was.Stickiness.IsNull() {
		m.Stickiness = durationValue(t.Stickiness, was.Stickiness)
	}
	return m
}

// health encodes a health check. The default one stays left out.
func (e *encoder) health(t cluster.Target, was types.Object) types.Object {
	d := decoder{ctx: e.ctx}
	if was.IsNull() && t.Health == d.health(was) {
		return was
	}
	var wasHealth healthCheckModel
	if !was.IsNull() {
		e.diags.Append(was.As(e.ctx, &wasHealth, objectOptions)...)
	}
	// What is the target's stays left out, or written as it was.
	port, protocol := types.Int32Null(), resources.OptionalString(t.Health.Protocol)
	if t.Health.Port != 0 {
		port = types.Int32Value(t.Health.Port)
	} else if wasHealth.Port.Equal(types.Int32Value(t.Port)) {
		port = wasHealth.Port
	}
	if t.Health.Protocol == "" && wasHealth.Protocol.Equal(types.StringValue(t.Protocol)) {
		protocol = wasHealth.Protocol
	}
	health, diags := types.ObjectValueFrom(e.ctx, healthCheckTypes, healthCheckModel{
		Port: port, Protocol: protocol,
		Path: types.StringValue(t.Health.Path), Matcher: types.StringValue(t.Health.Matcher),
		Interval: durationValue(t.Health.Interval, wasHealth.Interval), Timeout: durationValue(t.Health.Timeout, wasHealth.Timeout),
		HealthyThreshold: types.Int32Value(t.Health.HealthyThreshold), UnhealthyThreshold: types.Int32Value(t.Health.UnhealthyThreshold),
		GracePeriod: durationValue(t.Health.GracePeriod, wasHealth.GracePeriod),
	})
	e.diags.Append(diags...)
	return health
}

// durationValue keeps the former spelling of a duration that has not changed, and
// writes any other one as people do: 5m, not 5m0s.
func durationValue(d time.Duration, was types.String) types.String {
	if before, err := time.ParseDuration(was.ValueString()); err == nil && before == d {
		return was
	}
	return types.StringValue(humanDuration(d))
}

// humanDuration writes a duration as people do.
func humanDuration(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d > 0 && d%time.Minute == 0 && d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
