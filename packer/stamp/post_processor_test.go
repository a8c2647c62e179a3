package stamp_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	domain "github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/stamp"
)

// fakeCloud has every image and keeps the tags of each.
type fakeCloud struct {
	mu     sync.Mutex
	opened awscloud.Config
	tags   map[string]tagging.Set
	// refuses is an image that cannot be tagged.
	refuses string
}

func (c *fakeCloud) open(_ context.Context, config awscloud.Config) (domain.Cloud, error) {
	c.opened, c.tags = config, map[string]tagging.Set{}
	return c, nil
}

func (c *fakeCloud) DescribeImage(context.Context, domain.Image) (domain.Description, error) {
	return domain.Description{Architecture: "arm64"}, nil
}

func (c *fakeCloud) TagImage(_ context.Context, image domain.Image, _ []string, tags tagging.Set) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if image.String() == c.refuses {
		return errors.New("UnauthorizedOperation")
	}
	c.tags[image.String()] = tags
	return nil
}

// newRepository makes a repository with version 1 of strawberry and returns
// its URL.
func newRepository(t *testing.T) (builddata.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delivery.db")
	store, err := sqlite.Open(t.Context(), path, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence, SourceRevision: "abc123"})
	if err != nil {
		t.Fatal(err)
	}
	return store, "sqlite://" + filepath.ToSlash(path)
}

func arguments(repository string, more map[string]any) map[string]any {
	all := map[string]any{
		"repository": repository, "service": "strawberry", "version": "1", "owner_team": "fruit", "solution": "shop",
	}
	maps.Copy(all, more)
	return all
}

func artifact(id string) *packersdk.MockArtifact {
	return &packersdk.MockArtifact{
		BuilderIdValue: "mitchellh.amazonebs", FilesValue: []string{}, IdValue: id, StringValue: "AMIs were created",
		StateValues: map[string]any{"generated_data": map[any]any{"SourceAMI": "ami-base"}},
	}
}

func TestPostProcessor_Configure(t *testing.T) {
	cloud := &fakeCloud{}
	err := stamp.New(cloud.open).Configure(map[string]any{
		"repository": "postgres://host", "inputs": []string{"nowhere"}, "images": []string{"ami-1"},
		"tags": map[string]string{"version": "2"}, "endpoints": map[string]string{"s3": "http://host"},
		"assume_role": map[string]any{"session_name": "x"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, says := range []string{
		`scheme "postgres" is unknown`, "argument service is missing", "argument version is missing",
		"argument owner_team is missing", "argument solution is missing",
		`tags: tag "version" is set by the stamp`, "inputs: input nowhere does not exist",
		`images: this artifact is not an AMI: its id is "ami-1"`, `endpoints: "s3" is not a service that is called here`,
		"assume_role: the argument role_arn is missing",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
	if err := stamp.New(cloud.open).Configure(map[string]any{"sevrice": "x"}); err == nil || !strings.Contains(err.Error(), "sevrice") {
		t.Errorf("got %v for an unknown argument", err)
	}
}

func TestPostProcessor_PostProcess(t *testing.T) {
	t.Setenv("DELIVERY_RUN", "run-7")
	store, repository := newRepository(t)
	input := filepath.Join(t.TempDir(), "setup.sh")
	if err := os.WriteFile(input, []byte("#!/bin/sh"), 0o600); err != nil {
		t.Fatal(err)
	}
	cloud := &fakeCloud{}
	p := stamp.New(cloud.open)
	err := p.Configure(arguments(repository, map[string]any{
		"tags": map[string]string{"colour": "red"}, "inputs": []string{input}, "profile": "bakery",
		"assume_role": map[string]any{"role_arn": "arn:aws:iam::1:role/x"}, "endpoints": map[string]string{"ec2": "http://host"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	in := artifact("eu-north-1:ami-1,us-east-1:ami-2")
	out, keep, force, err := p.PostProcess(t.Context(), packersdk.TestUi(t), in)
	if err != nil || out != in || !keep || !force {
		t.Errorf("got %v, keep %t, force %t and %v; want the artifact as it was, kept by force", out, keep, force, err)
	}
	want := awscloud.Config{
		Region: "eu-north-1", Profile: "bakery", Endpoints: map[string]string{"ec2": "http://host"},
		AssumeRole: &awscloud.AssumeRole{RoleARN: "arn:aws:iam::1:role/x", SessionName: "packer-plugin-delivery"},
	}
	if diff := cmp.Diff(cloud.opened, want); diff != "" {
		t.Error(diff)
	}
	tags := tagging.Set{
		"service": "strawberry", "version": "1", "revision": "abc123", "owner_team": "fruit", "solution": "shop",
		"run": "run-7", "colour": "red",
	}
	if diff := cmp.Diff(cloud.tags, map[string]tagging.Set{"eu-north-1:ami-1": tags, "us-east-1:ami-2": tags}); diff != "" {
		t.Error(diff)
	}
	digest, err := domain.Digest("ami-base", []string{input})
	if err != nil {
		t.Fatal(err)
	}
	images, err := store.Images(t.Context(), builddata.ImageQuery{Service: "strawberry", Number: 1})
	if err != nil || len(images) != 2 || images[0].Digest != digest || images[1].Digest != digest {
		t.Errorf("got %+v and %v, want two images with digest %s", images, err, digest)
	}
}

func TestPostProcessor_HalfStamped(t *testing.T) {
	store, repository := newRepository(t)
	cloud := &fakeCloud{refuses: "us-east-1:ami-2"}
	p := stamp.New(cloud.open)
	if err := p.Configure(arguments(repository, nil)); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), artifact("eu-north-1:ami-1,us-east-1:ami-2"))
	if !errors.As(err, new(*domain.HalfStampedError)) {
		t.Fatalf("got %v, want a HalfStampedError", err)
	}
	const advice = `images = ["eu-north-1:ami-1", "us-east-1:ami-2"] and source_ami = "ami-base"`
	if !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), "deregisters these AMIs") {
		t.Errorf("the error does not say what Packer does and %q:\n%v", advice, err)
	}

	// The advice in the error completes it, with any artifact.
	cloud.refuses = ""
	err = p.Configure(arguments(repository, map[string]any{
		"images": []string{"eu-north-1:ami-1", "us-east-1:ami-2"}, "source_ami": "ami-base",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), artifact("Null")); err != nil {
		t.Fatal(err)
	}
	images, err := store.Images(t.Context(), builddata.ImageQuery{Service: "strawberry", Number: 1})
	if err != nil || len(images) != 2 {
		t.Errorf("got %+v and %v, want both images", images, err)
	}
}

func TestPostProcessor_Refuses(t *testing.T) {
	_, repository := newRepository(t)
	for name, tt := range map[string]struct {
		more map[string]any
		id   string
		says []string
	}{
		"NotAnAMI": {nil, "Null", []string{`this artifact is not an AMI: its id is "Null"`, "mitchellh.amazonebs"}},
		"UnknownVersion": {
			map[string]any{"version": "2"}, "eu-north-1:ami-1",
			[]string{"version 2", "in the repository ", "delivery.db", "deregisters these AMIs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &fakeCloud{}
			p := stamp.New(cloud.open)
			if err := p.Configure(arguments(repository, tt.more)); err != nil {
				t.Fatal(err)
			}
			_, _, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), artifact(tt.id))
			if err == nil || len(cloud.tags) > 0 {
				t.Fatalf("got %v and tags %v", err, cloud.tags)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error does not say %q:\n%v", says, err)
				}
			}
		})
	}
}
