package cluster_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// What a cluster runs is the image of its version, and no new servers run a
// revoked one. Servers that do can still be changed and destroyed.
func TestAccCluster_Version(t *testing.T) {
	e := acctest.New(t)
	strict := func(changes ...arguments) string {
		return config(e, append([]arguments{worker, {"allow_unregistered_image": "", "image_id": "", "rollout": ""}}, changes...)...)
	}
	register := func(number int64) {
		e.Bake(t, builddata.Image{Service: "strawberry", Number: number, Region: acctest.Region,
			ID: rig.BaseImage, Architecture: "x86_64", Digest: "sha256:1"})
	}
	revoke := func(version string) {
		_, err := e.Store.Revoke(t.Context(), "strawberry", version, "sells rotten fruit")
		fatal(t, err)
	}
	refused := func(text string, changes ...arguments) resource.TestStep {
		return resource.TestStep{Config: strict(changes...), PlanOnly: true, ExpectError: says(text)}
	}
	image := []statecheck.StateCheck{value("image_id", knownvalue.StringExact(rig.BaseImage))}
	test(t, e,
		refused(`service strawberry has no version 1.2.3 in the build data repository`, arguments{"version": `"1.2.3"`}),
		refused(`version 17 of service strawberry has no image: bake one`),
		refused(`image `+rig.BaseImage+` is not registered as an image of version 17 of service strawberry in `+acctest.Region+`; it has no image`,
			arguments{"image_id": fmt.Sprintf("%q", rig.BaseImage)}),
		resource.TestStep{
			PreConfig:         func() { register(17) },
			Config:            strict(),
			ConfigPlanChecks:  expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: image,
		},
		resource.TestStep{
			PreConfig:         func() { revoke("17") },
			Config:            strict(arguments{"max_size": "5"}),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: append(image, value("max_size", knownvalue.Int32Exact(5))),
		},
		refused(`version 17 of service strawberry was revoked`, arguments{"max_size": "5", "instance_type": `"t3.small"`}),
		resource.TestStep{
			Config:             strict(arguments{"max_size": "5", "instance_type": `"t3.small"`, "allow_revoked": "true"}),
			PlanOnly:           true,
			ExpectNonEmptyPlan: true,
		},
	)
}

// An argument that does not exist is refused, wherever it stands: a misspelled "alarms" would
// otherwise be a rollout without alarms. So is a block without a required argument.
func TestAccCluster_UnknownArguments(t *testing.T) {
	e := acctest.New(t)
	var steps []resource.TestStep
	for text, change := range map[string]arguments{
		`An argument named "alarm" is not expected here`:    {"rollout": `{ alarm = ["errors"] }`},
		`An argument named "path" is not expected here`:     {"listener_rule": `{ priority = 100, path = ["/a"] }`},
		`An argument named "matchers" is not expected here`: {"target": `{ port = 8080, health_check = { matchers = "200" } }`},
		`An argument named "name" is not expected here`:     {"launch_template": `{ id = "lt-1", version = "1", name = "web" }`},
		`Attribute target.port is missing`:                  {"target": `{ protocol = "HTTP" }`},
		`Attribute launch_template.version is missing`:      {"launch_template": `{ id = "lt-1" }`},
	} {
		steps = append(steps, resource.TestStep{Config: config(e, change), PlanOnly: true, ExpectError: says(text)})
	}
	test(t, e, steps...)
}

// An element of a set, list or map that is null is refused by the name of its attribute.
func TestAccCluster_NullElements(t *testing.T) {
	e := acctest.New(t)
	var steps []resource.TestStep
	for name, change := range map[string]arguments{
		"subnet_ids":         {"subnet_ids": `["subnet-1", null]`},
		"security_group_ids": {"security_group_ids": `[null]`},
		"tags":               {"tags": `{ purpose = null }`},
		"listener_rule.hosts": {
			"listener_rule": `{ priority = 100, hosts = ["a.example.com", null] }`,
		},
		"rollout.alarms": {"rollout": `{ alarms = ["errors", null] }`},
		"rollout.steps":  {"rollout": `{ steps = [10, null] }`},
	} {
		steps = append(steps, resource.TestStep{Config: config(e, change), PlanOnly: true,
			ExpectError: says("Attribute " + name)})
	}
	test(t, e, steps...)
}
