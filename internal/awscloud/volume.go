package awscloud

import (
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// setVolumes has the volumes and the root volume deleted with their server, whatever the image
// says. It always gives the root volume's size, because other implementations of EC2 require it.
func setVolumes(data *types.RequestLaunchTemplateData, image types.Image, s cluster.Servers) {
	device := aws.ToString(image.RootDeviceName)
	for _, m := range data.BlockDeviceMappings {
		if m.Ebs != nil && aws.ToString(m.DeviceName) == device {
			m.Ebs.DeleteOnTermination = aws.Bool(true) // a copied template's
			return
		}
	}
	root := cluster.Volume{Device: device, Size: s.RootVolumeSize, VolumeOptions: s.RootVolume}
	if root.Size == 0 {
		root.Size = rootVolumeSize(image)
	}
	for _, volume := range append(slices.Clone(s.Volumes), root) {
		data.BlockDeviceMappings = append(data.BlockDeviceMappings, volumeMapping(volume))
	}
}

func volumeMapping(v cluster.Volume) types.LaunchTemplateBlockDeviceMappingRequest {
	ebs := &types.LaunchTemplateEbsBlockDeviceRequest{DeleteOnTermination: aws.Bool(true), VolumeType: types.VolumeType(v.Type)}
	for from, to := range map[*int32]**int32{&v.Size: &ebs.VolumeSize, &v.IOPS: &ebs.Iops, &v.Throughput: &ebs.Throughput} {
		if *from != 0 {
			*to = from
		}
	}
	for from, to := range map[*string]**string{&v.SnapshotID: &ebs.SnapshotId, &v.KMSKeyID: &ebs.KmsKeyId} {
		if *from != "" {
			*to = from
		}
	}
	if v.Encrypted {
		ebs.Encrypted = aws.Bool(true)
	}
	return types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: &v.Device, Ebs: ebs}
}

// rootVolumeSize is the size of the image's root volume in GiB; 0 if unknown.
func rootVolumeSize(image types.Image) int32 {
	for _, m := range image.BlockDeviceMappings {
		if m.Ebs != nil && aws.ToString(m.DeviceName) == aws.ToString(image.RootDeviceName) {
			return aws.ToInt32(m.Ebs.VolumeSize)
		}
	}
	return 0
}

// rootDevice names the root device. If the image does not exist any more, it is that of the
// only volume, or the one with a usual name; empty if there is none.
func rootDevice(mappings []types.LaunchTemplateBlockDeviceMapping, image types.Image) string {
	if image.RootDeviceName != nil {
		return *image.RootDeviceName
	}
	for _, m := range mappings {
		if device := aws.ToString(m.DeviceName); len(mappings) == 1 || slices.Contains(cluster.RootDevices, device) {
			return device
		}
	}
	return ""
}

// observeVolumes is the opposite of setVolumes.
func observeVolumes(mappings []types.LaunchTemplateBlockDeviceMapping, image types.Image) (root cluster.Volume, others []cluster.Volume) {
	device := rootDevice(mappings, image)
	for _, m := range mappings {
		if m.Ebs == nil {
			continue
		}
		v := cluster.Volume{
			Device: aws.ToString(m.DeviceName), Size: aws.ToInt32(m.Ebs.VolumeSize), SnapshotID: aws.ToString(m.Ebs.SnapshotId),
			VolumeOptions: cluster.VolumeOptions{
				Type: string(m.Ebs.VolumeType), IOPS: aws.ToInt32(m.Ebs.Iops), Throughput: aws.ToInt32(m.Ebs.Throughput),
				Encrypted: aws.ToBool(m.Ebs.Encrypted), KMSKeyID: aws.ToString(m.Ebs.KmsKeyId),
			},
		}
		if v.Device == device {
			root = v
		} else {
			others = append(others, v)
		}
	}
	return root, others
}

// checkDevices refuses volumes in the place of the image's root volume.
func checkDevices(image types.Image, s cluster.Servers) error {
	for _, v := range s.Volumes {
		if v.Device == aws.ToString(image.RootDeviceName) {
			return fmt.Errorf("volume %s: this is the root volume of image %s; use root_volume_size, root_volume_type and so on",
				v.Device, aws.ToString(image.ImageId))
		}
	}
	return nil
}
