package awscloud

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Fields of conditions,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html.
const (
	fieldHost   = "host-header"
	fieldPath   = "path-pattern"
	fieldHeader = "http-header"
	fieldMethod = "http-request-method"
	fieldQuery  = "query-string"
	fieldSource = "source-ip"
)

// conditions returns the conditions of a rule.
func conditions(r cluster.Rule) []types.RuleCondition {
	var all []types.RuleCondition
	if len(r.Hosts) > 0 {
		all = append(all, types.RuleCondition{
			Field: aws.String(fieldHost), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: r.Hosts},
		})
	}
	if len(r.Paths) > 0 {
		all = append(all, types.RuleCondition{
			Field: aws.String(fieldPath), PathPatternConfig: &types.PathPatternConditionConfig{Values: r.Paths},
		})
	}
	for _, h := range r.Headers {
		all = append(all, types.RuleCondition{
			Field: aws.String(fieldHeader), HttpHeaderConfig: &types.HttpHeaderConditionConfig{HttpHeaderName: &h.Name, Values: h.Values},
		})
	}
	if len(r.Methods) > 0 {
		all = append(all, types.RuleCondition{
			Field: aws.String(fieldMethod), HttpRequestMethodConfig: &types.HttpRequestMethodConditionConfig{Values: r.Methods},
		})
	}
	for _, q := range r.QueryStrings {
		config := &types.QueryStringConditionConfig{}
		for _, value := range q.Values {
			pair := types.QueryStringKeyValuePair{Value: aws.String(value)}
			if q.Key != "" {
				pair.Key = aws.String(q.Key)
			}
			config.Values = append(config.Values, pair)
		}
		all = append(all, types.RuleCondition{Field: aws.String(fieldQuery), QueryStringConfig: config})
	}
	if len(r.SourceIPs) > 0 {
		all = append(all, types.RuleCondition{
			Field: aws.String(fieldSource), SourceIpConfig: &types.SourceIpConditionConfig{Values: r.SourceIPs},
		})
	}
	return all
}

// rule describes a route that is a rule, and returns the conditions that a cluster.Rule
// cannot express.
func (r route) rule() (rule *cluster.Rule, foreign []types.RuleCondition, err error) {
	priority, err := strconv.ParseInt(r.priority, 10, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r, err)
	}
	rule = &cluster.Rule{Priority: int32(priority)}
	for _, condition := range r.conditions {
		if !addCondition(rule, condition) {
			foreign = append(foreign, condition)
		}
	}
	return rule, foreign, nil
}

// addCondition adds a condition to a rule; it returns false if the rule cannot express it.
func addCondition(rule *cluster.Rule, c types.RuleCondition) bool {
	// AWS fills the older Values as well, and other emulators fill only that.
	values, regexes, field := c.Values, []string(nil), aws.ToString(c.Field)
	switch {
	case field == fieldHost && c.HostHeaderConfig != nil:
		values, regexes = c.HostHeaderConfig.Values, c.HostHeaderConfig.RegexValues
	case field == fieldPath && c.PathPatternConfig != nil:
		values, regexes = c.PathPatternConfig.Values, c.PathPatternConfig.RegexValues
	case field == fieldHeader && c.HttpHeaderConfig != nil:
		values, regexes = c.HttpHeaderConfig.Values, c.HttpHeaderConfig.RegexValues
	case field == fieldMethod && c.HttpRequestMethodConfig != nil:
		values = c.HttpRequestMethodConfig.Values
	case field == fieldSource && c.SourceIpConfig != nil:
		values = c.SourceIpConfig.Values
	case field == fieldQuery:
		return addQueryString(rule, c.QueryStringConfig)
	}
	if len(values) == 0 || len(regexes) > 0 {
		return false
	}
	if field == fieldHeader {
		rule.Headers = append(rule.Headers, cluster.Header{Name: aws.ToString(c.HttpHeaderConfig.HttpHeaderName), Values: values})
		return true
	}
	of := single(rule, field)
	if of == nil || *of != nil {
		return false
	}
	*of = values
	return true
}

// single returns the values of a condition that a rule can have only once; nil for other
// conditions.
func single(rule *cluster.Rule, field string) *[]string {
	switch field {
	case fieldHost:
		return &rule.Hosts
	case fieldPath:
		return &rule.Paths
	case fieldMethod:
		return &rule.Methods
	case fieldSource:
		return &rule.SourceIPs
	}
	return nil
}

// addQueryString adds a condition whose values all have the same key, or none.
func addQueryString(rule *cluster.Rule, config *types.QueryStringConditionConfig) bool {
	if config == nil || len(config.Values) == 0 {
		return false
	}
	q := cluster.QueryString{Key: aws.ToString(config.Values[0].Key)}
	for _, pair := range config.Values {
		if aws.ToString(pair.Key) != q.Key {
			return false
		}
		q.Values = append(q.Values, aws.ToString(pair.Value))
	}
	rule.QueryStrings = append(rule.QueryStrings, q)
	return true
}

// conditionsFor returns the conditions that have the route select the requests of a rule,
// and keep those that a cluster.Rule cannot express.
func (r route) conditionsFor(rule cluster.Rule) ([]types.RuleCondition, error) {
	all := conditions(rule)
	if r.ruleARN == "" {
		return all, nil
	}
	_, foreign, err := r.rule()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, c := range foreign {
		// AWS refuses the older Values beside what replaces them.
		if c.HostHeaderConfig != nil || c.PathPatternConfig != nil {
			c.Values = nil
		}
		of := single(&rule, aws.ToString(c.Field))
		switch {
		case !representable(c):
			errs = append(errs, fmt.Errorf("%s has a condition that this program does not know, and would lose: %s; "+
				"remove it, or change the other conditions by hand as well", r, describeCondition(c)))
		case of != nil && len(*of) > 0:
			errs = append(errs, fmt.Errorf("%s has a condition on the same part of requests as the configuration: %s; "+
				"remove it, or leave that part out of the configuration", r, describeCondition(c)))
		}
		all = append(all, c)
	}
	if n := countValues(all); n > cluster.MaxConditionValues && len(foreign) > 0 {
		errs = append(errs, fmt.Errorf("%s would have %d values in its conditions, together with those that are kept (%s), "+
			"but a load balancer allows at most %d in one rule", r, n, strings.Join(describeConditions(foreign), ", "), cluster.MaxConditionValues))
	}
	return all, errors.Join(errs...)
}

// countValues counts the values of conditions, regular expressions among them.
func countValues(all []types.RuleCondition) (n int) {
	for _, c := range all {
		switch {
		case c.HostHeaderConfig != nil:
			n += len(c.HostHeaderConfig.Values) + len(c.HostHeaderConfig.RegexValues)
		case c.PathPatternConfig != nil:
			n += len(c.PathPatternConfig.Values) + len(c.PathPatternConfig.RegexValues)
		case c.HttpHeaderConfig != nil:
			n += len(c.HttpHeaderConfig.Values) + len(c.HttpHeaderConfig.RegexValues)
		case c.HttpRequestMethodConfig != nil:
			n += len(c.HttpRequestMethodConfig.Values)
		case c.QueryStringConfig != nil:
			n += len(c.QueryStringConfig.Values)
		case c.SourceIpConfig != nil:
			n += len(c.SourceIpConfig.Values)
		default:
			n += len(c.Values)
		}
	}
	return n
}

// representable reports whether a condition can be sent back as it was received.
func representable(c types.RuleCondition) bool {
	return c.HostHeaderConfig != nil || c.PathPatternConfig != nil || c.HttpHeaderConfig != nil || c.HttpRequestMethodConfig != nil ||
		c.QueryStringConfig != nil || c.SourceIpConfig != nil || len(c.Values) > 0
}

// describeCondition describes a condition without its values, which may be secret.
func describeCondition(c types.RuleCondition) string {
	text := aws.ToString(c.Field)
	if h := c.HttpHeaderConfig; h != nil {
		text += " " + aws.ToString(h.HttpHeaderName)
	}
	regex := c.HostHeaderConfig != nil && len(c.HostHeaderConfig.RegexValues) > 0 ||
		c.PathPatternConfig != nil && len(c.PathPatternConfig.RegexValues) > 0 ||
		c.HttpHeaderConfig != nil && len(c.HttpHeaderConfig.RegexValues) > 0
	if regex {
		text += " (regular expressions)"
	}
	return text
}

// describeConditions describes conditions, sorted.
func describeConditions(all []types.RuleCondition) (texts []string) {
	for _, c := range all {
		texts = append(texts, describeCondition(c))
	}
	return slices.Sorted(slices.Values(texts))
}

// hideValues hides what may be secret in AWS's refusal of a rule.
func hideValues(err error, r cluster.Rule) error {
	var values []string
	for _, h := range r.Headers {
		values = append(values, h.Values...)
	}
	for _, q := range r.QueryStrings {
		values = append(values, q.Values...)
	}
	return &hiddenError{err: err, text: text.Hide(err.Error(), values)}
}

// hiddenError is an error with another text.
type hiddenError struct {
	err  error
	text string
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.err }
