package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func TestHighestFreePriority(t *testing.T) {
	for name, tt := range map[string]struct {
		taken       []int32
		least, most int32
		want        int32
	}{
		"Highest":   {nil, 1, 9, 9},
		"Next":      {[]int32{9, 7, 8, 3}, 1, 9, 6},
		"Last":      {[]int32{2, 3}, 1, 3, 1},
		"None":      {[]int32{1, 2}, 1, 2, 0},
		"NoneAtAll": {nil, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cluster.HighestFreePriority(tt.taken, tt.least, tt.most); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestRule_Matches(t *testing.T) {
	rule := cluster.Rule{
		Hosts: []string{"*.example.com"}, Paths: []string{"/api/*", "/v?"}, Methods: []string{"GET"},
		Headers:      []cluster.Header{{Name: "X-Preview", Values: []string{"Sesame"}}},
		QueryStrings: []cluster.QueryString{{Key: "k", Values: []string{"a*", `\*`}}},
	}
	good := func(change func(*cluster.Request)) cluster.Request {
		q := cluster.Request{
			Method: "GET", Host: "WWW.example.com", Path: "/api/buy",
			Headers: map[string]string{"x-preview": "sesame"}, Query: map[string][]string{"K": {"Abc"}},
		}
		change(&q)
		return q
	}
	for name, tt := range map[string]struct {
		change func(*cluster.Request)
		want   bool
	}{
		"All":           {func(*cluster.Request) {}, true},
		"OtherPath":     {func(q *cluster.Request) { q.Path = "/v2" }, true},
		"Star":          {func(q *cluster.Request) { q.Query["k"] = []string{"*"} }, true},
		"Host":          {func(q *cluster.Request) { q.Host = "example.com" }, false},
		"PathCase":      {func(q *cluster.Request) { q.Path = "/API/buy" }, false},
		"Method":        {func(q *cluster.Request) { q.Method = "POST" }, false},
		"NoHeader":      {func(q *cluster.Request) { q.Headers = nil }, false},
		"HeaderValue":   {func(q *cluster.Request) { q.Headers["x-preview"] = "open" }, false},
		"QueryOtherKey": {func(q *cluster.Request) { q.Query = map[string][]string{"l": {"abc"}} }, false},
		"QueryValue":    {func(q *cluster.Request) { q.Query = map[string][]string{"k": {"b"}} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rule.Matches(good(tt.change)); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
	if !(cluster.Rule{}).Matches(cluster.Request{}) {
		t.Error("a rule without conditions does not match")
	}
}

func TestPreview_Validate(t *testing.T) {
	own := &cluster.Rule{Priority: 10, Hosts: []string{"*.example.com"}, Paths: []string{"/a", "/b", "/c"}}
	header := func(values ...string) *cluster.Header { return &cluster.Header{Name: "X-Preview", Values: values} }
	for name, tt := range map[string]struct {
		preview cluster.Preview
		own     *cluster.Rule
		want    string // empty: valid
	}{
		"Header":        {cluster.Preview{Header: header("sesame")}, own, ""},
		"Host":          {cluster.Preview{Host: "preview.example.org", Priority: 9}, own, ""},
		"DefaultAction": {cluster.Preview{Header: header("sesame"), Priority: 500}, nil, ""},
		"Neither":       {cluster.Preview{}, own, "give either http_header or host"},
		"Both":          {cluster.Preview{Header: header("sesame"), Host: "a.example.org"}, own, "give either http_header or host"},
		"Wildcard":      {cluster.Preview{Header: header("ses*")}, own, `the header "X-Preview" needs one value without the wildcards`},
		"HostWildcard":  {cluster.Preview{Host: "*.example.org"}, own, "must have no wildcards"},
		"OwnHost":       {cluster.Preview{Host: "preview.example.com"}, own, "users' requests would reach the preview"},
		"Priority":      {cluster.Preview{Header: header("sesame"), Priority: 10}, own, "it must be lower than 10"},
		"Values": {cluster.Preview{Header: header("sesame")},
			&cluster.Rule{Priority: 10, Paths: []string{"/a", "/b", "/c", "/d", "/e"}}, "has 6 values in its conditions"},
		"Wildcards": {cluster.Preview{Header: header("sesame")}, &cluster.Rule{Priority: 10, Paths: []string{"/******"}}, "has 6 wildcards"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.preview.Validate(tt.own)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "ses") {
				t.Errorf("the error shows the header's value: %v", err)
			}
		})
	}
}

func TestTargetAlarms(t *testing.T) {
	none, one := int32(0), int32(1)
	all := cluster.TargetAlarms{
		Errors5xx: &none, Latency: time.Second, UnhealthyServers: &one, Period: time.Minute, EvaluationPeriods: 2,
	}
	names := strings.Join(all.Names(cluster.Generation{Name: "web-prod-x"}), " ")
	if want := "web-prod-x-5xx web-prod-x-latency web-prod-x-unhealthy"; names != want || all.Window() != 2*time.Minute {
		t.Errorf("got %q and a window of %s", names, all.Window())
	}
	for name, tt := range map[string]struct {
		change func(*cluster.TargetAlarms)
		want   string
	}{
		"All":     {func(*cluster.TargetAlarms) {}, ""},
		"Nothing": {func(a *cluster.TargetAlarms) { a.Errors5xx, a.Latency, a.UnhealthyServers = nil, 0, nil }, "at least one of"},
		"Period":  {func(a *cluster.TargetAlarms) { a.Period = 90 * time.Second }, "whole minutes"},
		"Long":    {func(a *cluster.TargetAlarms) { a.Period, a.EvaluationPeriods = time.Hour, 25 }, "longer than a day"},
	} {
		t.Run(name, func(t *testing.T) {
			alarms := all
			tt.change(&alarms)
			err := alarms.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMatchesStatus(t *testing.T) {
	for _, status := range []int{200, 250, 302} {
		if !cluster.MatchesStatus("200-299,302", status) {
			t.Errorf("%d does not match", status)
		}
	}
	if cluster.MatchesStatus("200-299,302", 301) || cluster.MatchesStatus("x", 0) {
		t.Error("another status matches")
	}
	for _, wrong := range []string{"", "x", "99", "299-200", "200-600", "200,,300"} {
		if cluster.ValidateMatcher(wrong, 100, 599) == nil {
			t.Errorf("%q is valid", wrong)
		}
	}
}
