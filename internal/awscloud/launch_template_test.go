package awscloud

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Copying a launch template rests on the two types having the same fields.
// A field that only the response has would be lost without a word.
func TestCopyTemplateData_LosesNoField(t *testing.T) {
	// AWS reports these, and no request can set them.
	reported := map[string]bool{
		"MetadataOptions.State":                         true,
		"NetworkInterfaces.Ipv6Addresses.IsPrimaryIpv6": true,
		"Operator.HiddenByDefault":                      true,
		"Operator.Managed":                              true,
	}
	var check func(path string, from, to reflect.Type)
	check = func(path string, from, to reflect.Type) {
		for from.Kind() == reflect.Pointer || from.Kind() == reflect.Slice {
			if from.Kind() != to.Kind() {
				t.Errorf("%s is a %s, but a %s is taken", path, from.Kind(), to.Kind())
				return
			}
			from, to = from.Elem(), to.Elem()
		}
		if from.Kind() != to.Kind() {
			t.Errorf("%s is a %s, but a %s is taken", path, from.Kind(), to.Kind())
			return
		}
		if from.Kind() != reflect.Struct {
			return
		}
		for field := range from.Fields() {
			name := field.Name
			if path != "" {
				name = path + "." + name
			}
			if !field.IsExported() || reported[name] {
				continue
			}
			taken, ok := to.FieldByName(field.Name)
			if !ok {
				t.Errorf("%s has no counterpart", name)
				continue
			}
			check(name, field.Type, taken.Type)
		}
	}
	check("", reflect.TypeFor[types.ResponseLaunchTemplateData](), reflect.TypeFor[types.RequestLaunchTemplateData]())
}

func TestCopyTemplateData(t *testing.T) {
	got, err := copyTemplateData(&types.ResponseLaunchTemplateData{
		InstanceType: types.InstanceTypeM5Large,
		BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMapping{{
			DeviceName: aws.String("/dev/sdb"), Ebs: &types.LaunchTemplateEbsBlockDevice{VolumeSize: aws.Int32(5)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.InstanceType != types.InstanceTypeM5Large || len(got.BlockDeviceMappings) != 1 ||
		aws.ToInt32(got.BlockDeviceMappings[0].Ebs.VolumeSize) != 5 {
		t.Errorf("got %+v", got)
	}
}

// A copied launch template keeps its own tags, beside those of the cluster.
func TestSetTags(t *testing.T) {
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	data := &types.RequestLaunchTemplateData{TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{
		{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{tag("backup", "daily")}},
		{ResourceType: types.ResourceTypeVolume, Tags: []types.Tag{tag("snap", "yes"), tag("version", "0"), tag("was", "ours")}},
	}}
	setTags(data, tagging.Set{"version": "2"}, []string{"was"})
	got := map[types.ResourceType]tagging.Set{}
	for _, specification := range data.TagSpecifications {
		set := tagging.Set{}
		for _, tag := range specification.Tags {
			set[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
		got[specification.ResourceType] = set
	}
	want := map[types.ResourceType]tagging.Set{
		types.ResourceTypeInstance: {"backup": "daily"}, types.ResourceTypeVolume: {"snap": "yes", "version": "2"},
		types.ResourceTypeNetworkInterface: {"version": "2"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestObserveVolumes_Root(t *testing.T) {
	volume := func(device string, size int32) types.LaunchTemplateBlockDeviceMapping {
		return types.LaunchTemplateBlockDeviceMapping{DeviceName: &device, Ebs: &types.LaunchTemplateEbsBlockDevice{VolumeSize: &size}}
	}
	image := types.Image{RootDeviceName: aws.String("/dev/xvda")}
	root, data := volume("/dev/xvda", 20), volume("/dev/sdb", 100)
	for name, tt := range map[string]struct {
		mappings []types.LaunchTemplateBlockDeviceMapping
		image    types.Image
		want     int32
	}{
		"RootFirst":    {[]types.LaunchTemplateBlockDeviceMapping{root, data}, image, 20},
		"RootLast":     {[]types.LaunchTemplateBlockDeviceMapping{data, root}, image, 20},
		"NoRoot":       {[]types.LaunchTemplateBlockDeviceMapping{data}, image, 0},
		"ImageIsGone":  {[]types.LaunchTemplateBlockDeviceMapping{root}, types.Image{}, 20},
		"GoneWithTwo":  {[]types.LaunchTemplateBlockDeviceMapping{data, root}, types.Image{}, 20},
		"GoneUnnamed":  {[]types.LaunchTemplateBlockDeviceMapping{data, volume("/dev/sdc", 1)}, types.Image{}, 0},
		"NoneWasFound": {nil, image, 0},
	} {
		got, others := observeVolumes(tt.mappings, tt.image)
		if got.Size != tt.want || slices.ContainsFunc(others, func(v cluster.Volume) bool { return v.Device == got.Device }) {
			t.Errorf("%s: got %d and %v, want %d", name, got.Size, others, tt.want)
		}
	}
}

func TestCheckVolumes(t *testing.T) {
	image := types.Image{ImageId: aws.String("ami-1"), RootDeviceName: aws.String("/dev/xvda"), BlockDeviceMappings: []types.BlockDeviceMapping{
		{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(false)}},
		{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(false)}},
	}}
	ends := types.LaunchTemplateBlockDeviceMapping{
		DeviceName: aws.String("/dev/sdf"), Ebs: &types.LaunchTemplateEbsBlockDevice{DeleteOnTermination: aws.Bool(true)},
	}
	if err := checkVolumes(image, nil); err == nil || !strings.Contains(err.Error(), "/dev/sdf") {
		t.Errorf("got %v, want that the volume at /dev/sdf would outlive its server", err)
	}
	if err := checkVolumes(image, []types.LaunchTemplateBlockDeviceMapping{ends}); err != nil {
		t.Errorf("got %v, although the launch template has it deleted", err)
	}
	root := types.LaunchTemplateBlockDeviceMapping{DeviceName: aws.String("/dev/sda1"), Ebs: &types.LaunchTemplateEbsBlockDevice{}}
	if err := checkRootDevice(image, "lt-1", []types.LaunchTemplateBlockDeviceMapping{ends, root}); err == nil ||
		!strings.Contains(err.Error(), "lt-1 maps /dev/sda1, but the root volume of image ami-1 is /dev/xvda") {
		t.Errorf("got %v", err)
	}
}

func TestCheckSupported(t *testing.T) {
	if err := checkSupported("lt-1", types.ResponseLaunchTemplateData{InstanceType: types.InstanceTypeT3Micro}); err != nil {
		t.Error(err)
	}
	err := checkSupported("lt-1", types.ResponseLaunchTemplateData{
		InstanceRequirements: &types.InstanceRequirements{},
		CapacityReservationSpecification: &types.LaunchTemplateCapacityReservationSpecificationResponse{
			CapacityReservationTarget: &types.CapacityReservationTargetResponse{CapacityReservationId: aws.String("cr-1")},
		},
	})
	for _, want := range []string{"selects instances by attributes", "targets a capacity reservation"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
