package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

var spec = cluster.Spec{
	ID: cluster.ID{Service: "web", Environment: "test"}, Version: "1", ImageID: "ami-1",
	Servers: cluster.Servers{InstanceType: "t3.micro", SubnetIDs: []string{"a", "b"}, Template: &cluster.Template{ID: "lt", Version: "1"}},
	Size:    cluster.Size{Min: 3, Max: 5}, Tags: tagging.Set{"a": "b"},
	Listener: &cluster.Listener{ARN: "arn", Rule: &cluster.Rule{Priority: 1, Hosts: []string{"x"}}},
	Target:   &cluster.Target{Port: 80, Stickiness: time.Minute},
}

func TestNewGeneration(t *testing.T) {
	for _, id := range []cluster.ID{
		{Service: "strawberry", Environment: "test"},
		{Service: "a.very_long-service.name", Environment: "and_a-very-long.environment"},
		{Service: "0", Environment: "0"},
		{Service: strings.Repeat("x", 64), Environment: strings.Repeat("y", 64)},
	} {
		one, other := cluster.NewGeneration(id, [8]byte{1, 2, 3}), cluster.NewGeneration(id, [8]byte{1, 2, 4})
		if one.Name == other.Name {
			t.Errorf("%s: two generations are named %s", id, one.Name)
		}
		valid := len(one.Name) <= 32 && !strings.HasPrefix(one.Name, "-") && !strings.HasSuffix(one.Name, "-") &&
			!slices.ContainsFunc([]rune(one.Name), func(r rune) bool {
				return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", r)
			})
		if !valid {
			t.Errorf("%s: AWS refuses the name %q for a target group", id, one.Name)
		}
	}
}

func TestSpec_Validate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		says   string
	}{
		"ListenerAlone": {func(s *cluster.Spec) { s.Target = nil }, "belong together"},
		"TooManyTags": {func(s *cluster.Spec) {
			s.Tags = tagging.Set{}
			for i := range 48 {
				s.Tags[fmt.Sprint(i)] = "x"
			}
		}, "at most 50"},
		"NoServers": {func(s *cluster.Spec) { s.Size = cluster.Size{} }, "max_size ≥ 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec
			s.Target = &cluster.Target{Health: cluster.HealthCheck{Interval: 2, Timeout: 1}}
			tt.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}

func TestSpec_SameServers(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		same   bool
	}{
		"Nothing":        {func(*cluster.Spec) {}, true},
		"Size":           {func(s *cluster.Spec) { s.Size.Max = 9 }, true},
		"Tags":           {func(s *cluster.Spec) { s.Tags = nil }, true},
		"Rule":           {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "arn", Rule: &cluster.Rule{Priority: 2}} }, true},
		"OrderOfSubnets": {func(s *cluster.Spec) { s.Servers.SubnetIDs = []string{"b", "a"} }, true},
		"EqualTemplate":  {func(s *cluster.Spec) { s.Servers.Template = &cluster.Template{ID: "lt", Version: "1"} }, true},
		"NumberIsKnown":  {func(s *cluster.Spec) { s.Servers.Template = &cluster.Template{ID: "lt", Version: "1", Number: 1} }, true},
		"Version":        {func(s *cluster.Spec) { s.Version = "2" }, false},
		"Image":          {func(s *cluster.Spec) { s.ImageID = "ami-2" }, false},
		"Subnets":        {func(s *cluster.Spec) { s.Servers.SubnetIDs = []string{"a"} }, false},
		"UserData":       {func(s *cluster.Spec) { s.Servers.UserData = "x" }, false},
		"Template":       {func(s *cluster.Spec) { s.Servers.Template = nil }, false},
		"Target":         {func(s *cluster.Spec) { s.Target = &cluster.Target{Port: 80} }, false},
		"OtherListener":  {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "other", Rule: s.Listener.Rule} }, false},
		"NoRule":         {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "arn"} }, false},
		"NoListener":     {func(s *cluster.Spec) { s.Listener, s.Target = nil, nil }, false},
		"Environment":    {func(s *cluster.Spec) { s.Environment = "prod" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := spec
			tt.change(&other)
			if got, back := spec.SameServers(other), other.SameServers(spec); got != tt.same || back != tt.same {
				t.Errorf("got %t, and %t the other way round, want %t", got, back, tt.same)
			}
		})
	}
}

func TestIsSuffix(t *testing.T) {
	for range 100 {
		var entropy [8]byte
		for i := range entropy {
			entropy[i] = byte(rand.IntN(256))
		}
		if suffix := cluster.Suffix(entropy); !cluster.IsSuffix(suffix) {
			t.Errorf("%q is not recognized", suffix)
		}
	}
	for _, s := range []string{"", "bcdfghj", "bcdfghjkl", "bcdfghja", "BCDFGHJK", "bcd-fghj", "bcdfghé"} {
		if cluster.IsSuffix(s) {
			t.Errorf("%q is taken for a suffix", s)
		}
	}
}
