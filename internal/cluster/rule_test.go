package cluster_test

import (
	"fmt"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func TestRule_SelectsSame(t *testing.T) {
	rule := func(change func(*cluster.Rule)) cluster.Rule {
		r := cluster.Rule{
			Priority: 1, Hosts: []string{"a.example.com", "b.example.com"}, Methods: []string{"GET"},
			Headers:      []cluster.Header{{Name: "X-A", Values: []string{"1", "2"}}, {Name: "X-A", Values: []string{"3"}}},
			QueryStrings: []cluster.QueryString{{Key: "k", Values: []string{"v", "w"}}, {Values: []string{"x"}}},
			SourceIPs:    []string{"10.0.0.0/8"},
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	for name, tt := range map[string]struct {
		change func(*cluster.Rule)
		same   bool
	}{
		"Nothing":  {nil, true},
		"Priority": {func(r *cluster.Rule) { r.Priority = 2 }, true},
		"Order": {func(r *cluster.Rule) {
			r.Hosts = []string{"b.example.com", "a.example.com"}
			r.Headers = []cluster.Header{{Name: "X-A", Values: []string{"3"}}, {Name: "X-A", Values: []string{"2", "1"}}}
			r.QueryStrings = []cluster.QueryString{{Values: []string{"x"}}, {Key: "k", Values: []string{"w", "v"}}}
		}, true},
		"EmptyPaths": {func(r *cluster.Rule) { r.Paths = []string{} }, true},
		"Host":       {func(r *cluster.Rule) { r.Hosts = r.Hosts[:1] }, false},
		"Path":       {func(r *cluster.Rule) { r.Paths = []string{"/"} }, false},
		"Header":     {func(r *cluster.Rule) { r.Headers = r.Headers[:1] }, false},
		"Value":      {func(r *cluster.Rule) { r.Headers[1].Values[0] = "4" }, false},
		"Method":     {func(r *cluster.Rule) { r.Methods = nil }, false},
		"Key":        {func(r *cluster.Rule) { r.QueryStrings[1].Key = "k" }, false},
		"Source":     {func(r *cluster.Rule) { r.SourceIPs[0] = "::/0" }, false},
	} {
		if got, back := rule(nil).SelectsSame(rule(tt.change)), rule(tt.change).SelectsSame(rule(nil)); got != tt.same || back != tt.same {
			t.Errorf("%s: got %t, and %t the other way round, want %t", name, got, back, tt.same)
		}
	}
}

func TestFreePriority(t *testing.T) {
	if p := cluster.FreePriority(nil, 1000, 40_000, "web/prod"); p < 1000 || p > 40_000 || p != cluster.FreePriority(nil, 1000, 40_000, "web/prod") {
		t.Errorf("got %d, want always the same from 1000 to 40000", p)
	}
	var taken []int32
	chosen := map[int32]bool{}
	for range 3 {
		p := cluster.FreePriority(taken, 7, 9, "web/prod")
		taken, chosen[p] = append(taken, p), true
	}
	if len(chosen) != 3 || !chosen[7] || !chosen[8] || !chosen[9] {
		t.Errorf("got %v, want 7 to 9", chosen)
	}
	if p := cluster.FreePriority(taken, 7, 9, "web/prod"); p != 0 {
		t.Errorf("got %d where none is free", p)
	}
	if p := cluster.FreePriority(nil, 1, 0, "web/prod"); p != 0 {
		t.Errorf("got %d in an empty range", p)
	}
	spread := map[int32]bool{}
	for i := range 100 {
		spread[cluster.FreePriority(nil, 1000, 40_000, fmt.Sprintf("web/branch-%d", i))] = true
	}
	if len(spread) < 98 {
		t.Errorf("100 clusters chose %d priorities", len(spread))
	}
}
