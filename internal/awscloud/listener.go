package awscloud

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

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

// forward is the action that sends requests by weight.
func forward(weights map[string]int32) []types.Action {
	config := &types.ForwardActionConfig{}
	for _, arn := range sortedKeys(weights) {
		config.TargetGroups = append(config.TargetGroups, types.TargetGroupTuple{TargetGroupArn: aws.String(arn), Weight: aws.Int32(weights[arn])})
	}
	return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: config}}
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

// placeOf picks from places the one that l means; nil when there is none yet.
func placeOf(places []place, l cluster.Listener) *place {
	for i, p := range places {
		if l.Rule == nil && p.ruleARN == "" || l.Rule != nil && p.priority == strconv.Itoa(int(l.Rule.Priority)) {
			return &places[i]
		}
	}
	return nil
}

// checkPlace refuses a place that something else made.
func (c *Cloud) checkPlace(ctx context.Context, id cluster.ID, p place) error {
	var ours bool
	var err error
	if p.ruleARN != "" {
		ours, err = c.belongsTo(ctx, id, p.ruleARN)
	} else if weights := p.weights(); weights != nil {
		ours, err = c.belongsTo(ctx, id, sortedKeys(weights)...)
	} else {
		// A fixed response is a placeholder; a redirect is there for a reason.
		ours = !slices.ContainsFunc(p.actions, func(a types.Action) bool { return a.Type != types.ActionTypeEnumFixedResponse })
	}
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

// Connect implements cluster.Cloud.
func (c *Cloud) Connect(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return c.redirect(ctx, g, s, func(weights map[string]int32, own string) map[string]int32 {
		if _, there := weights[own]; there {
			return weights
		}
		if len(weights) == 0 {
			return map[string]int32{own: 1}
		}
		weights[own] = 0
		return weights
	})
}

// Serve implements cluster.Cloud.
func (c *Cloud) Serve(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return c.redirect(ctx, g, s, func(_ map[string]int32, own string) map[string]int32 { return map[string]int32{own: 1} })
}

// redirect changes the weights at the cluster's place, making it if need be.
func (c *Cloud) redirect(ctx context.Context, g cluster.Generation, s cluster.Spec, change func(weights map[string]int32, own string) map[string]int32) error {
	group, err := c.targetGroup(ctx, g)
	if err != nil {
		return err
	}
	if group == nil {
		return fmt.Errorf("target group %s is gone", g.Name)
	}
	own := aws.ToString(group.TargetGroupArn)
	places, err := c.places(ctx, s.Listener.ARN)
	if err != nil {
		return err
	}
	if places == nil {
		return fmt.Errorf("listener %s does not exist", s.Listener.ARN)
	}
	p := placeOf(places, *s.Listener)
	if p == nil {
		_, err := c.elb.CreateRule(ctx, &elb.CreateRuleInput{
			ListenerArn: &s.Listener.ARN,
			Priority:    &s.Listener.Rule.Priority,
			Conditions:  conditions(*s.Listener.Rule),
			Actions:     forward(change(nil, own)),
			Tags:        elbTags(g.Tags(s.Tags).Without(tagging.Generation, "Name")),
		})
		if hasCode(err, codePriorityInUse) {
			// Either somebody was quicker, or the reply to our own call was
			// lost and it was sent again: the tags tell.
			if places, err = c.places(ctx, s.Listener.ARN); err != nil {
				return err
			}
			p = placeOf(places, *s.Listener)
		}
		if p == nil {
			if err != nil {
				return fmt.Errorf("create a rule with priority %d at listener %s: %w", s.Listener.Rule.Priority, s.Listener.ARN, err)
			}
			return nil
		}
	}
	if err := c.checkPlace(ctx, s.ID, *p); err != nil {
		return err
	}
	weights := change(p.weights(), own)
	if len(weights) > maxForward {
		return fmt.Errorf("%s would forward to %d target groups, but a load balancer takes at most %d; remove what earlier rollouts left", p, len(weights), maxForward)
	}
	return c.setActions(ctx, *p, forward(weights), s.Listener.Rule)
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

// Disconnect implements cluster.Cloud.
func (c *Cloud) Disconnect(ctx context.Context, g cluster.Generation, listenerARN string) error {
	group, err := c.targetGroup(ctx, g)
	if group == nil || err != nil {
		return err
	}
	places, err := c.places(ctx, listenerARN)
	if err != nil {
		return err
	}
	for _, p := range places {
		weights := p.weights()
		if _, there := weights[aws.ToString(group.TargetGroupArn)]; !there {
			continue
		}
		delete(weights, aws.ToString(group.TargetGroupArn))
		switch {
		case len(weights) > 0:
			err = c.setActions(ctx, p, forward(weights), nil)
		case p.ruleARN == "":
			err = c.setActions(ctx, p, serviceUnavailable(), nil)
		default:
			_, err = c.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &p.ruleARN})
			if err != nil {
				err = fmt.Errorf("delete %s: %w", p, err)
			}
		}
		if err != nil && !hasCode(err, codeRuleNotFound, codeListenerNotFound) {
			return err
		}
	}
	return nil
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
// the domain has it; nil when it gets none.
func (c *Cloud) observeListener(ctx context.Context, listenerARN, targetGroupARN string) (*cluster.Listener, error) {
	places, err := c.places(ctx, listenerARN)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		if _, there := p.weights()[targetGroupARN]; !there {
			continue
		}
		l := &cluster.Listener{ARN: listenerARN}
		if p.ruleARN == "" {
			return l, nil
		}
		priority, err := strconv.ParseInt(p.priority, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		l.Rule = &cluster.Rule{Priority: int32(priority)}
		for _, condition := range p.conditions {
			// AWS fills the older Values as well, and other emulators only that.
			values := condition.Values
			switch aws.ToString(condition.Field) {
			case "host-header":
				if condition.HostHeaderConfig != nil {
					values = condition.HostHeaderConfig.Values
				}
				l.Rule.Hosts = values
			case "path-pattern":
				if condition.PathPatternConfig != nil {
					values = condition.PathPatternConfig.Values
				}
				l.Rule.Paths = values
			}
		}
		return l, nil
	}
	return nil, nil
}
