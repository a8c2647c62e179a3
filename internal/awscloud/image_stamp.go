package awscloud

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

var _ stamp.Cloud = (*Cloud)(nil)

// EC2 is eventually consistent: the next call may not see yet what one call has
// created. It does within seconds; a minute is plenty.
const (
	newImageEvery  = 5 * time.Second
	newImageWithin = time.Minute
)

const codeSnapshotNotFound = "InvalidSnapshot.NotFound"

// DescribeImage implements stamp.Cloud.
func (c *Cloud) DescribeImage(ctx context.Context, image stamp.Image) (stamp.Description, error) {
	client := c.In(image.Region).ec2
	var described stamp.Description
	describe := func(ctx context.Context, _ time.Duration) (done bool, saw string, err error) {
		out, err := client.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{image.ID}})
		switch {
		case hasCode(err, codeImageNotFound) || err == nil && len(out.Images) == 0:
			return false, fmt.Sprintf("it does not exist in %s%s", image.Region, checkRegion), nil
		case err != nil:
			return false, "", err
		}
		found := out.Images[0]
		switch found.State {
		case ec2types.ImageStateAvailable:
			described = fromImage(found)
			return true, "", nil
		case ec2types.ImageStatePending, ec2types.ImageStateTransient:
			return false, fmt.Sprintf("it is still %s; wait until it is available, then try again", found.State), nil
		}
		return false, "", fmt.Errorf("it is %s and no server can be launched from it (%s)", found.State, reason(found))
	}
	err := clock.Poll(ctx, c.clock, newImageEvery, newImageWithin, describe)
	return described, err
}

func fromImage(image ec2types.Image) stamp.Description {
	described := stamp.Description{Architecture: string(image.Architecture), Tags: tagging.Set{}}
	for _, tag := range image.Tags {
		described.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for _, device := range image.BlockDeviceMappings {
		// Instance store volumes and empty EBS volumes have no snapshot.
		if device.Ebs != nil && device.Ebs.SnapshotId != nil {
			described.Snapshots = append(described.Snapshots, *device.Ebs.SnapshotId)
		}
	}
	return described
}

func reason(image ec2types.Image) string {
	if image.StateReason == nil || aws.ToString(image.StateReason.Message) == "" {
		return "AWS gives no reason"
	}
	return *image.StateReason.Message
}

// TagImage implements stamp.Cloud. One call takes 1000 resources, and an image
// has far fewer snapshots.
func (c *Cloud) TagImage(ctx context.Context, image stamp.Image, snapshots []string, tags tagging.Set) error {
	client := c.In(image.Region).ec2
	input := &ec2.CreateTagsInput{Resources: append([]string{image.ID}, snapshots...), Tags: ec2Tags(tags)}
	tag := func(ctx context.Context, _ time.Duration) (done bool, saw string, err error) {
		_, err = client.CreateTags(ctx, input)
		if hasCode(err, codeImageNotFound, codeSnapshotNotFound) {
			return false, err.Error(), nil
		}
		return err == nil, "", err
	}
	return clock.Poll(ctx, c.clock, newImageEvery, newImageWithin, tag)
}
