package packer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// stamped is the tag set that every image and snapshot of the version carries.
var stamped = tagging.Set{
	"service": "strawberry", "version": "0.1.0", "revision": "abc123", "owner_team": "fruit", "solution": "shop", "run": "run-7",
}

func (b bakery) wantStamped(t *testing.T, region string, more tagging.Set) {
	t.Helper()
	images := b.baked(t, region)
	if len(images) != 1 {
		t.Fatalf("got images %v in %s, want one", images, region)
	}
	want := tagging.Merge(stamped, more)
	if diff := cmp.Diff(b.tags(t, region, images[0]), []tagging.Set{want, want}); diff != "" {
		t.Errorf("image and snapshot in %s: %s", region, diff)
	}
}

func TestAccStamp(t *testing.T) {
	b := newBakery(t)
	if err := os.WriteFile(filepath.Join(b.dir, "setup.sh"), []byte("#!/bin/sh"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Registered images cannot be discarded: keep_input_artifact is ignored.
	template := b.template(`
    version = data.delivery-version.strawberry.version
    inputs  = ["setup.sh"]
    tags    = { colour = data.delivery-version.strawberry.labels["colour"] }

    keep_input_artifact = false`, "") + `
data "delivery-version" "strawberry" {
  service = "strawberry"
}
`
	if out, err := b.run(t, "validate", template); err != nil {
		t.Errorf("validate: %v\n%s", err, out)
	}
	if _, err := b.run(t, "build", template); err != nil {
		t.Fatal(err)
	}
	colour := tagging.Set{"colour": "red"}
	b.wantStamped(t, home, colour)
	b.wantStamped(t, abroad, colour)

	digest, err := stamp.Digest(rig.BaseImage, []string{filepath.Join(b.dir, "setup.sh")})
	if err != nil {
		t.Fatal(err)
	}
	image := func(region string) builddata.Image {
		return builddata.Image{
			Service: "strawberry", Number: 1, Region: region, ID: b.baked(t, region)[0],
			Architecture: "x86_64", Digest: digest, Run: "run-7", Status: builddata.ImageAvailable,
		}
	}
	images := []builddata.Image{image(home), image(abroad)}
	if diff := cmp.Diff(b.images(t), images, cmpopts.IgnoreFields(builddata.Image{}, "RegisteredAt", "Bake")); diff != "" {
		t.Error(diff)
	}
	events := b.events(t)
	want := []builddata.Event{{
		Service: "strawberry", Number: 1, Run: "run-7", Type: "bake", Location: home + "," + abroad, Status: builddata.Succeeded,
		Message: "images " + home + ":" + b.baked(t, home)[0] + ", " + abroad + ":" + b.baked(t, abroad)[0],
	}}
	if diff := cmp.Diff(events, want, cmpopts.IgnoreFields(builddata.Event{}, "ID", "At")); diff != "" {
		t.Error(diff)
	}
}

// stamping reports whether a call stamps an image, which Packer has tagged with other
// tags before.
func stamping(c rig.Call) bool {
	for _, values := range c.Form {
		if values[0] == tagging.OwnerTeam {
			return c.Action == "CreateTags"
		}
	}
	return false
}

// refuseAbroad refuses stamping in one of the regions.
func refuseAbroad(c rig.Call) *rig.Fault {
	if c.Region == abroad && stamping(c) {
		return &rig.Fault{Status: 403, Code: "UnauthorizedOperation"}
	}
	return nil
}

// What a build launches carries the tags that the data source returns.
func TestAccVersion_TagsWhatIsLaunched(t *testing.T) {
	b := newBakery(t)
	template := strings.Replace(b.template(`version = data.delivery-version.strawberry.version`, ""), `  communicator  = "none"
`, `  communicator  = "none"

  run_tags        = data.delivery-version.strawberry.tags
  run_volume_tags = data.delivery-version.strawberry.tags
  # The emulator refuses to tag snapshots in CreateImage.
  skip_ami_run_tags = true
`, 1) + `
data "delivery-version" "strawberry" {
  service    = "strawberry"
  owner_team = "fruit"
  solution   = "shop"
}
`
	if _, err := b.run(t, "build", template); err != nil {
		t.Fatal(err)
	}
	out, err := ec2.NewFromConfig(b.account.Config(home)).DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Reservations) != 1 || len(out.Reservations[0].Instances) != 1 {
		t.Fatalf("got %v, want one server", out.Reservations)
	}
	got := tagging.Set{}
	for _, tag := range out.Reservations[0].Instances[0].Tags {
		got[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	delete(got, "Name") // Packer's own
	if diff := cmp.Diff(got, stamped); diff != "" {
		t.Errorf("the server that baked: %s", diff)
	}
}

func TestAccStamp_HalfStamped(t *testing.T) {
	b := newBakery(t)
	b.proxy.Intercept(refuseAbroad)
	out, err := b.run(t, "build", b.template(`version = "0.1.0"`, `
  post-processor "manifest" {} # keeps the AMIs`))
	if err == nil {
		t.Fatal("the build succeeded")
	}
	b.wantStamped(t, home, nil)
	if got := b.tags(t, abroad, b.baked(t, abroad)[0]); len(got[0])+len(got[1]) > 0 {
		t.Errorf("abroad the image and its snapshot have the tags %v", got)
	}
	if got := b.images(t); len(got) > 0 {
		t.Errorf("registered %+v", got)
	}
	if got := b.events(t); len(got) != 1 || got[0].Status != builddata.Failed || !strings.Contains(got[0].Message, "UnauthorizedOperation") {
		t.Errorf("got events %+v, want one failure because of UnauthorizedOperation", got)
	}

	// The advice in the error works.
	advice := regexp.MustCompile(`(images = \[.*?\]) and (source_ami = "[^"]*")`).FindStringSubmatch(out)
	if advice == nil {
		t.Fatal("the error does not say how to complete it")
	}
	b.proxy.Intercept(nil)
	_, err = b.run(t, "build", `
source "null" "stamp" {
  communicator = "none"
}

build {
  sources = ["source.null.stamp"]

  post-processor "delivery-stamp" {
    service    = "strawberry"
    version    = "0.1.0"
    owner_team = "fruit"
    solution   = "shop"
    `+advice[1]+"\n    "+advice[2]+`
  }
}
`)
	if err != nil {
		t.Fatal(err)
	}
	b.wantStamped(t, home, nil)
	b.wantStamped(t, abroad, nil)
	if got := b.images(t); len(got) != 2 {
		t.Errorf("registered %+v, want both images", got)
	}
}

// Images are available when their bake is complete, and replace those of the bake before.
func TestAccStamp_WholeBake(t *testing.T) {
	b := newBakery(t)
	build := func(arguments string, environ ...string) {
		t.Helper()
		b.environ = append(slices.Clone(b.environ), environ...)
		if _, err := b.run(t, "build -force", b.template(`version = "0.1.0"`+arguments, "")); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want map[builddata.ImageStatus]int) {
		t.Helper()
		got := map[builddata.ImageStatus]int{}
		for _, i := range b.images(t) {
			got[i.Status]++
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Error(diff)
		}
	}
	build("")
	count(map[builddata.ImageStatus]int{builddata.ImageAvailable: 2})
	build("\n    architectures = [\"x86_64\", \"arm64\"]") // there is no image for arm64
	count(map[builddata.ImageStatus]int{builddata.ImageAvailable: 2, builddata.ImagePending: 2})
	build("")
	count(map[builddata.ImageStatus]int{builddata.ImageReplaced: 2, builddata.ImagePending: 2, builddata.ImageAvailable: 2})
	build("", "DELIVERY_BAKE=bake-1") // the step decides
	count(map[builddata.ImageStatus]int{builddata.ImageReplaced: 2, builddata.ImagePending: 4, builddata.ImageAvailable: 2})
}

func TestAccStamp_PackerThrowsHalfStampedImagesAway(t *testing.T) {
	b := newBakery(t)
	b.proxy.Intercept(refuseAbroad)
	out, err := b.run(t, "build", b.template(`version = "0.1.0"`, ""))
	if err == nil || !strings.Contains(out, "it now deregisters these AMIs") {
		t.Errorf("got %v, want a failure that says that Packer deregisters the AMIs", err)
	}
	if got := append(b.baked(t, home), b.baked(t, abroad)...); len(got) > 0 {
		t.Errorf("the AMIs %v are still there, unlike the error says", got)
	}
}

func TestAccStamp_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name, version, says string
		// known means that the version exists, and so has a history.
		known bool
	}{
		{"UnknownVersion", "0.2.0", "in the repository", false},
		{"RevokedVersion", "0.1.0", "it is sour", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBakery(t)
			var tagged atomic.Bool
			b.proxy.Intercept(func(c rig.Call) *rig.Fault {
				if stamping(c) {
					tagged.Store(true)
				}
				return nil
			})
			if _, err := b.repository.Revoke(t.Context(), "strawberry", "0.1.0", "it is sour"); err != nil {
				t.Fatal(err)
			}
			out, err := b.run(t, "build", b.template(fmt.Sprintf("version = %q", tt.version), ""))
			if err == nil || !strings.Contains(out, tt.says) || tagged.Load() {
				t.Errorf("got %v, tagged: %t; want a failure that says %q before anything is tagged", err, tagged.Load(), tt.says)
			}
			if got := b.images(t); len(got) > 0 {
				t.Errorf("registered %+v", got)
			}
			if got := b.events(t); (len(got) == 1) != tt.known {
				t.Errorf("got events %+v", got)
			}
		})
	}
	t.Run("NotAnAMI", func(t *testing.T) {
		b := newBakery(t)
		out, err := b.run(t, "build", `
source "null" "nothing" {
  communicator = "none"
}

build {
  sources = ["source.null.nothing"]

  post-processor "delivery-stamp" {
    service    = "strawberry"
    version    = "0.1.0"
    owner_team = "fruit"
    solution   = "shop"
  }
}
`)
		if err == nil || !strings.Contains(out, "this artifact is not an AMI") {
			t.Errorf("got %v, want a failure that says that it is not an AMI", err)
		}
	})
}

func TestAccVersion_NoneToBake(t *testing.T) {
	b := newBakery(t)
	if _, err := b.repository.Revoke(t.Context(), "strawberry", "0.1.0", "it is sour"); err != nil {
		t.Fatal(err)
	}
	out, err := b.run(t, "build", b.template("version = data.delivery-version.strawberry.version", "")+`
data "delivery-version" "strawberry" {
  service = "strawberry"
}
`)
	if err == nil || !strings.Contains(out, "a version of service strawberry: not found") {
		t.Errorf("got %v", err)
	}
	if got := b.baked(t, home); len(got) > 0 {
		t.Errorf("baked %v without a version", got)
	}
}

func TestAccManifest(t *testing.T) {
	b := newBakery(t)
	machine := startMachine(t)
	target := filepath.Join(t.TempDir(), "etc", "delivery", "release.json")
	_, err := b.run(t, "build", fmt.Sprintf(`
source "null" "machine" {
  ssh_host                 = %q
  ssh_port                 = %d
  ssh_username             = "packer"
  ssh_password             = "packer"
  ssh_file_transfer_method = "sftp"
}

build {
  sources = ["source.null.machine"]

  provisioner "delivery-manifest" {
    service         = "strawberry"
    version         = "0.1.0"
    owner_team      = "fruit"
    solution        = "shop"
    path            = %q
    remote_folder   = %q
    execute_command = "install -D -m 0644 {{ .Source }} {{ .Path }} && rm -f {{ .Source }}" # without sudo
  }
}
`, machine.host, machine.port, target, b.dir))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"service": "strawberry", "version": "0.1.0", "number": 1.0, "source_revision": "abc123", "owner_team": "fruit", "solution": "shop",
		"run": "run-7", "labels": map[string]any{"colour": "red"},
	}
	if got["created_at"] == "" {
		t.Error("created_at is empty")
	}
	delete(got, "created_at")
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, "delivery-release-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
