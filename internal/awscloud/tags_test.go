package awscloud

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// A tag that an AWS service has set would be a difference that no apply can fix.
func TestFromGroupTags_LeavesOutWhatAWSSets(t *testing.T) {
	got := fromGroupTags([]asgtypes.TagDescription{
		{Key: aws.String("service"), Value: aws.String("web")},
		{Key: aws.String("aws:cloudformation:stack-name"), Value: aws.String("x")},
	})
	if diff := cmp.Diff(got, tagging.Set{"service": "web"}); diff != "" {
		t.Error(diff)
	}
}
