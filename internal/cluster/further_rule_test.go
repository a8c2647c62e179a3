package cluster_test

import (
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func TestSpec_FurtherRules(t *testing.T) {
	rule := func(name string, priority int32) cluster.FurtherRule {
		return cluster.FurtherRule{
			Name: name, ListenerARN: "arn:listener", Rule: cluster.Rule{Priority: priority, Hosts: []string{name + ".example.com"}},
		}
	}
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		says   string
	}{
		"Valid": {func(s *cluster.Spec) {
			s.FurtherRules = []cluster.FurtherRule{rule("a", 0), rule("b", 0), rule("c", 7)}
		}, ""},
		"Worker": {func(s *cluster.Spec) {
			s.Listener, s.Target, s.FurtherRules = nil, nil, []cluster.FurtherRule{rule("a", 0)}
		}, "without a listener has no rules"},
		"Twice": {func(s *cluster.Spec) { s.FurtherRules = []cluster.FurtherRule{rule("a", 0), rule("a", 7)} }, `two blocks further_rule with the name "a"`},
		"Name": {func(s *cluster.Spec) {
			r := rule("a", 0)
			r.Name = "a/b"
			s.FurtherRules = []cluster.FurtherRule{r}
		}, "letters, digits, dots"},
		"SamePriority": {func(s *cluster.Spec) { s.FurtherRules = []cluster.FurtherRule{rule("a", 7), rule("b", 7)} }, `"b" has the priority 7, as further_rule "a" has`},
		"OwnPriority": {func(s *cluster.Spec) {
			r := rule("a", s.Listener.Rule.Priority)
			r.ListenerARN = s.Listener.ARN
			s.FurtherRules = []cluster.FurtherRule{r}
		}, "as listener_rule has"},
		"Empty": {func(s *cluster.Spec) {
			s.FurtherRules = []cluster.FurtherRule{{Name: "a", ListenerARN: "arn:listener"}}
		}, `further_rule "a": the listener rule selects no requests`},
	} {
		t.Run(name, func(t *testing.T) {
			s := kind("prod")
			tt.change(&s)
			err := s.Validate()
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}

func TestSpec_ObsoleteRules(t *testing.T) {
	a, b := cluster.FurtherRule{Name: "a", ListenerARN: "1"}, cluster.FurtherRule{Name: "b", ListenerARN: "1"}
	moved := cluster.FurtherRule{Name: "a", ListenerARN: "2"}
	has, should := cluster.Spec{FurtherRules: []cluster.FurtherRule{a, b}}, cluster.Spec{FurtherRules: []cluster.FurtherRule{moved, b}}
	if got := has.ObsoleteRules(should); len(got) != 1 || got[0].ListenerARN != "1" || got[0].Name != "a" {
		t.Errorf("got %v, want the rule at the former listener", got)
	}
}
