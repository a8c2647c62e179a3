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
	Listener: &cluster.Listener{ARN: "arn", Rule: &cluster.Rule{Priority: 1, Hosts: []string{"x.example.com"}}},
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
		"TagIsIgnored":    {func(s *cluster.Spec) { s.IgnoredTags.Keys = []string{"a"} }, `tag "a" is set and cannot be ignored`},
		"OwnTagIsIgnored": {func(s *cluster.Spec) { s.IgnoredTags.KeyPrefixes = []string{"delivery:"} }, `tag "delivery:cluster" is set`},
		"LongVersion":     {func(s *cluster.Spec) { s.Version = strings.Repeat("1", 248) }, "at most 247"},
		"Timeout":         {func(s *cluster.Spec) { s.Target.Health.Timeout = 2 }, "must be shorter than the interval"},
		"PathOfCheck":     {func(s *cluster.Spec) { s.Target.Health.Path = "health" }, "must begin with a slash"},
		"MatcherTooHigh":  {func(s *cluster.Spec) { s.Target.Health.Matcher = "500-599" }, `the matcher "500-599" is not valid`},
		"MatcherIsText":   {func(s *cluster.Spec) { s.Target.Health.Matcher = "ok" }, "is not valid"},
		"MatcherTurned":   {func(s *cluster.Spec) { s.Target.Health.Matcher = "200,299-201" }, "is not valid"},
		"NoServers":       {func(s *cluster.Spec) { s.Size = cluster.Size{} }, "max_size ≥ 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec
			s.Target = &cluster.Target{Health: cluster.HealthCheck{Path: "/", Matcher: "200,302-399", Interval: 2, Timeout: 1}}
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			tt.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}

func TestRule_Validate(t *testing.T) {
	many := func(n int, value string) (all []string) {
		for range n {
			all = append(all, value)
		}
		return all
	}
	for name, tt := range map[string]struct {
		rule cluster.Rule
		says string // empty: it is valid
		warn string
	}{
		"Good":        {cluster.Rule{Hosts: []string{"a-1.example.com", "*.example.com"}, Paths: []string{"/img/*", "/~a?$'@:+&"}}, "", ""},
		"ThreeValues": {cluster.Rule{Hosts: many(3, "a.example.com"), Paths: many(2, "/")}, "", ""},
		"FourValues":  {cluster.Rule{Hosts: many(4, "a.example.com")}, "", "has 4 hosts; by AWS's documentation, a condition has at most 3 values"},
		"EveryKind": {cluster.Rule{
			Hosts: many(1, "a.example.com"), Headers: []cluster.Header{{Name: "X-Origin-Verify", Values: []string{"a b*"}}},
			Methods: []string{"M-SEARCH"}, QueryStrings: []cluster.QueryString{{Key: "v", Values: []string{`\*\?\\ *`}}}, SourceIPs: []string{"::/0"},
		}, "", ""},
		"OnlyAddresses": {cluster.Rule{SourceIPs: []string{"10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "0.0.0.0/0"}}, "", ""},
		"SixOfAllKinds": {cluster.Rule{
			Paths: many(1, "/"), Headers: []cluster.Header{{Name: "A", Values: many(2, secret)}}, Methods: many(1, "GET"),
			QueryStrings: []cluster.QueryString{{Values: many(1, secret)}}, SourceIPs: many(1, "::/0"),
		}, "has 6 values in its conditions, but a load balancer allows at most 5", ""},
		"WildcardsOfAllKinds": {cluster.Rule{
			Hosts: many(1, "*.example.com"), Headers: []cluster.Header{{Name: "A", Values: many(1, "?*"+secret)}},
			QueryStrings: []cluster.QueryString{{Key: "?*", Values: many(1, `*\*`)}},
		}, "6 wildcards", ""},
		"FourHeaderValues": {cluster.Rule{Headers: []cluster.Header{{Name: "A", Values: many(4, secret)}}}, "", `4 values of the header "A"`},
		"FourMethods":      {cluster.Rule{Methods: many(4, "GET")}, "", "has 4 methods"},
		"FourQueryValues": {cluster.Rule{QueryStrings: []cluster.QueryString{{Key: "k", Values: many(4, secret)}}}, "",
			`4 values of the query string "k"`},
		"HostHeader":      {cluster.Rule{Headers: []cluster.Header{{Name: "host", Values: many(1, "a")}}}, `header "host" of the listener rule: a load`, ""},
		"HeaderWildcard":  {cluster.Rule{Headers: []cluster.Header{{Name: "X-*", Values: many(1, secret)}}}, `header "X-*"`, ""},
		"LongHeaderName":  {cluster.Rule{Headers: []cluster.Header{{Name: strings.Repeat("x", 41), Values: many(1, "a")}}}, "1 to 40", ""},
		"NoHeaderValue":   {cluster.Rule{Hosts: many(1, "a.b"), Headers: []cluster.Header{{Name: "A"}}}, `header "A" of the listener rule: it needs`, ""},
		"LongHeaderValue": {cluster.Rule{Headers: []cluster.Header{{Name: "A", Values: many(1, strings.Repeat(secret, 19))}}}, "1 to 128", ""},
		"HeaderControl":   {cluster.Rule{Headers: []cluster.Header{{Name: "A", Values: many(1, secret+"\n")}}}, "visible ASCII", ""},
		"LowerMethod":     {cluster.Rule{Methods: []string{"get"}}, `method "get"`, ""},
		"LongMethod":      {cluster.Rule{Methods: []string{strings.Repeat("X", 41)}}, "1 to 40 capital letters", ""},
		"EmptyQueryValue": {cluster.Rule{QueryStrings: []cluster.QueryString{{Key: "k", Values: []string{""}}}}, `query string "k"`, ""},
		"LongQueryKey":    {cluster.Rule{QueryStrings: []cluster.QueryString{{Key: strings.Repeat("k", 129), Values: many(1, secret)}}}, "query string", ""},
		"NoCIDR":          {cluster.Rule{SourceIPs: []string{"10.0.0.1"}}, `source address "10.0.0.1"`, ""},
		"HostBits":        {cluster.Rule{SourceIPs: []string{"10.0.0.1/8"}}, "write it as 10.0.0.0/8", ""},
		"LongAddress":     {cluster.Rule{SourceIPs: []string{"2001:0DB8::/32"}}, "write it as 2001:db8::/32", ""},
		"SixValues":       {cluster.Rule{Hosts: many(3, "a.example.com"), Paths: many(3, "/")}, "at most 5 in one rule", ""},
		"Nothing":         {cluster.Rule{}, "selects no requests", ""},
		"SixWildcards":    {cluster.Rule{Hosts: []string{"*.?.*.example.com"}, Paths: []string{"/*/?/*"}}, "6 wildcards", ""},
		"NoDot":           {cluster.Rule{Hosts: []string{"localhost"}}, `host "localhost"`, ""},
		"Address":         {cluster.Rule{Hosts: []string{"10.0.0.1"}}, "only letters after the last one", ""},
		"Port":            {cluster.Rule{Hosts: []string{"a.example.com:8080"}}, "matches no port", ""},
		"LongHost":        {cluster.Rule{Hosts: []string{strings.Repeat("a", 125) + ".com"}}, "host", ""},
		"Space":           {cluster.Rule{Paths: []string{"/a b"}}, `path "/a b"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if shown := fmt.Sprintf("%v %+v %v", tt.rule, tt.rule, tt.rule.Validate()); strings.Contains(shown, secret) {
				t.Errorf("a secret is shown: %s", shown)
			}
			if err := tt.rule.Validate(); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
			if warnings := tt.rule.Warnings(); (len(warnings) == 0) != (tt.warn == "") || !strings.Contains(strings.Join(warnings, ""), tt.warn) {
				t.Errorf("got the warnings %q, want %q", warnings, tt.warn)
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
		"IgnoredTags":    {func(s *cluster.Spec) { s.IgnoredTags.Keys = []string{"x"} }, true},
		"Rule":           {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "arn", Rule: &cluster.Rule{Priority: 2}} }, true},
		"OrderOfSubnets": {func(s *cluster.Spec) { s.Servers.SubnetIDs = []string{"b", "a"} }, true},
		"EqualTemplate":  {func(s *cluster.Spec) { s.Servers.Template = &cluster.Template{ID: "lt", Version: "1"} }, true},
		"NumberIsKnown":  {func(s *cluster.Spec) { s.Servers.Template = &cluster.Template{ID: "lt", Version: "1", Number: 1} }, true},
		"Version":        {func(s *cluster.Spec) { s.Version = "2" }, false},
		"Image":          {func(s *cluster.Spec) { s.ImageID = "ami-2" }, false},
		"Subnets":        {func(s *cluster.Spec) { s.Servers.SubnetIDs = []string{"a"} }, false},
		"UserData":       {func(s *cluster.Spec) { s.Servers.UserData = "x" }, false},
		"BinaryUserData": {func(s *cluster.Spec) { s.Servers.SetUserData([]byte{0x1f, 0x8b}) }, false},
		"Template":       {func(s *cluster.Spec) { s.Servers.Template = nil }, false},
		"Target":         {func(s *cluster.Spec) { s.Target = &cluster.Target{Port: 80} }, false},
		"OtherListener":  {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "other", Rule: s.Listener.Rule} }, false},
		"NoRule":         {func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: "arn"} }, false},
		"OrderOfVolumes": {func(s *cluster.Spec) {
			s.Servers.Volumes = []cluster.Volume{s.Servers.Volumes[1], s.Servers.Volumes[0]}
		}, true},
		"Volume":      {func(s *cluster.Spec) { s.Servers.Volumes = s.Servers.Volumes[:1] }, false},
		"Key":         {func(s *cluster.Spec) { s.Servers.KeyName = "admin" }, false},
		"RootVolume":  {func(s *cluster.Spec) { s.Servers.RootVolume.Encrypted = true }, false},
		"Mixed":       {func(s *cluster.Spec) { s.Servers.Mixed = mixed() }, false},
		"Rebalance":   {func(s *cluster.Spec) { s.Servers.CapacityRebalance = true }, false},
		"NoListener":  {func(s *cluster.Spec) { s.Listener, s.Target = nil, nil }, false},
		"Environment": {func(s *cluster.Spec) { s.Environment = "prod" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := spec
			spec.Servers.Volumes = []cluster.Volume{{Device: "/dev/sdf", Size: 1}, {Device: "/dev/sdg", Size: 1}}
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
