package task_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// configuration needs no provider, which would have to be downloaded.
const configuration = `
terraform {
  backend "local" {}
}

variable "name" {}

variable "zones" {
  type    = list(string)
  default = []
}

resource "terraform_data" "this" {
  input = var.name
}

output "url" {
  value = "https://${terraform_data.this.output}.example.com/?a=<b>"
}

output "password" {
  value     = "s3cr3t-${var.name}"
  sensitive = true
}

output "zones" {
  value = { names = var.zones, count = length(var.zones) }
}

output "count" {
  value = length(var.zones)
}

output "nothing" { # Terraform drops it
  value = null
}

output "with-hyphen" {
  value = "x"
}

output "version" {
  value = "x"
}
`

func newTerraform(t *testing.T) *fixture {
	t.Helper()
	rig.Acceptance(t)
	program, err := rig.Tool("terraform")
	if err != nil {
		t.Fatal(err)
	}
	b := newFixture(t)
	b.environ = append(b.environ,
		"PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"), "TF_CLI_CONFIG_FILE="+os.DevNull)
	b.write(t, "infra/main.tf", configuration)
	return b
}

func TestAccProvision(t *testing.T) {
	b := newTerraform(t)
	// Variables that would make Terraform behave otherwise are not passed on.
	missing := filepath.Join(t.TempDir(), "terraform.rc")
	b.environ = append(b.environ, "TF_CLI_CONFIG_FILE="+missing, "TF_WORKSPACE=other", "TF_INPUT=1", "TF_LOG=TRACE",
		"TF_CLI_ARGS=-help", "TF_VAR_name=environment", "TF_VAR_zones=[]")
	args := pipe.Args{
		"folder": "infra", "workspace": "test-17", "variables": map[string]string{"name": "straw=berry", "zones": `["a", "b"]`},
		"backend": map[string]string{"workspace_dir": "states"}, "lock_timeout": 10 * time.Second,
	}
	got, out, err := b.try(t, "provision.apply", args, "url", "zones")
	if err != nil {
		t.Fatal(err)
	}
	want := pipe.Result{
		Outputs: map[string]string{
			"url": "https://straw=berry.example.com/?a=<b>", "password": "s3cr3t-straw=berry",
			"zones": `{"count":2,"names":["a","b"]}`, "count": "2",
		},
		Secrets: []string{"password"}, Message: "applied infra in workspace test-17",
		Warnings: []string{
			"TF_CLI_ARGS is set in the environment, but not passed on",
			"TF_CLI_CONFIG_FILE is not passed on, because its file " + missing + " does not exist",
			"the output version is not set as a value: only the run itself sets it",
			"the output with-hyphen is not set as a value: a name has letters, digits, underscores and dots, and does not begin with a digit",
		},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(out, "s3cr3t") || !strings.Contains(out, "Apply complete!") {
		t.Errorf("printed\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(b.folder, "infra", "states", "test-17", "terraform.tfstate")); err != nil {
		t.Error(err)
	}

	t.Run("Again", func(t *testing.T) {
		_, out, err := b.try(t, "provision.apply", args)
		if err != nil || !strings.Contains(out, "0 added, 0 changed, 0 destroyed") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("MissingOutput", func(t *testing.T) {
		_, _, err := b.try(t, "provision.apply", args, "other")
		wantError(t, err, "declared output other was not set", "count, password, url, zones")
	})
	t.Run("OtherBackendSettings", func(t *testing.T) {
		other := pipe.Args{
			"folder": "infra", "variables": args["variables"], "backend": map[string]string{"path": "other.tfstate"}, "workspace": "default",
		}
		if _, _, err := b.try(t, "provision.apply", other); err != nil {
			t.Error(err)
		}
		got, _, err := b.try(t, "provision.destroy", other)
		if err != nil || got.Message != "destroyed infra in workspace default" {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	t.Run("VariableInEnvironment", func(t *testing.T) {
		without := pipe.Args{"folder": "infra", "workspace": "test-17", "variables": map[string]string{}, "backend": args["backend"]}
		got, _, err := b.try(t, "provision.apply", without)
		wantError(t, err, "terraform apply: No value for required variable")
		if len(err.Error()) > 100 || len(got.Warnings) != 4 || !strings.Contains(got.Warnings[1], "name: ${{ env.TF_VAR_name }}") {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	t.Run("Destroy", func(t *testing.T) {
		var removed []string
		b.Remove = func(_ context.Context, service, environment string, progress func(string, ...any)) error {
			removed = append(removed, service+"/"+environment)
			progress("removing %s", "web")
			return nil
		}
		args["environment"] = "test-17"
		got, out, err := b.try(t, "provision.destroy", args)
		if err != nil || got.Message != "destroyed infra in workspace test-17" || !strings.Contains(out, "removing web\n") {
			t.Errorf("got %+v (%v)", got, err)
		}
		if _, err := os.Stat(filepath.Join(b.folder, "infra", "states", "test-17")); err == nil {
			t.Error("the workspace is still there")
		}
		got, _, err = b.try(t, "provision.destroy", args)
		if err != nil || got.Message != "nothing to destroy: there is no workspace test-17" ||
			!slices.Equal(removed, []string{"strawberry/test-17", "strawberry/test-17"}) {
			t.Errorf("again: got %+v (%v), removed %q", got, err, removed)
		}
		// Another checkout may have deleted the workspace that is selected here.
		b.write(t, "infra/.terraform/environment", "test-17")
		got, _, err = b.try(t, "provision.destroy", args)
		if err != nil || got.Message != "nothing to destroy: there is no workspace test-17" {
			t.Errorf("destroyed elsewhere: got %+v (%v)", got, err)
		}
		b.Remove = func(context.Context, string, string, func(string, ...any)) error { return errors.New("no credentials") }
		_, _, err = b.try(t, "provision.destroy", args)
		wantError(t, err, "not everything that remains of strawberry in test-17 could be removed: no credentials")
	})
}

// A variable that is too long for the system is named.
func TestAccProvision_TooLong(t *testing.T) {
	b := newTerraform(t)
	c := b.call(pipe.Args{"variables": map[string]string{"name": strings.Repeat("x", 3<<20)}})
	_, err := b.do(t, t.Context(), "provision.apply", c)
	wantError(t, err, "terraform apply: the arguments and variables of the command are too long",
		"the longest is name, with", "write it to a file")
}

func TestAccProvision_Programs(t *testing.T) {
	b := newTerraform(t)
	args := pipe.Args{"folder": "infra", "variables": map[string]string{"name": "x"}}
	path := os.Getenv("PATH")
	program, err := rig.Tool("terraform")
	if err != nil {
		t.Fatal(err)
	}
	// To these tasks, OpenTofu is the same program by another name.
	bin := t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "tofu")); err != nil {
		t.Fatal(err)
	}
	b.environ = []string{"PATH=" + bin, "HOME=" + t.TempDir()}
	_, out, err := b.try(t, "provision.apply", args)
	if err != nil || !strings.Contains(out, "$ tofu apply\n") {
		t.Errorf("got %v", err)
	}
	b.environ = []string{"PATH=" + t.TempDir()}
	_, _, err = b.try(t, "provision.apply", args)
	wantError(t, err, "terraform or tofu: command not found")
	b.environ = []string{"PATH=" + path}
	args["terraform"] = program
	if _, _, err = b.try(t, "provision.apply", args); err != nil {
		t.Error(err)
	}
	args["terraform"] = "./tools/terraform"
	_, _, err = b.try(t, "provision.apply", args)
	wantError(t, err, filepath.Join(b.folder, "tools/terraform")+": the program")
	args["folder"] = "nowhere"
	_, _, err = b.try(t, "provision.apply", args)
	wantError(t, err, "the folder nowhere does not exist")
}

// Branches that provision the same folder for different workspaces do not mix
// them up, although Terraform stores the selected one in the folder.
func TestAccProvision_InParallel(t *testing.T) {
	b := newTerraform(t)
	names := []string{"one", "two", "three"}
	var wait sync.WaitGroup
	d := b.definition(t, "provision.apply")
	for _, name := range names {
		wait.Go(func() {
			c := b.call(pipe.Args{"folder": "infra", "workspace": name, "variables": map[string]string{"name": name}})
			got, err := d.Run(t.Context(), &c.Call)
			if want := "https://" + name + ".example.com/?a=<b>"; err != nil || got.Outputs["url"] != want {
				t.Errorf("%s: got %q (%v), want %q", name, got.Outputs["url"], err, want)
			}
		})
	}
	wait.Wait()
	for _, name := range names {
		state, err := os.ReadFile(filepath.Join(b.folder, "infra", "terraform.tfstate.d", name, "terraform.tfstate"))
		if err != nil || !strings.Contains(string(state), "s3cr3t-"+name) {
			t.Errorf("%s has the state %s (%v)", name, state, err)
		}
	}
}

// After Ctrl-C during an apply, the state holds the resources created so far.
func TestAccProvision_Interrupted(t *testing.T) {
	b := newTerraform(t)
	b.write(t, "slow/main.tf", `
resource "terraform_data" "made" {
}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.made]

  provisioner "local-exec" {
    command = "echo > started; exec sleep 300"
  }
}
`)
	ctx, stop := context.WithCancelCause(t.Context())
	c := b.call(pipe.Args{"folder": "slow"})
	go func() {
		started := func(context.Context, time.Duration) (bool, string, error) {
			_, err := os.Stat(filepath.Join(b.folder, "slow", "started"))
			return err == nil, "", nil
		}
		_ = clock.Poll(ctx, clock.System{}, 50*time.Millisecond, time.Minute, started)
		stop(errors.New("Ctrl-C"))
	}()
	_, err := b.do(t, ctx, "provision.apply", c)
	wantError(t, err, "Ctrl-C")
	state, err := os.ReadFile(filepath.Join(b.folder, "slow", "terraform.tfstate"))
	if err != nil || !strings.Contains(string(state), `"name": "made"`) {
		t.Errorf("the state is %s (%v)", state, err)
	}
	if _, err := os.Stat(filepath.Join(b.folder, "slow", ".terraform.tfstate.lock.info")); err == nil {
		t.Error("the state is still locked")
	}
	got, _, err := b.try(t, "provision.destroy", pipe.Args{"folder": "slow"})
	if err != nil || got.Message != "destroyed slow" {
		t.Errorf("got %+v (%v)", got, err)
	}
}
