package awscloud

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
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
