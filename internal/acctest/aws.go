package acctest

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// EC2 returns a client for the test's account that bypasses the proxy.
func (e *Env) EC2() *ec2.Client { return ec2.NewFromConfig(e.Config(Region)) }

// AutoScaling returns a client for the test's account that bypasses the proxy.
func (e *Env) AutoScaling() *autoscaling.Client { return autoscaling.NewFromConfig(e.Config(Region)) }

// ELB returns a client for the test's account that bypasses the proxy.
func (e *Env) ELB() *elb.Client { return elb.NewFromConfig(e.Config(Region)) }

// NothingLeft returns an error that lists what is left in the test's account.
func (e *Env) NothingLeft(ctx context.Context) error {
	return rig.NothingLeft(ctx, e.Account, e.Landscape)
}

// Forwards describes where the listener routes requests, a line for each rule and
// the default action: "100 strawberry-test-*=100", "default fixed-response 404".
func (e *Env) Forwards(ctx context.Context) (string, error) {
	rules, err := e.ELB().DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
	if err != nil {
		return "", err
	}
	var lines []string
	for _, rule := range rules.Rules {
		line := aws.ToString(rule.Priority)
		for _, action := range rule.Actions {
			switch {
			case action.FixedResponseConfig != nil:
				line += " " + string(action.Type) + " " + aws.ToString(action.FixedResponseConfig.StatusCode)
			case action.ForwardConfig != nil:
				for _, t := range action.ForwardConfig.TargetGroups {
					name := strings.Split(aws.ToString(t.TargetGroupArn), "/")[1]
					line += fmt.Sprintf(" %s=%d", name, aws.ToInt32(t.Weight))
				}
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}
