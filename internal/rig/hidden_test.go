package rig_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestHidden(t *testing.T) {
	s := newFixture(t, rig.Options{})
	s.proxy.Intercept(rig.Hidden(2))
	code := func(err error) string {
		var api smithy.APIError
		if errors.As(err, &api) {
			return api.ErrorCode()
		}
		s.check(err)
		return ""
	}
	names := []string{"v1"}
	s.generation("v1", 1, nil)
	for _, tt := range []struct {
		what, want string
		describe   func() string
	}{
		{"target group", "TargetGroupNotFound", func() string {
			_, err := s.balancing.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: names})
			return code(err)
		}},
		{"launch template", "InvalidLaunchTemplateName.NotFoundException", func() string {
			_, err := s.compute.DescribeLaunchTemplates(t.Context(), &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: names})
			return code(err)
		}},
		{"Auto Scaling group", "none", func() string {
			out, err := s.scaling.DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: names})
			if err == nil && len(out.AutoScalingGroups) == 0 {
				return "none"
			}
			return code(err)
		}},
	} {
		for i, want := range []string{tt.want, tt.want, "", ""} {
			if got := tt.describe(); got != want {
				t.Errorf("%s, describe call %d: got %q, want %q", tt.what, i+1, got, want)
			}
		}
	}
}
