package cluster_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

const address = "delivery_cluster.strawberry"

// arguments are those of a cluster under test; a test changes some.
type arguments map[string]string

// config is a whole configuration with one cluster.
func config(e *acctest.Env, change arguments) string {
	all := arguments{
		"service":            `"strawberry"`,
		"environment":        `"test"`,
		"version":            `"17"`,
		"image_id":           fmt.Sprintf("%q", e.BaseImage),
		"instance_type":      `"t3.micro"`,
		"subnet_ids":         fmt.Sprintf("[%q, %q]", e.Subnets[0], e.Subnets[1]),
		"security_group_ids": fmt.Sprintf("[%q]", e.SecurityGroup),
		"min_size":           "2",
		"max_size":           "4",
		"listener":           fmt.Sprintf("%q", e.Listener),
		"listener_rule":      `{ priority = 100, hosts = ["strawberry-test.example.com"] }`,
		"target":             `{ port = 8080, health_check = { path = "/health" } }`,
		"tags":               `{ purpose = "acceptance" }`,
	}
	text := e.Provider(`  default_tags = { owner_team = "fruit", solution = "shop" }`) + "resource \"delivery_cluster\" \"strawberry\" {\n"
	for name, value := range change {
		all[name] = value
	}
	for name, value := range all {
		if value != "" {
			text += fmt.Sprintf("  %s = %s\n", name, value)
		}
	}
	return text + "}\n"
}

func emptyPlan() resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
}

func action(what plancheck.ResourceActionType) resource.ConfigPlanChecks {
	checks := emptyPlan()
	checks.PreApply = []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, what)}
	return checks
}

func value(path string, v knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(path), v)
}

func TestAccCluster(t *testing.T) {
	e := acctest.New(t)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		CheckDestroy:             func(*terraform.State) error { return e.NothingLeft(t.Context()) },
		Steps: []resource.TestStep{
			{
				Config:           config(e, nil),
				ConfigPlanChecks: action(plancheck.ResourceActionCreate),
				ConfigStateChecks: []statecheck.StateCheck{
					value("id", knownvalue.StringExact("strawberry/test")),
					value("generation", knownvalue.StringRegexp(regexp.MustCompile(`^strawberry-test-[a-z0-9]{8}$`))),
					value("missing", knownvalue.ListSizeExact(0)),
					value("tags_all", knownvalue.MapExact(map[string]knownvalue.Check{
						"service": knownvalue.StringExact("strawberry"), "environment": knownvalue.StringExact("test"), "version": knownvalue.StringExact("17"),
						"owner_team": knownvalue.StringExact("fruit"), "solution": knownvalue.StringExact("shop"), "purpose": knownvalue.StringExact("acceptance"),
					})),
				},
			},
			{
				ResourceName: address, ImportState: true, ImportStateVerify: true,
			},
		},
	})
}
