package awscloud

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Connect implements cluster.Cloud. It leaves the conditions of a rule as they
// are, because another generation may be serving its requests. Serve changes
// them.
func (c *Cloud) Connect(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	own, routes, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	if err := c.connect(ctx, g, s, own, routes); err != nil {
		return err
	}
	further, err := c.furtherRoutes(ctx, s.ID, s.FurtherRules)
	if err != nil {
		return err
	}
	for _, r := range further {
		weights := r.weights()
		if _, there := weights[own]; there || weights == nil {
			continue
		}
		weights[own] = 0
		if err := c.setWeights(ctx, r, weights, nil); err != nil {
			return err
		}
	}
	return nil
}

// connect has the cluster's own rule or default action use the generation's target group.
func (c *Cloud) connect(ctx context.Context, g cluster.Generation, s cluster.Spec, own string, routes []route) error {
	r, err := c.findRoute(ctx, s.ID, routes, *s.Listener)
	if err != nil {
		return err
	}
	if r != nil {
		if err := c.checkRoute(ctx, s.ID, *r); err != nil {
			return err
		}
	}
	if r == nil || r.weights() == nil {
		// To forward the requests of this route would take them from what answers
		// them now, before there are servers. So until Serve, the generation shares
		// another route of the cluster or gets a closed rule.
		shared, err := c.presentRoute(ctx, s.ID, routes)
		if err != nil {
			return err
		}
		if shared == nil {
			return c.createRule(ctx, s, own, closedRule(routes, *s.Listener), ruleTags(g, s), routes, nil)
		}
		r = shared
	}
	weights := r.weights()
	if _, there := weights[own]; there {
		return nil
	}
	weights[own] = 0
	return c.setWeights(ctx, *r, weights, nil)
}

// Shift implements cluster.Cloud.
func (c *Cloud) Shift(ctx context.Context, g cluster.Generation, s cluster.Spec, from cluster.Generation, percent int32) error {
	own, routes, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	var other string
	if group, err := c.targetGroup(ctx, from); err != nil {
		return err
	} else if group != nil {
		other = aws.ToString(group.TargetGroupArn)
	}
	shifted := false
	for _, r := range routes {
		if _, there := r.weights()[own]; !there {
			continue
		}
		is, err := c.owner(ctx, s.ID, r)
		switch {
		case err != nil:
			return err
		case is == ofPreview || is == ofFurther:
			continue
		case is != ofCluster:
			return fmt.Errorf("%s does not belong to cluster %s alone", r, s.ID)
		}
		if err := c.shift(ctx, r, own, other, percent); err != nil {
			return err
		}
		shifted = true
		break
	}
	if !shifted {
		return fmt.Errorf("%s is not connected to listener %s", g.Name, s.Listener.ARN)
	}
	further, err := c.furtherRoutes(ctx, s.ID, s.FurtherRules)
	if err != nil {
		return err
	}
	for _, r := range further {
		if _, there := r.weights()[own]; there {
			if err := c.shift(ctx, r, own, other, percent); err != nil {
				return err
			}
		}
	}
	return nil
}

// shift sends percent of a route's requests to a target group, and the rest to another one if
// that is there.
func (c *Cloud) shift(ctx context.Context, r route, own, other string, percent int32) error {
	weights, wanted := r.weights(), map[string]int32{}
	for arn := range weights {
		wanted[arn] = 0
	}
	wanted[own] = percent
	if _, there := weights[other]; there {
		wanted[other] = allRequests - percent
	}
	if maps.Equal(weights, wanted) {
		return nil
	}
	return c.setWeights(ctx, r, wanted, nil)
}

// Serve implements cluster.Cloud. Other generations stay connected, without
// requests, until they are removed.
func (c *Cloud) Serve(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	own, routes, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	r, err := c.findRoute(ctx, s.ID, routes, *s.Listener)
	if err != nil {
		return err
	}
	if r == nil {
		var present *route
		if present, err = c.presentRoute(ctx, s.ID, routes); err == nil {
			err = c.createRule(ctx, s, own, *s.Listener.Rule, ruleTags(g, s), routes, present)
		}
	} else {
		err = c.serveAt(ctx, s, own, s.Listener.Rule, ruleTags(g, s), *r)
	}
	if err != nil {
		return err
	}
	if err := c.serveFurther(ctx, g, s, own); err != nil {
		return err
	}
	// The generation no longer needs the route that Connect may have added it to.
	for _, other := range routes {
		if _, there := other.weights()[own]; !there || r != nil && other.ruleARN == r.ruleARN {
			continue
		}
		tags, err := c.routeTags(ctx, other)
		if err != nil {
			return err
		}
		if other.owner(s.ID, tags) == ofCluster {
			if err := c.disconnectFrom(ctx, s.ID, other, own, tags); err != nil {
				return err
			}
		}
	}
	return nil
}

// serveAt sends all requests of a route to a target group, and has a rule select the requests
// that are given, with the tags.
func (c *Cloud) serveAt(ctx context.Context, s cluster.Spec, own string, rule *cluster.Rule, should tagging.Set, r route) error {
	if r.ruleARN == "" {
		if err := c.checkRoute(ctx, s.ID, r); err != nil {
			return err
		}
	} else {
		tags, err := c.elbTags(ctx, r.ruleARN)
		if err != nil {
			return err
		}
		if tags[tagging.Cluster] != s.ID.String() {
			return notOurs(s.ID, r)
		}
		// The rule may have the version of the generation before in its tags.
		if err := c.changeTags(ctx, r.ruleARN, tags, should, s.IgnoredTags); err != nil {
			return err
		}
	}
	weights := map[string]int32{}
	for arn := range r.weights() {
		weights[arn] = 0
	}
	weights[own] = allRequests
	if !r.selects(rule) {
		return c.setWeights(ctx, r, weights, rule)
	}
	if r.share(own) == allRequests {
		return nil
	}
	return c.setWeights(ctx, r, weights, nil)
}

// connection finds the generation's target group and the listener's routes.
func (c *Cloud) connection(ctx context.Context, g cluster.Generation, s cluster.Spec) (own string, routes []route, err error) {
	group, err := visible(ctx, "target group", g, c.targetGroup)
	if err != nil {
		return "", nil, err
	}
	routes, err = c.routes(ctx, s.Listener.ARN)
	if err == nil && routes == nil {
		err = fmt.Errorf("listener %s does not exist", s.Listener.ARN)
	}
	return aws.ToString(group.TargetGroupArn), routes, err
}

// presentRoute finds the route by which the cluster gets requests now; nil if
// there is none.
func (c *Cloud) presentRoute(ctx context.Context, id cluster.ID, routes []route) (*route, error) {
	for i, r := range routes {
		if r.weights() == nil {
			continue
		}
		if ours, err := c.owns(ctx, id, r); ours || err != nil {
			return &routes[i], err
		}
	}
	return nil, nil
}

// ruleTags leaves out the tags of the generation, because a rule outlives it.
func ruleTags(g cluster.Generation, s cluster.Spec) tagging.Set {
	return g.Tags(s.Tags).Without(tagging.Generation, "Name")
}

// Disconnect implements cluster.Cloud. It also deletes the generation's preview rule. If
// something else forwards to the generation, it is not ours to delete, and without the
// generation it would lead nowhere. So Disconnect refuses before it changes anything.
func (c *Cloud) Disconnect(ctx context.Context, g cluster.Generation, l cluster.Listener) error {
	group, err := c.targetGroup(ctx, g)
	if group == nil || err != nil {
		return err
	}
	own := aws.ToString(group.TargetGroupArn)
	all, err := c.routesOf(ctx, group, l.ARN)
	if err != nil {
		return err
	}
	routes := slices.DeleteFunc(slices.Clone(all), func(r route) bool {
		_, there := r.weights()[own]
		return !there
	})
	tags := make([]map[string]tagging.Set, len(routes))
	for i, r := range routes {
		if tags[i], err = c.routeTags(ctx, r); err != nil {
			return err
		}
		// A default action is the cluster's only if the cluster serves by it, or if
		// a new generation shares it until it serves by a rule.
		shared := r.listenerARN == l.ARN && len(r.weights()) > 1
		if r.owner(g.Cluster, tags[i]) == ofOthers || r.ruleARN == "" && !r.matches(l) && !shared {
			return fmt.Errorf("%s, which does not belong to cluster %s, forwards to its target group; remove that first", r, g.Cluster)
		}
	}
	for i, r := range routes {
		if err := c.disconnectFrom(ctx, g.Cluster, r, own, tags[i]); err != nil && !hasCode(err, codeRuleNotFound, codeListenerNotFound) {
			return err
		}
	}
	r, err := c.findRoute(ctx, g.Cluster, all, l)
	if err != nil {
		return err
	}
	return c.removeIdleRule(ctx, g.Cluster, r)
}

// routesOf lists the routes of the listener, and then those of every other listener of the load
// balancers that use the target group.
func (c *Cloud) routesOf(ctx context.Context, group *types.TargetGroup, listenerARN string) ([]route, error) {
	listeners := []string{listenerARN}
	for _, balancer := range group.LoadBalancerArns {
		pages := elb.NewDescribeListenersPaginator(c.elb, &elb.DescribeListenersInput{LoadBalancerArn: &balancer})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("read the listeners of %s: %w", balancer, err)
			}
			for _, listener := range page.Listeners {
				if arn := aws.ToString(listener.ListenerArn); arn != listenerARN {
					listeners = append(listeners, arn)
				}
			}
		}
	}
	var all []route
	for _, arn := range listeners {
		routes, err := c.routes(ctx, arn)
		if err != nil {
			return nil, err
		}
		all = append(all, routes...)
	}
	return all, nil
}

// removeIdleRule removes the cluster's rule if it forwarded to no target group,
// because a user has made it answer by itself during maintenance. Nothing else
// would remove it.
func (c *Cloud) removeIdleRule(ctx context.Context, id cluster.ID, r *route) error {
	if r == nil || r.ruleARN == "" || r.weights() != nil {
		return nil
	}
	if ours, err := c.owns(ctx, id, *r); !ours || err != nil {
		return err
	}
	return c.deleteRule(ctx, *r)
}

// disconnectFrom removes a target group from a route. The others keep their
// weights. A rule that would only forward to what was being taken over is not needed, and
// target groups of others that get no requests are removed with it: a take-over that did not
// reach its end has left them. Tags are those of routeTags.
func (c *Cloud) disconnectFrom(ctx context.Context, id cluster.ID, r route, own string, tags map[string]tagging.Set) error {
	weights := r.weights()
	delete(weights, own)
	if r.ruleARN != "" && len(weights) > 0 {
		ours := func(arn string) bool { return tags[arn][tagging.Cluster] == id.String() }
		if !slices.ContainsFunc(sortedKeys(weights), ours) {
			return c.deleteRule(ctx, r)
		}
		maps.DeleteFunc(weights, func(arn string, weight int32) bool { return weight == 0 && !ours(arn) })
	}
	if len(weights) > 0 {
		return c.setWeights(ctx, r, weights, nil)
	}
	if r.ruleARN == "" {
		return c.setActions(ctx, r, serviceUnavailable(), nil)
	}
	return c.deleteRule(ctx, r)
}

// routeTags reads the tags of a rule, and of the target groups that the route forwards to.
func (c *Cloud) routeTags(ctx context.Context, r route) (map[string]tagging.Set, error) {
	arns := sortedKeys(r.weights())
	if r.ruleARN != "" {
		arns = append(arns, r.ruleARN)
	}
	return c.elbTagsOf(ctx, arns...)
}

// observedRoute is the route by which a generation gets requests.
type observedRoute struct {
	listener *cluster.Listener
	// share is the percentage of the requests that the generation gets.
	share int32
	// foreign describes the conditions that a cluster.Rule cannot express.
	foreign []string
}

// observeListener describes the route by which the target group gets requests;
// nil if there is no such rule of the cluster that is open, and no such default
// action.
func (c *Cloud) observeListener(ctx context.Context, g cluster.Generation, listenerARN, targetGroupARN string) (*observedRoute, error) {
	routes, err := c.routes(ctx, listenerARN)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if _, there := r.weights()[targetGroupARN]; !there || r.closed() {
			continue
		}
		if r.ruleARN == "" {
			return &observedRoute{listener: &cluster.Listener{ARN: listenerARN}, share: r.share(targetGroupARN)}, nil
		}
		ours, err := c.owns(ctx, g.Cluster, r)
		if err != nil {
			return nil, err
		}
		if ours {
			rule, foreign, err := r.rule()
			return &observedRoute{
				listener: &cluster.Listener{ARN: listenerARN, Rule: rule}, share: r.share(targetGroupARN), foreign: describeConditions(foreign),
			}, err
		}
	}
	return nil, nil
}
