package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	goversion "go/version"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// The regions that the image is baked in and copied to.
const (
	home   = "eu-north-1"
	abroad = "eu-west-1"
)

// harness is what the scenes use: an AWS account, a build data repository, and a
// copy of the example with its own installation of the programs.
type harness struct {
	folder string
	moto   *rig.Moto
	proxy  *rig.Proxy
	plane  *rig.DataPlane
	// account is the AWS account, and seen the same through the data plane, which
	// knows the real state of its servers.
	account, seen rig.Account
	landscape     rig.Landscape
	store         builddata.Store
	environ       []string
	// program is the path of the command line program.
	program string

	// version is the version that the demo builds.
	version string
	// bad is the version whose servers fail.
	bad atomic.Value
	// alarmed is how its rollout with an alarm ended.
	alarmed verdict
	// webhook receives notifications, which it adds to notes.
	webhook *httptest.Server
	mu      sync.Mutex
	notes   []string

	scenes int
	start  time.Time
}

// setUp sets the harness up. takeDown also works after an error.
func setUp(ctx context.Context) (s *harness, err error) {
	s = &harness{start: time.Now()}
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
	address := repository.File(filepath.Join(s.folder, "delivery.db"))
	if s.store, err = repository.Open(ctx, address, repository.Config{Clock: clock.System{}}); err != nil {
		return s, err
	}
	s.webhook = httptest.NewServer(http.HandlerFunc(s.note))
	list := func(all ...string) string { return `["` + strings.Join(all, `","`) + `"]` }
	s.environ = append(append(os.Environ(), s.seen.Environ()...),
		"XDG_STATE_HOME="+filepath.Join(s.folder, "state"),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"GOWORK=off",
		// The tests reach hosts without a DNS entry through the load balancer.
		"HTTP_PROXY="+s.plane.URL, "http_proxy="+s.plane.URL, "NO_PROXY=127.0.0.1,localhost",
		"STRAWBERRY_SOURCE_AMI="+rig.BaseImage, "STRAWBERRY_REHEARSAL=true",
		"STRAWBERRY_SUBNETS="+list(s.landscape.Subnets...), "STRAWBERRY_SECURITY_GROUPS="+list(s.landscape.SecurityGroup),
		"STRAWBERRY_LISTENER="+s.landscape.Listener,
		"STRAWBERRY_ALARMS="+list(alarm), "STRAWBERRY_OBSERVE_FOR=3s", "STRAWBERRY_DRAIN=2s",
		"STRAWBERRY_WEBHOOK="+s.webhook.URL+"/delivery",
		repository.Variable+"="+address.String(),
		"AWS_REGION="+home,
	)
	fmt.Println("Setting up: the provider, the Packer plugin and the command line, built and installed for this demo only.")
	if err := s.install(ctx); err != nil {
		return s, err
	}
	fmt.Println("Setting up: a checkout of strawberry, and the remote that it is pushed to.")
	return s, s.checkOut(ctx)
}

// note records a notification.
func (s *harness) note(_ http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		text = []byte(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, string(text))
}

// checkOut creates a git repository of the examples.
func (s *harness) checkOut(ctx context.Context) error {
	module := "module strawberry\n\ngo " + strings.TrimPrefix(goVersion(), "go") + "\n"
	if err := os.WriteFile(s.example("go.mod"), []byte(module), 0o600); err != nil {
		return err
	}
	root := filepath.Join(s.folder, "examples")
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(s.folder, "remote.git")},
		{"init", "--quiet", "--initial-branch=main"},
		{"remote", "add", "origin", filepath.Join(s.folder, "remote.git")},
	} {
		if _, err := s.output(ctx, root, "git", args...); err != nil {
			return err
		}
	}
	// The lock files of the providers are part of the revision.
	for _, folder := range []string{"environment", "prod"} {
		if err := s.tool(ctx, s.example(folder), "terraform", "init", "-no-color"); err != nil {
			return err
		}
	}
	return nil
}

// goVersion is the language version of this Go: "go1.26".
func goVersion() string { return goversion.Lang(runtime.Version()) }

// install copies the examples, and installs the programs for this demo only.
func (s *harness) install(ctx context.Context) error {
	if err := os.CopyFS(filepath.Join(s.folder, "examples"), os.DirFS(filepath.Join(rig.Root(), "examples"))); err != nil {
		return err
	}
	installed, err := rig.Install(ctx, s.folder)
	s.program, s.environ = installed.Delivery, append(s.environ, installed.Environ...)
	return err
}

// takeDown ends the emulated AWS and removes all files.
func (s *harness) takeDown() (err error) {
	if s.store != nil {
		err = s.store.Close()
	}
	if s.webhook != nil {
		s.webhook.Close()
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

// example returns a path in the demo's copy of the example.
func (s *harness) example(elements ...string) string {
	return filepath.Join(append([]string{s.folder, "examples", "strawberry"}, elements...)...)
}

// tool runs a program that "make tools" installed.
func (s *harness) tool(ctx context.Context, folder, name string, args ...string) error {
	path, err := rig.Tool(name)
	if err != nil {
		return err
	}
	_, err = s.output(ctx, folder, path, args...)
	return err
}

// output runs a program and returns what it printed.
func (s *harness) output(ctx context.Context, folder, program string, args ...string) (string, error) {
	return s.run(ctx, io.Discard, folder, program, args...)
}

// run runs a program, returns its output and copies its errors to a writer. When ctx
// ends it is interrupted, as by Ctrl-C, and has some time to clean up.
func (s *harness) run(ctx context.Context, progress io.Writer, folder, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = folder, s.environ
	var out bytes.Buffer
	var all transcript
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, &all), io.MultiWriter(&all, progress)
	rig.Separate(cmd) // or Ctrl-C would reach it twice
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Minute
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(all.String()))
	}
	return out.String(), nil
}

// transcript is what a program wrote to both outputs.
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

func (s *harness) title(text string) {
	s.scenes++
	fmt.Printf("\n%d. %s\n\n", s.scenes, text)
}

// command prints a command as a user would type it.
func (s *harness) command(text string) { fmt.Printf("   $ %s\n", text) }

func (s *harness) printf(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// quote prints the output of a program.
func (s *harness) quote(text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		s.printf("%s", strings.TrimRight("| "+line, " \n"))
	}
}

func (s *harness) epilogue() {
	fmt.Printf("\nAll checks passed. The demo took %.0f seconds.\n", time.Since(s.start).Seconds())
}
