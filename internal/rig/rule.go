package rig

import (
	"math/rand/v2"
	"net"
	"net/http"
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
	hosts, paths []string
	action       action
}

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

// newRule reads a rule. It skips rules with conditions other than hosts and paths, or
// with regular expressions, as if no request matched them.
func newRule(r elbtypes.Rule, speed float64) (made rule, ok bool) {
	for _, condition := range r.Conditions {
		// AWS also sets the older Values, moto only one of them.
		values := condition.Values
		switch aws.ToString(condition.Field) {
		case "host-header":
			if condition.HostHeaderConfig != nil {
				values = condition.HostHeaderConfig.Values
			}
			for _, host := range values {
				made.hosts = append(made.hosts, strings.ToLower(host))
			}
		case "path-pattern":
			if condition.PathPatternConfig != nil {
				values = condition.PathPatternConfig.Values
			}
			made.paths = append(made.paths, values...)
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
// and port, paths with case.
func (r rule) matches(req *http.Request) bool {
	host := strings.ToLower(req.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	one := func(patterns []string, s string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matchesWildcards(p, s) })
	}
	return one(r.hosts, host) && one(r.paths, req.URL.Path)
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
