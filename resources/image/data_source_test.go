package image_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

func TestAccImage(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	for range 3 {
		if _, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
			t.Fatal(err)
		}
	}
	image := func(number int64, region, id, architecture string) builddata.Image {
		return builddata.Image{Service: "web", Number: number, Region: region, ID: id, Architecture: architecture, Digest: "sha256:" + id}
	}
	e.Bake(t, image(1, "eu-north-1", "ami-1", "x86_64"), image(1, "eu-north-1", "ami-2", "arm64"), image(1, "us-east-1", "ami-3", "x86_64"))
	e.Bake(t, image(2, "eu-north-1", "ami-4", "x86_64"))
	if _, err := e.Store.Revoke(t.Context(), "web", "2", "bad"); err != nil {
		t.Fatal(err)
	}
	data := func(arguments string) string {
		return e.Provider(`  region = "eu-north-1"`) + fmt.Sprintf("data \"delivery_image\" \"web\" {\n  service = \"web\"\n%s\n}\n", arguments)
	}
	is := func(id string) []statecheck.StateCheck {
		return []statecheck.StateCheck{
			statecheck.ExpectKnownValue("data.delivery_image.web", tfjsonpath.New("image_id"), knownvalue.StringExact(id)),
			statecheck.ExpectKnownValue("data.delivery_image.web", tfjsonpath.New("digest"), knownvalue.StringExact("sha256:"+id)),
		}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{Config: data("version = \"1\"\narchitecture = \"arm64\""), ConfigStateChecks: is("ami-2")},
			{Config: data("version = \"1\"\nregion = \"us-east-1\""), ConfigStateChecks: is("ami-3")},
			{
				Config:      data(`version = "1"`),
				ExpectError: regexp.MustCompile(`(?s)version 1 of service web has 2 such images in eu-north-1.*ami-2 in.*ami-1 in`),
			},
			{Config: data("version = \"1\"\nregion = \"eu-west-1\""), ExpectError: regexp.MustCompile(`(?s)has no such image in\s+eu-west-1`)},
			{Config: data(`version = "3"`), ExpectError: regexp.MustCompile(`(?s)version 3 of service web has no image: bake one`)},
			{Config: data(`version = "4"`), ExpectError: regexp.MustCompile(`(?s)not found in the build\s+data repository`)},
			// A revoked version's image is found and said to be revoked: a cluster that runs it can still be changed and destroyed.
			{Config: data(`version = "2"`), ConfigStateChecks: append(is("ami-4"),
				statecheck.ExpectKnownValue("data.delivery_image.web", tfjsonpath.New("revoked"), knownvalue.Bool(true)))},
		},
	})
}
