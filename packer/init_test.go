package packer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// What "make install" installs meets the constraint that the docs show, so that packer init
// asks no server.
func TestAccInit(t *testing.T) {
	rig.Acceptance(t)
	packer, err := rig.Tool("packer")
	if err != nil {
		t.Fatal(err)
	}
	installed, err := installPlugins()
	if err != nil {
		t.Fatal(err)
	}
	template := filepath.Join(t.TempDir(), "image.pkr.hcl")
	if err := os.WriteFile(template, []byte(`
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
    delivery = {
      source  = "github.com/pipes-as-code/delivery"
      version = ">= 0.1.0"
    }
  }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	init := exec.CommandContext(t.Context(), packer, "init", template)
	init.Env = append(append(os.Environ(), installed...), "HTTPS_PROXY=http://127.0.0.1:1") // no server answers
	out, err := init.CombinedOutput()
	if err != nil || strings.Contains(string(out), "Installed") {
		t.Errorf("packer init: %v\n%s", err, out)
	}
}
