package rig

import (
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

func TestRule_Conditions(t *testing.T) {
	made, ok := newRule(elbtypes.Rule{Conditions: []elbtypes.RuleCondition{
		{Field: aws.String("http-header"), HttpHeaderConfig: &elbtypes.HttpHeaderConditionConfig{
			HttpHeaderName: aws.String("X-Preview"), Values: []string{"Sesame*"},
		}},
		{Field: aws.String("http-request-method"), HttpRequestMethodConfig: &elbtypes.HttpRequestMethodConditionConfig{
			Values: []string{"GET", "HEAD"},
		}},
		{Field: aws.String("query-string"), QueryStringConfig: &elbtypes.QueryStringConditionConfig{
			Values: []elbtypes.QueryStringKeyValuePair{{Key: aws.String("k"), Value: aws.String("V")}, {Value: aws.String("any")}},
		}},
		{Field: aws.String("source-ip"), SourceIpConfig: &elbtypes.SourceIpConditionConfig{Values: []string{"192.0.2.0/24"}}},
	}}, 1)
	if !ok {
		t.Fatal("the rule was skipped")
	}
	for name, tt := range map[string]struct {
		method, target, header, from string
		want                         bool
	}{
		"All":      {"GET", "/?k=v", "sesame 1", "192.0.2.9:1", true},
		"AnyKey":   {"HEAD", "/?x=any", "SESAME", "192.0.2.9:1", true},
		"Header":   {"GET", "/?k=v", "open", "192.0.2.9:1", false},
		"NoHeader": {"GET", "/?k=v", "", "192.0.2.9:1", false},
		"Method":   {"POST", "/?k=v", "sesame", "192.0.2.9:1", false},
		"Query":    {"GET", "/?x=v", "sesame", "192.0.2.9:1", false},
		"Source":   {"GET", "/?k=v", "sesame", "198.51.100.1:1", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.RemoteAddr = tt.from
			if tt.header != "" {
				r.Header.Set("X-Preview", tt.header)
			}
			if got := made.matches(r); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
	for _, field := range []string{"http-header", "query-string", "something-new"} {
		if _, ok := newRule(elbtypes.Rule{Conditions: []elbtypes.RuleCondition{{Field: aws.String(field)}}}, 1); ok {
			t.Errorf("a condition %s that cannot be read is ignored", field)
		}
	}
}
