package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// severalTypes has servers of two types, all but one spot: of a half, moto would start too few.
func severalTypes(s *cluster.Spec) {
	s.Servers.InstanceType, s.Servers.CapacityRebalance = "", true
	s.Servers.Mixed = &cluster.Mixed{
		Types:        []cluster.MixedType{{InstanceType: "t3.micro"}, {InstanceType: "t3.small"}},
		OnDemandBase: 1, OnDemandStrategy: cluster.Prioritized, SpotStrategy: cluster.PriceCapacityOptimized,
	}
}

// byWeight counts capacity in units: a server of moto's is two of them.
func byWeight(s *cluster.Spec) {
	severalTypes(s)
	s.Servers.Mixed.Types[0].Weight, s.Servers.Mixed.Types[1].Weight = 2, 4
	s.Size = cluster.Size{Min: 5, Max: 20}
}

// recorder records the calls that change groups.
func (s *site) recorder() func(action string) map[string]string {
	var mu sync.Mutex
	last := map[string]map[string]string{}
	s.proxy.Intercept(func(c rig.Call) *rig.Fault {
		mu.Lock()
		defer mu.Unlock()
		form := map[string]string{}
		for key, values := range c.Form {
			form[key] = values[0]
		}
		last[c.Action] = form
		return nil
	})
	return func(action string) map[string]string {
		mu.Lock()
		defer mu.Unlock()
		return last[action]
	}
}

// policyOf is the part of a call that is the mixed instances policy, without its launch template.
func policyOf(form map[string]string) map[string]string {
	policy := map[string]string{}
	for key, value := range form {
		if short, ok := strings.CutPrefix(key, "MixedInstancesPolicy."); ok && !strings.Contains(key, "LaunchTemplateSpecification") {
			policy[short] = value
		}
	}
	return policy
}

// TestAccRollout_Mixed creates a cluster of several instance types whose capacity is in units,
// changes it in place, and rolls it forward and back.
func TestAccRollout_Mixed(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	s.change = byWeight
	recorded := s.recorder()
	settings := faultSettings
	settings.KeepPrevious = true
	first := s.apply("1", settings)
	want := map[string]string{
		"InstancesDistribution.OnDemandBaseCapacity":                "1",
		"InstancesDistribution.OnDemandPercentageAboveBaseCapacity": "0",
		"InstancesDistribution.OnDemandAllocationStrategy":          "prioritized",
		"InstancesDistribution.SpotAllocationStrategy":              "price-capacity-optimized",
		"LaunchTemplate.Overrides.member.1.InstanceType":            "t3.micro",
		"LaunchTemplate.Overrides.member.1.WeightedCapacity":        "2",
		"LaunchTemplate.Overrides.member.2.InstanceType":            "t3.small",
		"LaunchTemplate.Overrides.member.2.WeightedCapacity":        "4",
	}
	created := recorded("CreateAutoScalingGroup")
	if diff := cmp.Diff(policyOf(created), want); diff != "" {
		t.Errorf("created (-), want (+):\n%s", diff)
	}
	template := created["MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateId"]
	if template == "" || created["CapacityRebalance"] != "true" || created["LaunchTemplate.LaunchTemplateId"] != "" {
		t.Errorf("got %v", created)
	}
	s.serves(first, 5)

	// Other bounds and tags, in place.
	s.change = func(spec *cluster.Spec) {
		byWeight(spec)
		spec.Size.Min, spec.Tags = 7, tagging.Merge(spec.Tags, tagging.Set{"purpose": "test"})
	}
	if again := s.apply("1", settings); again != first {
		t.Errorf("the change in place made %s of %s", again, first)
	}
	renewed := recorded("UpdateAutoScalingGroup")
	if diff := cmp.Diff(policyOf(renewed), want); diff != "" {
		t.Errorf("renewed (-), want (+):\n%s", diff)
	}
	const specification = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification."
	if renewed[specification+"LaunchTemplateId"] != template || renewed[specification+"Version"] != "2" ||
		slices.Contains(slices.Collect(maps.Keys(renewed)), specification+"LaunchTemplateName") {
		t.Errorf("got %v", renewed)
	}
	s.serves(first, 7)

	second := s.apply("2", settings)
	s.serves(second, 7)
	if _, err := s.manager.Undo(t.Context(), strawberry); err != nil {
		t.Fatalf("%v%s", err, s.log())
	}
	s.serves(first, 7)
	// A single type again: the capacity is in servers.
	s.change = nil
	s.serves(s.apply("3", faultSettings), 2)
	s.destroy()
}

// serves checks that a generation is as specified, and has so much capacity.
func (s *site) serves(name string, capacity int32) {
	s.Helper()
	g := cluster.Generation{Cluster: strawberry, Name: name}
	health, err := s.cloud.Health(s.Context(), g)
	if err != nil {
		s.Fatal(err)
	}
	want := s.spec("")
	weighted := want.Servers.Mixed != nil
	if h := health[0]; h.Desired != capacity || h.Healthy < capacity || h.Weighted != weighted || h.Size != want.Size ||
		weighted && h.Healthy != capacity+1 { // of two units each, which makes one too many
		s.Errorf("%s: got %s, %+v, want a capacity of %d", name, h, h, capacity)
	}
	is, err := s.cloud.Observe(s.Context(), g, s.landscape.Listener)
	if err != nil {
		s.Fatal(err)
	}
	if len(is.Missing) > 0 || is.Share != 100 {
		s.Errorf("%s: %v is missing, and it gets %d%%", name, is.Missing, is.Share)
	}
	is.Servers.RootVolumeSize, want.Servers.SubnetIDs = 0, is.Servers.SubnetIDs
	if diff := cmp.Diff(is.Servers, want.Servers); diff != "" {
		s.Errorf("%s: observed (-), specified (+):\n%s", name, diff)
	}
}

// activities is a description of one activity that failed, as AWS documents it,
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html.
func activities(group, message string) []byte {
	return fmt.Appendf(nil, `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
<DescribeScalingActivitiesResult><Activities><member><StatusCode>Failed</StatusCode><Progress>100</Progress>
<ActivityId>af4543ba-0f93-4e2d-9d1e-1e0d4d1e3a1c</ActivityId><StartTime>2026-11-22T12:00:00.000Z</StartTime>
<EndTime>2026-11-22T12:00:01Z</EndTime><AutoScalingGroupName>%s</AutoScalingGroupName>
<Cause>At 2026-11-22T12:00:00Z an instance was started in response to a difference between desired and actual capacity.</Cause>
<Details>{}</Details><Description>Launching a new EC2 instance.  Status Reason: %[2]s</Description>
<StatusMessage>%[2]s</StatusMessage></member></Activities></DescribeScalingActivitiesResult>
<ResponseMetadata><RequestId>7c6e177f-f082-11e1-ac58-3714bEXAMPLE</RequestId></ResponseMetadata>
</DescribeScalingActivitiesResponse>`, group, message)
}

// withoutServers describes a group that has not started a server.
func withoutServers(group string) []byte {
	return fmt.Appendf(nil, `<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
<DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>%s</AutoScalingGroupName><MinSize>2</MinSize>
<MaxSize>6</MaxSize><DesiredCapacity>2</DesiredCapacity><Instances/></member></AutoScalingGroups></DescribeAutoScalingGroupsResult>
</DescribeAutoScalingGroupsResponse>`, group)
}

// TestAccRollout_Launches: AWS starts no server of a new cluster. If that cannot change, the
// creation fails in minutes, with AWS's reason; otherwise, it waits for healthy_within.
func TestAccRollout_Launches(t *testing.T) {
	enter(t, 3)
	for name, tt := range map[string]struct {
		message  string
		hopeless bool
	}{
		"KeyPair":  {"The key pair 'admin' does not exist. Launching EC2 instance failed.", true},
		"Denied":   {"You are not authorized to perform this operation. Launching EC2 instance failed.", true},
		"Capacity": {"There is no Spot capacity available that matches your request. Launching EC2 instance failed.", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openSite(t, 400, nil)
			var mu sync.Mutex
			starting := ""
			s.proxy.Notify(func(c rig.Call) {
				mu.Lock()
				defer mu.Unlock()
				switch c.Action {
				case "CreateAutoScalingGroup":
					starting = c.Form.Get("AutoScalingGroupName")
				case "UpdateAutoScalingGroup", "DeleteRule": // the rollback has begun
					starting = ""
				}
			})
			s.proxy.Answer(func(_ context.Context, c rig.Call) []byte {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case starting == "":
				case c.Action == "DescribeScalingActivities":
					return activities(starting, tt.message)
				case c.Action == "DescribeAutoScalingGroups":
					return withoutServers(starting)
				}
				return nil
			})
			settings := faultSettings
			began := s.clock.Now()
			_, err := s.manager.Apply(t.Context(), s.spec("1"), settings, nil)
			took := s.clock.Now().Sub(began)
			var launch *rollout.LaunchError
			if err == nil || errors.As(err, &launch) != tt.hopeless || !strings.Contains(err.Error(), strings.TrimSuffix(tt.message, ".")) {
				t.Fatalf("got %v", err)
			}
			if bound := settings.HealthyWithin; (took < bound) != tt.hopeless || took < 2*time.Minute {
				t.Errorf("it took %s of %s", took, bound)
			}
			if err := rig.NothingLeft(t.Context(), s.account, s.landscape); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAccCloud_Volumes makes a launch template with everything that it can have, and reads it back.
func TestAccCloud_Volumes(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	s.change = func(spec *cluster.Spec) {
		options := cluster.VolumeOptions{Type: "gp3", IOPS: 4000, Throughput: 250, Encrypted: true, KMSKeyID: "alias/web"}
		spec.Servers.KeyName, spec.Servers.MetadataHopLimit, spec.Servers.DetailedMonitoring = "admin", 2, true
		spec.Servers.RootVolumeSize, spec.Servers.RootVolume = 30, options
		spec.Servers.Volumes = []cluster.Volume{
			{Device: "/dev/sdf", Size: 50, VolumeOptions: options}, {Device: "/dev/sdg", SnapshotID: "snap-1"},
		}
	}
	g := cluster.Generation{Cluster: strawberry, Name: "strawberry-prod-bcdfghjk"}
	spec := s.spec("1")
	if err := s.cloud.MakeTemplate(t.Context(), g, spec); err != nil {
		t.Fatal(err)
	}
	is, err := s.cloud.Observe(t.Context(), g, "")
	if err != nil {
		t.Fatal(err)
	}
	spec.Servers.SubnetIDs = nil // of the group
	if diff := cmp.Diff(is.Servers, spec.Servers); diff != "" {
		t.Errorf("observed (-), made (+):\n%s", diff)
	}
	out, err := ec2.NewFromConfig(s.account.Config(rolloutRegion)).DescribeLaunchTemplateVersions(t.Context(),
		&ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: &g.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range out.LaunchTemplateVersions[0].LaunchTemplateData.BlockDeviceMappings {
		if !aws.ToBool(m.Ebs.DeleteOnTermination) {
			t.Errorf("the volume %s would outlive its server", aws.ToString(m.DeviceName))
		}
	}
	if err := s.cloud.RemoveTemplate(t.Context(), g); err != nil {
		t.Fatal(err)
	}
}

// TestAccCloud_CheckLaunch: what only AWS knows is checked before anything is made.
func TestAccCloud_CheckLaunch(t *testing.T) {
	enter(t, 3)
	s := openSite(t, 100, nil)
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		says   string // empty: it is accepted
	}{
		"SeveralTypes": {severalTypes, ""},
		"Architecture": {func(s *cluster.Spec) {
			severalTypes(s)
			s.Servers.Mixed.Types[1].InstanceType = "t4g.small"
		}, "instance_type: t4g.small has the architecture [arm64], but image"},
		"UnknownType": {func(s *cluster.Spec) {
			severalTypes(s)
			s.Servers.Mixed.Types[1].InstanceType = "t9.small"
		}, "t9.small"},
		"RootTooSmall": {func(s *cluster.Spec) { s.Servers.RootVolumeSize = 1 }, "but the image needs at least"},
	} {
		spec := s.spec("1")
		tt.change(&spec)
		_, err := s.cloud.Check(t.Context(), spec)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tt.says)
		}
	}
}
