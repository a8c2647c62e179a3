// Command terraform-provider-delivery serves the Terraform provider "delivery".
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/version"
	"github.com/pipes-as-code/terraform-provider-delivery/provider"
)

func main() {
	debug := flag.Bool("debug", false, "wait for a debugger, and print how Terraform is to attach to this process")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version.Version), providerserver.ServeOpts{
		Address: "registry.terraform.io/pipes-as-code/delivery",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}
