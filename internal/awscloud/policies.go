package awscloud

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// The types of scaling policies.
const (
	policyTracking   = "TargetTrackingScaling"
	policyStep       = "StepScaling"
	policyPredictive = "PredictiveScaling"
)

// In the document of a policy, these stand for the names of its generation: the group's, and
// what CloudWatch and Auto Scaling call the target group, which is the end of its ARN.
const (
	groupPlaceholder       = "{delivery:group}"
	targetGroupPlaceholder = "{delivery:target-group}"
)

func (c *Cloud) policies(ctx context.Context, g cluster.Generation) (all []types.ScalingPolicy, err error) {
	pages := autoscaling.NewDescribePoliciesPaginator(c.autoscaling, &autoscaling.DescribePoliciesInput{AutoScalingGroupName: &g.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the scaling policies of Auto Scaling group %s: %w", g.Name, err)
		}
		all = append(all, page.ScalingPolicies...)
	}
	return all, nil
}

// observePolicy describes a policy by its document, and by fields if a cluster.Policy can
// express it. The alarm of a step policy is still to be observed.
func observePolicy(g cluster.Generation, p types.ScalingPolicy) (cluster.Policy, error) {
	document, err := policyDocument(g, p)
	policy := cluster.Policy{Name: aws.ToString(p.PolicyName), Document: document}
	if err != nil || p.Enabled != nil && !*p.Enabled {
		return policy, err
	}
	policy.Warmup = time.Duration(aws.ToInt32(p.EstimatedInstanceWarmup)) * time.Second
	switch aws.ToString(p.PolicyType) {
	case policyTracking:
		policy.Tracking = observeTracking(g, p.TargetTrackingConfiguration)
	case policyStep:
		if aggregation := aws.ToString(p.MetricAggregationType); aggregation == "" || aggregation == "Average" {
			policy.Step = &cluster.StepScaler{Adjustment: aws.ToString(p.AdjustmentType), MinMagnitude: aws.ToInt32(p.MinAdjustmentMagnitude)}
			for _, s := range p.StepAdjustments {
				policy.Step.Steps = append(policy.Step.Steps, cluster.StepRange{
					Lower: s.MetricIntervalLowerBound, Upper: s.MetricIntervalUpperBound, Change: aws.ToInt32(s.ScalingAdjustment),
				})
			}
		}
	}
	return policy, nil
}

// policyDocument is the request that puts the policy, for any generation.
func policyDocument(g cluster.Generation, p types.ScalingPolicy) (string, error) {
	encoded, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("copy scaling policy %q: %w", aws.ToString(p.PolicyName), err)
	}
	in := &autoscaling.PutScalingPolicyInput{}
	if err := json.Unmarshal(encoded, in); err != nil {
		return "", fmt.Errorf("copy scaling policy %q: %w", aws.ToString(p.PolicyName), err)
	}
	in.AutoScalingGroupName, in.PredictiveScalingConfiguration = nil, nil // predictive scaling is refused
	if in.MinAdjustmentMagnitude != nil {
		in.MinAdjustmentStep = nil //nolint:staticcheck // its former name, which AWS may return; only one of both is allowed
	}
	if encoded, err = json.Marshal(in); err != nil {
		return "", fmt.Errorf("copy scaling policy %q: %w", aws.ToString(p.PolicyName), err)
	}
	text := string(encoded)
	for {
		before, rest, found := strings.Cut(text, "targetgroup/"+g.Name+"/")
		if !found {
			break
		}
		// The ARN's end is followed by a quotation mark.
		_, rest, _ = strings.Cut(rest, `"`)
		text = before + targetGroupPlaceholder + `"` + rest
	}
	return strings.ReplaceAll(text, `"`+g.Name+`"`, `"`+groupPlaceholder+`"`), nil
}

// observeTracking is nil for what a cluster.TargetTracker cannot express.
func observeTracking(g cluster.Generation, t *types.TargetTrackingConfiguration) *cluster.TargetTracker {
	if t == nil {
		return nil
	}
	tracker := &cluster.TargetTracker{Target: aws.ToFloat64(t.TargetValue), DisableScaleIn: aws.ToBool(t.DisableScaleIn)}
	switch predefined, custom := t.PredefinedMetricSpecification, t.CustomizedMetricSpecification; {
	case predefined != nil:
		if label := aws.ToString(predefined.ResourceLabel); label != "" && !strings.Contains(label, "/targetgroup/"+g.Name+"/") {
			return nil
		}
		tracker.Predefined = string(predefined.PredefinedMetricType)
	case custom != nil && len(custom.Metrics) == 0 && custom.Period == nil:
		tracker.Metric = &cluster.Metric{
			Namespace: aws.ToString(custom.Namespace), Name: aws.ToString(custom.MetricName),
			Statistic: string(custom.Statistic), Unit: aws.ToString(custom.Unit), Dimensions: map[string]string{},
		}
		for _, d := range custom.Dimensions {
			tracker.Metric.Dimensions[aws.ToString(d.Name)] = observeDimension(g, aws.ToString(d.Value))
		}
	default:
		return nil
	}
	return tracker
}

// observeDimension returns cluster.Self for what is the generation's own.
func observeDimension(g cluster.Generation, value string) string {
	if value == g.Name || strings.HasPrefix(value, "targetgroup/"+g.Name+"/") {
		return cluster.Self
	}
	return value
}

// scope holds the names that policies and alarms of a generation refer to.
type scope struct {
	generation cluster.Generation
	// targetGroup and loadBalancer are the ends of their ARNs; empty for a worker cluster.
	targetGroup, loadBalancer string
}

// newScope finds the names. It asks AWS only if a target group is needed.
func (c *Cloud) newScope(ctx context.Context, g cluster.Generation, s cluster.Spec) (scope, error) {
	names := scope{generation: g}
	if s.Listener == nil {
		return names, nil
	}
	group, err := visible(ctx, "target group", g, c.targetGroup)
	if err != nil {
		return names, err
	}
	arn := aws.ToString(group.TargetGroupArn)
	names.targetGroup = arn[strings.LastIndex(arn, ":")+1:]
	names.loadBalancer, err = balancerDimension(s.Listener.ARN)
	return names, err
}

// dimension returns the value of a dimension.
func (n scope) dimension(name, value string) string {
	switch {
	case value != cluster.Self:
		return value
	case name == cluster.DimensionTargetGroup:
		return n.targetGroup
	}
	return n.generation.Name
}

// putPolicies puts the policies, and the alarms of step policies.
func (c *Cloud) putPolicies(ctx context.Context, g cluster.Generation, s cluster.Spec, all []cluster.Policy) error {
	if len(all) == 0 {
		return nil
	}
	names, err := c.newScope(ctx, g, s)
	if err != nil {
		return err
	}
	for _, p := range all {
		in, err := names.policy(p)
		if err != nil {
			return err
		}
		out, err := c.autoscaling.PutScalingPolicy(ctx, in)
		if err != nil {
			return fmt.Errorf("put scaling policy %q: %w", p.Name, err)
		}
		if p.Step == nil {
			continue
		}
		alarm := names.stepAlarm(p)
		arn, err := c.policyARN(ctx, g, p.Name, out.PolicyARN)
		if err != nil {
			return err
		}
		alarm.AlarmActions = []string{arn}
		alarm.Tags = alarmTags(g.Tags(s.Tags))
		if _, err := c.cloudwatch.PutMetricAlarm(ctx, alarm); err != nil {
			return fmt.Errorf("put the alarm of scaling policy %q: %w", p.Name, err)
		}
	}
	return nil
}

// policyARN returns the ARN of a policy that was put. AWS returns it; other implementations
// have to be asked.
func (c *Cloud) policyARN(ctx context.Context, g cluster.Generation, name string, returned *string) (string, error) {
	if aws.ToString(returned) != "" {
		return *returned, nil
	}
	all, err := c.policies(ctx, g)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if aws.ToString(p.PolicyName) == name && aws.ToString(p.PolicyARN) != "" {
			return *p.PolicyARN, nil
		}
	}
	return "", &cluster.NotYetError{Saw: fmt.Sprintf("scaling policy %q of %s is not visible yet", name, g.Name)}
}

// policy is the request that puts a policy.
func (n scope) policy(p cluster.Policy) (*autoscaling.PutScalingPolicyInput, error) {
	in := &autoscaling.PutScalingPolicyInput{}
	if p.Document != "" {
		text := strings.NewReplacer(groupPlaceholder, n.generation.Name, targetGroupPlaceholder, n.targetGroup).Replace(p.Document)
		if err := json.Unmarshal([]byte(text), in); err != nil {
			return nil, fmt.Errorf("copy scaling policy %q: %w", p.Name, err)
		}
		in.AutoScalingGroupName = aws.String(n.generation.Name)
		return in, nil
	}
	in.AutoScalingGroupName, in.PolicyName = aws.String(n.generation.Name), aws.String(p.Name)
	if p.Warmup > 0 {
		in.EstimatedInstanceWarmup = seconds(p.Warmup)
	}
	if step := p.Step; step != nil {
		in.PolicyType, in.AdjustmentType = aws.String(policyStep), &step.Adjustment
		if step.MinMagnitude > 0 {
			in.MinAdjustmentMagnitude = &step.MinMagnitude
		}
		for _, r := range step.Steps {
			in.StepAdjustments = append(in.StepAdjustments, types.StepAdjustment{
				MetricIntervalLowerBound: r.Lower, MetricIntervalUpperBound: r.Upper, ScalingAdjustment: aws.Int32(r.Change),
			})
		}
		return in, nil
	}
	in.PolicyType = aws.String(policyTracking)
	in.TargetTrackingConfiguration = n.tracking(*p.Tracking)
	return in, nil
}

func (n scope) tracking(t cluster.TargetTracker) *types.TargetTrackingConfiguration {
	configuration := &types.TargetTrackingConfiguration{TargetValue: &t.Target, DisableScaleIn: &t.DisableScaleIn}
	if t.Metric == nil {
		configuration.PredefinedMetricSpecification = &types.PredefinedMetricSpecification{PredefinedMetricType: types.MetricType(t.Predefined)}
		if t.Predefined == cluster.RequestsPerTarget {
			configuration.PredefinedMetricSpecification.ResourceLabel = aws.String(n.loadBalancer + "/" + n.targetGroup)
		}
		return configuration
	}
	custom := &types.CustomizedMetricSpecification{
		Namespace: &t.Metric.Namespace, MetricName: &t.Metric.Name,
		Statistic: types.MetricStatistic(t.Metric.Statistic), Unit: optional(t.Metric.Unit),
	}
	for _, name := range sortedKeys(t.Metric.Dimensions) {
		custom.Dimensions = append(custom.Dimensions, types.MetricDimension{
			Name: aws.String(name), Value: aws.String(n.dimension(name, t.Metric.Dimensions[name])),
		})
	}
	configuration.CustomizedMetricSpecification = custom
	return configuration
}

// stepAlarmName names the alarm of a generation's step policy.
func stepAlarmName(g cluster.Generation, policy string) string { return stepAlarmPrefix(g) + policy }

// stepAlarmPrefix begins the names of all alarms that belong to a generation's policies.
func stepAlarmPrefix(g cluster.Generation) string { return g.Name + "/" }

// stepAlarm is the request that puts the alarm of a step policy, without its action.
func (n scope) stepAlarm(p cluster.Policy) *cloudwatch.PutMetricAlarmInput {
	a := p.Step.Alarm
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName:        aws.String(stepAlarmName(n.generation, p.Name)),
		AlarmDescription: aws.String(fmt.Sprintf("Calls the scaling policy %s of %s.", p.Name, n.generation.Name)),
		Namespace:        &a.Metric.Namespace, MetricName: &a.Metric.Name, Unit: cwtypes.StandardUnit(a.Metric.Unit),
		Period: seconds(a.Period), EvaluationPeriods: &a.EvaluationPeriods, Threshold: &a.Threshold,
		ComparisonOperator: cwtypes.ComparisonOperator(a.Comparison), TreatMissingData: optional(a.MissingData),
	}
	if statistic := cwtypes.Statistic(a.Metric.Statistic); slices.Contains(statistic.Values(), statistic) {
		in.Statistic = statistic
	} else {
		in.ExtendedStatistic = &a.Metric.Statistic // such as p95
	}
	for _, name := range sortedKeys(a.Metric.Dimensions) {
		in.Dimensions = append(in.Dimensions, cwtypes.Dimension{
			Name: aws.String(name), Value: aws.String(n.dimension(name, a.Metric.Dimensions[name])),
		})
	}
	return in
}

// observeStepAlarms completes step policies with their alarms. A policy without its alarm, or
// with one that a cluster.StepAlarm cannot express, is not as a cluster declares it.
func (c *Cloud) observeStepAlarms(ctx context.Context, g cluster.Generation, policies []cluster.Policy) error {
	if !(cluster.Attachments{Policies: policies}).HasAlarms() {
		return nil
	}
	alarms := map[string]cwtypes.MetricAlarm{}
	err := c.eachAlarm(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String(stepAlarmPrefix(g))}, func(a cwtypes.MetricAlarm) {
		alarms[aws.ToString(a.AlarmName)] = a
	})
	if err != nil {
		return err
	}
	for i, p := range policies {
		if p.Step == nil {
			continue
		}
		a, there := alarms[stepAlarmName(g, p.Name)]
		if !there || len(a.Metrics) > 0 || a.DatapointsToAlarm != nil && aws.ToInt32(a.DatapointsToAlarm) != aws.ToInt32(a.EvaluationPeriods) {
			policies[i].Step = nil
			continue
		}
		alarm := cluster.StepAlarm{
			Metric: cluster.Metric{
				Namespace: aws.ToString(a.Namespace), Name: aws.ToString(a.MetricName), Unit: string(a.Unit),
				Statistic: string(a.Statistic) + aws.ToString(a.ExtendedStatistic), Dimensions: map[string]string{},
			},
			Period: time.Duration(aws.ToInt32(a.Period)) * time.Second, EvaluationPeriods: aws.ToInt32(a.EvaluationPeriods),
			Threshold: aws.ToFloat64(a.Threshold), Comparison: string(a.ComparisonOperator), MissingData: aws.ToString(a.TreatMissingData),
		}
		for _, d := range a.Dimensions {
			alarm.Metric.Dimensions[aws.ToString(d.Name)] = observeDimension(g, aws.ToString(d.Value))
		}
		policies[i].Step.Alarm = alarm
	}
	return nil
}

// eachAlarm calls do for each metric alarm. Only those can call scaling policies.
func (c *Cloud) eachAlarm(ctx context.Context, in *cloudwatch.DescribeAlarmsInput, do func(cwtypes.MetricAlarm)) error {
	in.AlarmTypes = []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm}
	pages := cloudwatch.NewDescribeAlarmsPaginator(c.cloudwatch, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read alarms: %w", err)
		}
		for _, a := range page.MetricAlarms {
			do(a)
		}
	}
	return nil
}

// deleteStepAlarms deletes those of the alarms that exist.
func (c *Cloud) deleteStepAlarms(ctx context.Context, alarms *cloudwatch.DescribeAlarmsInput) error {
	var names []string
	err := c.eachAlarm(ctx, alarms, func(a cwtypes.MetricAlarm) {
		names = append(names, aws.ToString(a.AlarmName))
	})
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(names, maxAlarmNames) {
		if _, err := c.cloudwatch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: batch}); err != nil {
			return notYet(fmt.Errorf("delete alarms %s: %w", strings.Join(batch, ", "), err), codeAlarmNotFound)
		}
	}
	return nil
}

// callers lists the alarms that call one of the group's policies, with the ARNs of those by their
// names, aside from alarms of the generation's own and those that target tracking makes.
func (c *Cloud) callers(
	ctx context.Context, g cluster.Generation, policies []types.ScalingPolicy,
) (callers []cwtypes.MetricAlarm, arns map[string]string, err error) {
	arns = map[string]string{}
	called := false
	for _, p := range policies {
		arns[aws.ToString(p.PolicyName)] = aws.ToString(p.PolicyARN)
		called = called || aws.ToString(p.PolicyType) != policyTracking
	}
	if !called {
		return nil, arns, nil // AWS's own alarms call a target tracking policy
	}
	calls := func(a cwtypes.MetricAlarm) bool {
		for name, arn := range arns {
			if slices.Contains(alarmActions(a), arn) && aws.ToString(a.AlarmName) != stepAlarmName(g, name) {
				return !strings.HasPrefix(aws.ToString(a.AlarmName), "TargetTracking-")
			}
		}
		return false
	}
	// arn:aws:autoscaling:REGION:ACCOUNT:scalingPolicy:ID:autoScalingGroupName/GROUP:policyName/NAME
	prefix := ""
	for _, arn := range arns {
		prefix, _, _ = strings.Cut(arn, ":scalingPolicy:")
	}
	err = c.eachAlarm(ctx, &cloudwatch.DescribeAlarmsInput{ActionPrefix: aws.String(prefix + ":scalingPolicy:")}, func(a cwtypes.MetricAlarm) {
		if calls(a) {
			callers = append(callers, a)
		}
	})
	return callers, arns, err
}

func alarmActions(a cwtypes.MetricAlarm) []string {
	return slices.Concat(a.AlarmActions, a.OKActions, a.InsufficientDataActions)
}

// ShareCallers implements cluster.Attacher.
func (c *Cloud) ShareCallers(ctx context.Context, from, to cluster.Generation) error {
	policies, err := c.policies(ctx, from)
	if err != nil {
		return err
	}
	callers, was, err := c.callers(ctx, from, policies)
	if len(callers) == 0 || err != nil {
		return err
	}
	policies, err = c.policies(ctx, to)
	if err != nil {
		return err
	}
	also := map[string]string{} // by the ARN of the same policy before
	for _, p := range policies {
		if arn, ok := was[aws.ToString(p.PolicyName)]; ok {
			also[arn] = aws.ToString(p.PolicyARN)
		}
	}
	return c.changeActions(ctx, callers, func(actions []string) []string {
		all := slices.Clone(actions)
		for _, arn := range actions {
			if same, ok := also[arn]; ok && !slices.Contains(all, same) {
				all = append(all, same)
			}
		}
		return all
	})
}

// DropCallers implements cluster.Attacher.
func (c *Cloud) DropCallers(ctx context.Context, g cluster.Generation) error {
	policies, err := c.policies(ctx, g)
	if err != nil {
		return err
	}
	callers, arns, err := c.callers(ctx, g, policies)
	if err != nil {
		return err
	}
	return c.changeActions(ctx, callers, func(actions []string) []string {
		return slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
			for _, arn := range arns {
				if arn == action {
					return true
				}
			}
			return false
		})
	})
}

// RemovePolicyAlarms implements cluster.Attacher.
func (c *Cloud) RemovePolicyAlarms(ctx context.Context, g cluster.Generation) error {
	return c.deleteStepAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String(stepAlarmPrefix(g))})
}

// changeActions puts alarms again with other actions. Everything else of them, with their
// state and tags, stays.
func (c *Cloud) changeActions(ctx context.Context, alarms []cwtypes.MetricAlarm, change func([]string) []string) error {
	for _, a := range alarms {
		encoded, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("copy alarm %q: %w", aws.ToString(a.AlarmName), err)
		}
		in := &cloudwatch.PutMetricAlarmInput{}
		if err := json.Unmarshal(encoded, in); err != nil {
			return fmt.Errorf("copy alarm %q: %w", aws.ToString(a.AlarmName), err)
		}
		in.AlarmActions, in.OKActions, in.InsufficientDataActions = change(a.AlarmActions), change(a.OKActions), change(a.InsufficientDataActions)
		if slices.Equal(in.AlarmActions, a.AlarmActions) && slices.Equal(in.OKActions, a.OKActions) &&
			slices.Equal(in.InsufficientDataActions, a.InsufficientDataActions) {
			continue
		}
		if _, err := c.cloudwatch.PutMetricAlarm(ctx, in); err != nil {
			return fmt.Errorf("change the actions of alarm %q: %w", aws.ToString(a.AlarmName), err)
		}
	}
	return nil
}
