package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxHopLimit is the largest hop limit of the instance metadata service,
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateInstanceMetadataOptionsRequest.html.
const MaxHopLimit = 64

// InstanceTypes are all the instance types that servers may have; none if only the copied
// launch template names one.
func (s Servers) InstanceTypes() []string {
	var types []string
	switch {
	case s.Mixed != nil:
		for _, t := range s.Mixed.Types {
			types = append(types, t.InstanceType)
		}
	case s.InstanceType != "":
		types = []string{s.InstanceType}
	}
	return types
}

// Validate reports what EC2 and Auto Scaling would refuse, whatever exists in the cloud.
func (s Servers) Validate() error {
	var errs []error
	if s.Template != nil {
		if len(s.Volumes) > 0 {
			errs = append(errs, errors.New("volume and launch_template exclude each other: add the volumes to the launch template"))
		}
	} else {
		errs = append(errs, s.validateVolumes())
	}
	if s.MetadataHopLimit < 0 || s.MetadataHopLimit > MaxHopLimit {
		errs = append(errs, fmt.Errorf("metadata_hop_limit is %d, but 1 to %d are allowed", s.MetadataHopLimit, MaxHopLimit))
	}
	if s.Mixed != nil {
		errs = append(errs, s.Mixed.Validate())
	}
	return errors.Join(errs...)
}

// sortedVolumes returns volumes in the order of their devices.
func sortedVolumes(volumes []Volume) []Volume {
	return slices.SortedFunc(slices.Values(volumes), func(a, b Volume) int { return strings.Compare(a.Device, b.Device) })
}

// launch compares how servers are launched. A launch template replaces all of it but the
// instance types and the rebalancing.
func (c *comparison) launch(tested, now Servers) {
	c.values("mixed_instances", tested.Mixed.describe(), now.Mixed.describe())
	c.values("capacity_rebalance", strconv.FormatBool(tested.CapacityRebalance), strconv.FormatBool(now.CapacityRebalance))
	if tested.Template != nil || now.Template != nil {
		return
	}
	if !c.same(tested.KeyName, now.KeyName) {
		c.values("key_name", tested.KeyName, now.KeyName)
	}
	c.values("metadata_hop_limit", orDefault(tested.MetadataHopLimit), orDefault(now.MetadataHopLimit))
	c.values("detailed_monitoring", strconv.FormatBool(tested.DetailedMonitoring), strconv.FormatBool(now.DetailedMonitoring))
	c.volume("root_volume_", tested.RootVolume, now.RootVolume)
	was, is := map[string]Volume{}, map[string]Volume{}
	var devices []string
	for _, v := range sortedVolumes(tested.Volumes) {
		was[v.Device], devices = v, append(devices, v.Device)
	}
	for _, v := range sortedVolumes(now.Volumes) {
		is[v.Device], devices = v, append(devices, v.Device)
	}
	slices.Sort(devices)
	for _, device := range slices.Compact(devices) {
		before, tested := was[device]
		after, has := is[device]
		at := fmt.Sprintf("volume[%q]", device)
		switch {
		case !tested:
			c.add(at, "none when tested, set now")
		case !has:
			c.add(at, "set when tested, none now")
		default:
			c.values(at+".size", orDefault(before.Size), orDefault(after.Size))
			c.values(at+".snapshot_id", before.SnapshotID, after.SnapshotID)
			c.volume(at+".", before.VolumeOptions, after.VolumeOptions)
		}
	}
}

func (c *comparison) volume(prefix string, tested, now VolumeOptions) {
	c.values(prefix+"type", tested.Type, now.Type)
	c.values(prefix+"iops", orDefault(tested.IOPS), orDefault(now.IOPS))
	c.values(prefix+"throughput", orDefault(tested.Throughput), orDefault(now.Throughput))
	c.values(prefix+"encrypted", strconv.FormatBool(tested.Encrypted), strconv.FormatBool(now.Encrypted))
	if !c.same(tested.KMSKeyID, now.KMSKeyID) {
		c.values(prefix+"kms_key_id", tested.KMSKeyID, now.KMSKeyID)
	}
}

// orDefault is empty for 0, which means a default.
func orDefault(n int32) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(int(n))
}
