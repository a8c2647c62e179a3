package awscloud

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Connect implements cluster.Cloud. For which requests a rule stands is left
// alone until Serve: another generation may be serving them.
func (c *Cloud) Connect(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	own, places, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	p := placeOf(places, *s.Listener)
	if p == nil {
		// The cluster may serve elsewhere at the listener, and a new rule
		// would take its requests away before there are servers.
		if p, err = c.servedBy(ctx, s.ID, places); err != nil {
			return err
		}
	}
	if p == nil {
		return c.createRule(ctx, g, s, own)
	}
	if err := c.checkPlace(ctx, s.ID, *p); err != nil {
		return err
	}
	weights := p.weights()
	if _, there := weights[own]; there {
		return nil
	}
	if len(weights) == 0 {
		weights = map[string]int32{own: 1}
	} else {
		weights[own] = 0
	}
	return c.setWeights(ctx, *p, weights, nil)
}

// Shift implements cluster.Cloud. Weights are percentages.
func (c *Cloud) Shift(ctx context.Context, g cluster.Generation, s cluster.Spec, from cluster.Generation, percent int32) error {
	own, places, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	var other string
	if group, err := c.targetGroup(ctx, from); err != nil {
		return err
	} else if group != nil {
		other = aws.ToString(group.TargetGroupArn)
	}
	for _, p := range places {
		weights := p.weights()
		if _, there := weights[own]; !there {
			continue
		}
		if ours, err := c.owns(ctx, s.ID, p); !ours || err != nil {
			return errors.Join(err, fmt.Errorf("%s is not that of cluster %s alone", p, s.ID))
		}
		wanted := map[string]int32{}
		for arn := range weights {
			wanted[arn] = 0
		}
		wanted[own] = percent
		if _, there := weights[other]; there {
			wanted[other] = 100 - percent
		}
		if maps.Equal(weights, wanted) {
			return nil
		}
		return c.setWeights(ctx, p, wanted, nil)
	}
	return fmt.Errorf("%s has no place at listener %s", g.Name, s.Listener.ARN)
}

// Serve implements cluster.Cloud. Other generations stay connected, without
// requests, until they are removed.
func (c *Cloud) Serve(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	own, places, err := c.connection(ctx, g, s)
	if err != nil {
		return err
	}
	if p := placeOf(places, *s.Listener); p == nil {
		err = c.createRule(ctx, g, s, own)
	} else {
		err = c.serveAt(ctx, g, s, own, *p)
	}
	if err != nil {
		return err
	}
	// Where Connect lent a place, it is given back.
	for _, other := range places {
		if _, there := other.weights()[own]; !there || other.is(*s.Listener) {
			continue
		}
		ours, err := c.owns(ctx, s.ID, other)
		if err != nil {
			return err
		}
		if ours {
			if err := c.disconnectFrom(ctx, other, own); err != nil {
				return err
			}
		}
	}
	return nil
}

// serveAt sends all requests of a place to a target group, and has the place
// select those that s says.
func (c *Cloud) serveAt(ctx context.Context, g cluster.Generation, s cluster.Spec, own string, p place) error {
	if err := c.checkPlace(ctx, s.ID, p); err != nil {
		return err
	}
	if p.ruleARN != "" {
		// The rule may bear the version of the generation before.
		if err := c.retagELB(ctx, p.ruleARN, ruleTags(g, s)); err != nil {
			return err
		}
	}
	weights := map[string]int32{}
	for arn := range p.weights() {
		weights[arn] = 0
	}
	weights[own] = 1
	if p.share(own) == 100 && p.selects(s.Listener.Rule) {
		return nil
	}
	return c.setWeights(ctx, p, weights, s.Listener.Rule)
}

// connection finds the generation's target group and what the listener does.
func (c *Cloud) connection(ctx context.Context, g cluster.Generation, s cluster.Spec) (own string, places []place, err error) {
	group, err := visible(ctx, "target group", g, c.targetGroup)
	if err != nil {
		return "", nil, err
	}
	places, err = c.places(ctx, s.Listener.ARN)
	if err == nil && places == nil {
		err = fmt.Errorf("listener %s does not exist", s.Listener.ARN)
	}
	return aws.ToString(group.TargetGroupArn), places, err
}

// servedBy finds where the cluster gets requests now; nil when nowhere.
func (c *Cloud) servedBy(ctx context.Context, id cluster.ID, places []place) (*place, error) {
	for i, p := range places {
		if p.weights() == nil {
			continue
		}
		if ours, err := c.owns(ctx, id, p); ours || err != nil {
			return &places[i], err
		}
	}
	return nil, nil
}

// ruleTags are the cluster's: a rule outlives generations.
func ruleTags(g cluster.Generation, s cluster.Spec) tagging.Set {
	return g.Tags(s.Tags).Without(tagging.Generation, "Name")
}

// Disconnect implements cluster.Cloud. It refuses before it changes anything
// if something else forwards to the generation: without its servers that would
// lead nowhere, and it is not ours to delete.
func (c *Cloud) Disconnect(ctx context.Context, g cluster.Generation, l cluster.Listener) error {
	group, err := c.targetGroup(ctx, g)
	if group == nil || err != nil {
		return err
	}
	own := aws.ToString(group.TargetGroupArn)
	places, err := c.forwarding(ctx, group, l.ARN)
	if err != nil {
		return err
	}
	for _, p := range places {
		ours, err := c.owns(ctx, g.Cluster, p)
		if err != nil {
			return err
		}
		// A default action is only then the cluster's if it is where it serves,
		// or lent its place to a generation that was to take over.
		lent := p.listenerARN == l.ARN && len(p.weights()) > 1
		if !ours || p.ruleARN == "" && !p.is(l) && !lent {
			return fmt.Errorf("%s, which cluster %s did not make, forwards to its target group; remove it there first", p, g.Cluster)
		}
	}
	for _, p := range places {
		if err := c.disconnectFrom(ctx, p, own); err != nil && !hasCode(err, codeRuleNotFound, codeListenerNotFound) {
			return err
		}
	}
	return c.removeIdleRule(ctx, g.Cluster, l)
}

// forwarding lists the places that forward to a target group, at the listener
// and at every other listener of the load balancers that use the group.
func (c *Cloud) forwarding(ctx context.Context, group *types.TargetGroup, listenerARN string) ([]place, error) {
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
	var all []place
	for _, arn := range listeners {
		places, err := c.places(ctx, arn)
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			if _, there := p.weights()[aws.ToString(group.TargetGroupArn)]; there {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// removeIdleRule removes the cluster's rule if somebody has it answer by
// itself, as during maintenance: nothing else would.
func (c *Cloud) removeIdleRule(ctx context.Context, id cluster.ID, l cluster.Listener) error {
	places, err := c.places(ctx, l.ARN)
	if err != nil {
		return err
	}
	p := placeOf(places, l)
	if p == nil || p.ruleARN == "" || p.weights() != nil {
		return nil
	}
	if ours, err := c.owns(ctx, id, *p); !ours || err != nil {
		return err
	}
	return c.deleteRule(ctx, *p)
}

// disconnectFrom takes a target group from a place. Those that are left get no
// more than they had.
func (c *Cloud) disconnectFrom(ctx context.Context, p place, own string) error {
	weights := p.weights()
	delete(weights, own)
	if len(weights) > 0 {
		return c.setWeights(ctx, p, weights, nil)
	}
	if p.ruleARN == "" {
		return c.setActions(ctx, p, serviceUnavailable(), nil)
	}
	return c.deleteRule(ctx, p)
}

// observeListener describes where the target group gets its requests from, as
// the domain has it, and which percentage of those there; nil when it has no
// place at a rule of the cluster's or at the default action.
func (c *Cloud) observeListener(ctx context.Context, g cluster.Generation, listenerARN, targetGroupARN string) (*cluster.Listener, int32, error) {
	places, err := c.places(ctx, listenerARN)
	if err != nil {
		return nil, 0, err
	}
	for _, p := range places {
		if _, there := p.weights()[targetGroupARN]; !there {
			continue
		}
		if p.ruleARN == "" {
			return &cluster.Listener{ARN: listenerARN}, p.share(targetGroupARN), nil
		}
		ours, err := c.belongsTo(ctx, g.Cluster, p.ruleARN)
		if err != nil {
			return nil, 0, err
		}
		if ours {
			rule, err := p.rule()
			return &cluster.Listener{ARN: listenerARN, Rule: rule}, p.share(targetGroupARN), err
		}
	}
	return nil, 0, nil
}
