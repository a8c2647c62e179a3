package awscloud_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// stampBench is an account with an image, seen through a proxy, by a clock
// whose waits take no time.
type stampBench struct {
	cloud *awscloud.Cloud
	ec2   *ec2.Client
	image stamp.Image
	proxy *rig.Proxy
	clock *clock.Fake
}

func newStampBench(t *testing.T) stampBench {
	t.Helper()
	account := rig.NewAccount(t)
	b := stampBench{
		ec2:   ec2.NewFromConfig(account.Config("us-east-1")),
		image: stamp.Image{Region: "us-east-1", ID: rig.BaseImage},
		clock: clock.NewFake(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)),
	}
	var err error
	if b.proxy, err = rig.NewProxy(account.Endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.proxy.Close() })
	account.Endpoint = b.proxy.URL
	for _, pair := range account.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	// Another region than the image's.
	if b.cloud, err = awscloud.Open(t.Context(), awscloud.Config{Region: "eu-north-1", Clock: b.clock}); err != nil {
		t.Fatal(err)
	}
	return b
}

// fail makes the first calls of an action fail; a negative number is all of them.
func (b stampBench) fail(action string, times int, code string) {
	b.proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Action != action || times == 0 {
			return nil
		}
		times--
		return &rig.Fault{Status: 400, Code: code}
	})
}

func (b stampBench) tagsOf(t *testing.T, id string) tagging.Set {
	t.Helper()
	out, err := b.ec2.DescribeTags(t.Context(), &ec2.DescribeTagsInput{})
	if err != nil {
		t.Fatal(err)
	}
	tags := tagging.Set{}
	for _, tag := range out.Tags {
		if aws.ToString(tag.ResourceId) == id {
			tags[*tag.Key] = *tag.Value
		}
	}
	return tags
}

func TestCloud_StampImage(t *testing.T) {
	b := newStampBench(t)
	// Both are met by an AWS that does not know the new image at first.
	b.fail("DescribeImages", 2, "InvalidAMIID.NotFound")
	seen, err := b.cloud.DescribeImage(t.Context(), b.image)
	if err != nil {
		t.Fatal(err)
	}
	// Of the architecture moto knows nothing.
	if len(seen.Snapshots) != 1 || len(seen.Tags) > 0 {
		t.Fatalf("got %+v, want one snapshot and no tags", seen)
	}
	want := tagging.Set{"service": "strawberry", "version": "1"}
	b.fail("CreateTags", 2, "InvalidSnapshot.NotFound")
	if err := b.cloud.TagImage(t.Context(), b.image, seen.Snapshots, want); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{b.image.ID, seen.Snapshots[0]} {
		if diff := cmp.Diff(b.tagsOf(t, id), want); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}

	// Again, with one tag more: the others stay.
	if err := b.cloud.TagImage(t.Context(), b.image, seen.Snapshots, tagging.Set{"colour": "red"}); err != nil {
		t.Fatal(err)
	}
	want["colour"] = "red"
	if seen, err = b.cloud.DescribeImage(t.Context(), b.image); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seen.Tags, want); diff != "" {
		t.Error(diff)
	}
}

func TestCloud_StampImageGivesUp(t *testing.T) {
	b := newStampBench(t)
	start := b.clock.Now()
	t.Run("ImageIsNotThere", func(t *testing.T) {
		b.clock.Set(start)
		_, err := b.cloud.DescribeImage(t.Context(), stamp.Image{Region: "us-east-1", ID: "ami-0123456789abcdef0"})
		if err == nil || !strings.Contains(err.Error(), "after 1m0s: it does not exist in us-east-1") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ImageIsDisabled", func(t *testing.T) {
		b.clock.Set(start)
		if _, err := b.ec2.DisableImage(t.Context(), &ec2.DisableImageInput{ImageId: &b.image.ID}); err != nil {
			t.Fatal(err)
		}
		_, err := b.cloud.DescribeImage(t.Context(), b.image)
		if err == nil || !strings.Contains(err.Error(), "it is disabled and no server can be launched from it") || !b.clock.Now().Equal(start) {
			t.Errorf("got %v after %s", err, b.clock.Now().Sub(start))
		}
	})
	t.Run("SnapshotIsNotThere", func(t *testing.T) {
		b.clock.Set(start)
		err := b.cloud.TagImage(t.Context(), b.image, []string{"snap-0123456789abcdef0"}, tagging.Set{"a": "b"})
		if err == nil || !strings.Contains(err.Error(), "after 1m0s: ") || !strings.Contains(err.Error(), "InvalidSnapshot.NotFound") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("NotAllowed", func(t *testing.T) {
		b.clock.Set(start)
		b.fail("CreateTags", -1, "UnauthorizedOperation")
		err := b.cloud.TagImage(t.Context(), b.image, nil, tagging.Set{"a": "b"})
		if err == nil || !strings.Contains(err.Error(), "UnauthorizedOperation") || !b.clock.Now().Equal(start) {
			t.Errorf("got %v after %s, want UnauthorizedOperation at once", err, b.clock.Now().Sub(start))
		}
	})
}
