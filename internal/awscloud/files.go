package awscloud

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// bucketRegion is the header in which S3 names a bucket's region to any caller.
	bucketRegion = "X-Amz-Bucket-Region"

	codeNoBucket = "NoSuchBucket"
)

// Files stores files in S3 buckets.
type Files struct{ cloud *Cloud }

// OpenFiles finds region and credentials as Open does.
func OpenFiles(ctx context.Context, c Config) (*Files, error) {
	cloud, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Files{cloud: cloud}, nil
}

// Upload stores a file in a bucket under a key, and replaces what was there. The
// bucket may be in another region.
func (f *Files) Upload(ctx context.Context, bucket, key, contentType string, content io.ReadSeeker) error {
	err := f.put(ctx, f.cloud.region, bucket, key, contentType, content)
	if region := regionOf(err); region != "" && region != f.cloud.region {
		if _, err := content.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("upload %s to bucket %s: %w", key, bucket, err)
		}
		err = f.put(ctx, region, bucket, key, contentType, content)
	}
	switch {
	case hasCode(err, codeNoBucket):
		return fmt.Errorf("upload %s: there is no bucket %s: %w", key, bucket, err)
	case err != nil:
		return fmt.Errorf("upload %s to bucket %s: %w", key, bucket, err)
	}
	return nil
}

func (f *Files) put(ctx context.Context, region, bucket, key, contentType string, content io.ReadSeeker) error {
	objects := s3.NewFromConfig(f.cloud.config, func(o *s3.Options) {
		o.Region = region
		override(&o.BaseEndpoint, f.cloud.endpoints[endpointS3])
		// An address that is not AWS's own cannot have the bucket in its host name.
		o.UsePathStyle = o.BaseEndpoint != nil
	})
	_, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, ContentType: aws.String(contentType), Body: content})
	return err
}

// regionOf is the bucket's region that S3 names in an error; empty if it names
// none.
func regionOf(err error) string {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	return answer.Response.Header.Get(bucketRegion)
}
