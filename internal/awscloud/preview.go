package awscloud

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// owner says whose route it is.
type owner int

const (
	// ofOthers: it does not belong to the cluster.
	ofOthers owner = iota
	// ofCluster: the cluster gets its requests by it.
	ofCluster
	// ofPreview: it is a preview rule of the cluster.
	ofPreview
	// ofFurther: it is a further rule of the cluster.
	ofFurther
)

// owner finds out whose route it is. A preview rule is tagged with its generation, which the
// rule by which the cluster serves is not, because it outlives generations.
func (c *Cloud) owner(ctx context.Context, id cluster.ID, r route) (owner, error) {
	arns := []string{r.ruleARN}
	if r.ruleARN == "" {
		arns = sortedKeys(r.weights())
	}
	tags, err := c.elbTagsOf(ctx, arns...)
	return r.owner(id, tags), err
}

// owner tells whose route it is, by the tags of the rule, or of all target groups of the default
// action.
func (r route) owner(id cluster.ID, tags map[string]tagging.Set) owner {
	if r.ruleARN != "" {
		return whose(tags[r.ruleARN], id)
	}
	weights := r.weights()
	for arn := range weights {
		if tags[arn][tagging.Cluster] != id.String() {
			return ofOthers
		}
	}
	if len(weights) == 0 {
		return ofOthers
	}
	return ofCluster
}

// whose tells by the tags of a rule whose it is.
func whose(rule tagging.Set, id cluster.ID) owner {
	switch {
	case rule[tagging.Cluster] != id.String():
		return ofOthers
	case rule[tagging.Generation] != "":
		return ofPreview
	case rule[tagging.Rule] != "":
		return ofFurther
	}
	return ofCluster
}

// previews lists the preview rules of a generation among the listener's routes. Only rules
// that forward to nothing but its target group can be some.
func (c *Cloud) previews(ctx context.Context, g cluster.Generation, own string, routes []route) ([]route, error) {
	var candidates []route
	var arns []string
	for _, r := range routes {
		weights := r.weights()
		if _, there := weights[own]; there && len(weights) == 1 && r.ruleARN != "" && !r.closed() {
			candidates, arns = append(candidates, r), append(arns, r.ruleARN)
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	tags, err := c.elbTagsOf(ctx, arns...)
	var found []route
	for _, r := range candidates {
		if rule := tags[r.ruleARN]; rule[tagging.Cluster] == g.Cluster.String() && rule[tagging.Generation] == g.Name {
			found = append(found, r)
		}
	}
	return found, err
}

// CheckPreview implements cluster.Cloud.
func (c *Cloud) CheckPreview(ctx context.Context, s cluster.Spec, p cluster.Preview) error {
	routes, err := c.routes(ctx, s.Listener.ARN)
	if err != nil {
		return err
	}
	rule, _, err := c.previewRule(ctx, s, p, routes)
	if err != nil || p.Priority == 0 {
		return err
	}
	if r := routeAt(routes, cluster.Listener{ARN: s.Listener.ARN, Rule: &rule}); r != nil {
		// A rollout that has not ended may have opened it, and is ended first.
		of, err := c.owner(ctx, s.ID, *r)
		if err != nil {
			return err
		}
		if of != ofPreview {
			return fmt.Errorf("preview: %s exists already; choose another priority, or leave it out", *r)
		}
	}
	return nil
}

// previewRule returns the preview rule, with its priority, and its conditions: also those of
// the cluster's rule that a cluster.Rule cannot express.
func (c *Cloud) previewRule(
	ctx context.Context, s cluster.Spec, p cluster.Preview, routes []route,
) (cluster.Rule, []types.RuleCondition, error) {
	var replaced route
	r, err := c.findRoute(ctx, s.ID, routes, *s.Listener)
	if err != nil {
		return cluster.Rule{}, nil, err
	}
	own := s.Listener.Rule
	if r != nil {
		replaced = *r
	}
	if own != nil && own.Priority == 0 { // any: the one that it has, or at least the first
		present := *own
		if present.Priority = cluster.FirstFreePriority; r != nil {
			present.Priority = r.number()
		}
		own = &present
	}
	rule := p.Rule(own)
	if rule.Priority == 0 {
		least, most := p.Priorities(own)
		free := cluster.HighestFreePriority(priorities(routes), least, most)
		if free == 0 {
			return rule, nil, fmt.Errorf("preview: its rule must come before the rule with priority %d at listener %s, "+
				"but no priority from %d to %d is free; give the cluster's rule a higher number", own.Priority, s.Listener.ARN, least, most)
		}
		rule.Priority = free
	}
	all, err := replaced.conditionsFor(rule)
	if err != nil {
		return rule, nil, fmt.Errorf("preview: %w", err)
	}
	return rule, all, nil
}

// OpenPreview implements cluster.Cloud.
func (c *Cloud) OpenPreview(ctx context.Context, g cluster.Generation, s cluster.Spec, p cluster.Preview) error {
	own, routes, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	if open, err := c.previews(ctx, g, own, routes); len(open) > 0 || err != nil {
		return err
	}
	rule, all, err := c.previewRule(ctx, s, p, routes)
	if err != nil {
		return err
	}
	_, err = c.elb.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: &s.Listener.ARN,
		Priority:    &rule.Priority,
		Conditions:  all,
		Actions:     route{}.forward(map[string]int32{own: allRequests}, 0),
		Tags:        elbTags(g.Tags(s.Tags)),
	})
	if err != nil {
		// If the reply to an earlier call was lost, the next attempt finds the rule. If another
		// process has taken the priority, it chooses another one.
		err = hideValues(err, rule)
		err = fmt.Errorf("create the preview rule with priority %d at listener %s: %w", rule.Priority, s.Listener.ARN, err)
		return notYet(err, codePriorityInUse)
	}
	return nil
}

// ClosePreview implements cluster.Cloud.
func (c *Cloud) ClosePreview(ctx context.Context, g cluster.Generation, listenerARN string) error {
	group, err := c.targetGroup(ctx, g)
	if group == nil || err != nil {
		return err // AWS deletes no target group that a rule forwards to
	}
	routes, err := c.routes(ctx, listenerARN)
	if err != nil {
		return err
	}
	open, err := c.previews(ctx, g, aws.ToString(group.TargetGroupArn), routes)
	if err != nil {
		return err
	}
	for _, r := range open {
		if err := c.deleteRule(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Address implements cluster.Cloud.
func (c *Cloud) Address(ctx context.Context, listenerARN string) (string, error) {
	listeners, err := c.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{ListenerArns: []string{listenerARN}})
	if err != nil {
		return "", fmt.Errorf("read listener %s: %w", listenerARN, err)
	}
	if len(listeners.Listeners) == 0 {
		return "", fmt.Errorf("listener %s does not exist", listenerARN)
	}
	listener := listeners.Listeners[0]
	balancers, err := c.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{
		LoadBalancerArns: []string{aws.ToString(listener.LoadBalancerArn)},
	})
	if err != nil {
		return "", fmt.Errorf("read the load balancer of %s: %w", listenerARN, err)
	}
	if len(balancers.LoadBalancers) == 0 {
		return "", fmt.Errorf("the load balancer of %s does not exist", listenerARN)
	}
	return listenerURL(listener.Protocol, aws.ToString(balancers.LoadBalancers[0].DNSName), aws.ToInt32(listener.Port)), nil
}

func listenerURL(protocol types.ProtocolEnum, host string, port int32) string {
	scheme, usual := "http", int32(80)
	if protocol == types.ProtocolEnumHttps {
		scheme, usual = "https", 443
	}
	if port != usual {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return scheme + "://" + host
}
