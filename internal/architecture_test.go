// Package architecture_test holds the project to its direction of dependencies.
package architecture_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const internal = "github.com/pipes-as-code/terraform-provider-delivery/internal/"

// domain is what the project knows without Terraform, Packer, AWS or SQL.
var domain = []string{
	internal + "builddata",
	internal + "catalog",
	internal + "clock",
	internal + "cluster",
	internal + "exitcode",
	internal + "lease",
	internal + "pipe",
	internal + "rollout",
	internal + "stamp",
	internal + "tagging",
	internal + "text",
}

func TestDomainReachesNoTechnology(t *testing.T) {
	for _, pkg := range domain {
		t.Run(strings.TrimPrefix(pkg, internal), func(t *testing.T) {
			t.Parallel()
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg)
			out, err := list.Output()
			if err != nil {
				t.Fatalf("%s: %v", list, err)
			}
			reached := strings.Fields(string(out))
			for _, dependency := range reached {
				if !slices.Contains(domain, dependency) && !strings.HasPrefix(dependency, "golang.org/x/sync/") {
					t.Errorf("reaches %s", dependency)
				}
			}
			t.Logf("%d packages outside the standard library, itself included", len(reached))
		})
	}
}

// The runner of pipes is given its repository and its cloud.
func TestRunnerReachesNoCloudAndNoDatabase(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./runner").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dependency := range strings.Fields(string(out)) {
		for _, prefix := range []string{"github.com/aws/", "modernc.org/sqlite", internal + "awscloud", internal + "sqlite"} {
			if strings.HasPrefix(dependency, prefix) {
				t.Errorf("reaches %s", dependency)
			}
		}
	}
}

// running is what reaches Terraform as a program: the library that starts it
// and reads what it prints. It holds none of Terraform's own code.
var running = []string{
	"github.com/hashicorp/terraform-exec/",
	"github.com/hashicorp/terraform-json",
	"github.com/hashicorp/go-version",
}

// The command line rolls clusters out by the same code as the provider, and
// has neither Terraform nor Packer in it.
func TestCommandReachesNoTerraform(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/delivery").Output()
	if err != nil {
		t.Fatal(err)
	}
	reached := strings.Fields(string(out))
	for _, dependency := range reached {
		allowed := slices.ContainsFunc(running, func(prefix string) bool { return strings.HasPrefix(dependency, prefix) })
		if strings.HasPrefix(dependency, "github.com/hashicorp/") && !allowed {
			t.Errorf("reaches %s", dependency)
		}
	}
	if !slices.Contains(reached, internal+"rollout") {
		t.Error("does not reach the package rollout")
	}
}
