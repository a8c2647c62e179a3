package task_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// A program stands in for Packer, to print what the real one prints rarely.
func TestPacker_Lines(t *testing.T) {
	for _, tt := range []struct {
		name, prints, exit string
		want, message      string
		shows, says        string
	}{
		{
			name: "Artifacts",
			prints: "1633020000,,version,1.15.0\n" +
				`1633020000,,ui,say,==> amazon-ebs.x: one%!(PACKER_COMMA) two\n    three` + "\n" +
				"1633020000,amazon-ebs.x,artifact-count,2\n" +
				"1633020000,amazon-ebs.x,artifact,0,builder-id,mitchellh.amazonebs\n" +
				"1633020000,amazon-ebs.x,artifact,0,id,eu-west-1:ami-2%!(PACKER_COMMA)eu-north-1:ami-1\n" +
				"1633020000,amazon-ebs.x,artifact,1,id,eu-north-1:ami-1\r\n" +
				"1633020000,docker.y,artifact,0,id,sha256:abc\n" +
				"a warning of a plugin, unformatted",
			exit: "0", want: "eu-north-1=ami-1,eu-west-1=ami-2", message: "eu-north-1 ami-1, eu-west-1 ami-2",
			shows: "==> amazon-ebs.x: one, two\n    three\na warning of a plugin, unformatted\n",
		},
		{name: "NoAMI", prints: "1633020000,docker.y,artifact,0,id,sha256:abc", exit: "0", says: "built no AMI"},
		{
			name: "Fails", prints: `1633020000,,ui,error,Build 'x' errored after 2 seconds: no credentials\n`, exit: "1",
			says: "exit code 1: Build 'x' errored after 2 seconds: no credentials",
		},
		{
			name: "OneOfTwoFails", prints: "1633020000,x,artifact,0,id,eu-north-1:ami-1\n1633020000,,ui,error,Build 'y' errored", exit: "1",
			says: "Build 'y' errored; it built eu-north-1 ami-1 before that",
		},
		{name: "FailsSilently", exit: "1", says: "exit code 1"},
		{
			name: "LongLine", prints: "1633020000,,ui,say," + strings.Repeat("x", 3<<20) + "\n1633020000,x,artifact,0,id,eu-north-1:ami-1",
			exit: "0", want: "eu-north-1=ami-1", message: "eu-north-1 ami-1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			b.write(t, "prints", tt.prints)
			b.write(t, "tools/packer", "#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments; cat prints; exit "+tt.exit+"\n")
			got, out, err := b.try(t, "bake.packer", pipe.Args{
				"packer": "tools/packer", "variables": map[string]string{"b": "x y", "a": "1"}, "template": "image.pkr.hcl",
			})
			if tt.says != "" {
				wantError(t, err, tt.says)
				return
			}
			if err != nil || got.Outputs["images"] != tt.want || got.Message != tt.message || len(got.Warnings) > 0 ||
				!strings.Contains(out, tt.shows) || len(out) > 1<<21 {
				t.Errorf("got %+v (%v)", got, err)
			}
			arguments, err := os.ReadFile(filepath.Join(b.folder, "arguments"))
			if want := "build\n-machine-readable\n-color=false\n-var\na=1\n-var\nb=x y\nimage.pkr.hcl\n"; err != nil || string(arguments) != want {
				t.Errorf("got the arguments %q (%v), want %q", arguments, err, want)
			}
		})
	}
}

const template = `
variable "name" {}

source "amazon-ebs" "strawberry" {
  region        = "eu-north-1"
  ami_regions   = ["us-east-1"]
  ami_name      = var.name
  source_ami    = %q
  instance_type = "t4g.micro"
  communicator  = "none"
}

build {
  sources = ["source.amazon-ebs.strawberry"]
}
`

func TestAccPacker(t *testing.T) {
	account := rig.NewAccount(t)
	packer, err := rig.Tool("packer")
	if err != nil {
		t.Fatal(err)
	}
	amazon, err := rig.Tool("packer-plugin-amazon")
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	b := newFixture(t)
	b.environ = append(b.environ, account.Environ()...)
	b.environ = append(b.environ, "PATH="+filepath.Dir(packer)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PACKER_PLUGIN_PATH="+plugins, "PACKER_CONFIG_DIR="+plugins, "PACKER_CACHE_DIR="+plugins)
	install := exec.CommandContext(t.Context(), packer, "plugins", "install", "--path", amazon, "github.com/hashicorp/amazon")
	install.Env = b.environ
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", install, err, out)
	}
	b.write(t, "bake/image.pkr.hcl", fmt.Sprintf(template, rig.BaseImage))
	v, err := b.store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
	if err != nil {
		t.Fatal(err)
	}

	args := pipe.Args{"folder": "bake", "variables": map[string]string{"name": "strawberry"}}
	got, out, err := b.try(t, "bake.packer", args)
	if err != nil {
		t.Fatal(err)
	}
	var north, east string
	_, err = fmt.Sscanf(strings.ReplaceAll(got.Outputs["images"], ",", " "), "eu-north-1=%s us-east-1=%s", &north, &east)
	if err != nil || got.Message != "eu-north-1 "+north+", us-east-1 "+east {
		t.Errorf("got %+v (%v)", got, err)
	}
	if !strings.Contains(out, "==> amazon-ebs.strawberry: Creating AMI") || strings.Contains(out, ",ui,") {
		t.Errorf("it printed\n%s", out)
	}
	if len(got.Warnings) != 0 {
		t.Errorf("got the warnings %q", got.Warnings)
	}

	// In a run for a version, a bake that did not register it has failed.
	b.run.Version = v.Name
	_, _, err = b.try(t, "bake.packer", pipe.Args{"folder": "bake", "variables": map[string]string{"name": "strawberry-1"}})
	wantError(t, err, "not registered as an image of version 1, so no image of this bake is available: the template has no delivery-stamp")
	b.run.Version = ""

	_, _, err = b.try(t, "bake.packer", pipe.Args{"folder": "bake"})
	wantError(t, err, "exit code 1", "name")
	_, _, err = b.try(t, "bake.packer", pipe.Args{"packer": "no-packer"})
	wantError(t, err, "no-packer: command not found")
}

// stampingRepository stands in for the post-processor delivery-stamp: it registers AMIs for
// the bake that the step's Packer was told.
type stampingRepository struct {
	task.Repository
	t    *testing.T
	file string
	amis []string
}

func (r stampingRepository) Images(ctx context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	if bake, err := os.ReadFile(r.file); err == nil {
		for _, ami := range r.amis {
			err := r.Register(ctx, builddata.Image{
				Service: q.Service, Number: q.Number, Region: "eu-north-1", ID: ami, Digest: "x", Architecture: "arm64", Bake: string(bake),
			})
			if err != nil {
				r.t.Error(err)
			}
		}
	}
	return r.Repository.Images(ctx, q)
}

func TestPacker_OffersTheBake(t *testing.T) {
	b := newFixture(t)
	v, err := b.store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
	if err != nil {
		t.Fatal(err)
	}
	b.run.Version = v.Name
	try := func(script string, amis ...string) (pipe.Result, error) {
		t.Helper()
		file := b.write(t, "bake", "")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		b.write(t, "packer", "#!/bin/sh\nprintf %s \"$DELIVERY_BAKE\" > bake\n"+script)
		b.Store = func(context.Context) (task.Repository, error) {
			return stampingRepository{Repository: b.store, t: t, file: file, amis: amis}, nil
		}
		got, _, err := b.try(t, "bake.packer", pipe.Args{"packer": "./packer"})
		return got, err
	}
	statuses := func(want string) {
		t.Helper()
		stamped, err := b.Store(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		images, err := stamped.Images(t.Context(), builddata.ImageQuery{Service: "strawberry", Number: v.Number})
		if got := builddata.DescribeImages(images); err != nil || got != want {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	}

	got, err := try("echo 1,x,artifact,0,id,eu-north-1:ami-1\n", "ami-1")
	want := pipe.Result{Outputs: map[string]string{"images": "eu-north-1=ami-1"}, Message: "eu-north-1 ami-1"}
	if diff := cmp.Diff(got, want); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	statuses("ami-1 in eu-north-1 (arm64)")

	// One of two sources failed: what the other has built stays pending.
	_, err = try("echo 1,x,artifact,0,id,eu-north-1:ami-2\nexit 1\n", "ami-2")
	wantError(t, err, "exit code 1; it built eu-north-1 ami-2 before that")
	statuses("ami-1 in eu-north-1 (arm64), ami-2 in eu-north-1 (arm64, pending)")
	_, err = try("echo '1,x,artifact,0,id,eu-north-1:ami-3%!(PACKER_COMMA)eu-north-1:ami-4'\n", "ami-3")
	wantError(t, err, "ami-4 in eu-north-1 not registered as an image of version 1, so no image of this bake is available")
	statuses("ami-1 in eu-north-1 (arm64), ami-2 in eu-north-1 (arm64, pending), ami-3 in eu-north-1 (arm64, pending)")

	// A second bake replaces the first.
	if _, err = try("echo 1,x,artifact,0,id,eu-north-1:ami-5\n", "ami-5"); err != nil {
		t.Error(err)
	}
	statuses("ami-1 in eu-north-1 (arm64, replaced), ami-2 in eu-north-1 (arm64, pending), " +
		"ami-3 in eu-north-1 (arm64, pending), ami-5 in eu-north-1 (arm64)")

	// The images of a promoted version are final; Packer does not start.
	if _, err := b.store.Promote(t.Context(), builddata.Promotion{Service: "strawberry", Number: v.Number, Stage: "prod"}); err != nil {
		t.Fatal(err)
	}
	_, err = try("echo 1,x,artifact,0,id,eu-north-1:ami-6\n", "ami-6")
	wantError(t, err, "promoted with image ami-5 in eu-north-1, so its images are final")
	if _, err := os.Stat(filepath.Join(b.folder, "bake")); err == nil {
		t.Error("Packer was started")
	}
}

func TestAccFiles(t *testing.T) {
	account := rig.NewAccount(t)
	for _, variable := range account.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	direct := s3.NewFromConfig(account.Config("us-east-1"), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := "reports-" + account.ID
	if _, err := direct.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	b := newFixture(t)
	b.Files = func(ctx context.Context, region string) (task.Files, error) {
		return awscloud.OpenFiles(ctx, awscloud.Config{Region: region})
	}
	b.write(t, "reports/index.html", "<p>")
	b.write(t, "reports/sub/data", "")
	args := pipe.Args{"files": []string{"reports/**"}, "bucket": bucket, "prefix": "/strawberry/17/", "region": "us-east-1"}
	got, _, err := b.try(t, "report.files", args)
	if err != nil || got.Message != "uploaded 2 files to s3://"+bucket+"/strawberry/17/" || got.Report != "s3://"+bucket+"/strawberry/17/" {
		t.Errorf("got %+v (%v)", got, err)
	}
	list, err := direct.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, object := range list.Contents {
		keys = append(keys, *object.Key)
	}
	if diff := cmp.Diff(keys, []string{"strawberry/17/reports/index.html", "strawberry/17/reports/sub/data"}); diff != "" {
		t.Error(diff)
	}

	for says, more := range map[string]pipe.Args{
		"there is no bucket missing": {"bucket": "missing-" + account.ID},
		"no file matches none/*":     {"files": []string{"none/*"}},
	} {
		own := pipe.Args{"files": args["files"], "bucket": bucket, "region": "us-east-1"}
		for name, value := range more {
			own[name] = value
		}
		got, _, err := b.try(t, "report.files", own)
		wantError(t, err, "not delivered", says)
		if got.Report != "" {
			t.Errorf("got %+v", got)
		}
	}
}
