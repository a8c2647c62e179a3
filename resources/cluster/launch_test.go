package cluster_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

// launched has all arguments of how servers are launched.
func launched(snapshot string) arguments {
	return arguments{
		"key_name": `"admin"`, "metadata_hop_limit": "2", "detailed_monitoring": "true",
		"root_volume_size": "30", "root_volume_type": `"gp3"`, "root_volume_iops": "4000", "root_volume_throughput": "250",
		"root_volume_encrypted": "true", "root_volume_kms_key_id": `"alias/web"`,
		"volume": fmt.Sprintf(`[{ device_name = "/dev/sdf", snapshot_id = %q },
		{ device_name = "/dev/sdg", size = 50, type = "gp3", iops = 3000, throughput = 125, encrypted = true, kms_key_id = "alias/web" }]`,
			snapshot),
	}
}

// generations checks whether the generation is another one than at the last call.
func generations() func(changes bool) resource.TestCheckFunc {
	last := ""
	return func(changes bool) resource.TestCheckFunc {
		return func(s *terraform.State) error {
			was := last
			last = attribute(s, "generation")
			if was != "" && (was != last) != changes {
				return fmt.Errorf("the generation was %s and is %s, want a change: %t", was, last, changes)
			}
			return nil
		}
	}
}

func TestAccCluster_Launch(t *testing.T) {
	e := acctest.New(t)
	changed := generations()
	volume, err := e.EC2().CreateVolume(t.Context(), &ec2.CreateVolumeInput{
		AvailabilityZone: aws.String(acctest.Region + "a"), Size: aws.Int32(1),
	})
	fatal(t, err)
	snapshot, err := e.EC2().CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: volume.VolumeId})
	fatal(t, err)
	_, err = e.EC2().DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: volume.VolumeId})
	fatal(t, err)
	launched := launched(*snapshot.SnapshotId)
	with := func(more arguments) string { return config(e, worker, launched, more) }
	test(t, e,
		resource.TestStep{
			Config:           config(e, worker),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value("key_name", knownvalue.Null()), value("metadata_hop_limit", knownvalue.Null()), value("root_volume_type", knownvalue.Null()),
				value("detailed_monitoring", knownvalue.Null()), value("capacity_rebalance", knownvalue.Null()),
				value("volume", knownvalue.ListSizeExact(0)), value("mixed_instances", knownvalue.Null()),
			},
			Check: changed(false),
		},
		resource.TestStep{
			Config:           with(nil),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
		imported,
		// The order of volumes, and arguments that name a default, are the same servers.
		resource.TestStep{
			Config: with(arguments{"capacity_rebalance": "false", "volume": fmt.Sprintf(`[
				{ device_name = "/dev/sdg", size = 50, type = "gp3", iops = 3000, throughput = 125, encrypted = true, kms_key_id = "alias/web" },
				{ device_name = "/dev/sdf", snapshot_id = %q, encrypted = false }]`, *snapshot.SnapshotId)}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(false),
		},
		resource.TestStep{
			Config:           with(arguments{"key_name": `"other"`}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
		// Back to the defaults.
		resource.TestStep{
			Config:           config(e, worker),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
	)
}

// several has servers of several types, a list of objects.
func several(types string) arguments {
	return arguments{
		"instance_type": "", "capacity_rebalance": "true", "mixed_instances": fmt.Sprintf(`{
			on_demand_base = 1, on_demand_percentage = 0, spot_max_price = "0.05", override = %s }`, types),
	}
}

func TestAccCluster_Mixed(t *testing.T) {
	e := acctest.New(t)
	changed := generations()
	two := several(`[{ instance_type = "t3.micro" }, { instance_type = "t3.small" }]`)
	weights := several(`[{ instance_type = "t3.micro", weight = 2 }, { instance_type = "t3.small", weight = 4 }]`)
	template, err := e.EC2().CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("mixed"),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{InstanceType: ec2types.InstanceTypeT3Micro},
	})
	fatal(t, err)
	copied := arguments{
		"security_group_ids": "", "launch_template": fmt.Sprintf(`{ id = %q, version = "1" }`, *template.LaunchTemplate.LaunchTemplateId),
	}
	test(t, e,
		resource.TestStep{
			Config:           config(e, two),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value("instance_type", knownvalue.Null()),
				value("mixed_instances", knownvalue.ObjectPartial(map[string]knownvalue.Check{
					"on_demand_allocation_strategy": knownvalue.StringExact("prioritized"),
					"spot_allocation_strategy":      knownvalue.StringExact("price-capacity-optimized"),
					"spot_instance_pools":           knownvalue.Null(),
				})),
			},
			Check: changed(false),
		},
		imported,
		// Tags and sizes in place keep the policy.
		resource.TestStep{
			Config:           config(e, two, arguments{"tags": `{ purpose = "demo" }`, "min_size": "3"}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(false),
		},
		imported,
		resource.TestStep{
			Config:           config(e, weights, arguments{"min_size": "7", "max_size": "20"}),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
		imported,
		resource.TestStep{
			Config:           config(e, two, copied),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
		resource.TestStep{
			PreConfig: func() {
				_, err := e.EC2().DeleteLaunchTemplate(t.Context(), &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("mixed")})
				fatal(t, err)
			},
			Config:           config(e),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check:            changed(true),
		},
	)
}

// A creation and a rollout of a cluster that is scaled to 0 say that they tried nothing. Those
// that start servers do not.
func TestAccCluster_ScaledToZero(t *testing.T) {
	e := acctest.New(t)
	w := acctest.NewWorkspace(t, config(e))
	for _, step := range []struct {
		change  arguments
		untried bool
	}{
		{arguments{"min_size": "0"}, true},
		{arguments{"min_size": "0", "version": `"18"`}, true},
		{arguments{"min_size": "0", "max_size": "3", "version": `"18"`}, false}, // in place
		{arguments{"min_size": "1", "version": `"19"`}, false},
	} {
		fatal(t, os.WriteFile(filepath.Join(w.Folder(), "main.tf"), []byte(acctest.Required+config(e, step.change)), 0o600))
		out, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
		if err != nil || says("Warning: The version was not tried").MatchString(out) != step.untried {
			t.Errorf("%v: got %v and\n%s", step.change, err, out)
		}
	}
	_, err := w.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
	fatal(t, err)
}

func TestAccCluster_BadLaunch(t *testing.T) {
	e := acctest.New(t)
	spot, err := e.EC2().CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("spot"),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
			InstanceType:          ec2types.InstanceTypeT3Micro,
			InstanceMarketOptions: &ec2types.LaunchTemplateInstanceMarketOptionsRequest{MarketType: ec2types.MarketTypeSpot},
		},
	})
	fatal(t, err)
	template := fmt.Sprintf(`{ id = %q, version = "1" }`, *spot.LaunchTemplate.LaunchTemplateId)
	merge := func(all ...arguments) arguments {
		merged := arguments{}
		for _, one := range all {
			for name, value := range one {
				merged[name] = value
			}
		}
		return merged
	}
	copied := arguments{"instance_type": "", "security_group_ids": "", "launch_template": template}
	for name, tt := range map[string]struct {
		change arguments
		says   string
	}{
		"SpotTwice":      {merge(several(`[{ instance_type = "t3.micro" }]`), copied), "asks for spot instances itself, which AWS refuses"},
		"KeyOfTemplate":  {merge(copied, arguments{"key_name": `"admin"`}), "These attributes cannot be configured together"},
		"RootOfTemplate": {merge(copied, arguments{"root_volume_type": `"gp3"`}), "These attributes cannot be configured together"},
		"VolumeTemplate": {merge(copied, arguments{"volume": `{ device_name = "/dev/sdf", size = 1 }`}),
			"volume and launch_template exclude each other"},
		"TypeAndTypes": {merge(several(`[{ instance_type = "t3.micro" }]`), arguments{"instance_type": `"t3.micro"`}),
			"cannot be configured together"},
		"NoTypes": {arguments{"instance_type": "", "mixed_instances": `{ on_demand_base = 1 }`},
			"1 to 40 instance types are needed, not 0"},
		"OneWeight": {several(`[{ instance_type = "t3.micro", weight = 2 }, { instance_type = "t3.small" }]`),
			"give all instance types a weight"},
		"Architecture": {several(`[{ instance_type = "t3.micro" }, { instance_type = "t4g.small" }]`),
			"t4g.small has the architecture [arm64]"},
		"UnknownType": {several(`[{ instance_type = "t3.micro" }, { instance_type = "t3.gigantic" }]`), "t3.gigantic"},
		"SpotStrategy": {arguments{"instance_type": "", "mixed_instances": `{ spot_allocation_strategy = "diversified" }`},
			"value must be one of"},
		"HopLimit": {arguments{"metadata_hop_limit": "65"}, "must be between 1 and 64"},
		"IOPS": {arguments{"root_volume_type": `"gp3"`, "root_volume_iops": "2000"},
			"the type gp3 allows 3000 to 80000 IOPS, not 2000"},
		"IOPSOfImageSize": {arguments{"root_volume_type": `"io1"`, "root_volume_iops": "60000"},
			"the type io1 allows 50 IOPS per GiB: 60000 IOPS need 1200 GiB"},
		"RootOnDisk": {arguments{"root_volume_type": `"sc1"`}, "EC2 starts no server from a volume of the type sc1"},
		"RootTwice":  {arguments{"volume": `{ device_name = "/dev/xvda", size = 1 }`}, "this is the name of a root device"},
		"DeviceTwice": {arguments{"volume": `[{ device_name = "/dev/sdf", size = 1 }, { device_name = "/dev/sdf", size = 2 }]`},
			"two volumes cannot have the same device"},
		"NetworkBalancer": {arguments{"target": `{ port = 80, protocol = "TCP" }`},
			`"TCP" is not supported. It is a protocol of network and gateway`},
		"GRPC":      {arguments{"target": `{ port = 80, protocol = "GRPC" }`}, `"GRPC" is not supported. It is a version of a protocol`},
		"LowerCase": {arguments{"target": `{ port = 80, protocol = "http" }`}, "Write it in capital letters"},
		"WarmPool":  {arguments{"warm_pool": "1"}, "Unsupported argument"},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps:                    []resource.TestStep{{Config: config(e, tt.change), PlanOnly: true, ExpectError: says(tt.says)}},
			})
		})
	}
	left, err := e.EC2().DescribeLaunchTemplates(t.Context(), &ec2.DescribeLaunchTemplatesInput{})
	fatal(t, err)
	if len(left.LaunchTemplates) != 1 {
		t.Errorf("got %d launch templates, want the one of this test", len(left.LaunchTemplates))
	}
}

// A state of a build without these arguments plans nothing.
func TestAccCluster_StateOfEarlierBuild(t *testing.T) {
	e := acctest.New(t)
	w := acctest.NewWorkspace(t, config(e, arguments{"root_volume_size": "20"}))
	_, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	file := filepath.Join(w.Folder(), "terraform.tfstate")
	stored, err := os.ReadFile(file)
	fatal(t, err)
	var state struct {
		Version          int            `json:"version"`
		TerraformVersion string         `json:"terraform_version"`
		Serial           int            `json:"serial"`
		Lineage          string         `json:"lineage"`
		Outputs          map[string]any `json:"outputs"`
		Resources        []struct {
			Mode      string `json:"mode"`
			Type      string `json:"type"`
			Name      string `json:"name"`
			Provider  string `json:"provider"`
			Instances []struct {
				SchemaVersion int            `json:"schema_version"`
				Attributes    map[string]any `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	fatal(t, json.Unmarshal(stored, &state))
	attributes := state.Resources[0].Instances[0].Attributes
	for _, name := range []string{
		"key_name", "metadata_hop_limit", "detailed_monitoring", "root_volume_type", "root_volume_iops", "root_volume_throughput",
		"root_volume_encrypted", "root_volume_kms_key_id", "volume", "mixed_instances", "capacity_rebalance",
	} {
		if _, ok := attributes[name]; !ok {
			t.Errorf("the state has no %s", name)
		}
		delete(attributes, name)
	}
	stored, err = json.Marshal(state)
	fatal(t, err)
	fatal(t, os.WriteFile(file, stored, 0o600))
	for _, options := range [][]string{{}, {"-refresh=false"}} {
		out, err := w.Run(t.Context(), append([]string{"plan", "-detailed-exitcode", "-no-color"}, options...)...)
		if err != nil || !strings.Contains(out, "No changes.") {
			t.Errorf("plan %v: got %v and\n%s", options, err, out)
		}
	}
	_, err = w.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
	fatal(t, err)
}
