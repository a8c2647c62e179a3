// Package examples_test applies the examples that the documentation shows.
package examples_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// TestAccExamples applies each example as it stands, after the version that
// they are about was baked, and expects an empty plan.
func TestAccExamples(t *testing.T) {
	files, err := filepath.Glob("*/delivery_*/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.ToSlash(filepath.Dir(file)), func(t *testing.T) {
			e := acctest.New(t)
			v, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
			if err != nil {
				t.Fatal(err)
			}
			err = e.Store.Register(t.Context(), builddata.Image{
				Service: v.Service, Number: v.Number, Region: acctest.Region, ID: rig.BaseImage, Architecture: "x86_64", Digest: "sha256:0",
			})
			if err != nil {
				t.Fatal(err)
			}
			example, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			subnets := make([]config.Variable, len(e.Subnets))
			for i, id := range e.Subnets {
				subnets[i] = config.StringVariable(id)
			}
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps: []resource.TestStep{{
					Config: e.Provider() + string(example),
					ConfigVariables: config.Variables{
						"revision":           config.StringVariable("4f2a9c1"),
						"release":            config.StringVariable(v.Name),
						"subnet_ids":         config.SetVariable(subnets...),
						"security_group_ids": config.SetVariable(config.StringVariable(e.SecurityGroup)),
						"listener_arn":       config.StringVariable(e.Listener),
					},
				}},
			})
		})
	}
}
