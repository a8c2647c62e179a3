package cluster_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// secret stands where texts may hold one.
const secret = "hunter2"

// kind is a cluster in an environment, with its name in all places where people put it.
func kind(environment string) cluster.Spec {
	return cluster.Spec{
		ID: cluster.ID{Service: "web", Environment: environment}, Version: "1", ImageID: "ami-1",
		Servers: cluster.Servers{
			InstanceType: "t3.small", SubnetIDs: []string{"subnet-" + environment}, SecurityGroupIDs: []string{"sg-" + environment},
			InstanceProfile: "web-" + environment, RootVolumeSize: 20, Volumes: []cluster.Volume{{Device: "/dev/sdf", Size: 5}},
			UserData: "#!/bin/sh\n# production image, to test or to use\nENV=" + environment + "\nDB=" + environment + ".db.example.com\nTOKEN=" + secret,
		},
		Size:     cluster.Size{Min: 1, Max: int32(len(environment))},
		Listener: &cluster.Listener{ARN: "arn:" + environment, Rule: &cluster.Rule{Priority: 1, Hosts: []string{environment + ".example.com"}}},
		Target: &cluster.Target{
			Port: 80, Protocol: "HTTP", DeregistrationDelay: 30 * time.Second,
			Health: cluster.HealthCheck{
				Path: "/health?in=" + environment + "&token=" + secret, Matcher: "200", Interval: 10 * time.Second, Timeout: 5 * time.Second,
				HealthyThreshold: 2, UnhealthyThreshold: 2, GracePeriod: 5 * time.Minute,
			},
		},
		Tags: tagging.Set{"environment": environment},
	}
}

func TestSpec_Differences(t *testing.T) {
	template := func(id, version string, number int64) func(*cluster.Spec) {
		return func(s *cluster.Spec) {
			s.Servers = cluster.Servers{Template: &cluster.Template{ID: id, Version: version, Number: number}}
		}
	}
	for _, tt := range []struct {
		name        string
		tested, now func(*cluster.Spec)
		want        []string
	}{
		{"Nothing", nil, nil, nil},
		{"Image", nil, func(s *cluster.Spec) { s.ImageID = "ami-2" }, []string{"image_id: ami-1 when tested, ami-2 now"}},
		{
			"InstanceType", nil, func(s *cluster.Spec) { s.Servers.InstanceType = "m5.large" },
			[]string{"instance_type: t3.small when tested, m5.large now"},
		},
		{
			"Profile", nil, func(s *cluster.Spec) { s.Servers.InstanceProfile = "admin" },
			[]string{"iam_instance_profile: web-run-1 when tested, admin now"},
		},
		{
			"NoProfile", nil, func(s *cluster.Spec) { s.Servers.InstanceProfile = "" },
			[]string{"iam_instance_profile: web-run-1 when tested, none now"},
		},
		{
			"RootVolumeSize", nil, func(s *cluster.Spec) { s.Servers.RootVolumeSize = 0 },
			[]string{"root_volume_size: 20 GiB when tested, the image's now"},
		},
		{
			"Volumes", nil, func(s *cluster.Spec) {
				s.Servers.KeyName, s.Servers.RootVolume = "admin", cluster.VolumeOptions{Type: "gp3", Encrypted: true}
				s.Servers.Volumes = []cluster.Volume{{Device: "/dev/sdg", Size: 1}}
			},
			[]string{
				"key_name: none when tested, admin now", "root_volume_type: none when tested, gp3 now",
				"root_volume_encrypted: false when tested, true now", `volume["/dev/sdf"]: set when tested, none now`,
				`volume["/dev/sdg"]: none when tested, set now`,
			},
		},
		{
			"Volume", nil, func(s *cluster.Spec) {
				s.Servers.Volumes = []cluster.Volume{{Device: "/dev/sdf", VolumeOptions: cluster.VolumeOptions{Type: "gp3", IOPS: 4000}}}
			},
			[]string{
				`volume["/dev/sdf"].size: 5 when tested, none now`, `volume["/dev/sdf"].type: none when tested, gp3 now`,
				`volume["/dev/sdf"].iops: none when tested, 4000 now`,
			},
		},
		{
			"Mixed", nil, func(s *cluster.Spec) { s.Servers.Mixed = mixed() },
			[]string{"mixed_instances: none when tested, " +
				"t3.micro (weight 1), t3.small (weight 2); 0 and 50% on demand (prioritized), the rest spot (price-capacity-optimized) now"},
		},
		{
			"Tokens", nil, func(s *cluster.Spec) { s.Servers.OptionalTokens = true },
			[]string{"metadata_http_tokens: required when tested, optional now"},
		},
		{
			"UserDataLine", nil, func(s *cluster.Spec) { s.Servers.UserData = strings.Replace(s.Servers.UserData, secret, "hunter3", 1) },
			[]string{"user_data: differs (line 5)"},
		},
		{
			"UserDataLines", nil, func(s *cluster.Spec) { s.Servers.UserData = strings.ReplaceAll(s.Servers.UserData, "=", "="+secret) },
			[]string{"user_data: differs (lines 3, 4, 5)"},
		},
		{
			"UserDataLonger", nil, func(s *cluster.Spec) { s.Servers.UserData += "\nexport TOKEN" },
			[]string{"user_data: differs from line 6 on (5 lines when tested, 6 now)"},
		},
		{
			"UserDataShorter", nil, func(s *cluster.Spec) { s.Servers.UserData = "#!/bin/sh\n" + secret },
			[]string{"user_data: differs from line 2 on (5 lines when tested, 2 now)"},
		},
		{"NoUserData", nil, func(s *cluster.Spec) { s.Servers.UserData = "" }, []string{"user_data: set when tested, none now"}},
		{"UserDataAdded", func(s *cluster.Spec) { s.Servers.UserData = "" }, nil, []string{"user_data: none when tested, set now"}},
		{
			"BinaryUserData", nil, func(s *cluster.Spec) { s.Servers.SetUserData([]byte("\x1f\x8b" + secret)) },
			[]string{"user_data_base64: differs"},
		},
		{"NoTarget", nil, func(s *cluster.Spec) { s.Listener, s.Target = nil, nil }, []string{"target: set when tested, none now"}},
		{"TargetAdded", func(s *cluster.Spec) { s.Listener, s.Target = nil, nil }, nil, []string{"target: none when tested, set now"}},
		{"Worker", func(s *cluster.Spec) { s.Target = nil }, func(s *cluster.Spec) { s.Target = nil }, nil},
		{"Port", nil, func(s *cluster.Spec) { s.Target.Port = 8080 }, []string{"target.port: 80 when tested, 8080 now"}},
		{"Protocol", nil, func(s *cluster.Spec) { s.Target.Protocol = "HTTPS" }, []string{"target.protocol: HTTP when tested, HTTPS now"}},
		{
			"HealthCheck", nil, func(s *cluster.Spec) {
				s.Target.Health = cluster.HealthCheck{Path: "/" + secret, Matcher: "200-299", Interval: time.Minute, Timeout: time.Second,
					HealthyThreshold: 3, UnhealthyThreshold: 4, Port: 9090, Protocol: "HTTPS"}
			},
			[]string{
				"target.health_check.path: differs", "target.health_check.port: the target's when tested, 9090 now",
				"target.health_check.protocol: the target's when tested, HTTPS now", "target.health_check.matcher: 200 when tested, 200-299 now",
				"target.health_check.interval: 10s when tested, 1m0s now", "target.health_check.timeout: 5s when tested, 1s now",
				"target.health_check.healthy_threshold: 2 when tested, 3 now", "target.health_check.unhealthy_threshold: 2 when tested, 4 now",
				"target.health_check.grace_period: 5m0s when tested, 0s now",
			},
		},
		{
			"Delay", nil, func(s *cluster.Spec) { s.Target.DeregistrationDelay = 0 },
			[]string{"target.deregistration_delay: 30s when tested, 0s now"},
		},
		{
			"Stickiness", nil, func(s *cluster.Spec) { s.Target.Stickiness = time.Hour },
			[]string{"target.stickiness: 0s when tested, 1h0m0s now"},
		},
		{"SameTemplate", template("lt-1", "$Latest", 3), template("lt-1", "3", 0), nil},
		{"SameTemplateText", template("lt-1", "3", 0), template("lt-1", "3", 3), nil},
		{
			"LaterLatest", template("lt-1", "$Latest", 3), template("lt-1", "$Latest", 4),
			[]string{"launch_template: version 3 of lt-1 when tested, version 4 of lt-1 now"},
		},
		{
			"LatestNotOnRecord", template("lt-1", "$Latest", 0), template("lt-1", "$Latest", 4),
			[]string{"launch_template: version $Latest of lt-1 when tested, version 4 of lt-1 now"},
		},
		{
			"NeitherOnRecord", template("lt-1", "$Default", 0), template("lt-1", "$Default", 0),
			[]string{"launch_template: version $Default of lt-1 may be another one now than when tested, because its number is not on record"},
		},
		{
			"OtherTemplate", template("lt-1", "1", 1), template("lt-2", "1", 1),
			[]string{"launch_template: version 1 of lt-1 when tested, version 1 of lt-2 now"},
		},
		{"NoTemplate", template("lt-1", "1", 1), nil, []string{"launch_template: version 1 of lt-1 when tested, none now"}},
		{"TemplateAdded", nil, template("lt-1", "1", 1), []string{"launch_template: none when tested, version 1 of lt-1 now"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tested, now := kind("run-1"), kind("prod")
			if tt.tested != nil {
				tt.tested(&tested)
			}
			if tt.now != nil {
				tt.now(&now)
			}
			var got []string
			for _, d := range now.Differences(tested) {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(got), secret) {
				t.Errorf("a secret is shown: %s", got)
			}
		})
	}
}

// Every field of a specification is compared, unless it names the place.
func TestSpec_DifferencesCompareEveryField(t *testing.T) {
	leftOut := []string{
		".ID.Service", ".Version", ".Servers.SubnetIDs", ".Servers.SecurityGroupIDs", ".Size.Min", ".Size.Max",
		".Listener.ARN", ".Listener.Rule.Priority", ".Listener.Rule.Hosts", ".Listener.Rule.Paths", ".Listener.Rule.Headers",
		".Listener.Rule.Methods", ".Listener.Rule.QueryStrings", ".Listener.Rule.SourceIPs", ".Tags", ".IgnoredTags.Keys",
		".IgnoredTags.KeyPrefixes", ".TakeOver",
	}
	leftOut = append(leftOut, ".FurtherRules")
	for _, place := range []string{".Attachments", ".Carried"} {
		for i := range reflect.TypeFor[cluster.Attachments]().NumField() {
			leftOut = append(leftOut, place+"."+reflect.TypeFor[cluster.Attachments]().Field(i).Name)
		}
	}
	var fields func(path string, of reflect.Type, index []int)
	fields = func(path string, of reflect.Type, index []int) {
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			for i := range of.NumField() {
				fields(path+"."+of.Field(i).Name, of.Field(i).Type, append(slices.Clone(index), i))
			}
			return
		}
		if path == ".ID.Environment" {
			return // see TestSpec_DifferencesAsideFromTheEnvironment
		}
		tested, now := kind("run-1"), kind("prod")
		if strings.HasPrefix(path, ".Servers.Template") {
			for _, s := range []*cluster.Spec{&tested, &now} {
				s.Servers = cluster.Servers{Template: &cluster.Template{ID: "lt-1", Version: "1"}}
			}
		}
		tested.Servers.Mixed, now.Servers.Mixed = mixed(), mixed()
		switch field := reflect.ValueOf(&now).Elem().FieldByIndex(index); field.Kind() {
		case reflect.String:
			field.SetString("2")
		case reflect.Int32, reflect.Int64:
			field.SetInt(99)
		case reflect.Bool:
			field.SetBool(true)
		default:
			field.SetZero()
		}
		if got := now.Differences(tested); (len(got) == 0) != slices.Contains(leftOut, path) {
			t.Errorf("%s: got %v", path, got)
		}
	}
	fields("", reflect.TypeFor[cluster.Spec](), nil)
}

// The name of its own environment is as good as that of the other: as a whole word,
// and only where the other one has its own or the same text.
func TestSpec_DifferencesAsideFromTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		testedEnvironment, nowEnvironment, tested, now string
		same                                           bool
	}{
		{"test", "prod", "ENV=test", "ENV=prod", true},
		{"test", "prod", "test", "prod", true},
		{"test", "prod", "test,test_a.test", "prod,prod_a.prod", true},
		{"test", "prod", "ENV=test # the test of it", "ENV=prod # the test of it", true},
		{"test", "prod", "ENV=test", "ENV=staging", false},
		{"test", "prod", "ENV=staging", "ENV=prod", false},
		{"test", "prod", "ENV=prod", "ENV=test", false},
		{"test", "prod", "tests", "prods", false},
		{"test", "prod", "attest", "atprod", false},
		{"test", "prod", "test2", "prod2", false},
		{"test", "prod", "testé", "prodé", false},
		{"test", "prod", "production", "production", true},
		{"prod", "prod-2", "prod-2 prod", "prod-2 prod-2", true},
		{"prod", "prod-2", "prod-2", "prod-2-2", true},
		{"prod-2", "prod", "prod-2 x", "prod x", true},
		{"a", "a-a", strings.Repeat("a-", 200), strings.Repeat("a-", 300) + "b", false},
		{"test", "prod", "\xff test", "\xff prod", true},
	} {
		tested, now := kind(tt.testedEnvironment), kind(tt.nowEnvironment)
		tested.Servers.UserData, now.Servers.UserData = tt.tested, tt.now
		if got := now.Differences(tested); (len(got) == 0) != tt.same {
			t.Errorf("%q in %s and %q in %s: got %v", tt.tested, tt.testedEnvironment, tt.now, tt.nowEnvironment, got)
		}
	}
}
