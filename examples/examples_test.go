// Package examples_test applies the examples of the documentation.
package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// Every example in the documentation can be applied without changes, with values for its
// variables, and destroyed again.
func TestAccExamples(t *testing.T) {
	folders, err := filepath.Glob("*/delivery_*")
	if err != nil || len(folders) < 6 {
		t.Fatalf("got %v and %v, want the examples of all resources and data sources", folders, err)
	}
	for _, folder := range append(folders, "provider") {
		t.Run(filepath.ToSlash(folder), func(t *testing.T) {
			e := acctest.New(t)
			for range 17 {
				if _, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Semver,
					Bump: builddata.Minor}); err != nil {
					t.Fatal(err)
				}
			}
			e.Bake(t, builddata.Image{Service: "strawberry", Number: 17, Region: acctest.Region, ID: rig.BaseImage, Architecture: "x86_64"})
			w := acctest.NewWorkspace(t, "")
			if err := w.Copy(folder); err != nil {
				t.Fatal(err)
			}
			// A .delivery.yml is expected in a git repository.
			if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", w.Folder()).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			w.Environ = append(e.Environ(),
				"DELIVERY_REPOSITORY="+e.Repository(),
				"AWS_REGION="+acctest.Region,
				"TF_VAR_release=0.17.0",
				"TF_VAR_revision=4f2a9c1",
				"TF_VAR_rehearsal=true",
				"XDG_STATE_HOME="+t.TempDir(),
				fmt.Sprintf("TF_VAR_subnet_ids=[%q,%q]", e.Subnets[0], e.Subnets[1]),
				fmt.Sprintf("TF_VAR_security_group_ids=[%q]", e.SecurityGroup),
				"TF_VAR_listener_arn="+e.Listener,
				"TF_VAR_origin_secret=hunter2",
			)
			for _, command := range []string{"apply -auto-approve", "plan -detailed-exitcode", "destroy -auto-approve"} {
				if _, err := w.Run(t.Context(), append(strings.Fields(command), "-no-color", "-input=false")...); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.NothingLeft(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMain(m *testing.M) { os.Exit(acctest.Main(m)) }
