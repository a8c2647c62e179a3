package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// phases are the commands that are measured, in this order: a plan of
// everything, its creation, and the plan that finds nothing to do.
var phases = []struct {
	name    string
	command []string
}{
	{"plan", []string{"plan"}},
	{"apply", []string{"apply", "-auto-approve"}},
	{"replan", []string{"plan", "-detailed-exitcode"}},
}

// BenchmarkTerraform compares delivery_version with terraform_data, which does
// nothing and is part of Terraform itself, and with a resource that does
// nothing in a provider, which no provider can beat. The metrics "x-plan" and
// "x-plan-tiny" are our time divided by theirs, and so for the other phases.
func BenchmarkTerraform(b *testing.B) {
	cliConfig := filepath.Join(b.TempDir(), "cli.tfrc")
	// Full addresses mean the same to Terraform and OpenTofu.
	write(b, cliConfig, fmt.Sprintf(`
provider_installation {
  dev_overrides {
    "registry.terraform.io/pipes-as-code/delivery" = %q
    "registry.terraform.io/pipes-as-code/tiny"     = %q
  }
}
`, filepath.Dir(build(b, "delivery", ".")), filepath.Dir(build(b, "tiny", "./internal/bench/tiny"))))

	for _, count := range []int{1, 1000} {
		b.Run(fmt.Sprintf("count=%d", count), func(b *testing.B) {
			ours := newFolder(b, cliConfig, fmt.Sprintf(`
terraform {
  required_providers {
    delivery = { source = "registry.terraform.io/pipes-as-code/delivery" }
  }
}
provider "delivery" {
  repository = "sqlite://%s"
}
resource "delivery_version" "all" {
  count   = %d
  service = "web"
}
`, filepath.ToSlash(filepath.Join(b.TempDir(), "delivery.db")), count))
			data := newFolder(b, cliConfig, fmt.Sprintf(`
resource "terraform_data" "all" {
  count = %d
  input = "web"
}
`, count))
			tiny := newFolder(b, cliConfig, fmt.Sprintf(`
terraform {
  required_providers {
    tiny = { source = "registry.terraform.io/pipes-as-code/tiny" }
  }
}
resource "tiny_thing" "all" {
  count = %d
  input = "web"
}
`, count))

			for b.Loop() {
				for _, phase := range phases {
					for _, f := range []*folder{data, ours, tiny} {
						f.run(b, phase.name, phase.command)
					}
				}
				for _, f := range []*folder{data, ours, tiny} {
					f.forget(b)
				}
			}
			b.ReportMetric(0, "ns/op")
			for _, phase := range phases {
				took := ours.took[phase.name].Seconds()
				b.ReportMetric(took/float64(b.N), "s-"+phase.name)
				b.ReportMetric(took/data.took[phase.name].Seconds(), "x-"+phase.name)
				b.ReportMetric(took/tiny.took[phase.name].Seconds(), "x-"+phase.name+"-tiny")
			}
		})
	}
}

// folder is a Terraform configuration with its state.
type folder struct {
	terraform, dir, cliConfig string
	// took is how long the commands took, by phase.
	took map[string]time.Duration
}

func newFolder(b *testing.B, cliConfig, config string) *folder {
	b.Helper()
	terraform, err := rig.Tool("terraform")
	if err != nil {
		b.Fatal(err)
	}
	f := &folder{terraform: terraform, dir: b.TempDir(), cliConfig: cliConfig, took: map[string]time.Duration{}}
	write(b, filepath.Join(f.dir, "main.tf"), config)
	return f
}

func (f *folder) run(b *testing.B, phase string, command []string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), f.terraform, command...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+f.cliConfig, "CHECKPOINT_DISABLE=1")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	f.took[phase] += time.Since(began)
}

// forget removes the state, so that the next apply creates everything again.
func (f *folder) forget(b *testing.B) {
	b.Helper()
	if err := os.Remove(filepath.Join(f.dir, "terraform.tfstate")); err != nil {
		b.Fatal(err)
	}
}

func write(b *testing.B, path, content string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}
