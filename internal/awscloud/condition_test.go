package awscloud

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// secretValue stands where the values of conditions may be secret.
const secretValue = "hunter2-hunter2"

var everyCondition = cluster.Rule{
	Priority: 7, Hosts: []string{"a.example.com"}, Paths: []string{"/a", "/b"}, Methods: []string{"GET"}, SourceIPs: []string{"10.0.0.0/8"},
	Headers:      []cluster.Header{{Name: "X-A", Values: []string{secretValue}}, {Name: "X-A", Values: []string{"2", "3"}}},
	QueryStrings: []cluster.QueryString{{Key: "k", Values: []string{secretValue, "w"}}, {Values: []string{"x"}}},
}

func TestConditions_RoundTrip(t *testing.T) {
	r := route{ruleARN: "arn", priority: "7", conditions: conditions(everyCondition)}
	got, foreign, err := r.rule()
	if err != nil || len(foreign) > 0 {
		t.Fatalf("got the foreign conditions %v, and %v", describeConditions(foreign), err)
	}
	if diff := cmp.Diff(*got, everyCondition); diff != "" {
		t.Error(diff)
	}
	if !r.selects(&everyCondition) || r.selects(&cluster.Rule{Hosts: everyCondition.Hosts}) {
		t.Error("a rule is not compared with all of its conditions")
	}
}

// Conditions that a rule cannot express are shown without values, and sent back as they
// are, or else refused.
func TestConditions_Foreign(t *testing.T) {
	pair := func(key, value string) types.QueryStringKeyValuePair {
		return types.QueryStringKeyValuePair{Key: &key, Value: &value}
	}
	secrets := []string{secretValue}
	for name, tt := range map[string]struct {
		foreign types.RuleCondition
		shown   string
		refused string
	}{
		"HeaderRegex": {
			types.RuleCondition{Field: aws.String("http-header"),
				HttpHeaderConfig: &types.HttpHeaderConditionConfig{HttpHeaderName: aws.String("X-Origin"), RegexValues: secrets}},
			"http-header X-Origin (regular expressions)", "",
		},
		"SeveralKeys": {
			types.RuleCondition{Field: aws.String("query-string"),
				QueryStringConfig: &types.QueryStringConditionConfig{
					Values: []types.QueryStringKeyValuePair{pair("a", secretValue), pair("b", secretValue)}}},
			"query-string", "",
		},
		"PathRegex": {
			types.RuleCondition{Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{RegexValues: secrets}},
			"path-pattern (regular expressions)", "",
		},
		"HostRegex": {
			types.RuleCondition{Field: aws.String("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{RegexValues: secrets}},
			"host-header (regular expressions)", "a condition on the same part of requests",
		},
		"SecondHost": {
			types.RuleCondition{Field: aws.String("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: secrets}},
			"host-header", "a condition on the same part of requests",
		},
		"AddressType": {
			types.RuleCondition{Field: aws.String("source-ip"), SourceIpConfig: &types.SourceIpConditionConfig{IpAddressType: "ipv4"}},
			"source-ip", "",
		},
		"Future": {types.RuleCondition{Field: aws.String("tls-cipher")}, "tls-cipher", "that this program does not know, and would lose: tls-cipher"},
	} {
		t.Run(name, func(t *testing.T) {
			is := cluster.Rule{Priority: 7, Hosts: []string{"a.example.com"}}
			r := route{ruleARN: "arn", priority: "7", conditions: append(conditions(is), tt.foreign)}
			got, foreign, err := r.rule()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*got, is); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(describeConditions(foreign), []string{tt.shown}); diff != "" {
				t.Error(diff)
			}
			if !r.selects(&is) {
				t.Error("a condition that cannot be expressed is a difference")
			}
			sent, err := r.conditionsFor(cluster.Rule{Hosts: []string{"b.example.com"}, Methods: []string{"GET"}})
			switch {
			case tt.refused != "":
				if err == nil || !strings.Contains(err.Error(), tt.refused) || strings.Contains(err.Error(), secretValue) {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			default:
				want := append(conditions(cluster.Rule{Hosts: []string{"b.example.com"}, Methods: []string{"GET"}}), tt.foreign)
				if diff := cmp.Diff(sent, want, cmpopts.IgnoreUnexported(types.RuleCondition{}, types.HostHeaderConditionConfig{},
					types.HttpRequestMethodConditionConfig{}, types.HttpHeaderConditionConfig{}, types.PathPatternConditionConfig{},
					types.SourceIpConditionConfig{}, types.QueryStringConditionConfig{}, types.QueryStringKeyValuePair{})); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// AWS also fills the older Values, and refuses them beside what replaces them.
func TestConditions_OlderValues(t *testing.T) {
	regex := types.RuleCondition{Field: aws.String("path-pattern"), Values: []string{"x"},
		PathPatternConfig: &types.PathPatternConditionConfig{RegexValues: []string{"x"}}}
	r := route{ruleARN: "arn", priority: "7", conditions: []types.RuleCondition{
		{Field: aws.String("host-header"), Values: []string{"a.example.com"}}, regex,
	}}
	got, _, err := r.rule()
	if err != nil || len(got.Hosts) != 1 {
		t.Errorf("got %+v (%v)", got, err)
	}
	sent, err := r.conditionsFor(*got)
	if err != nil || len(sent) != 2 || sent[1].Values != nil {
		t.Errorf("got %+v (%v)", sent, err)
	}
}

func TestHideValues(t *testing.T) {
	refusal := &smithy.GenericAPIError{Code: "ValidationError", Message: "Condition value '" + secretValue + "' of 'X-A' or '" + secretValue + "2' is not valid"}
	r := everyCondition
	r.Headers = append(r.Headers, cluster.Header{Name: "X-B", Values: []string{secretValue + "2"}})
	got := hideValues(refusal, r)
	if !hasCode(got, "ValidationError") || !errors.Is(got, refusal) {
		t.Errorf("got %v, which is not the refusal any more", got)
	}
	if want := "api error ValidationError: Condition value '(hidden)' of 'X-A' or '(hidden)' is not valid"; got.Error() != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
