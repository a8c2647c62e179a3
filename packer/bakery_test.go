package packer_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// The regions that images are baked in and copied to.
const (
	home   = "eu-north-1"
	abroad = "us-east-1"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if plugins.dir != "" {
		_ = os.RemoveAll(plugins.dir)
	}
	os.Exit(code)
}

// plugins is the folder of the Amazon plugin and the tested one.
// They are some 200 MB, so all tests share them.
var plugins struct {
	once         sync.Once
	dir          string
	installation rig.Installation
	err          error
}

func installPlugins() ([]string, error) {
	plugins.once.Do(func() {
		if plugins.dir, plugins.err = os.MkdirTemp("", "packer-plugins-"); plugins.err == nil {
			plugins.installation, plugins.err = rig.Install(context.Background(), plugins.dir)
		}
	})
	return plugins.installation.Environ, plugins.err
}

// bakery is an AWS account with a base image, a repository with version 0.1.0
// of strawberry in it, and Packer.
type bakery struct {
	packer  string
	environ []string
	dir     string
	account rig.Account
	// proxy is between Packer and AWS.
	proxy      *rig.Proxy
	repository builddata.Store
}

func newBakery(t *testing.T) bakery {
	t.Helper()
	rig.Acceptance(t)
	t.Parallel()
	packer, err := rig.Tool("packer")
	if err != nil {
		t.Fatal(err)
	}
	installed, err := installPlugins()
	if err != nil {
		t.Fatal(err)
	}
	b := bakery{packer: packer, dir: t.TempDir(), account: rig.NewAccount(t)}
	address := repository.File(filepath.Join(b.dir, "delivery.db"))
	if b.repository, err = repository.Open(t.Context(), address, repository.Config{Clock: clock.System{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.repository.Close() })
	_, err = b.repository.Allocate(t.Context(), builddata.Allocation{
		Service: "strawberry", Scheme: builddata.Semver, Bump: builddata.Minor, SourceRevision: "abc123",
		Labels: map[string]string{"colour": "red"},
	})
	if err != nil {
		t.Fatal(err)
	}

	if b.proxy, err = rig.NewProxy(b.account.Endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.proxy.Close() })
	throughProxy := b.account
	throughProxy.Endpoint = b.proxy.URL
	b.environ = append(os.Environ(), installed...)
	b.environ = append(b.environ, throughProxy.Environ()...)
	b.environ = append(b.environ, repository.Variable+"="+address.String(), "DELIVERY_RUN=run-7", "PACKER_CACHE_DIR="+b.dir)
	return b
}

// run runs a command of Packer, which may have options, on a template, and returns its
// output.
func (b bakery) run(t *testing.T, command, template string) (output string, err error) {
	t.Helper()
	file := filepath.Join(b.dir, "image.pkr.hcl")
	if err := os.WriteFile(file, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), b.packer, append(strings.Fields(command), file)...)
	c.Dir, c.Env = b.dir, b.environ
	out, err := c.CombinedOutput()
	t.Logf("packer %s:\n%s", command, out)
	return string(out), err
}

// template bakes strawberry in both regions, with arguments and more of the build.
func (b bakery) template(stampArguments, more string) string {
	return fmt.Sprintf(`
source "amazon-ebs" "strawberry" {
  region        = %q
  ami_regions   = [%q]
  ami_name      = "strawberry"
  source_ami    = %q
  instance_type = "t4g.micro"
  communicator  = "none"
}

build {
  sources = ["source.amazon-ebs.strawberry"]

  post-processor "delivery-stamp" {
    service    = "strawberry"
    owner_team = "fruit"
    solution   = "shop"
    %s
  }
%s
}
`, home, abroad, rig.BaseImage, stampArguments, more)
}

// baked returns the images that are in the account, without the base image.
func (b bakery) baked(t *testing.T, region string) []string {
	t.Helper()
	out, err := ec2.NewFromConfig(b.account.Config(region)).DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, image := range out.Images {
		if id := aws.ToString(image.ImageId); id != rig.BaseImage {
			ids = append(ids, id)
		}
	}
	return ids
}

// tags returns the tags of an image and of each of its snapshots.
func (b bakery) tags(t *testing.T, region, imageID string) []tagging.Set {
	t.Helper()
	client := ec2.NewFromConfig(b.account.Config(region))
	images, err := client.DescribeImages(t.Context(), &ec2.DescribeImagesInput{ImageIds: []string{imageID}})
	if err != nil {
		t.Fatal(err)
	}
	all := []tagging.Set{{}}
	for _, tag := range images.Images[0].Tags {
		all[0][*tag.Key] = *tag.Value
	}
	for _, device := range images.Images[0].BlockDeviceMappings {
		snapshots, err := client.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*device.Ebs.SnapshotId}})
		if err != nil {
			t.Fatal(err)
		}
		set := tagging.Set{}
		for _, tag := range snapshots.Snapshots[0].Tags {
			set[*tag.Key] = *tag.Value
		}
		all = append(all, set)
	}
	return all
}

func (b bakery) images(t *testing.T) []builddata.Image {
	t.Helper()
	images, err := b.repository.Images(t.Context(), builddata.ImageQuery{Service: "strawberry", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func (b bakery) events(t *testing.T) []builddata.Event {
	t.Helper()
	events, err := b.repository.Events(t.Context(), builddata.EventQuery{Service: "strawberry", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	return events
}
