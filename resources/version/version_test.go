package version_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const address = "delivery_version.web"

func version(arguments string) string {
	return fmt.Sprintf("resource \"delivery_version\" \"web\" {\n%s\n}\n", arguments)
}

func value(address, path string, v knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(path), v)
}

func expect(what plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, what)},
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	}
}

// test runs the steps and checks that destroying versions kept them in the repository.
func test(t *testing.T, e *acctest.Env, kept int, steps ...resource.TestStep) {
	t.Helper()
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		CheckDestroy: func(*terraform.State) error {
			all, err := e.Store.Versions(t.Context(), builddata.VersionQuery{Service: "web", IncludeRevoked: true})
			if err == nil && len(all) != kept {
				err = fmt.Errorf("got %d versions in the repository, want %d", len(all), kept)
			}
			return err
		},
		Steps: steps,
	})
}

func TestAccVersion(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	test(t, e, 3,
		resource.TestStep{
			Config: e.Provider() + version(`
				service         = "web"
				scheme          = "semver"
				bump            = "minor"
				source_revision = "abc"
				labels          = { branch = "main" }
			`),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value(address, "id", knownvalue.StringExact("web/0.1.0")),
				value(address, "version", knownvalue.StringExact("0.1.0")),
				value(address, "number", knownvalue.Int64Exact(1)),
				value(address, "key", knownvalue.Null()),
				value(address, "revoked", knownvalue.Bool(false)),
				value(address, "created_at", knownvalue.StringRegexp(regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$`))),
			},
		},
		// The repository does not store the bump. Setting it again does not replace
		// the imported version.
		resource.TestStep{ResourceName: address, ImportState: true, ImportStateVerify: true, ImportStateVerifyIgnore: []string{"bump"}},
		resource.TestStep{
			Config:           e.Provider() + version("service = \"web\"\nlabels = {}"),
			ConfigPlanChecks: expect(plancheck.ResourceActionDestroyBeforeCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value(address, "version", knownvalue.StringExact("2")),
			},
		},
		resource.TestStep{
			Config:           e.Provider() + version("service = \"web\"\nscheme = \"calver\""),
			ConfigPlanChecks: expect(plancheck.ResourceActionDestroyBeforeCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value(address, "number", knownvalue.Int64Exact(3)),
				value(address, "version", knownvalue.StringRegexp(regexp.MustCompile(`^20\d\d\.\d+\.1$`))),
			},
		},
		// Drift: a revocation is shown, and does not allocate a new version.
		resource.TestStep{
			PreConfig: func() {
				newest, err := e.Store.Versions(t.Context(), builddata.VersionQuery{Service: "web", Limit: 1})
				if err == nil {
					_, err = e.Store.Revoke(t.Context(), "web", newest[0].Name, "leaks memory")
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			RefreshState: true,
			Check:        resource.TestCheckResourceAttr(address, "revoked_reason", "leaks memory"),
		},
	)
}

func TestAccVersion_Keys(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	keepers := func(name, run string) string {
		return fmt.Sprintf(`
resource "delivery_version" %q {
  service         = "web"
  source_revision = "abc"
  keepers         = { run = %q }
}
`, name, run)
	}
	number := tfjsonpath.New("number")
	test(t, e, 3,
		// The same keepers give the same version, in any resource.
		resource.TestStep{
			Config: e.Provider() + keepers("one", "7") + keepers("two", "7") + keepers("three", "8"),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.CompareValuePairs("delivery_version.one", number, "delivery_version.two", number, same{}),
				statecheck.CompareValuePairs("delivery_version.one", number, "delivery_version.three", number, different{}),
			},
		},
		resource.TestStep{
			Config:           e.Provider() + version("service = \"web\"\nkey = \"k\""),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
		},
		resource.TestStep{
			Config: e.Provider() + version("service = \"web\"\nkey = \"k\"") + `
resource "delivery_version" "api" {
  service = "api"
  key     = "k"
}
`,
			// A key belongs to its service: the same one in another service is another version.
			ConfigStateChecks: []statecheck.StateCheck{
				value("delivery_version.api", "number", knownvalue.Int64Exact(1)),
			},
		},
	)
}

type same struct{}

func (same) CompareValues(values ...any) error {
	if fmt.Sprint(values[0]) != fmt.Sprint(values[1]) {
		return fmt.Errorf("got %v, want both the same", values)
	}
	return nil
}

type different struct{}

func (different) CompareValues(values ...any) error {
	if fmt.Sprint(values[0]) == fmt.Sprint(values[1]) {
		return fmt.Errorf("got %v, want them to differ", values)
	}
	return nil
}

// A version that is not in the repository is removed from the state.
func TestAccVersion_NotInRepository(t *testing.T) {
	e, other := acctest.NewWithoutAWS(t), filepath.Join(t.TempDir(), "other.db")
	elsewhere := fmt.Sprintf("provider \"delivery\" { repository = %q }\n", "sqlite://"+other)
	test(t, e, 1,
		resource.TestStep{Config: e.Provider() + version(`service = "web"`)},
		resource.TestStep{Config: elsewhere + version(`service = "web"`), ConfigPlanChecks: expect(plancheck.ResourceActionCreate)},
	)
}

func TestAccVersion_BadInput(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	folder := t.TempDir()
	corrupt := filepath.Join(folder, "corrupt.db")
	if err := os.WriteFile(corrupt, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	repository := func(url string) string { return fmt.Sprintf("provider \"delivery\" { repository = %q }\n", url) }
	web := version(`service = "web"`)
	data := func(arguments string) string {
		return fmt.Sprintf("data \"delivery_version\" \"x\" {\n%s\n}\n", arguments)
	}
	for name, tt := range map[string]struct{ config, says string }{
		"MissingService":    {e.Provider() + version(""), `argument "service" is required`},
		"EmptyService":      {e.Provider() + version(`service = ""`), "the service is missing"},
		"BadService":        {e.Provider() + version(`service = "a/b"`), `service "a/b": use 1 to 64 letters`},
		"UnknownScheme":     {e.Provider() + version("service = \"web\"\nscheme = \"roman\""), `value must be one of`},
		"BumpWithoutSemver": {e.Provider() + version("service = \"web\"\nbump = \"major\""), "Only a semver version can be bumped"},
		"UnknownRepository": {repository("postgres://host/db") + web, `the scheme "postgres" is unknown`},
		"CorruptRepository": {repository("sqlite://"+corrupt) + web, "the file is damaged or not a SQLite database"},
		"UnwritablePath":    {repository("sqlite://"+corrupt+"/delivery.db") + web, "not a directory"},
		"BadDefaultTags":    {"provider \"delivery\" { default_tags = { \"aws:x\" = \"y\" } }\n" + web, "reserved by AWS"},
		"UnknownEndpoint":   {"provider \"delivery\" { endpoints = { route53 = \"y\" } }\n" + web, "value must be one of"},
		"SessionTooLong": {
			"provider \"delivery\" {\n  assume_role {\n    role_arn = \"x\"\n    duration = \"13h\"\n  }\n}\n" + web, "Use whole seconds from 15m0s to 12h0m0s",
		},
		"DataUnknownVersion": {e.Provider() + data("service = \"web\"\nversion = \"99\""), "not found in the build data repository"},
		"DataNoSelector":     {e.Provider() + data(`service = "web"`), "Exactly one of these attributes must be configured"},
		"DataTwoSelectors": {
			e.Provider() + data("service = \"web\"\nversion = \"1\"\nlatest = true"), "Exactly one of these attributes must be configured",
		},
		"DataNothingLatest": {e.Provider() + data("service = \"nothing\"\nlatest = true"), "service nothing has no version"},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps: []resource.TestStep{{
					Config:      tt.config,
					ExpectError: regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(tt.says), " ", `\s+`)),
				}},
			})
		})
	}
	t.Run("ImportWithoutVersion", func(t *testing.T) {
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: acctest.Factories,
			Steps: []resource.TestStep{{
				Config: e.Provider() + web, ResourceName: address, ImportState: true, ImportStateId: "web",
				ExpectError: regexp.MustCompile(`Use\s+service/version`),
			}},
		})
	})
}

func TestAccVersionData(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	for i := range 4 {
		_, err := e.Store.Allocate(t.Context(), builddata.Allocation{
			Service: "web", Scheme: builddata.Sequence, SourceRevision: fmt.Sprint("r", i%2),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Store.Revoke(t.Context(), "web", "4", "bad"); err != nil {
		t.Fatal(err)
	}
	one := func(arguments string) string {
		return e.Provider() + fmt.Sprintf("data \"delivery_version\" \"web\" {\n  service = \"web\"\n%s\n}\n", arguments)
	}
	many := func(arguments string) string {
		return e.Provider() + fmt.Sprintf("data \"delivery_versions\" \"web\" {\n  service = \"web\"\n%s\n}\n", arguments)
	}
	list := func(names ...string) statecheck.StateCheck {
		var all []knownvalue.Check
		for _, name := range names {
			all = append(all, knownvalue.ObjectPartial(map[string]knownvalue.Check{"version": knownvalue.StringExact(name)}))
		}
		return value("data.delivery_versions.web", "versions", knownvalue.ListExact(all))
	}
	is := func(name string) statecheck.StateCheck {
		return value("data.delivery_version.web", "version", knownvalue.StringExact(name))
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{
			{Config: one(`version = "2"`), ConfigStateChecks: []statecheck.StateCheck{
				is("2"), value("data.delivery_version.web", "source_revision", knownvalue.StringExact("r1")),
			}},
			{Config: one(`latest = true`), ConfigStateChecks: []statecheck.StateCheck{is("3")}},
			// With a warning: what runs it has to be changed and destroyed.
			{Config: one(`version = "4"`), ConfigStateChecks: []statecheck.StateCheck{
				is("4"), value("data.delivery_version.web", "revoked", knownvalue.Bool(true)),
			}},
			{Config: many(""), ConfigStateChecks: []statecheck.StateCheck{list("3", "2", "1")}},
			{Config: many("include_revoked = true\nlimit = 2"), ConfigStateChecks: []statecheck.StateCheck{list("4", "3")}},
			{Config: many(`source_revision = "r0"`), ConfigStateChecks: []statecheck.StateCheck{list("3", "1")}},
		},
	})
}
