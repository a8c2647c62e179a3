package awscloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// TakeOver implements cluster.Cloud. It changes nothing but the cluster's rule.
func (c *Cloud) TakeOver(ctx context.Context, g cluster.Generation, s cluster.Spec, percent int32) error {
	own, routes, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	r, err := c.findRoute(ctx, s.ID, routes, *s.Listener)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%s is not connected to listener %s", g.Name, s.Listener.ARN)
	}
	if err := c.checkRoute(ctx, s.ID, *r); err != nil {
		return err
	}
	wanted := map[string]int32{own: percent}
	if percent < allRequests {
		wanted[s.TakeOver] = allRequests - percent
	}
	if r.selects(s.Listener.Rule) && maps.Equal(r.weights(), wanted) {
		return nil
	}
	return c.setWeights(ctx, *r, wanted, s.Listener.Rule)
}

// checkTakeOver refuses what cannot be taken over at a listener of a load balancer. Their rule
// has to come after that of the cluster, and select the same requests: otherwise the rule
// of the cluster would send requests of others to their target group, or get none.
func (c *Cloud) checkTakeOver(ctx context.Context, s cluster.Spec, routes []route, balancerARN string) error {
	out, err := c.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{s.TakeOver}})
	switch {
	case hasCode(err, codeTargetGroupNotFound, codeValidation) || err == nil && len(out.TargetGroups) == 0:
		return &missingError{fmt.Errorf("target group %s does not exist", s.TakeOver), err}
	case err != nil:
		return fmt.Errorf("read target group %s: %w", s.TakeOver, err)
	}
	group := out.TargetGroups[0]
	if group.TargetType != types.TargetTypeEnumInstance && group.TargetType != types.TargetTypeEnumIp ||
		group.Protocol != types.ProtocolEnumHttp && group.Protocol != types.ProtocolEnumHttps {
		return fmt.Errorf("target group %s has targets of type %s and protocol %s, but instances or IP addresses behind HTTP or HTTPS are needed",
			s.TakeOver, group.TargetType, group.Protocol)
	}
	if arns := group.LoadBalancerArns; len(arns) > 0 && !slices.Contains(arns, balancerARN) {
		return fmt.Errorf("target group %s is used by %v, but the listener belongs to %s, and a target group can be used by one load balancer only",
			s.TakeOver, arns, balancerARN)
	}
	// An interrupted creation may have left its own rule, which forwards there, too.
	tagged, err := c.tagged(ctx, s.ID, ruleARNs(routes))
	if err != nil {
		return err
	}
	routes = slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return slices.Contains(tagged, r.ruleARN) })
	var others []route
	for _, r := range routes {
		if _, there := r.weights()[s.TakeOver]; !there {
			continue
		}
		if r.ruleARN == "" || r.selects(s.Listener.Rule) {
			return checkBefore(s, routes)
		}
		others = append(others, r)
	}
	if len(others) > 0 {
		return fmt.Errorf("%s, which forwards to target group %s, selects other requests than listener_rule; "+
			"give listener_rule the same conditions, and no others", others[0], s.TakeOver)
	}
	return fmt.Errorf("nothing at listener %s forwards to target group %s: there are no requests to take over", s.Listener.ARN, s.TakeOver)
}

// checkBefore refuses a rule that does not come before every rule which forwards to what is
// taken over.
func checkBefore(s cluster.Spec, routes []route) error {
	switch last, own := lastBefore(routes, s), s.Listener.Rule.Priority; {
	case own > last:
		return fmt.Errorf("the rule with priority %d forwards to target group %s and would go on answering; "+
			"give listener_rule a priority of at most %d, or none", last+1, s.TakeOver, last)
	case own == 0 && freePriority(routes, s) == 0:
		return errors.New("no priority is free before the rule of what is taken over; give that rule a higher number")
	}
	return nil
}

// maxPriority is the highest priority that a rule can have.
const maxPriority = 50_000

// lastBefore is the highest priority before every rule that selects the same requests as that of
// s, and forwards to what is taken over.
func lastBefore(routes []route, s cluster.Spec) int32 {
	for _, r := range routes { // the lowest priority comes first
		_, there := r.weights()[s.TakeOver]
		if n, err := strconv.ParseInt(r.priority, 10, 32); there && err == nil && r.selects(s.Listener.Rule) {
			return int32(n) - 1
		}
	}
	return maxPriority
}
