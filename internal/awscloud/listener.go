package awscloud

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

const (
	codeListenerNotFound = "ListenerNotFound"
	codeRuleNotFound     = "RuleNotFound"
	codePriorityInUse    = "PriorityInUse"
)

// maxForward is how many target groups one forward action takes,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html.
const maxForward = 5

// place is where a listener sends some of its requests: one of its rules, or
// its default action.
type place struct {
	listenerARN string
	ruleARN     string // empty for the default action
	actions     []types.Action
	conditions  []types.RuleCondition
	priority    string
}

func (p place) String() string {
	if p.ruleARN == "" {
		return "the default action of " + p.listenerARN
	}
	return fmt.Sprintf("rule %s (priority %s)", p.ruleARN, p.priority)
}

// weights are the target groups that the place forwards to. Nil when it does
// something else.
func (p place) weights() map[string]int32 {
	var weights map[string]int32
	for _, action := range p.actions {
		if action.Type != types.ActionTypeEnumForward {
			continue
		}
		weights = map[string]int32{}
		if action.ForwardConfig != nil {
			for _, t := range action.ForwardConfig.TargetGroups {
				weights[aws.ToString(t.TargetGroupArn)] = aws.ToInt32(t.Weight)
			}
		}
		if len(weights) == 0 && action.TargetGroupArn != nil {
			weights[*action.TargetGroupArn] = 1
		}
	}
	return weights
}

// forward returns the place's actions with the requests sent by weight. What
// comes before that, such as an authentication, stays. If sticky is positive,
// a client stays for that long with the target group it came to.
func (p place) forward(weights map[string]int32, sticky time.Duration) []types.Action {
	config := &types.ForwardActionConfig{}
	for _, arn := range sortedKeys(weights) {
		config.TargetGroups = append(config.TargetGroups, types.TargetGroupTuple{TargetGroupArn: aws.String(arn), Weight: aws.Int32(weights[arn])})
	}
	if sticky > 0 {
		config.TargetGroupStickinessConfig = &types.TargetGroupStickinessConfig{Enabled: aws.Bool(true), DurationSeconds: seconds(sticky)}
	}
	var actions []types.Action
	for _, action := range p.actions {
		switch action.Type {
		case types.ActionTypeEnumForward, types.ActionTypeEnumFixedResponse, types.ActionTypeEnumRedirect:
			continue
		}
		if action.AuthenticateOidcConfig != nil {
			// AWS does not tell the secret, and keeps it if it is told to.
			oidc := *action.AuthenticateOidcConfig
			oidc.UseExistingClientSecret, oidc.ClientSecret = aws.Bool(true), nil
			action.AuthenticateOidcConfig = &oidc
		}
		actions = append(actions, action)
	}
	return append(actions, types.Action{Type: types.ActionTypeEnumForward, ForwardConfig: config, Order: aws.Int32(int32(len(actions) + 1))})
}

// serviceUnavailable is what a default action does once its cluster is gone.
func serviceUnavailable() []types.Action {
	return []types.Action{{
		Type: types.ActionTypeEnumFixedResponse,
		FixedResponseConfig: &types.FixedResponseActionConfig{
			StatusCode: aws.String("503"), ContentType: aws.String("text/plain"), MessageBody: aws.String("No cluster serves here."),
		},
	}}
}

// places lists a listener's default action and rules, the rule with the
// lowest priority first; nothing when the listener is gone.
func (c *Cloud) places(ctx context.Context, listenerARN string) ([]place, error) {
	listeners, err := c.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{ListenerArns: []string{listenerARN}})
	switch {
	case hasCode(err, codeListenerNotFound) || err == nil && len(listeners.Listeners) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read listener %s: %w", listenerARN, err)
	}
	var all []place
	pages := elb.NewDescribeRulesPaginator(c.elb, &elb.DescribeRulesInput{ListenerArn: &listenerARN})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if hasCode(err, codeListenerNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the rules of listener %s: %w", listenerARN, err)
		}
		for _, rule := range page.Rules {
			if aws.ToBool(rule.IsDefault) {
				continue
			}
			all = append(all, place{
				listenerARN: listenerARN, ruleARN: aws.ToString(rule.RuleArn), actions: rule.Actions,
				conditions: rule.Conditions, priority: aws.ToString(rule.Priority),
			})
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(len(a.priority), len(b.priority)), cmp.Compare(a.priority, b.priority))
	})
	return append(all, place{listenerARN: listenerARN, actions: listeners.Listeners[0].DefaultActions}), nil
}

// is reports whether the place is the one that l means.
func (p place) is(l cluster.Listener) bool {
	if l.Rule == nil {
		return p.ruleARN == ""
	}
	return p.priority == strconv.Itoa(int(l.Rule.Priority))
}

// placeOf picks from places the one that l means; nil when there is none yet.
func placeOf(places []place, l cluster.Listener) *place {
	if i := slices.IndexFunc(places, func(p place) bool { return p.is(l) }); i >= 0 {
		return &places[i]
	}
	return nil
}

// owns reports whether the place is the cluster's: a rule by its tag, the
// default action by those of all the target groups it forwards to.
func (c *Cloud) owns(ctx context.Context, id cluster.ID, p place) (bool, error) {
	if p.ruleARN != "" {
		return c.belongsTo(ctx, id, p.ruleARN)
	}
	weights := p.weights()
	if len(weights) == 0 {
		return false, nil
	}
	return c.belongsTo(ctx, id, sortedKeys(weights)...)
}

// checkPlace refuses a place that something else made. A fixed response as the
// default action is a placeholder; a redirect is there for a reason.
func (c *Cloud) checkPlace(ctx context.Context, id cluster.ID, p place) error {
	if p.ruleARN == "" && !slices.ContainsFunc(p.actions, func(a types.Action) bool { return a.Type != types.ActionTypeEnumFixedResponse }) {
		return nil
	}
	ours, err := c.owns(ctx, id, p)
	if err != nil {
		return err
	}
	if !ours {
		return fmt.Errorf("%s serves something that cluster %s did not make; choose another priority or listener, or put a fixed response there first", p, id)
	}
	return nil
}

// belongsTo reports whether all the resources carry the cluster's tag. AWS
// takes at most 20 in one call, and a forward action has at most 5.
func (c *Cloud) belongsTo(ctx context.Context, id cluster.ID, arns ...string) (bool, error) {
	out, err := c.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: arns})
	if err != nil {
		return false, fmt.Errorf("read the tags of %v: %w", arns, err)
	}
	for _, described := range out.TagDescriptions {
		if fromELBTags(described.Tags)[tagging.Cluster] != id.String() {
			return false, nil
		}
	}
	return len(out.TagDescriptions) == len(arns), nil
}

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

// serveAt sends all requests of a place to a target group.
func (c *Cloud) serveAt(ctx context.Context, g cluster.Generation, s cluster.Spec, own string, p place) error {
	if err := c.checkPlace(ctx, s.ID, p); err != nil {
		return err
	}
	weights := map[string]int32{}
	for arn := range p.weights() {
		weights[arn] = 0
	}
	weights[own] = 1
	if p.ruleARN != "" {
		// The rule may bear the version of the generation before.
		if err := c.retagELB(ctx, p.ruleARN, ruleTags(g, s)); err != nil {
			return err
		}
	}
	return c.setWeights(ctx, p, weights, s.Listener.Rule)
}

// connection finds the generation's target group and what the listener does.
func (c *Cloud) connection(ctx context.Context, g cluster.Generation, s cluster.Spec) (own string, places []place, err error) {
	group, err := visible(ctx, c, "target group", g, c.targetGroup)
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

// createRule makes the cluster's rule, with all requests for the target group.
func (c *Cloud) createRule(ctx context.Context, g cluster.Generation, s cluster.Spec, own string) error {
	_, err := c.elb.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: &s.Listener.ARN,
		Priority:    &s.Listener.Rule.Priority,
		Conditions:  conditions(*s.Listener.Rule),
		Actions:     place{}.forward(map[string]int32{own: 1}, 0),
		Tags:        elbTags(ruleTags(g, s)),
	})
	if hasCode(err, codePriorityInUse) {
		// Either somebody was quicker, or the reply to our own call was lost
		// and it was sent again: then the rule forwards to our target group.
		places, lookErr := c.places(ctx, s.Listener.ARN)
		if lookErr != nil {
			return lookErr
		}
		if p := placeOf(places, *s.Listener); p != nil && p.weights()[own] > 0 {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("create a rule with priority %d at listener %s: %w", s.Listener.Rule.Priority, s.Listener.ARN, err)
	}
	return nil
}

// ruleTags are the cluster's: a rule outlives generations.
func ruleTags(g cluster.Generation, s cluster.Spec) tagging.Set {
	return g.Tags(s.Tags).Without(tagging.Generation, "Name")
}

// setWeights sends a place's requests by weight and, given a rule, changes for
// which requests it stands.
func (c *Cloud) setWeights(ctx context.Context, p place, weights map[string]int32, rule *cluster.Rule) error {
	if len(weights) > maxForward {
		return fmt.Errorf("%s would forward to %d target groups, but a load balancer takes at most %d; destroy generations that are left over", p, len(weights), maxForward)
	}
	// AWS refuses several target groups of which one is sticky, unless the
	// choice among them is sticky as well.
	var sticky time.Duration
	if len(weights) > 1 {
		for arn := range weights {
			attributes, err := c.targetGroupAttributes(ctx, arn)
			if err != nil {
				return err
			}
			sticky = max(sticky, attributes.stickiness)
		}
	}
	return c.setActions(ctx, p, p.forward(weights, sticky), rule)
}

// setActions changes what a place does and, given a rule, for which requests.
func (c *Cloud) setActions(ctx context.Context, p place, actions []types.Action, rule *cluster.Rule) error {
	if p.ruleARN == "" {
		_, err := c.elb.ModifyListener(ctx, &elb.ModifyListenerInput{ListenerArn: &p.listenerARN, DefaultActions: actions})
		if err != nil {
			return fmt.Errorf("change %s: %w", p, err)
		}
		return nil
	}
	in := &elb.ModifyRuleInput{RuleArn: &p.ruleARN, Actions: actions}
	if rule != nil {
		in.Conditions = conditions(*rule)
	}
	if _, err := c.elb.ModifyRule(ctx, in); err != nil {
		return fmt.Errorf("change %s: %w", p, err)
	}
	return nil
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

func (c *Cloud) deleteRule(ctx context.Context, p place) error {
	if _, err := c.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &p.ruleARN}); err != nil && !hasCode(err, codeRuleNotFound) {
		return fmt.Errorf("delete %s: %w", p, err)
	}
	return nil
}

// disconnectFrom takes a target group from a place. If it had all the requests,
// those that are left share them.
func (c *Cloud) disconnectFrom(ctx context.Context, p place, own string) error {
	weights := p.weights()
	delete(weights, own)
	if len(weights) > 0 {
		if total := slices.Max(slices.Collect(maps.Values(weights))); total == 0 {
			for arn := range weights {
				weights[arn] = 1
			}
		}
		return c.setWeights(ctx, p, weights, nil)
	}
	if p.ruleARN == "" {
		return c.setActions(ctx, p, serviceUnavailable(), nil)
	}
	return c.deleteRule(ctx, p)
}

func conditions(r cluster.Rule) []types.RuleCondition {
	var all []types.RuleCondition
	if len(r.Hosts) > 0 {
		all = append(all, types.RuleCondition{Field: aws.String("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: r.Hosts}})
	}
	if len(r.Paths) > 0 {
		all = append(all, types.RuleCondition{Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{Values: r.Paths}})
	}
	return all
}

// observeListener describes where the target group gets its requests from, as
// the domain has it; nil when it gets none by a rule of the cluster's or by
// the default action.
func (c *Cloud) observeListener(ctx context.Context, g cluster.Generation, listenerARN, targetGroupARN string) (*cluster.Listener, error) {
	places, err := c.places(ctx, listenerARN)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		if _, there := p.weights()[targetGroupARN]; !there {
			continue
		}
		if p.ruleARN == "" {
			return &cluster.Listener{ARN: listenerARN}, nil
		}
		ours, err := c.belongsTo(ctx, g.Cluster, p.ruleARN)
		if err != nil {
			return nil, err
		}
		if ours {
			rule, err := p.rule()
			return &cluster.Listener{ARN: listenerARN, Rule: rule}, err
		}
	}
	return nil, nil
}

// rule describes a place that is a rule.
func (p place) rule() (*cluster.Rule, error) {
	priority, err := strconv.ParseInt(p.priority, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	rule := &cluster.Rule{Priority: int32(priority)}
	for _, condition := range p.conditions {
		// AWS fills the older Values as well, and other emulators only that.
		values := condition.Values
		switch aws.ToString(condition.Field) {
		case "host-header":
			if condition.HostHeaderConfig != nil {
				values = condition.HostHeaderConfig.Values
			}
			rule.Hosts = values
		case "path-pattern":
			if condition.PathPatternConfig != nil {
				values = condition.PathPatternConfig.Values
			}
			rule.Paths = values
		}
	}
	return rule, nil
}
