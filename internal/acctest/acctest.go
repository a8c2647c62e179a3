// Package acctest is the environment of the Terraform acceptance tests: each test has
// an AWS account and a build data repository of its own, and the provider
// configuration for them.
package acctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/provider"
)

// Region is the AWS region of the tests.
const Region = "eu-north-1"

// Env is the environment of one test.
type Env struct {
	rig.Account
	rig.Landscape
	// Proxy is a proxy for AWS that can make calls fail.
	Proxy *rig.Proxy
	// Store is the repository of the provider, opened by the test.
	Store builddata.Store

	repository repository.Address
}

// New creates the environment of a test, and marks the test as parallel. Without TF_ACC, it
// skips the test, as the test library does.
func New(t *testing.T) *Env {
	t.Helper()
	e := NewWithoutAWS(t)
	moto, err := rig.Shared()
	if err != nil {
		t.Fatal(err)
	}
	if e.Account, err = moto.Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.Landscape, err = rig.Prepare(t.Context(), e.Account, Region); err != nil {
		t.Fatal(err)
	}
	if e.Proxy, err = rig.NewProxy(e.Endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// NewWithoutAWS is New for tests that do not call AWS.
func NewWithoutAWS(t *testing.T) *Env {
	t.Helper()
	rig.Acceptance(t)
	t.Parallel()
	useTools(t)
	e := &Env{repository: repository.File(filepath.Join(t.TempDir(), "delivery.db"))}
	store, err := repository.Open(t.Context(), e.repository, repository.Config{Clock: clock.System{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	e.Store = store
	return e
}

// useTools makes the test library use the Terraform or OpenTofu that "make tools" has
// installed, and prevents AWS SDKs from using the credentials of the user.
func useTools(t *testing.T) {
	t.Helper()
	terraform, err := rig.Tool("terraform")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{
		"TF_ACC_TERRAFORM_PATH":       terraform,
		"AWS_ACCESS_KEY_ID":           "test",
		"AWS_SECRET_ACCESS_KEY":       "secret-of-the-emulator",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"TF_CLI_CONFIG_FILE":          os.DevNull,
		"CHECKPOINT_DISABLE":          "1",
		// The SDK waits on the real clock before it retries.
		"AWS_MAX_ATTEMPTS": "3",
	}
	if target, err := filepath.EvalSymlinks(terraform); err == nil && filepath.Base(target) == "tofu" {
		settings["TF_ACC_PROVIDER_HOST"] = "registry.opentofu.org"
	}
	for name, value := range settings {
		// All tests of a process set the same values, so this is safe.
		if err := os.Setenv(name, value); err != nil { //nolint:usetesting // t.Setenv forbids parallel tests
			t.Fatal(err)
		}
	}
}

// Factories are the providers of the test library.
var Factories = map[string]func() (tfprotov6.ProviderServer, error){
	"delivery": providerserver.NewProtocol6WithError(provider.New("test")()),
}

// Repository is the address of the test's build data repository.
func (e *Env) Repository() string { return e.repository.String() }

// Provider returns the configuration of the provider with additional arguments.
func (e *Env) Provider(arguments ...string) string {
	config := fmt.Sprintf("provider \"delivery\" {\n  repository = %q\n", e.Repository())
	if e.Proxy != nil {
		url := e.Proxy.URL
		config += fmt.Sprintf(`  region      = %q
  assume_role { role_arn = %q }
  endpoints   = { ec2 = %q, autoscaling = %q, elasticloadbalancing = %q, cloudwatch = %q, sts = %q }
`, Region, e.RoleARN(), url, url, url, url, url)
	}
	return config + strings.Join(arguments, "\n") + "\n}\n"
}

// Bake registers images as those of one bake, and makes them available.
func (e *Env) Bake(t *testing.T, images ...builddata.Image) {
	t.Helper()
	bake := "bake-of-" + images[0].ID
	for i := range images {
		images[i].Bake = bake
	}
	if err := e.Store.Register(t.Context(), images...); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Store.OfferImages(t.Context(), images[0].Service, images[0].Number, bake); err != nil {
		t.Fatal(err)
	}
}
