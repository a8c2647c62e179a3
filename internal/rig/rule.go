package rig

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// rule is a rule of a listener: its conditions and its action. The default action is a
// rule for all requests.
type rule struct {
	hosts, paths, methods []string
	headers               []headerCondition
	queries               [][]queryValue
	sources               []netip.Prefix
	action                action
}

// headerCondition has patterns in small letters.
type headerCondition struct {
	name   string
	values []string
}

// queryValue has patterns in small letters. Without a key, all are searched.
type queryValue struct{ key, value string }

// action is a forward if it has weights, or else a fixed response.
type action struct {
	weights []weight
	// sticky is how long a client stays with its target group; 0 means not at all.
	sticky time.Duration

	status            int
	contentType, body string
}

type weight struct {
	group string // by ARN
	share int
}

// newRule reads a rule. It skips rules with regular expressions and with conditions that it
// does not know, as if no request matched them.
func newRule(r elbtypes.Rule, speed float64) (made rule, ok bool) {
	for _, condition := range r.Conditions {
		// AWS also sets the older Values, moto only one of them.
		values := condition.Values
		switch aws.ToString(condition.Field) {
		case "host-header":
			if condition.HostHeaderConfig != nil {
				values = condition.HostHeaderConfig.Values
			}
			made.hosts = append(made.hosts, lower(values)...)
		case "path-pattern":
			if condition.PathPatternConfig != nil {
				values = condition.PathPatternConfig.Values
			}
			made.paths = append(made.paths, values...)
		case "http-request-method":
			if condition.HttpRequestMethodConfig != nil {
				values = condition.HttpRequestMethodConfig.Values
			}
			made.methods = append(made.methods, values...)
		case "http-header":
			if condition.HttpHeaderConfig == nil {
				return rule{}, false
			}
			values = condition.HttpHeaderConfig.Values
			made.headers = append(made.headers, headerCondition{aws.ToString(condition.HttpHeaderConfig.HttpHeaderName), lower(values)})
		case "query-string":
			if condition.QueryStringConfig == nil {
				return rule{}, false
			}
			var pairs []queryValue
			for _, pair := range condition.QueryStringConfig.Values {
				pairs = append(pairs, queryValue{strings.ToLower(aws.ToString(pair.Key)), strings.ToLower(aws.ToString(pair.Value))})
				values = append(values, aws.ToString(pair.Value))
			}
			made.queries = append(made.queries, pairs)
		case "source-ip":
			if condition.SourceIpConfig != nil {
				values = condition.SourceIpConfig.Values
			}
			for _, value := range values {
				prefix, err := netip.ParsePrefix(value)
				if err != nil {
					return rule{}, false
				}
				made.sources = append(made.sources, prefix)
			}
		default:
			return rule{}, false
		}
		if len(values) == 0 {
			return rule{}, false
		}
	}
	made.action = action{status: http.StatusNotImplemented, contentType: "text/plain", body: "the test rig does not support this action"}
	for _, a := range r.Actions {
		switch {
		case a.Type == elbtypes.ActionTypeEnumForward:
			made.action = newForward(a, speed)
		case a.FixedResponseConfig != nil:
			status, err := strconv.Atoi(aws.ToString(a.FixedResponseConfig.StatusCode))
			if err == nil {
				made.action = action{
					status: status, contentType: aws.ToString(a.FixedResponseConfig.ContentType),
					body: aws.ToString(a.FixedResponseConfig.MessageBody),
				}
			}
		}
	}
	return made, true
}

func lower(all []string) (lowered []string) {
	for _, s := range all {
		lowered = append(lowered, strings.ToLower(s))
	}
	return lowered
}

func newForward(a elbtypes.Action, speed float64) action {
	var forward action
	if c := a.ForwardConfig; c != nil {
		for _, t := range c.TargetGroups {
			share := 1
			if t.Weight != nil {
				share = int(*t.Weight)
			}
			forward.weights = append(forward.weights, weight{group: aws.ToString(t.TargetGroupArn), share: share})
		}
		if s := c.TargetGroupStickinessConfig; s != nil && aws.ToBool(s.Enabled) {
			forward.sticky = scaled(time.Duration(aws.ToInt32(s.DurationSeconds))*time.Second, speed)
		}
	}
	if len(forward.weights) == 0 {
		forward.weights = []weight{{group: aws.ToString(a.TargetGroupArn), share: 1}}
	}
	return forward
}

// matches reports whether a request matches the rule. Hosts are compared without case
// and port, paths and methods with case, and headers and query strings without.
func (r rule) matches(req *http.Request) bool {
	host := strings.ToLower(req.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	one := func(patterns []string, s string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matchesWildcards(p, s) })
	}
	if !one(r.hosts, host) || !one(r.paths, req.URL.Path) || len(r.methods) > 0 && !slices.Contains(r.methods, req.Method) {
		return false
	}
	for _, h := range r.headers {
		if !slices.ContainsFunc(req.Header.Values(h.name), func(value string) bool { return one(h.values, strings.ToLower(value)) }) {
			return false
		}
	}
	for _, pairs := range r.queries {
		if !slices.ContainsFunc(pairs, func(p queryValue) bool { return p.matches(req.URL.Query()) }) {
			return false
		}
	}
	if len(r.sources) == 0 {
		return true
	}
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	return err == nil && slices.ContainsFunc(r.sources, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
}

// matches reports whether one of the pairs of a query string matches.
func (q queryValue) matches(query url.Values) bool {
	for key, values := range query {
		if q.key != "" && !matchesWildcards(q.key, strings.ToLower(key)) {
			continue
		}
		if slices.ContainsFunc(values, func(value string) bool { return matchesWildcards(q.value, strings.ToLower(value)) }) {
			return true
		}
	}
	return false
}

// matchesWildcards reports whether s matches a pattern, in which * matches any number
// of characters, including none, and ? exactly one.
func matchesWildcards(pattern, s string) bool {
	for i := range len(pattern) {
		switch {
		case pattern[i] == '*':
			for j := range len(s) - i + 1 {
				if matchesWildcards(pattern[i+1:], s[i+j:]) {
					return true
				}
			}
			return false
		case i == len(s) || pattern[i] != '?' && pattern[i] != s[i]:
			return false
		}
	}
	return len(pattern) == len(s)
}

// groups returns the target groups of the action, including those with weight 0.
func (a action) groups() []string {
	var groups []string
	for _, w := range a.weights {
		groups = append(groups, w.group)
	}
	return groups
}

// pick picks a target group by weight; it is empty if all weights are 0.
func (a action) pick() string {
	total := 0
	for _, w := range a.weights {
		total += w.share
	}
	if total == 0 {
		return ""
	}
	n := rand.IntN(total)
	for _, w := range a.weights {
		if n < w.share {
			return w.group
		}
		n -= w.share
	}
	return "" // never: n is smaller than the total
}
