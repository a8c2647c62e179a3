package tags_test

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

func TestAccTags(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	provider := e.Provider(`  default_tags = { owner_team = "fruit", solution = "default" }`)
	data := func(arguments string) string {
		return provider + "data \"delivery_tags\" \"web\" {\n" + arguments + "\n}\n"
	}
	want := map[string]knownvalue.Check{
		"service": knownvalue.StringExact("web"), "environment": knownvalue.StringExact("test"), "version": knownvalue.StringExact("17"),
		"owner_team": knownvalue.StringExact("fruit"), "solution": knownvalue.StringExact("shop"), "x": knownvalue.StringExact("y"),
	}
	is := func(path string, v knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.delivery_tags.web", tfjsonpath.New(path), v)
	}
	specification := func(kind string) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{
			"resource_type": knownvalue.StringExact(kind), "tags": knownvalue.MapExact(want),
		})
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{
				Config: data(`
					service     = "web"
					solution    = "shop"
					environment = "test"
					version     = "17"
					tags        = { x = "y" }
				`),
				ConfigStateChecks: []statecheck.StateCheck{
					is("map", knownvalue.MapExact(want)),
					is("asg_tags", knownvalue.ListPartial(map[int]knownvalue.Check{
						0: knownvalue.ObjectExact(map[string]knownvalue.Check{
							"key": knownvalue.StringExact("environment"), "value": knownvalue.StringExact("test"), "propagate_at_launch": knownvalue.Bool(true),
						}),
					})),
					is("asg_tags", knownvalue.ListSizeExact(len(want))),
					is("tag_specifications", knownvalue.ListExact([]knownvalue.Check{
						specification("instance"), specification("volume"), specification("network-interface"),
					})),
				},
			},
			{
				Config: "resource \"terraform_data\" \"team\" {}\n" + e.Provider(`  default_tags = { owner_team = terraform_data.team.id }`) +
					"data \"delivery_tags\" \"web\" {\n  service = \"web\"\n}\n",
				ExpectError: regexp.MustCompile(`argument\s+default_tags\s+is\s+not\s+known\s+yet`),
			},
			{Config: data(`service = "web"`), ExpectError: regexp.MustCompile(`these required tags have no value:\s+environment`)},
			{Config: data("service = \"web\"\nenvironment = \"a;b\""), ExpectError: regexp.MustCompile(`use letters,\s+digits`)},
		},
	})
}
