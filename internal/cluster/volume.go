package cluster

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// VolumeOptions are the options of a volume beside its size. A zero value leaves the option
// to the image, the snapshot, or EC2's default in the account.
type VolumeOptions struct {
	Type       string `json:"type,omitempty"` // gp2, gp3, io1, io2, st1, sc1 or standard
	IOPS       int32  `json:"iops,omitempty"`
	Throughput int32  `json:"throughput,omitempty"` // MiB/s
	Encrypted  bool   `json:"encrypted,omitempty"`
	KMSKeyID   string `json:"kms_key_id,omitempty"`
}

// Volume is a volume beside the root volume. It ends with its server.
type Volume struct {
	Device string `json:"device"`
	// Size is in GiB; 0 is the size of the snapshot.
	Size       int32  `json:"size,omitempty"`
	SnapshotID string `json:"snapshot_id,omitempty"`
	VolumeOptions
}

// volumeLimits are the limits of a type of volumes. Its IOPS per GiB are at most perGiB, but
// minIOPS are always allowed. Without maxIOPS, the IOPS of the type cannot be chosen.
type volumeLimits struct{ minSize, maxSize, minIOPS, maxIOPS, perGiB int32 }

// Sizes and IOPS are from
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateEbsBlockDeviceRequest.html,
// and ratios from https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html and
// https://docs.aws.amazon.com/ebs/latest/userguide/provisioned-iops.html.
var volumeTypes = map[string]volumeLimits{
	"gp2":      {minSize: 1, maxSize: 16_384},
	"gp3":      {minSize: 1, maxSize: 65_536, minIOPS: 3_000, maxIOPS: 80_000, perGiB: 500},
	"io1":      {minSize: 4, maxSize: 16_384, minIOPS: 100, maxIOPS: 64_000, perGiB: 50},
	"io2":      {minSize: 4, maxSize: 65_536, minIOPS: 100, maxIOPS: 256_000, perGiB: 1_000},
	"st1":      {minSize: 125, maxSize: 16_384},
	"sc1":      {minSize: 125, maxSize: 16_384},
	"standard": {minSize: 1, maxSize: 1_024},
}

// VolumeTypes are the types of volumes, in alphabetical order.
func VolumeTypes() []string { return slices.Sorted(maps.Keys(volumeTypes)) }

// Limits of the throughput of a gp3 volume, in MiB/s; the largest is also a quarter of its IOPS.
const (
	MinThroughput  = 125
	MaxThroughput  = 2_000
	iopsPerMiBPerS = 4
)

// validate reports what EC2 would refuse for a volume of this size in GiB; 0 if it is not known.
func (o VolumeOptions) validate(size int32) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	limits, known := volumeTypes[o.Type]
	if o.Type != "" && !known {
		add("there is no volume type %q: use one of %s", o.Type, strings.Join(VolumeTypes(), ", "))
		return errors.Join(errs...)
	}
	if known && size != 0 && (size < limits.minSize || size > limits.maxSize) {
		add("the type %s allows %d to %d GiB, not %d", o.Type, limits.minSize, limits.maxSize, size)
	}
	switch {
	case o.IOPS == 0 && (o.Type == "io1" || o.Type == "io2"):
		add("a volume of the type %s needs iops", o.Type)
	case o.IOPS == 0:
	case limits.maxIOPS == 0:
		add("iops need the type gp3, io1 or io2")
	case o.IOPS < limits.minIOPS || o.IOPS > limits.maxIOPS:
		add("the type %s allows %d to %d IOPS, not %d", o.Type, limits.minIOPS, limits.maxIOPS, o.IOPS)
	case size != 0 && o.IOPS > max(limits.minIOPS, limits.perGiB*size):
		add("the type %s allows %d IOPS per GiB: %d IOPS need %d GiB", o.Type, limits.perGiB, o.IOPS,
			(o.IOPS+limits.perGiB-1)/limits.perGiB)
	}
	switch {
	case o.Throughput == 0:
	case o.Type != "gp3":
		add("a throughput needs the type gp3")
	case o.Throughput < MinThroughput || o.Throughput > MaxThroughput:
		add("the type gp3 allows a throughput of %d to %d MiB/s, not %d", MinThroughput, MaxThroughput, o.Throughput)
	case o.Throughput*iopsPerMiBPerS > max(o.IOPS, limits.minIOPS):
		add("a throughput of %d MiB/s needs iops = %d or more", o.Throughput, o.Throughput*iopsPerMiBPerS)
	}
	if o.KMSKeyID != "" && !o.Encrypted {
		add("kms_key_id needs encrypted = true")
	}
	return errors.Join(errs...)
}

// deviceName matches the names that EC2 allows for volumes beside the root volume, on Linux and
// on Windows, https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html.
var deviceName = regexp.MustCompile(`^(/dev/sd[b-z]|(/dev/)?xvd([b-z]|[a-d][a-z]))$`)

// RootDevices are the usual names of root devices.
var RootDevices = []string{"/dev/sda1", "/dev/xvda"}

func (v Volume) validate() error {
	var errs []error
	switch {
	case slices.Contains(RootDevices, v.Device):
		errs = append(errs, errors.New("this is the name of a root device; the arguments root_volume_size, "+
			"root_volume_type and so on are about the root volume"))
	case !deviceName.MatchString(v.Device):
		errs = append(errs, errors.New("this is not a valid device name; AWS recommends /dev/sdf to /dev/sdp"))
	}
	if v.Size == 0 && v.SnapshotID == "" {
		errs = append(errs, errors.New("a volume needs a size or a snapshot_id"))
	}
	if v.SnapshotID != "" && (v.Encrypted || v.KMSKeyID != "") {
		errs = append(errs, errors.New("whether a volume of a snapshot is encrypted cannot be chosen in a launch template: "+
			"leave out encrypted and kms_key_id, and copy the snapshot with encryption if it is not encrypted"))
	}
	return errors.Join(append(errs, v.VolumeOptions.validate(v.Size))...)
}

// ValidateRootVolume reports what EC2 would refuse for the root volume, where imageSize is the
// size of the image's root volume in GiB; 0 if it is not known.
func (s Servers) ValidateRootVolume(imageSize int32) error {
	var errs []error
	size := s.RootVolumeSize
	switch {
	case size == 0:
		size = imageSize
	case size < imageSize:
		errs = append(errs, fmt.Errorf("root_volume_size is %d GiB, but the image needs at least %d", size, imageSize))
	}
	if s.RootVolume.Type == "st1" || s.RootVolume.Type == "sc1" {
		errs = append(errs, fmt.Errorf("EC2 starts no server from a volume of the type %s", s.RootVolume.Type))
	}
	if err := errors.Join(append(errs, s.RootVolume.validate(size))...); err != nil {
		return fmt.Errorf("root volume: %w", err)
	}
	return nil
}

// validateVolumes reports what EC2 would refuse, as far as it does not depend on the image.
func (s Servers) validateVolumes() error {
	errs := []error{s.ValidateRootVolume(0)}
	seen := map[string]bool{}
	for _, v := range s.Volumes {
		if err := v.validate(); err != nil {
			errs = append(errs, fmt.Errorf("volume %s: %w", v.Device, err))
		}
		// EC2 takes /dev/sdf and /dev/xvdf for the same device.
		device := strings.Replace(strings.TrimPrefix(v.Device, "/dev/"), "xvd", "sd", 1)
		if seen[device] {
			errs = append(errs, fmt.Errorf("volume %s: two volumes cannot have the same device", v.Device))
		}
		seen[device] = true
	}
	return errors.Join(errs...)
}
