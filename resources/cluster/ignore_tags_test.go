package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// foreignKey and foreignValue are a tag that a backup service sets. It is one only, because
// moto allows ten tags on a target group.
const foreignKey, foreignValue = "backup:plan", "daily"

// ignoring is a configuration whose provider ignores tags.
func ignoring(ignore, config string) string {
	return strings.Replace(config, "  default_tags", "  ignore_tags {\n    "+ignore+"\n  }\n  default_tags", 1)
}

// tagByHand puts the foreign tag on everything that the cluster consists of, except for
// volumes: moto does not give those the cluster's tags.
func tagByHand(t *testing.T, e *acctest.Env) {
	t.Helper()
	ctx := t.Context()
	groups, err := e.AutoScaling().DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
	fatal(t, err)
	group := groups.AutoScalingGroups[0]
	ids := []string{aws.ToString(group.LaunchTemplate.LaunchTemplateId)}
	for _, instance := range group.Instances {
		ids = append(ids, aws.ToString(instance.InstanceId))
	}
	rules, err := e.ELB().DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: aws.String(e.Listener)})
	fatal(t, err)
	balancing := []string{aws.ToString(rules.Rules[0].RuleArn), group.TargetGroupARNs[0]}
	key, value := aws.String(foreignKey), aws.String(foreignValue)
	_, err = e.AutoScaling().CreateOrUpdateTags(ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: []asgtypes.Tag{{
		ResourceId: group.AutoScalingGroupName, ResourceType: aws.String("auto-scaling-group"),
		PropagateAtLaunch: aws.Bool(true), Key: key, Value: value,
	}}})
	fatal(t, err)
	_, err = e.EC2().CreateTags(ctx, &ec2.CreateTagsInput{Resources: ids, Tags: []ec2types.Tag{{Key: key, Value: value}}})
	fatal(t, err)
	_, err = e.ELB().AddTags(ctx, &elb.AddTagsInput{ResourceArns: balancing, Tags: []elbtypes.Tag{{Key: key, Value: value}}})
	fatal(t, err)
}

// taggedByHand checks that the foreign tag is on all things of these kinds, and on no others.
func taggedByHand(ctx context.Context, e *acctest.Env, kinds ...string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		things, err := rig.Tags(ctx, e.Account, e.Landscape)
		if err != nil {
			return err
		}
		for thing, tags := range things {
			kind, name, _ := strings.Cut(thing, ":")
			if kind == "volume" || strings.HasPrefix(name, "all of ") {
				continue // what the template would start
			}
			want := ""
			if slices.Contains(kinds, kind) {
				want = foreignValue
			}
			if tags[foreignKey] != want {
				return fmt.Errorf("%s has the tag %s = %q, want %q", thing, foreignKey, tags[foreignKey], want)
			}
		}
		return nil
	}
}

// Ignored tags are no drift, and stay on what they were put on. What a rollout creates does
// not get them.
func TestAccCluster_IgnoreTags(t *testing.T) {
	e := acctest.New(t)
	ignored := func(changes ...arguments) string {
		return ignoring(`key_prefixes = ["backup:"]`, config(e, changes...))
	}
	retagged := arguments{"tags": `{ purpose = "demo" }`}
	everything := []string{"Auto Scaling group", "instance", "launch template", "target group", "listener rule"}
	test(t, e,
		resource.TestStep{Config: config(e)},
		resource.TestStep{PreConfig: func() { tagByHand(t, e) }, Config: config(e), PlanOnly: true, ExpectNonEmptyPlan: true},
		resource.TestStep{
			Config:           ignored(),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			Check:            taggedByHand(t.Context(), e, everything...),
		},
		imported,
		resource.TestStep{
			Config: ignored(retagged), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(tagged(t, e, "demo", ""), taggedByHand(t.Context(), e, everything...)),
		},
		resource.TestStep{
			Config: ignored(retagged, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: taggedByHand(t.Context(), e, "listener rule"),
		},
		// Once they are no longer ignored, they are drift again.
		resource.TestStep{
			Config: config(e, next), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: taggedByHand(t.Context(), e),
		},
	)
}

func TestAccCluster_IgnoreTags_Refused(t *testing.T) {
	e := acctest.New(t)
	for ignore, text := range map[string]string{
		`keys = ["solution"]`:          `tag "solution" is set and cannot be ignored: leave it out of ignore_tags`,
		`keys = ["purpose"]`:           `tag "purpose" is set and cannot be ignored`,
		`keys = ["version"]`:           `tag "version" is set and cannot be ignored`,
		`key_prefixes = ["delivery:"]`: `tag "delivery:cluster" is set and cannot be ignored`,
		`key_prefixes = [""]`:          `string length must be at least 1`,
	} {
		test(t, e, resource.TestStep{Config: ignoring(ignore, config(e)), PlanOnly: true, ExpectError: says(text)})
	}
}
