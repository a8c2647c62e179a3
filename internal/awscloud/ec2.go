package awscloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// call is one operation of EC2.
type call[In, Out any] func(ctx context.Context, in *In, options ...func(*ec2.Options)) (*Out, error)

// ec2Calls are the operations of EC2 that are used, out of some seven hundred.
// They are functions and not an interface, because the linker keeps every
// method of a type that an interface may hold: that made the provider 63 MB
// instead of 34.
type ec2Calls struct {
	CreateLaunchTemplate           call[ec2.CreateLaunchTemplateInput, ec2.CreateLaunchTemplateOutput]
	CreateLaunchTemplateVersion    call[ec2.CreateLaunchTemplateVersionInput, ec2.CreateLaunchTemplateVersionOutput]
	CreateTags                     call[ec2.CreateTagsInput, ec2.CreateTagsOutput]
	DeleteLaunchTemplate           call[ec2.DeleteLaunchTemplateInput, ec2.DeleteLaunchTemplateOutput]
	DeleteTags                     call[ec2.DeleteTagsInput, ec2.DeleteTagsOutput]
	DescribeImages                 call[ec2.DescribeImagesInput, ec2.DescribeImagesOutput]
	DescribeInstanceTypes          call[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]
	DescribeLaunchTemplates        call[ec2.DescribeLaunchTemplatesInput, ec2.DescribeLaunchTemplatesOutput]
	DescribeLaunchTemplateVersions call[ec2.DescribeLaunchTemplateVersionsInput, ec2.DescribeLaunchTemplateVersionsOutput]
	DescribeSecurityGroups         call[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	DescribeSubnets                call[ec2.DescribeSubnetsInput, ec2.DescribeSubnetsOutput]
	DescribeVolumes                call[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput]
}

func newEC2Calls(client *ec2.Client) ec2Calls {
	return ec2Calls{
		CreateLaunchTemplate:           client.CreateLaunchTemplate,
		CreateLaunchTemplateVersion:    client.CreateLaunchTemplateVersion,
		CreateTags:                     client.CreateTags,
		DeleteLaunchTemplate:           client.DeleteLaunchTemplate,
		DeleteTags:                     client.DeleteTags,
		DescribeImages:                 client.DescribeImages,
		DescribeInstanceTypes:          client.DescribeInstanceTypes,
		DescribeLaunchTemplates:        client.DescribeLaunchTemplates,
		DescribeLaunchTemplateVersions: client.DescribeLaunchTemplateVersions,
		DescribeSecurityGroups:         client.DescribeSecurityGroups,
		DescribeSubnets:                client.DescribeSubnets,
		DescribeVolumes:                client.DescribeVolumes,
	}
}
