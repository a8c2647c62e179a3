package awscloud

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// hopelessReasons are parts of the messages of launches that fail again until the configuration
// or a permission is changed. Missing capacity, prices of spot instances and quotas are not
// among them, because they change by themselves. Lower case;
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html and, for
// codes, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
var hopelessReasons = []string{
	"the requested configuration is currently not supported",
	"is not supported in your requested availability zone",
	"does not exist", // a security group, key pair, image, subnet, snapshot or instance type
	"do not exist",
	"does not match the architecture",
	"invalid iam instance profile",
	"iaminstanceprofile",
	"invalid device name",
	"parameter virtualname is invalid",
	"ebs block device mappings not supported",
	"placement groups may not be used",
	"is smaller than snapshot",
	"invalid launch template", "valid fully-formed launch template",
	"client error on launch", // the key of an encrypted volume cannot be used
	"client.internalerror", "client.invalidkmskey", "invalidkmskey",
	"you are not authorized to perform this operation", "unauthorizedoperation", "accessdenied",
	"in order to use this aws marketplace product you need to accept terms and subscribe", "optinrequired",
}

// hopeless reports whether a launch that failed with this message fails again however long
// one waits.
func hopeless(message string) bool {
	message = strings.ToLower(message)
	return slices.ContainsFunc(hopelessReasons, func(part string) bool { return strings.Contains(message, part) })
}

// launchFailure says why the group's latest activity that has ended failed; empty if it did
// not fail. IsHopeless says that no later one is in progress, and that it would fail again.
func (c *Cloud) launchFailure(ctx context.Context, g cluster.Generation) (why string, isHopeless bool, err error) {
	out, err := c.autoscaling.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{
		AutoScalingGroupName: &g.Name, MaxRecords: aws.Int32(10),
	})
	if err != nil {
		return "", false, fmt.Errorf("read the activities of Auto Scaling group %s: %w", g.Name, err)
	}
	for i, activity := range out.Activities { // the latest first
		switch activity.StatusCode {
		case types.ScalingActivityStatusCodeFailed, types.ScalingActivityStatusCodeCancelled:
			message := aws.ToString(activity.StatusMessage)
			return message, i == 0 && activity.StatusCode == types.ScalingActivityStatusCodeFailed && hopeless(message), nil
		case types.ScalingActivityStatusCodeSuccessful:
			return "", false, nil
		}
	}
	return "", false, nil
}
