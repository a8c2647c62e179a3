// Command packer-plugin-delivery is the Packer plugin: the post-processor
// delivery-stamp, the data source delivery-version and the provisioner
// delivery-manifest.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/plugin"
	sdkversion "github.com/hashicorp/packer-plugin-sdk/version"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	stampdomain "github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	release "github.com/pipes-as-code/terraform-provider-delivery/internal/version"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/manifest"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/version"
)

func main() {
	// Packer puts the plugin's own name and a hyphen before each name.
	plugins := plugin.NewSet()
	plugins.SetVersion(sdkversion.NewPluginVersion(release.Version, release.Prerelease, ""))
	plugins.RegisterPostProcessor("stamp", stamp.New(openCloud))
	plugins.RegisterDatasource("version", new(version.DataSource))
	plugins.RegisterProvisioner("manifest", new(manifest.Provisioner))
	if err := plugins.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openCloud(ctx context.Context, c awscloud.Config) (stampdomain.Cloud, error) {
	cloud, err := awscloud.Open(ctx, c)
	if err != nil {
		return nil, err // not a nil *Cloud, which would not be nil in an interface
	}
	return cloud, nil
}
