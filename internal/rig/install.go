package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/version"
)

// Installation is what a user has after "make install", for one test or demo only.
type Installation struct {
	// Delivery is the path of the command line program.
	Delivery string
	// Environ makes Terraform and Packer find the provider and the plugins, and lets programs
	// be found by name.
	Environ []string
}

// Install builds the provider, the Packer plugin and the command line of this checkout, and
// installs them in a folder, together with Packer's Amazon plugin.
func Install(ctx context.Context, folder string) (Installation, error) {
	dist, mirror := filepath.Join(folder, "dist"), filepath.Join(folder, "mirror")
	settings := filepath.Join(folder, "terraform.rc")
	packer, err := Tool("packer")
	if err != nil {
		return Installation{}, err
	}
	amazon, err := Tool("packer-plugin-amazon")
	if err != nil {
		return Installation{}, err
	}
	i := Installation{Delivery: filepath.Join(dist, "delivery"), Environ: []string{
		"TF_CLI_CONFIG_FILE=" + settings, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1",
		"PACKER_PLUGIN_PATH=" + filepath.Join(folder, "plugins"), "PACKER_CONFIG_DIR=" + folder,
		"PATH=" + filepath.Dir(packer) + string(filepath.ListSeparator) + dist + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}}
	run := func(program string, args ...string) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), i.Environ...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		return nil
	}
	if err := run("make", "-C", Root(), "build", "dist="+dist); err != nil {
		return Installation{}, err
	}
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror { path = %q }\n}\n", mirror)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return Installation{}, err
	}
	// Terraform and OpenTofu look under the host of their own registry.
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		at := filepath.Join(mirror, host, "pipes-as-code", "delivery", version.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(at, 0o700); err != nil {
			return Installation{}, err
		}
		name := "terraform-provider-delivery"
		if err := os.Link(filepath.Join(dist, name), filepath.Join(at, name+"_v"+version.Version)); err != nil {
			return Installation{}, err
		}
	}
	for source, binary := range map[string]string{
		"github.com/hashicorp/amazon": amazon, "github.com/pipes-as-code/delivery": filepath.Join(dist, "packer-plugin-delivery"),
	} {
		if err := run(packer, "plugins", "install", "--path", binary, source); err != nil {
			return Installation{}, err
		}
	}
	return i, nil
}
