package tagging_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

func TestMerge(t *testing.T) {
	got := tagging.Merge(tagging.Set{"a": "1", "b": "1", "c": "1"}, tagging.Set{"b": "2", "c": ""}.NonEmpty(), nil)
	if diff := cmp.Diff(got, tagging.Set{"a": "1", "b": "2", "c": "1"}); diff != "" {
		t.Error(diff)
	}
}

func TestSet_Missing(t *testing.T) {
	got := tagging.Set{tagging.Service: "web", tagging.Solution: ""}.Missing(tagging.Required)
	if diff := cmp.Diff(got, []string{"environment", "owner_team", "solution"}); diff != "" {
		t.Error(diff)
	}
}

func TestIgnored(t *testing.T) {
	ignored := tagging.Ignored{Keys: []string{"patch-group"}, KeyPrefixes: []string{"backup:", "cost-"}}
	set := tagging.Set{"patch-group": "a", "patch-groups": "b", "backup:plan": "c", "backup": "d", "Cost-x": "e", "cost-": "f"}
	if diff := cmp.Diff(set.WithoutIgnored(ignored), tagging.Set{"patch-groups": "b", "backup": "d", "Cost-x": "e"}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(set.WithoutIgnored(tagging.Ignored{}), set); diff != "" {
		t.Error(diff)
	}
	if err := ignored.Validate(tagging.Set{"backup": "d"}); err != nil {
		t.Error(err)
	}
	if err := ignored.Validate(set); err == nil || !strings.Contains(err.Error(), `tag "backup:plan" is set and cannot be ignored`) {
		t.Errorf("got %v", err)
	}
}

func TestSet_Validate(t *testing.T) {
	many := tagging.Set{}
	for i := range 51 {
		many[fmt.Sprint(i)] = "x"
	}
	for name, tt := range map[string]struct {
		set  tagging.Set
		says string
	}{
		"good":       {tagging.Set{"owner_team": "Früchte & co"[:8], "url": "https://x.org/a=b+c-d@e"}, ""},
		"too many":   {many, "at most 50"},
		"empty key":  {tagging.Set{"": "x"}, "empty key"},
		"aws prefix": {tagging.Set{"AWS:x": "x"}, "reserved by AWS"},
		"long key":   {tagging.Set{strings.Repeat("ä", 129): "x"}, "more than 128"},
		"long value": {tagging.Set{"x": strings.Repeat("ä", 257)}, "more than 256"},
		"bad value":  {tagging.Set{"x": "a;b"}, "letters, digits"},
		"own key":    {tagging.Set{tagging.Cluster: "web/test"}, "set by this provider"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.set.ValidateOwn()
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}
