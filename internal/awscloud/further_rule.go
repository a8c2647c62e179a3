package awscloud

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// furtherRoutes finds the further rules that exist, by their tags, in the order of rules.
func (c *Cloud) furtherRoutes(ctx context.Context, id cluster.ID, rules []cluster.FurtherRule) (all []route, err error) {
	found, _, err := c.findFurther(ctx, id, rules)
	for _, r := range rules {
		all = append(all, found[r.Name]...)
	}
	return all, err
}

// findFurther finds the further rules that exist, by their names, and the routes of their
// listeners, by the listeners' ARNs. While a rule moves to another priority, there are two of its
// name; the one at the priority that is asked for is the first.
func (c *Cloud) findFurther(
	ctx context.Context, id cluster.ID, rules []cluster.FurtherRule,
) (found, at map[string][]route, err error) {
	found, at = map[string][]route{}, map[string][]route{}
	for _, rule := range rules {
		if _, read := at[rule.ListenerARN]; !read {
			if at[rule.ListenerARN], err = c.routes(ctx, rule.ListenerARN); err != nil {
				return nil, nil, err
			}
		}
	}
	tags := map[string]tagging.Set{}
	for _, listener := range sortedKeys(at) {
		these, err := c.elbTagsOf(ctx, ruleARNs(at[listener])...)
		if err != nil {
			return nil, nil, notYet(err, codeRuleNotFound)
		}
		maps.Copy(tags, these)
	}
	for _, rule := range rules {
		var named []route
		for _, r := range at[rule.ListenerARN] {
			if whose(tags[r.ruleARN], id) == ofFurther && tags[r.ruleARN][tagging.Rule] == rule.Name {
				named = append(named, r)
			}
		}
		slices.SortStableFunc(named, func(a, b route) int {
			return cmp.Compare(away(a, rule.Rule.Priority), away(b, rule.Rule.Priority))
		})
		found[rule.Name] = named
	}
	return found, at, nil
}

// away is 0 for a route at the priority, or at any if that is 0.
func away(r route, priority int32) int {
	if priority == 0 || r.number() == priority {
		return 0
	}
	return 1
}

// serveFurther sends all requests of the further rules to a target group, and creates those that
// are missing. A rule at another priority than the one that is asked for is replaced, and removed
// only then.
func (c *Cloud) serveFurther(ctx context.Context, g cluster.Generation, s cluster.Spec, own string) error {
	if len(s.FurtherRules) == 0 {
		return nil
	}
	found, at, err := c.findFurther(ctx, s.ID, s.FurtherRules)
	if err != nil {
		return err
	}
	for _, f := range s.FurtherRules {
		there := s
		there.Listener, there.TakeOver = &cluster.Listener{ARN: f.ListenerARN, Rule: &f.Rule}, ""
		tags := tagging.Merge(ruleTags(g, s), tagging.Set{tagging.Rule: f.Name})
		surplus := found[f.Name]
		if len(surplus) > 0 && away(surplus[0], f.Rule.Priority) == 0 {
			err, surplus = c.serveAt(ctx, there, own, &f.Rule, tags, surplus[0]), surplus[1:]
		} else {
			var replaces *route
			if len(surplus) > 0 {
				replaces = &surplus[0]
			}
			err = c.createRule(ctx, there, own, f.Rule, tags, at[f.ListenerARN], replaces)
		}
		if err != nil {
			return fmt.Errorf("further rule %q: %w", f.Name, err)
		}
		for _, r := range surplus {
			if err := c.deleteRule(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rules implements cluster.Cloud.
func (c *Cloud) Rules(
	ctx context.Context, g cluster.Generation, rules []cluster.FurtherRule,
) (exist []cluster.FurtherRule, share int32, err error) {
	share = allRequests
	if len(rules) == 0 {
		return nil, share, nil
	}
	group, err := c.targetGroup(ctx, g)
	if err != nil {
		return nil, 0, err
	}
	found, _, err := c.findFurther(ctx, g.Cluster, rules)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range rules {
		if len(found[f.Name]) == 0 {
			continue
		}
		r := found[f.Name][0]
		rule, _, err := r.rule()
		if err != nil {
			return nil, 0, err
		}
		exist = append(exist, cluster.FurtherRule{Name: f.Name, ListenerARN: f.ListenerARN, Rule: *rule})
		if group != nil {
			share = min(share, r.share(*group.TargetGroupArn))
		}
	}
	return exist, share, nil
}

// RemoveRules implements cluster.Cloud.
func (c *Cloud) RemoveRules(ctx context.Context, id cluster.ID, rules []cluster.FurtherRule) error {
	found, err := c.furtherRoutes(ctx, id, rules)
	if err != nil {
		return err
	}
	for _, r := range found {
		if err := c.deleteRule(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// CheckRules implements cluster.Cloud.
func (c *Cloud) CheckRules(ctx context.Context, s cluster.Spec) error {
	if len(s.FurtherRules) == 0 {
		return nil
	}
	listener, err := c.usableListener(ctx, s.Listener.ARN)
	if err != nil {
		return err
	}
	return c.checkFurther(ctx, s, aws.ToString(listener.LoadBalancerArn))
}

// checkFurther refuses further rules at listeners of other load balancers than that of the
// cluster's listener, and at priorities that are taken.
func (c *Cloud) checkFurther(ctx context.Context, s cluster.Spec, balancerARN string) error {
	if len(s.FurtherRules) == 0 {
		return nil
	}
	for _, f := range s.FurtherRules {
		if f.ListenerARN == s.Listener.ARN {
			continue
		}
		listener, err := c.usableListener(ctx, f.ListenerARN)
		if err != nil {
			return fmt.Errorf("further_rule %q: %w", f.Name, err)
		}
		if aws.ToString(listener.LoadBalancerArn) != balancerARN {
			return fmt.Errorf("further_rule %q: its listener belongs to %s, and that of the cluster to %s, but a target group can be used by one "+
				"load balancer only; have the servers join a target group of the other one with target_group_arns",
				f.Name, aws.ToString(listener.LoadBalancerArn), balancerARN)
		}
	}
	found, at, err := c.findFurther(ctx, s.ID, s.FurtherRules)
	if err != nil {
		return err
	}
	for _, f := range s.FurtherRules {
		if f.Rule.Priority == 0 {
			continue
		}
		taken := routeAt(at[f.ListenerARN], cluster.Listener{ARN: f.ListenerARN, Rule: &f.Rule})
		ours := taken != nil && slices.ContainsFunc(found[f.Name], func(r route) bool { return r.ruleARN == taken.ruleARN })
		if taken != nil && !ours {
			return fmt.Errorf("further_rule %q: %s exists already; choose another priority, or leave it out", f.Name, *taken)
		}
	}
	return nil
}
