package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// launchModel is how servers are launched, aside from what every cluster sets.
type launchModel struct {
	KeyName              types.String  `tfsdk:"key_name"`
	MetadataHopLimit     types.Int32   `tfsdk:"metadata_hop_limit"`
	DetailedMonitoring   types.Bool    `tfsdk:"detailed_monitoring"`
	RootVolumeType       types.String  `tfsdk:"root_volume_type"`
	RootVolumeIOPS       types.Int32   `tfsdk:"root_volume_iops"`
	RootVolumeThroughput types.Int32   `tfsdk:"root_volume_throughput"`
	RootVolumeEncrypted  types.Bool    `tfsdk:"root_volume_encrypted"`
	RootVolumeKMSKeyID   types.String  `tfsdk:"root_volume_kms_key_id"`
	Volumes              []volumeModel `tfsdk:"volume"`
	Mixed                *mixedModel   `tfsdk:"mixed_instances"`
	CapacityRebalance    types.Bool    `tfsdk:"capacity_rebalance"`
}

type volumeModel struct {
	Device     types.String `tfsdk:"device_name"`
	Size       types.Int32  `tfsdk:"size"`
	SnapshotID types.String `tfsdk:"snapshot_id"`
	Type       types.String `tfsdk:"type"`
	IOPS       types.Int32  `tfsdk:"iops"`
	Throughput types.Int32  `tfsdk:"throughput"`
	Encrypted  types.Bool   `tfsdk:"encrypted"`
	KMSKeyID   types.String `tfsdk:"kms_key_id"`
}

type mixedModel struct {
	Overrides          []overrideModel `tfsdk:"override"`
	OnDemandBase       types.Int32     `tfsdk:"on_demand_base"`
	OnDemandPercentage types.Int32     `tfsdk:"on_demand_percentage"`
	OnDemandStrategy   types.String    `tfsdk:"on_demand_allocation_strategy"`
	SpotStrategy       types.String    `tfsdk:"spot_allocation_strategy"`
	SpotPools          types.Int32     `tfsdk:"spot_instance_pools"`
	SpotMaxPrice       types.String    `tfsdk:"spot_max_price"`
}

type overrideModel struct {
	InstanceType types.String `tfsdk:"instance_type"`
	Weight       types.Int32  `tfsdk:"weight"`
}

// templateArguments are those that a launch template replaces.
var templateArguments = []string{
	"security_group_ids", "iam_instance_profile", "user_data", "user_data_base64", "root_volume_size", "root_volume_type", "root_volume_iops",
	"root_volume_throughput", "root_volume_encrypted", "root_volume_kms_key_id", "key_name", "metadata_hop_limit", "detailed_monitoring",
}

// volumeAttributes are the options of a volume; of whose volume, the descriptions say. Which
// values fit together is validated as a whole.
func volumeAttributes(prefix, volume, byDefault string) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		prefix + "type": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(cluster.VolumeTypes()...)},
			MarkdownDescription: fmt.Sprintf("Type of the %s: `%s`. Defaults to %s.", volume,
				strings.Join(cluster.VolumeTypes(), "`, `"), byDefault),
		},
		prefix + "iops": schema.Int32Attribute{
			Optional: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
			MarkdownDescription: "IOPS of the " + volume + ", with the types `gp3`, `io1` and `io2`; required with the last two.",
		},
		prefix + "throughput": schema.Int32Attribute{
			Optional: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
			MarkdownDescription: fmt.Sprintf("Throughput of the %s in MiB/s, %d to %d, with the type `gp3`.", volume,
				cluster.MinThroughput, cluster.MaxThroughput),
		},
		prefix + "encrypted": schema.BoolAttribute{
			Optional: true,
			MarkdownDescription: "Encrypt the " + volume + ". If it is not `true`, the image or the snapshot decides, " +
				"and the account's setting for new volumes.",
		},
		prefix + "kms_key_id": schema.StringAttribute{
			Optional: true, Validators: notEmpty,
			MarkdownDescription: "ID, alias or ARN of the KMS key that encrypts the " + volume + ", with `" + prefix + "encrypted`. " +
				"The service-linked role of EC2 Auto Scaling must be allowed to use it. Defaults to the account's key for EBS.",
		},
	}
}

func launchAttributes() map[string]schema.Attribute {
	all := volumeAttributes("root_volume_", "root volume", "the image's")
	all["key_name"] = schema.StringAttribute{
		Optional: true, Validators: notEmpty,
		MarkdownDescription: "Name of the EC2 key pair for logging in to the servers. By default, there is none.",
	}
	all["metadata_hop_limit"] = schema.Int32Attribute{
		Optional: true, Validators: []validator.Int32{int32validator.Between(1, cluster.MaxHopLimit)},
		MarkdownDescription: fmt.Sprintf("How many network hops answers of the instance metadata service travel, 1 to %d. "+
			"Containers need 2. Defaults to what the image and the account say, which is 1 unless it was changed. "+
			"An import does not tell 1 from the default.", cluster.MaxHopLimit),
	}
	all["detailed_monitoring"] = schema.BoolAttribute{
		Optional:            true,
		MarkdownDescription: "Send metrics of the servers every minute, at a price. Defaults to `false`, which is every five minutes.",
	}
	all["capacity_rebalance"] = schema.BoolAttribute{
		Optional: true,
		MarkdownDescription: "Start a replacement as soon as AWS says that a spot instance is likely to be interrupted. Defaults to `false`. " +
			"A launch template that asks for spot instances is enough for that.",
	}
	return all
}

func launchBlocks() map[string]schema.Block {
	volume := volumeAttributes("", "volume", "`gp2`")
	volume["device_name"] = schema.StringAttribute{
		Required: true, MarkdownDescription: "Device name, such as `/dev/sdf`. The operating system may show another one.",
	}
	volume["size"] = schema.Int32Attribute{
		Optional: true, Validators: []validator.Int32{int32validator.AtLeast(1)},
		MarkdownDescription: "Size in GiB. Defaults to the snapshot's; required without one.",
	}
	volume["snapshot_id"] = schema.StringAttribute{
		Optional: true, Validators: notEmpty,
		MarkdownDescription: "The snapshot that the volume is created from. By default, the volume is empty.",
	}
	return map[string]schema.Block{
		"volume": schema.ListNestedBlock{
			MarkdownDescription: "A volume of each server beside its root volume. It always ends with its server: " +
				"keep data that must last in resources of its own. Not allowed with `launch_template`.",
			NestedObject: schema.NestedBlockObject{Attributes: volume},
		},
		"mixed_instances": schema.SingleNestedBlock{
			MarkdownDescription: "Servers of several instance types, on demand and spot, instead of `instance_type`; also with `launch_template`. " +
				"With weights, `min_size`, `max_size` and `on_demand_base` are in units of capacity, and the running capacity may exceed " +
				"what is desired by less than the largest weight. When a rollout changes the units, the new servers get the same share of " +
				"the range from `min_size` to `max_size` that the old ones had.",
			Attributes: map[string]schema.Attribute{
				"on_demand_base": schema.Int32Attribute{
					Optional: true, Computed: true, Default: int32default.StaticInt32(0), Validators: []validator.Int32{int32validator.AtLeast(0)},
					MarkdownDescription: "The capacity that is on demand in any case. Defaults to 0.",
				},
				"on_demand_percentage": schema.Int32Attribute{
					Optional: true, Computed: true, Default: int32default.StaticInt32(100), Validators: []validator.Int32{int32validator.Between(0, 100)},
					MarkdownDescription: "Percentage of the capacity above `on_demand_base` that is on demand; the rest is spot. Defaults to 100.",
				},
				"on_demand_allocation_strategy": strategy(cluster.Prioritized, cluster.OnDemandStrategies,
					"How the types of instances on demand are chosen"),
				"spot_allocation_strategy": strategy(cluster.PriceCapacityOptimized, cluster.SpotStrategies,
					"How the types of spot instances are chosen"),
				"spot_instance_pools": schema.Int32Attribute{
					Optional: true, Validators: []validator.Int32{int32validator.Between(1, cluster.MaxSpotPools)},
					MarkdownDescription: fmt.Sprintf("Number of spot pools, 1 to %d, with `spot_allocation_strategy = %q` only. Defaults to %d.",
						cluster.MaxSpotPools, cluster.LowestPrice, cluster.DefaultSpotPools),
				},
				"spot_max_price": schema.StringAttribute{
					Optional: true, Validators: notEmpty,
					MarkdownDescription: "The most to pay for a spot instance (with weights: for a unit) in dollars per hour, such as `0.05`. " +
						"Defaults to the price on demand, which AWS recommends.",
				},
			},
			Blocks: map[string]schema.Block{
				"override": schema.ListNestedBlock{
					MarkdownDescription: fmt.Sprintf("An instance type, with the highest priority first; 1 to %d of them. "+
						"All must fit the image's architecture.", cluster.MaxTypes),
					NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
						"instance_type": schema.StringAttribute{
							Required: true, Validators: notEmpty, MarkdownDescription: "The instance type, such as `t3.micro`.",
						},
						"weight": schema.Int32Attribute{
							Optional: true, Validators: []validator.Int32{int32validator.Between(1, cluster.MaxWeight)},
							MarkdownDescription: fmt.Sprintf("How many units of capacity a server of the type is, 1 to %d. "+
								"Give all types a weight, or none.", cluster.MaxWeight),
						},
					}},
				},
			},
		},
	}
}

func strategy(byDefault string, all []string, description string) schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true, Computed: true, Default: stringdefault.StaticString(byDefault),
		Validators:          []validator.String{stringvalidator.OneOf(all...)},
		MarkdownDescription: fmt.Sprintf("%s: `%s`. Defaults to `%s`.", description, strings.Join(all, "`, `"), byDefault),
	}
}

// decode fills in how servers are launched.
func (m launchModel) decode(s *cluster.Servers) {
	s.KeyName, s.MetadataHopLimit = m.KeyName.ValueString(), m.MetadataHopLimit.ValueInt32()
	s.DetailedMonitoring, s.CapacityRebalance = m.DetailedMonitoring.ValueBool(), m.CapacityRebalance.ValueBool()
	s.RootVolume = cluster.VolumeOptions{
		Type: m.RootVolumeType.ValueString(), IOPS: m.RootVolumeIOPS.ValueInt32(), Throughput: m.RootVolumeThroughput.ValueInt32(),
		Encrypted: m.RootVolumeEncrypted.ValueBool(), KMSKeyID: m.RootVolumeKMSKeyID.ValueString(),
	}
	for _, v := range m.Volumes {
		s.Volumes = append(s.Volumes, cluster.Volume{
			Device: v.Device.ValueString(), Size: v.Size.ValueInt32(), SnapshotID: v.SnapshotID.ValueString(),
			VolumeOptions: cluster.VolumeOptions{
				Type: v.Type.ValueString(), IOPS: v.IOPS.ValueInt32(), Throughput: v.Throughput.ValueInt32(),
				Encrypted: v.Encrypted.ValueBool(), KMSKeyID: v.KMSKeyID.ValueString(),
			},
		})
	}
	if m.Mixed == nil {
		return
	}
	s.Mixed = &cluster.Mixed{
		OnDemandBase: m.Mixed.OnDemandBase.ValueInt32(), OnDemandPercentage: m.Mixed.OnDemandPercentage.ValueInt32(),
		OnDemandStrategy: m.Mixed.OnDemandStrategy.ValueString(), SpotStrategy: m.Mixed.SpotStrategy.ValueString(),
		SpotPools: m.Mixed.SpotPools.ValueInt32(), SpotMaxPrice: m.Mixed.SpotMaxPrice.ValueString(),
	}
	for _, o := range m.Mixed.Overrides {
		s.Mixed.Types = append(s.Mixed.Types, cluster.MixedType{InstanceType: o.InstanceType.ValueString(), Weight: o.Weight.ValueInt32()})
	}
}

// encodeTemplate updates what the launch template says. What is not set stays null, unless the
// template says otherwise.
func (m *launchModel) encodeTemplate(s cluster.Servers) {
	m.KeyName = resources.OptionalString(s.KeyName)
	if s.MetadataHopLimit > 1 || !m.MetadataHopLimit.IsNull() { // AWS's default is 1
		m.MetadataHopLimit = optionalInt32(s.MetadataHopLimit)
	}
	m.DetailedMonitoring = optionalBool(s.DetailedMonitoring, m.DetailedMonitoring)
	m.RootVolumeType, m.RootVolumeKMSKeyID = resources.OptionalString(s.RootVolume.Type), resources.OptionalString(s.RootVolume.KMSKeyID)
	m.RootVolumeIOPS, m.RootVolumeThroughput = optionalInt32(s.RootVolume.IOPS), optionalInt32(s.RootVolume.Throughput)
	m.RootVolumeEncrypted = optionalBool(s.RootVolume.Encrypted, m.RootVolumeEncrypted)

	// The volumes keep their order.
	was := m.Volumes
	position := func(device string) int {
		if i := slices.IndexFunc(was, func(v volumeModel) bool { return v.Device.ValueString() == device }); i >= 0 {
			return i
		}
		return len(was)
	}
	volumes := slices.SortedFunc(slices.Values(s.Volumes), func(a, b cluster.Volume) int {
		return cmp.Or(cmp.Compare(position(a.Device), position(b.Device)), cmp.Compare(a.Device, b.Device))
	})
	m.Volumes = []volumeModel{} // blocks are never null
	for _, v := range volumes {
		encrypted := types.BoolNull()
		if i := position(v.Device); i < len(was) {
			encrypted = was[i].Encrypted
		}
		m.Volumes = append(m.Volumes, volumeModel{
			Device: types.StringValue(v.Device), Size: optionalInt32(v.Size), SnapshotID: resources.OptionalString(v.SnapshotID),
			Type: resources.OptionalString(v.Type), IOPS: optionalInt32(v.IOPS), Throughput: optionalInt32(v.Throughput),
			Encrypted: optionalBool(v.Encrypted, encrypted), KMSKeyID: resources.OptionalString(v.KMSKeyID),
		})
	}
}

// encodeGroup updates what the Auto Scaling group says.
func (m *launchModel) encodeGroup(s cluster.Servers) {
	m.CapacityRebalance = optionalBool(s.CapacityRebalance, m.CapacityRebalance)
	was := cmp.Or(m.Mixed, &mixedModel{})
	m.Mixed = nil
	if s.Mixed == nil {
		return
	}
	m.Mixed = &mixedModel{
		Overrides:    []overrideModel{},
		OnDemandBase: types.Int32Value(s.Mixed.OnDemandBase), OnDemandPercentage: types.Int32Value(s.Mixed.OnDemandPercentage),
		OnDemandStrategy: types.StringValue(s.Mixed.OnDemandStrategy), SpotStrategy: types.StringValue(s.Mixed.SpotStrategy),
		SpotMaxPrice: resources.OptionalString(s.Mixed.SpotMaxPrice),
	}
	if s.Mixed.SpotPools != cluster.DefaultSpotPools || !was.SpotPools.IsNull() {
		m.Mixed.SpotPools = optionalInt32(s.Mixed.SpotPools)
	}
	for _, t := range s.Mixed.Types {
		m.Mixed.Overrides = append(m.Mixed.Overrides, overrideModel{
			InstanceType: types.StringValue(t.InstanceType), Weight: optionalInt32(t.Weight),
		})
	}
}

// optionalInt32 is null for 0, which an argument cannot be.
func optionalInt32(n int32) types.Int32 {
	if n == 0 {
		return types.Int32Null()
	}
	return types.Int32Value(n)
}

// optionalBool keeps an argument null that was left out and is false.
func optionalBool(is bool, was types.Bool) types.Bool {
	if !is && was.IsNull() {
		return was
	}
	return types.BoolValue(is)
}
