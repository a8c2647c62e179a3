package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

// snapshot is the state of the servers and the load balancer in moto.
type snapshot struct {
	instances map[string]instance // those that run, in a group
	groups    map[string]settings // target groups, by ARN
	rules     []rule              // the first match counts; the last is the default action
}

// instance is an instance of an Auto Scaling group.
type instance struct {
	id, version string
	// replaced means that the group replaces it when a load balancer finds it
	// unhealthy, after the grace period.
	replaced bool
	grace    time.Duration
}

// settings are the settings of a target group.
type settings struct {
	arn, name          string
	port               string
	path, matcher      string
	interval, timeout  time.Duration
	healthy, unhealthy int
	deregistration     time.Duration
	sticky             time.Duration // 0 means none
	registered         []string
}

// observer takes snapshots of moto.
type observer struct {
	autoscaling *autoscaling.Client
	ec2         *ec2.Client
	elb         *elb.Client
	transport   *http.Transport
	listener    string
	// speed divides all durations.
	speed float64

	// details need calls per target group. They are fetched again after each call
	// that may have changed them, and regularly because of calls that did not pass
	// the proxy.
	details map[string]details
}

type details struct {
	attributes map[string]string
	targets    []string
	asked      time.Time
	changes    int64
}

const detailsMaxAge = 2 * time.Second

func newObserver(a Account, l Landscape, speed float64) *observer {
	transport := &http.Transport{}
	cfg := a.Config(l.Region)
	cfg.HTTPClient = &http.Client{Transport: transport}
	return &observer{
		autoscaling: autoscaling.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg), elb: elb.NewFromConfig(cfg),
		transport: transport, listener: l.Listener, speed: speed, details: map[string]details{},
	}
}

// snapshot takes a snapshot; changes is the number of calls so far that may have
// changed something. It fetches instances first and rules last, so that a rule never
// comes into effect before its servers are known.
func (o *observer) snapshot(ctx context.Context, changes int64) (snapshot, error) {
	p := snapshot{instances: map[string]instance{}, groups: map[string]settings{}}
	for _, part := range []struct {
		name  string
		fetch func() error
	}{
		{"instances", func() error { return o.instances(ctx, p.instances) }},
		{"target groups", func() error { return o.targetGroups(ctx, changes, p.groups) }},
		{"rules", func() (err error) { p.rules, err = o.rules(ctx); return err }},
	} {
		if err := part.fetch(); err != nil {
			return snapshot{}, fmt.Errorf("describe the %s: %w", part.name, err)
		}
	}
	return p, nil
}

func (o *observer) instances(ctx context.Context, found map[string]instance) error {
	members := map[string]instance{}
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(o.autoscaling, &autoscaling.DescribeAutoScalingGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, group := range page.AutoScalingGroups {
			member := instance{
				replaced: aws.ToString(group.HealthCheckType) == "ELB",
				grace:    o.seconds(group.HealthCheckGracePeriod),
			}
			for _, process := range group.SuspendedProcesses {
				switch aws.ToString(process.ProcessName) {
				case "HealthCheck", "ReplaceUnhealthy", "Terminate":
					member.replaced = false
				}
			}
			for _, tag := range group.Tags {
				if aws.ToString(tag.Key) == versionTag {
					member.version = aws.ToString(tag.Value)
				}
			}
			for _, i := range group.Instances {
				member.id = aws.ToString(i.InstanceId)
				members[member.id] = member
			}
		}
	}
	if len(members) == 0 {
		return nil
	}
	running := ec2.NewDescribeInstancesPaginator(o.ec2, &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{
		{Name: aws.String("instance-state-name"), Values: []string{"running"}},
	}})
	for running.HasMorePages() {
		page, err := running.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				member, ok := members[aws.ToString(i.InstanceId)]
				if !ok {
					continue
				}
				for _, tag := range i.Tags {
					if aws.ToString(tag.Key) == versionTag {
						member.version = aws.ToString(tag.Value)
					}
				}
				found[member.id] = member
			}
		}
	}
	return nil
}

// versionTag is the tag with an instance's version.
const versionTag = "version"

func (o *observer) targetGroups(ctx context.Context, changes int64, found map[string]settings) error {
	pages := elb.NewDescribeTargetGroupsPaginator(o.elb, &elb.DescribeTargetGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, group := range page.TargetGroups {
			s := settings{
				arn: aws.ToString(group.TargetGroupArn), name: aws.ToString(group.TargetGroupName),
				port: strconv.Itoa(int(aws.ToInt32(group.Port))),
				path: aws.ToString(group.HealthCheckPath), matcher: "200",
				interval: o.seconds(group.HealthCheckIntervalSeconds), timeout: o.seconds(group.HealthCheckTimeoutSeconds),
				healthy: int(aws.ToInt32(group.HealthyThresholdCount)), unhealthy: int(aws.ToInt32(group.UnhealthyThresholdCount)),
			}
			if group.Matcher != nil && group.Matcher.HttpCode != nil {
				s.matcher = *group.Matcher.HttpCode
			}
			d, err := o.detailsOf(ctx, s.arn, changes)
			var api smithy.APIError
			if errors.As(err, &api) && api.ErrorCode() == "TargetGroupNotFound" {
				continue // deleted since
			}
			if err != nil {
				return err
			}
			s.registered = d.targets
			s.deregistration = o.attribute(d.attributes, "deregistration_delay.timeout_seconds")
			if d.attributes["stickiness.enabled"] == "true" && d.attributes["stickiness.type"] == "lb_cookie" {
				s.sticky = o.attribute(d.attributes, "stickiness.lb_cookie.duration_seconds")
			}
			found[s.arn] = s
		}
	}
	for arn := range o.details {
		if _, ok := found[arn]; !ok {
			delete(o.details, arn)
		}
	}
	return nil
}

// detailsOf fetches attributes and registered targets. It ignores the health that
// moto returns.
func (o *observer) detailsOf(ctx context.Context, arn string, changes int64) (details, error) {
	if d, ok := o.details[arn]; ok && d.changes == changes && time.Since(d.asked) < detailsMaxAge {
		return d, nil
	}
	d := details{attributes: map[string]string{}, asked: time.Now(), changes: changes}
	attributes, err := o.elb.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if err != nil {
		return d, err
	}
	for _, attribute := range attributes.Attributes {
		d.attributes[aws.ToString(attribute.Key)] = aws.ToString(attribute.Value)
	}
	targets, err := o.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	if err != nil {
		return d, err
	}
	for _, t := range targets.TargetHealthDescriptions {
		d.targets = append(d.targets, aws.ToString(t.Target.Id))
	}
	o.details[arn] = d
	return d, nil
}

// rules returns the listener's rules. Moto lists its current default action as a
// rule.
func (o *observer) rules(ctx context.Context) ([]rule, error) {
	var found []elbtypes.Rule
	pages := elb.NewDescribeRulesPaginator(o.elb, &elb.DescribeRulesInput{ListenerArn: &o.listener})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Rules...)
	}
	priority := func(r elbtypes.Rule) int {
		n, err := strconv.Atoi(aws.ToString(r.Priority))
		if err != nil {
			return 1 << 30 // "default"
		}
		return n
	}
	slices.SortFunc(found, func(a, b elbtypes.Rule) int { return cmp.Compare(priority(a), priority(b)) })
	var rules []rule
	for _, r := range found {
		if made, ok := newRule(r, o.speed); ok {
			rules = append(rules, made)
		}
	}
	return rules, nil
}

func (o *observer) seconds(n *int32) time.Duration {
	return scaled(time.Duration(aws.ToInt32(n))*time.Second, o.speed)
}

func (o *observer) attribute(attributes map[string]string, key string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(attributes[key]))
	if err != nil {
		return 0
	}
	return scaled(time.Duration(n)*time.Second, o.speed)
}

// scaled is how long d takes at a speed.
func scaled(d time.Duration, speed float64) time.Duration {
	return time.Duration(float64(d) / speed)
}
