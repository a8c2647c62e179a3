package awscloud

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Error codes of Elastic Load Balancing.
const (
	codeTargetGroupNotFound = "TargetGroupNotFound"
	codeTargetGroupExists   = "DuplicateTargetGroupName"
	codeResourceInUse       = "ResourceInUse"
)

// Attributes of a target group,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html.
const (
	attributeDelay          = "deregistration_delay.timeout_seconds"
	attributeSticky         = "stickiness.enabled"
	attributeStickyType     = "stickiness.type"
	attributeStickyDuration = "stickiness.lb_cookie.duration_seconds"

	attributeStickyAppDuration = "stickiness.app_cookie.duration_seconds"
)

// trafficPort has each target checked on the port that it gets requests on.
const trafficPort = "traffic-port"

func healthCheckPort(h cluster.HealthCheck) string {
	if h.Port == 0 {
		return trafficPort
	}
	return strconv.Itoa(int(h.Port))
}

// MakeTargets implements cluster.Cloud.
func (c *Cloud) MakeTargets(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	_, vpc, err := c.subnets(ctx, s.Servers.SubnetIDs)
	if err != nil {
		return err
	}
	t := s.Target
	_, err = c.elb.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name:                       &g.Name,
		Port:                       &t.Port,
		Protocol:                   types.ProtocolEnum(t.Protocol),
		TargetType:                 types.TargetTypeEnumInstance,
		VpcId:                      &vpc,
		HealthCheckEnabled:         aws.Bool(true),
		HealthCheckPath:            &t.Health.Path,
		HealthCheckPort:            aws.String(healthCheckPort(t.Health)),
		HealthCheckProtocol:        types.ProtocolEnum(cmp.Or(t.Health.Protocol, t.Protocol)),
		HealthCheckIntervalSeconds: seconds(t.Health.Interval),
		HealthCheckTimeoutSeconds:  seconds(t.Health.Timeout),
		HealthyThresholdCount:      &t.Health.HealthyThreshold,
		UnhealthyThresholdCount:    &t.Health.UnhealthyThreshold,
		Matcher:                    &types.Matcher{HttpCode: &t.Health.Matcher},
		Tags:                       elbTags(g.Tags(s.Tags)),
	})
	// If a group of that name exists, AWS returns it if its settings are the same,
	// and an error otherwise. In either case it is ours, because its name is.
	if err != nil && !hasCode(err, codeTargetGroupExists) {
		return fmt.Errorf("create target group %s: %w", g.Name, err)
	}
	group, err := visible(ctx, "target group", g, c.targetGroup)
	if err != nil {
		return err
	}
	set := []types.TargetGroupAttribute{
		attribute(attributeDelay, strconv.Itoa(int(t.DeregistrationDelay.Seconds()))),
		attribute(attributeSticky, strconv.FormatBool(t.Stickiness > 0)),
	}
	if t.Stickiness > 0 {
		set = append(set,
			attribute(attributeStickyType, "lb_cookie"),
			attribute(attributeStickyDuration, strconv.Itoa(int(t.Stickiness.Seconds()))))
	}
	_, err = c.elb.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: group.TargetGroupArn, Attributes: set,
	})
	if err != nil {
		// AWS may not show the group everywhere although it was found.
		return notYet(fmt.Errorf("set the attributes of target group %s: %w", g.Name, err), codeTargetGroupNotFound)
	}
	return nil
}

func attribute(key, value string) types.TargetGroupAttribute {
	return types.TargetGroupAttribute{Key: &key, Value: &value}
}

func seconds(d time.Duration) *int32 { return aws.Int32(int32(d.Seconds())) }

// targetGroup finds the generation's target group; nil if it does not exist.
func (c *Cloud) targetGroup(ctx context.Context, g cluster.Generation) (*types.TargetGroup, error) {
	out, err := c.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{g.Name}})
	switch {
	case hasCode(err, codeTargetGroupNotFound) || err == nil && len(out.TargetGroups) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read target group %s: %w", g.Name, err)
	}
	return &out.TargetGroups[0], nil
}

// observeTarget describes a target group.
func (c *Cloud) observeTarget(ctx context.Context, group *types.TargetGroup) (*cluster.Target, error) {
	attributes, err := c.targetGroupAttributes(ctx, aws.ToString(group.TargetGroupArn))
	if err != nil {
		return nil, err
	}
	t := &cluster.Target{
		Port:                aws.ToInt32(group.Port),
		Protocol:            string(group.Protocol),
		DeregistrationDelay: attributes.delay,
		Stickiness:          attributes.stickiness,
	}
	health := cluster.HealthCheck{
		Path:               aws.ToString(group.HealthCheckPath),
		Interval:           time.Duration(aws.ToInt32(group.HealthCheckIntervalSeconds)) * time.Second,
		Timeout:            time.Duration(aws.ToInt32(group.HealthCheckTimeoutSeconds)) * time.Second,
		HealthyThreshold:   aws.ToInt32(group.HealthyThresholdCount),
		UnhealthyThreshold: aws.ToInt32(group.UnhealthyThresholdCount),
		Protocol:           string(group.HealthCheckProtocol),
	}
	if group.Matcher != nil {
		health.Matcher = aws.ToString(group.Matcher.HttpCode)
	}
	if port := aws.ToString(group.HealthCheckPort); port != "" && port != trafficPort {
		n, err := strconv.ParseInt(port, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("health check port of target group %s: %w", aws.ToString(group.TargetGroupName), err)
		}
		health.Port = int32(n)
	}
	t.SetHealth(health)
	return t, nil
}

// attributes of a target group. A stickiness of 0 is none.
type attributes struct{ delay, stickiness time.Duration }

func (c *Cloud) targetGroupAttributes(ctx context.Context, arn string) (a attributes, err error) {
	var out *elb.DescribeTargetGroupAttributesOutput
	err = c.settle(ctx, []string{codeTargetGroupNotFound}, func(ctx context.Context) (err error) {
		out, err = c.elb.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
		return err
	})
	if err != nil {
		return a, fmt.Errorf("read the attributes of target group %s: %w", arn, err)
	}
	values := map[string]string{}
	for _, attribute := range out.Attributes {
		values[aws.ToString(attribute.Key)] = aws.ToString(attribute.Value)
	}
	if a.delay, err = secondsAttribute(values, attributeDelay); err != nil {
		return a, err
	}
	if values[attributeSticky] == "true" {
		duration := attributeStickyDuration
		if values[attributeStickyType] == "app_cookie" { // of others only
			duration = attributeStickyAppDuration
		}
		a.stickiness, err = secondsAttribute(values, duration)
	}
	return a, err
}

func secondsAttribute(values map[string]string, key string) (time.Duration, error) {
	d, err := time.ParseDuration(values[key] + "s")
	if err != nil {
		return 0, fmt.Errorf("target group attribute %s: %w", key, err)
	}
	return d, nil
}

// RemoveTargets implements cluster.Cloud. AWS may report a target group to be in
// use for a while after it was disconnected from its last listener.
func (c *Cloud) RemoveTargets(ctx context.Context, g cluster.Generation) error {
	group, err := c.targetGroup(ctx, g)
	if group == nil || err != nil {
		return err
	}
	_, err = c.elb.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: group.TargetGroupArn})
	if err != nil && !hasCode(err, codeTargetGroupNotFound) {
		return notYet(fmt.Errorf("delete target group %s: %w", g.Name, err), codeResourceInUse)
	}
	return nil
}
