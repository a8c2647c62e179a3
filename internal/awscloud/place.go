package awscloud

import (
	"cmp"
	"context"
	"fmt"
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

// share is the percentage of the place's requests that a target group gets.
func (p place) share(arn string) int32 {
	total, weights := int32(0), p.weights()
	for _, weight := range weights {
		total += weight
	}
	if total == 0 {
		return 0
	}
	return weights[arn] * 100 / total
}

// selects reports whether the place stands for the requests that r selects; a
// nil r does not say.
func (p place) selects(r *cluster.Rule) bool {
	if r == nil || p.ruleARN == "" {
		return true
	}
	is, err := p.rule()
	return err == nil && sameStrings(is.Hosts, r.Hosts) && sameStrings(is.Paths, r.Paths)
}

func sameStrings(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
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

func (c *Cloud) deleteRule(ctx context.Context, p place) error {
	if _, err := c.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &p.ruleARN}); err != nil && !hasCode(err, codeRuleNotFound) {
		return fmt.Errorf("delete %s: %w", p, err)
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
