// Command terraform-provider-delivery serves the Terraform provider "delivery".
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/version"
	"github.com/pipes-as-code/terraform-provider-delivery/provider"
)

func main() {
	debugging := flag.Bool("debug", false, "wait for a debugger, and print how Terraform is to attach to this process")
	flag.Parse()
	// When Terraform dies, what is logged is not read any more, and by default
	// the first line would end this process in the middle of a run or a rollout.
	// Notified of it, it only sees the write fail. To ignore the signal would do
	// as well, but what is started would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := tune(); err != nil {
		log.Fatal(err)
	}
	err := providerserver.Serve(context.Background(), provider.New(version.Version), providerserver.ServeOpts{
		Address: "registry.terraform.io/pipes-as-code/delivery",
		Debug:   *debugging,
	})
	if err != nil {
		log.Fatal(err)
	}
}

// tune has the provider not work for nothing, unless the environment says
// otherwise. The framework traces every call to Terraform, which throws the
// trace away when no log was asked for: that is a third of the work for a
// thousand resources. Another third is the collection of a heap that is small
// and full of short-lived values.
func tune() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	for _, name := range []string{"TF_LOG", "TF_LOG_PROVIDER", "TF_LOG_SDK"} {
		if os.Getenv(name) != "" {
			return nil
		}
	}
	return os.Setenv("TF_LOG_SDK", "WARN")
}
