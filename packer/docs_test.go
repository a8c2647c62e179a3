package packer_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/manifest"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/version"
)

var pages = map[string][]hcldec.ObjectSpec{
	"post-processors/delivery-stamp.md": {stamp.New(nil).ConfigSpec(), new(stamp.AssumeRole).FlatMapstructure().HCL2Spec()},
	"data-sources/delivery-version.md":  {new(version.DataSource).ConfigSpec(), new(version.DataSource).OutputSpec()},
	"provisioners/delivery-manifest.md": {new(manifest.Provisioner).ConfigSpec()},
}

func page(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(rig.Root(), "docs", "packer", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestDocs_NameEveryArgument(t *testing.T) {
	for name, specs := range pages {
		content := page(t, name)
		for _, spec := range specs {
			for argument := range spec {
				if !strings.HasPrefix(argument, "packer_") && !strings.Contains(content, "- `"+argument+"` (") {
					t.Errorf("docs/packer/%s does not explain %s", name, argument)
				}
			}
		}
	}
}

func TestAccDocs_ExamplesAreValid(t *testing.T) {
	example := regexp.MustCompile("(?s)```hcl\n(.*?)```")
	for name := range pages {
		t.Run(name, func(t *testing.T) {
			b := newBakery(t)
			if err := os.Mkdir(filepath.Join(b.dir, "scripts"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(b.dir, "scripts", "install.sh"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, found := range example.FindAllStringSubmatch(page(t, name), -1) {
				if _, err := b.run(t, "validate -evaluate-datasources", found[1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
