package rig

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Images returns the tags of each image that the account owns in the region, and
// those of its snapshots, by id.
func Images(ctx context.Context, a Account, region string) ([]map[string]map[string]string, error) {
	client := ec2.NewFromConfig(a.Config(region))
	out, err := client.DescribeImages(ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}})
	if err != nil {
		return nil, err
	}
	var all []map[string]map[string]string
	for _, image := range out.Images {
		if aws.ToString(image.ImageId) == BaseImage {
			continue
		}
		tags := map[string]map[string]string{aws.ToString(image.ImageId): ec2Tags(image.Tags)}
		for _, device := range image.BlockDeviceMappings {
			if device.Ebs == nil || device.Ebs.SnapshotId == nil {
				continue
			}
			snapshots, err := client.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*device.Ebs.SnapshotId}})
			if err != nil {
				return nil, err
			}
			for _, snapshot := range snapshots.Snapshots {
				tags[aws.ToString(snapshot.SnapshotId)] = ec2Tags(snapshot.Tags)
			}
		}
		all = append(all, tags)
	}
	return all, nil
}
