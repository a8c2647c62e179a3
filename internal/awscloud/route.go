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

// maxForward is the most target groups that one forward action takes,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html.
const maxForward = 5

// allRequests is the weight of a target group that gets all requests: we set
// weights that are percentages.
const allRequests = 100

// route is a listener rule or a listener's default action.
type route struct {
	listenerARN string
	ruleARN     string // empty for the default action
	actions     []types.Action
	conditions  []types.RuleCondition
	priority    string
}

func (r route) String() string {
	if r.ruleARN == "" {
		return "the default action of " + r.listenerARN
	}
	return fmt.Sprintf("rule %s (priority %s)", r.ruleARN, r.priority)
}

// weights returns the weights of the target groups that the route forwards to;
// nil if it does something else.
func (r route) weights() map[string]int32 {
	var weights map[string]int32
	for _, action := range r.actions {
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
			weights[*action.TargetGroupArn] = allRequests
		}
	}
	return weights
}

// stickiness is how long a client stays with the target group that it came to; 0 if it does not.
func (r route) stickiness() (longest time.Duration) {
	for _, action := range r.actions {
		if config := action.ForwardConfig; config != nil && config.TargetGroupStickinessConfig != nil &&
			aws.ToBool(config.TargetGroupStickinessConfig.Enabled) {
			longest = max(longest, time.Duration(aws.ToInt32(config.TargetGroupStickinessConfig.DurationSeconds))*time.Second)
		}
	}
	return longest
}

// share is the percentage of the route's requests that a target group gets.
// Weights that we did not set need not be percentages.
func (r route) share(arn string) int32 {
	total, weights := int32(0), r.weights()
	for _, weight := range weights {
		total += weight
	}
	if total == 0 {
		return 0
	}
	return weights[arn] * 100 / total
}

// selects reports whether the route selects the same requests as a rule, apart from the
// conditions that a cluster.Rule cannot express. A default action, and a nil rule, are
// taken to.
func (r route) selects(rule *cluster.Rule) bool {
	if rule == nil || r.ruleARN == "" {
		return true
	}
	is, _, err := r.rule()
	return err == nil && is.SelectsSame(*rule)
}

// forward returns the route's actions with a new forward action. Actions before
// that, such as an authentication, stay. If sticky is positive, a client stays
// for that long with the target group that it came to.
func (r route) forward(weights map[string]int32, sticky time.Duration) []types.Action {
	config := &types.ForwardActionConfig{}
	for _, arn := range sortedKeys(weights) {
		config.TargetGroups = append(config.TargetGroups, types.TargetGroupTuple{
			TargetGroupArn: aws.String(arn), Weight: aws.Int32(weights[arn]),
		})
	}
	if sticky > 0 {
		config.TargetGroupStickinessConfig = &types.TargetGroupStickinessConfig{Enabled: aws.Bool(true), DurationSeconds: seconds(sticky)}
	}
	var actions []types.Action
	for _, action := range r.actions {
		switch action.Type {
		case types.ActionTypeEnumForward, types.ActionTypeEnumFixedResponse, types.ActionTypeEnumRedirect:
			continue
		}
		if action.AuthenticateOidcConfig != nil {
			// AWS does not return the secret, and keeps it if asked to.
			oidc := *action.AuthenticateOidcConfig
			oidc.UseExistingClientSecret, oidc.ClientSecret = aws.Bool(true), nil
			action.AuthenticateOidcConfig = &oidc
		}
		actions = append(actions, action)
	}
	return append(actions, types.Action{
		Type: types.ActionTypeEnumForward, ForwardConfig: config, Order: aws.Int32(int32(len(actions) + 1)),
	})
}

// serviceUnavailable is the default action after its cluster was removed.
func serviceUnavailable() []types.Action {
	return []types.Action{{
		Type: types.ActionTypeEnumFixedResponse,
		FixedResponseConfig: &types.FixedResponseActionConfig{
			StatusCode: aws.String("503"), ContentType: aws.String("text/plain"), MessageBody: aws.String("No cluster serves here."),
		},
	}}
}

// routes lists a listener's rules, the lowest priority first, and then its
// default action; nil if the listener does not exist.
func (c *Cloud) routes(ctx context.Context, listenerARN string) ([]route, error) {
	listeners, err := c.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{ListenerArns: []string{listenerARN}})
	switch {
	case hasCode(err, codeListenerNotFound) || err == nil && len(listeners.Listeners) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read listener %s: %w", listenerARN, err)
	}
	return c.routesAt(ctx, listeners.Listeners[0])
}

// routesAt lists the routes of a listener that has been read.
func (c *Cloud) routesAt(ctx context.Context, listener types.Listener) ([]route, error) {
	listenerARN := aws.ToString(listener.ListenerArn)
	var all []route
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
			all = append(all, route{
				listenerARN: listenerARN, ruleARN: aws.ToString(rule.RuleArn), actions: rule.Actions,
				conditions: rule.Conditions, priority: aws.ToString(rule.Priority),
			})
		}
	}
	slices.SortFunc(all, func(a, b route) int {
		return cmp.Or(cmp.Compare(len(a.priority), len(b.priority)), cmp.Compare(a.priority, b.priority))
	})
	return append(all, route{listenerARN: listenerARN, actions: listener.DefaultActions}), nil
}

// matches reports whether the route is the rule or default action that l names.
func (r route) matches(l cluster.Listener) bool {
	if r.listenerARN != l.ARN {
		return false
	}
	if l.Rule == nil {
		return r.ruleARN == ""
	}
	return r.priority == strconv.Itoa(int(l.Rule.Priority))
}

// findRoute finds the route that l names; nil if it does not exist. A rule of any priority is
// the cluster's rule.
func (c *Cloud) findRoute(ctx context.Context, id cluster.ID, routes []route, l cluster.Listener) (*route, error) {
	if l.Rule == nil || l.Rule.Priority != 0 {
		return routeAt(routes, l), nil
	}
	routes = slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return r.listenerARN != l.ARN })
	tags, err := c.elbTagsOf(ctx, ruleARNs(routes)...)
	for i, r := range routes {
		if whose(tags[r.ruleARN], id) == ofCluster {
			return &routes[i], nil
		}
	}
	return nil, notYet(err, codeRuleNotFound)
}

func ruleARNs(routes []route) (arns []string) {
	for _, r := range routes {
		if r.ruleARN != "" {
			arns = append(arns, r.ruleARN)
		}
	}
	return arns
}

// routeAt finds the route at the priority that l names, or the default action; nil if it does
// not exist.
func routeAt(routes []route, l cluster.Listener) *route {
	if i := slices.IndexFunc(routes, func(r route) bool { return r.matches(l) }); i >= 0 {
		return &routes[i]
	}
	return nil
}

// owns reports whether the cluster gets its requests by the route: a rule by its
// tags, the default action by those of all target groups that it forwards to.
func (c *Cloud) owns(ctx context.Context, id cluster.ID, r route) (bool, error) {
	is, err := c.owner(ctx, id, r)
	return is == ofCluster, err
}

// checkRoute refuses a route that does not belong to the cluster. A fixed
// response as the default action is a placeholder, and a redirect is not.
func (c *Cloud) checkRoute(ctx context.Context, id cluster.ID, r route) error {
	other := func(a types.Action) bool { return a.Type != types.ActionTypeEnumFixedResponse }
	if r.ruleARN == "" && !slices.ContainsFunc(r.actions, other) {
		return nil
	}
	ours, err := c.owns(ctx, id, r)
	if err != nil {
		return err
	}
	if !ours {
		return notOurs(id, r)
	}
	return nil
}

func notOurs(id cluster.ID, r route) error {
	return fmt.Errorf("%s does not belong to cluster %s; choose another priority or listener, or put a fixed response there first", r, id)
}

// maxTagged is the most resources that one call takes,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html.
const maxTagged = 20

// elbTagsOf reads the tags of rules or target groups.
func (c *Cloud) elbTagsOf(ctx context.Context, arns ...string) (map[string]tagging.Set, error) {
	all := map[string]tagging.Set{}
	for batch := range slices.Chunk(arns, maxTagged) {
		out, err := c.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: batch})
		if err != nil {
			return nil, fmt.Errorf("read the tags of %v: %w", batch, err)
		}
		for _, described := range out.TagDescriptions {
			all[aws.ToString(described.ResourceArn)] = fromELBTags(described.Tags)
		}
	}
	return all, nil
}

// tagged returns those of the rules or target groups that carry the cluster's tag. A rule that
// was deleted since it was listed is a reason to list them again.
func (c *Cloud) tagged(ctx context.Context, id cluster.ID, arns []string) (tagged []string, err error) {
	tags, err := c.elbTagsOf(ctx, arns...)
	for _, arn := range arns {
		if tags[arn][tagging.Cluster] == id.String() {
			tagged = append(tagged, arn)
		}
	}
	return tagged, notYet(err, codeRuleNotFound)
}

// createRule creates a rule of the cluster, which forwards to the target group. Routes are
// those that exist. A rule of any priority gets a free one. One that replaces a route keeps the
// conditions that a cluster.Rule cannot express. If its priority is in use, the reply to an
// earlier call may have been lost: then the rule forwards to the target group. Otherwise another
// process has taken the priority, and the caller finds out what for when it tries again.
func (c *Cloud) createRule(
	ctx context.Context, s cluster.Spec, own string, rule cluster.Rule, tags tagging.Set, routes []route, replaces *route,
) error {
	if rule.Priority == 0 {
		if rule.Priority = freePriority(routes, s); rule.Priority == 0 {
			return fmt.Errorf("listener %s has no free priority from %d to %d, or none before the rule that is taken over; "+
				"name one that is free in listener_rule", s.Listener.ARN, cluster.FirstFreePriority, cluster.LastFreePriority)
		}
	}
	if replaces == nil {
		replaces = &route{}
	}
	conditions, err := replaces.conditionsFor(rule)
	if err != nil {
		return err
	}
	_, err = c.elb.CreateRule(ctx, &elb.CreateRuleInput{
		ListenerArn: &s.Listener.ARN,
		Priority:    &rule.Priority,
		Conditions:  conditions,
		Actions:     route{}.forward(map[string]int32{own: allRequests}, 0),
		Tags:        elbTags(tags),
	})
	if hasCode(err, codePriorityInUse) {
		routes, readErr := c.routes(ctx, s.Listener.ARN)
		if readErr != nil {
			return readErr
		}
		if r := routeAt(routes, cluster.Listener{ARN: s.Listener.ARN, Rule: &rule}); r != nil && r.weights()[own] > 0 {
			return nil
		}
	}
	if err != nil {
		err = hideValues(err, rule)
		return notYet(fmt.Errorf("create a rule with priority %d at listener %s: %w", rule.Priority, s.Listener.ARN, err), codePriorityInUse)
	}
	return nil
}

// closedHost is the host of a closed rule. No client asks for it: names under
// .invalid do not exist, https://www.rfc-editor.org/rfc/rfc6761#section-6.4.
const closedHost = "not-open-yet.invalid"

// closedPriority is the highest priority of a closed rule that has none of its
// own. Other tools choose the next one after the highest that exists, and AWS
// allows up to 50000.
const closedPriority = 49000

// closedRule is a rule that selects no requests. The load balancer checks the
// health of its targets nevertheless,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html.
// It has the priority that l names, so that Serve only has to open it, or else a
// free one.
func closedRule(routes []route, l cluster.Listener) cluster.Rule {
	closed := cluster.Rule{Priority: closedPriority, Hosts: []string{closedHost}}
	if l.Rule != nil && routeAt(routes, l) == nil {
		closed.Priority = l.Rule.Priority
		return closed
	}
	for routeAt(routes, cluster.Listener{ARN: l.ARN, Rule: &closed}) != nil {
		closed.Priority--
	}
	return closed
}

// number is the priority of a rule; 0 for the default action, which has none.
func (r route) number() int32 {
	n, err := strconv.ParseInt(r.priority, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

// priorities are those that are taken.
func priorities(routes []route) (taken []int32) {
	for _, r := range routes {
		taken = append(taken, r.number())
	}
	return taken
}

// freePriority chooses the priority of a rule that names none; 0 if there is none.
func freePriority(routes []route, s cluster.Spec) int32 {
	var first, last int32 = cluster.FirstFreePriority, cluster.LastFreePriority
	if s.TakeOver != "" {
		if last = min(last, lastBefore(routes, s)); last < first {
			first = 1
		}
	}
	return cluster.FreePriority(priorities(routes), first, last, s.ID.String())
}

// closed reports whether the route is a closed rule.
func (r route) closed() bool {
	return r.ruleARN != "" && r.selects(&cluster.Rule{Hosts: []string{closedHost}})
}

// grows reports whether a route that forwards to several target groups gets one that it did not
// have.
func grows(was, is map[string]int32) bool {
	if len(is) == 1 {
		return false
	}
	for arn := range is {
		if _, there := was[arn]; !there {
			return true
		}
	}
	return false
}

// setWeights changes the weights of a route and, given a rule, the requests that
// it selects.
func (c *Cloud) setWeights(ctx context.Context, r route, weights map[string]int32, rule *cluster.Rule) error {
	if len(weights) > maxForward {
		return fmt.Errorf("%s would forward to %d target groups, but a load balancer allows at most %d; destroy leftover generations",
			r, len(weights), maxForward)
	}
	// AWS refuses several target groups of which one is sticky, unless the choice among
	// them is sticky as well. Among those that are there already, it is.
	sticky := r.stickiness()
	if grows(r.weights(), weights) {
		for arn := range weights {
			attributes, err := c.targetGroupAttributes(ctx, arn)
			if err != nil {
				return err
			}
			sticky = max(sticky, attributes.stickiness)
		}
	}
	if len(weights) == 1 {
		sticky = 0
	}
	return c.setActions(ctx, r, r.forward(weights, sticky), rule)
}

// setActions changes the actions of a route and, given a rule, the requests that
// it selects.
func (c *Cloud) setActions(ctx context.Context, r route, actions []types.Action, rule *cluster.Rule) error {
	if r.ruleARN == "" {
		_, err := c.elb.ModifyListener(ctx, &elb.ModifyListenerInput{ListenerArn: &r.listenerARN, DefaultActions: actions})
		if err != nil {
			return fmt.Errorf("change %s: %w", r, err)
		}
		return nil
	}
	in := &elb.ModifyRuleInput{RuleArn: &r.ruleARN, Actions: actions}
	if rule != nil {
		var err error
		if in.Conditions, err = r.conditionsFor(*rule); err != nil {
			return err
		}
	}
	if _, err := c.elb.ModifyRule(ctx, in); err != nil {
		if rule != nil {
			err = hideValues(err, *rule)
		}
		return fmt.Errorf("change %s: %w", r, err)
	}
	return nil
}

func (c *Cloud) deleteRule(ctx context.Context, r route) error {
	_, err := c.elb.DeleteRule(ctx, &elb.DeleteRuleInput{RuleArn: &r.ruleARN})
	if err != nil && !hasCode(err, codeRuleNotFound) {
		return fmt.Errorf("delete %s: %w", r, err)
	}
	return nil
}
