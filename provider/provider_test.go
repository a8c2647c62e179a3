package provider_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/provider"
)

func TestNew(t *testing.T) {
	p := provider.New("1.2.3")()
	if got := len(p.Resources(t.Context())); got != 3 {
		t.Errorf("got %d resources, want 3", got)
	}
}

// An argument that is not known yet is an error. Its default is not used instead.
func TestAccProvider_UnknownArgument(t *testing.T) {
	acctest.NewWithoutAWS(t)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{{
			Config: `
				resource "terraform_data" "file" {}
				provider "delivery" { repository = "sqlite:///${terraform_data.file.id}" }
				data "delivery_versions" "web" { service = "web" }
			`,
			ExpectError: regexp.MustCompile(`(?s)argument\s+repository\s+is\s+not\s+known\s+yet`),
		}},
	})
}

// A version needs neither credentials nor a region. For a cluster, missing credentials are
// an error.
func TestAccProvider_WithoutCredentials(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	// A profile that does not exist overrides the credentials in the environment of the
	// tests.
	profile := `  profile = "missing"`
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{Config: e.Provider(profile) + "resource \"delivery_version\" \"web\" {\n  service = \"web\"\n}\n"},
			{
				Config: e.Provider(profile, `  required_tags = []`, `  region = "eu-north-1"`) + strings.ReplaceAll(`
					resource "delivery_cluster" "web" {
						service       = "web"
						environment   = "test"
						version       = "1"
						image_id      = "ami-1"
						instance_type = "t3.micro"
						subnet_ids    = ["subnet-1"]
						min_size      = 1
						max_size      = 1
					}`, "\t", " "),
				ExpectError: regexp.MustCompile(`(?s)Could not reach AWS.*missing`),
			},
		},
	})
}
