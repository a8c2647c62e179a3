package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/version"
)

// The regions that the image is baked in and copied to.
const (
	home   = "eu-north-1"
	abroad = "eu-west-1"
)

// stage is what the scenes play on: an AWS account, a build data repository,
// and a copy of the example with the programs installed for it alone.
type stage struct {
	folder string
	moto   *rig.Moto
	proxy  *rig.Proxy
	plane  *rig.DataPlane
	// account is the AWS account, and seen the same through the data plane,
	// which knows how its servers really are.
	account, seen rig.Account
	landscape     rig.Landscape
	store         builddata.Store
	environ       []string

	// version is the one that the demo is about, and run what allocates and
	// bakes at the moment.
	version, run string
	// production are the things, by kind and id, that serve before the demo,
	// and before what the account holds without the test environment.
	production, before []string
	// bad is the version whose servers fail.
	bad atomic.Value

	scenes int
	start  time.Time
}

// setUp builds the stage. The stage can be taken down also after an error.
func setUp(ctx context.Context) (s *stage, err error) {
	s = &stage{start: time.Now()}
	if s.folder, err = os.MkdirTemp("", "delivery-demo-"); err != nil {
		return s, err
	}
	fmt.Println("Setting up: an emulated AWS (moto) with a network, a shared load balancer that carries requests, and a base image.")
	if s.moto, err = rig.StartMoto(ctx); err != nil {
		return s, err
	}
	if s.account, err = s.moto.Account(ctx); err != nil {
		return s, err
	}
	if s.landscape, err = rig.Prepare(ctx, s.account, home); err != nil {
		return s, err
	}
	if s.proxy, err = rig.NewProxy(s.account.Endpoint); err != nil {
		return s, err
	}
	s.seen = s.account
	s.seen.Endpoint = s.proxy.URL
	s.bad.Store("")
	s.plane, err = rig.NewDataPlane(ctx, s.account, s.landscape, s.proxy, rig.Options{
		Speed: 20, Behave: func(version string) rig.Behaviour { return rig.Behaviour{Fails: version == s.bad.Load()} },
	})
	if err != nil {
		return s, err
	}
	repository := filepath.Join(s.folder, "delivery.db")
	if s.store, err = sqlite.Open(ctx, repository, clock.System{}); err != nil {
		return s, err
	}
	s.environ = append(append(os.Environ(), s.seen.Environ()...),
		"DELIVERY_REPOSITORY=sqlite://"+filepath.ToSlash(repository),
		"AWS_REGION="+home,
		"TF_CLI_CONFIG_FILE="+filepath.Join(s.folder, "terraform.rc"),
		"TF_IN_AUTOMATION=1",
		"PACKER_PLUGIN_PATH="+filepath.Join(s.folder, "plugins"),
		"PACKER_CONFIG_DIR="+s.folder,
		"CHECKPOINT_DISABLE=1",
	)
	fmt.Println("Setting up: the provider, the Packer plugin and the command line, built and installed for the demo alone.")
	return s, s.install(ctx)
}

// install puts provider and plugins where only this demo finds them.
func (s *stage) install(ctx context.Context) error {
	if err := os.CopyFS(filepath.Join(s.folder, "examples"), os.DirFS(filepath.Join(rig.Root(), "examples"))); err != nil {
		return err
	}
	mirror := filepath.Join(s.folder, "mirror")
	settings := fmt.Sprintf("provider_installation {\n  filesystem_mirror { path = %q }\n}\n", mirror)
	if err := os.WriteFile(filepath.Join(s.folder, "terraform.rc"), []byte(settings), 0o600); err != nil {
		return err
	}
	provider := filepath.Join(s.folder, "terraform-provider-delivery")
	plugin := filepath.Join(s.folder, "packer-plugin-delivery")
	for target, source := range map[string]string{provider: ".", plugin: "./cmd/packer-plugin-delivery", s.delivery(): "./cmd/delivery"} {
		if _, err := s.output(ctx, rig.Root(), "go", "build", "-o", target, source); err != nil {
			return err
		}
	}
	// Terraform and OpenTofu look under the host of their own registry.
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		folder := filepath.Join(mirror, host, "pipes-as-code", "delivery", version.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := os.Link(provider, filepath.Join(folder, "terraform-provider-delivery_v"+version.Version)); err != nil {
			return err
		}
	}
	amazon, err := rig.Tool("packer-plugin-amazon")
	if err != nil {
		return err
	}
	for source, binary := range map[string]string{"github.com/hashicorp/amazon": amazon, "github.com/pipes-as-code/delivery": plugin} {
		if _, err := s.tool(ctx, "", "packer", "plugins", "install", "--path", binary, source); err != nil {
			return err
		}
	}
	return nil
}

// takeDown ends the emulated AWS and removes every file.
func (s *stage) takeDown() (err error) {
	if s.store != nil {
		err = s.store.Close()
	}
	if s.plane != nil {
		err = errors.Join(err, s.plane.Close())
	}
	if s.proxy != nil {
		err = errors.Join(err, s.proxy.Close())
	}
	if s.moto != nil {
		err = errors.Join(err, s.moto.Close())
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// delivery is the command line's program.
func (s *stage) delivery() string { return filepath.Join(s.folder, "delivery") }

// example is a folder of the demo's copy of the examples.
func (s *stage) example(elements ...string) string {
	return filepath.Join(append([]string{s.folder, "examples", "strawberry"}, elements...)...)
}

// tool runs a program that "make tools" brought, and returns what it printed.
func (s *stage) tool(ctx context.Context, folder, name string, args ...string) (string, error) {
	path, err := rig.Tool(name)
	if err != nil {
		return "", err
	}
	return s.output(ctx, folder, path, args...)
}

// output runs a program. When ctx ends it is interrupted, as by Ctrl-C, and
// has a while to tidy up.
func (s *stage) output(ctx context.Context, folder, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = folder, append(slices.Clone(s.environ), "DELIVERY_RUN="+s.run)
	var out bytes.Buffer
	var all transcript
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, &all), &all
	rig.Separate(cmd) // or Ctrl-C would reach it twice
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(all.String()))
	}
	return out.String(), nil
}

// transcript is what a program wrote to either output.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string { return t.text.String() }

func (s *stage) title(text string) {
	s.scenes++
	fmt.Printf("\n%d. %s\n\n", s.scenes, text)
}

// command shows a command as a reader would type it.
func (s *stage) command(text string) { fmt.Printf("   $ %s\n", text) }

func (s *stage) say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// quote shows what a program said.
func (s *stage) quote(text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		s.say("%s", strings.TrimRight("| "+line, " \n"))
	}
}

func (s *stage) epilogue() {
	fmt.Printf("\nAll of it was so. The demo took %.0f seconds.\n", time.Since(s.start).Seconds())
}
