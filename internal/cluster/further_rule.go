package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// FurtherRule is another rule by which a cluster gets requests, at a listener of the same load
// balancer: a target group can be used by one load balancer only,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html.
// It follows the cluster's own rule: its weights are those of that rule.
type FurtherRule struct {
	// Name tells the rules of a cluster apart, whatever their priorities are.
	Name        string `json:"name"`
	ListenerARN string `json:"listener_arn"`
	Rule        Rule   `json:"rule"`
}

var ruleName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// validateFurtherRules reports what a load balancer would refuse, and what contradicts itself.
func (s Spec) validateFurtherRules() error {
	if len(s.FurtherRules) == 0 {
		return nil
	}
	if s.Listener == nil {
		return errors.New("further_rule: a cluster without a listener has no rules")
	}
	var errs []error
	names := map[string]bool{}
	type place struct {
		listener string
		priority int32
	}
	places := map[place]string{}
	if s.Listener.Rule != nil {
		places[place{s.Listener.ARN, s.Listener.Rule.Priority}] = "listener_rule"
	}
	for _, r := range s.FurtherRules {
		if !ruleName.MatchString(r.Name) {
			errs = append(errs, fmt.Errorf("further_rule %q: a name has 1 to 64 letters, digits, dots, underscores and hyphens", r.Name))
		}
		if names[r.Name] {
			errs = append(errs, fmt.Errorf("there are two blocks further_rule with the name %q", r.Name))
		}
		names[r.Name] = true
		at := place{r.ListenerARN, r.Rule.Priority}
		if other, taken := places[at]; taken && at.priority != 0 {
			errs = append(errs, fmt.Errorf("further_rule %q has the priority %d, as %s has", r.Name, at.priority, other))
		}
		places[at] = fmt.Sprintf("further_rule %q", r.Name)
		if err := r.Rule.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("further_rule %q: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

// ObsoleteRules are the further rules of s that other does not have.
func (s Spec) ObsoleteRules(other Spec) []FurtherRule {
	return slices.DeleteFunc(slices.Clone(s.FurtherRules), func(r FurtherRule) bool {
		return slices.ContainsFunc(other.FurtherRules, func(o FurtherRule) bool {
			return o.Name == r.Name && o.ListenerARN == r.ListenerARN
		})
	})
}
