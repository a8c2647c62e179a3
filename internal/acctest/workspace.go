package acctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// Workspace is a folder in which the real Terraform or OpenTofu runs with a configuration,
// for tests that the test library does not support, such as interrupts.
type Workspace struct {
	// Environ is added to the environment of the program.
	Environ []string

	dir     string
	program string
}

// built is the folder with the provider's binary, for all tests of a process.
var built struct {
	once   sync.Once
	folder string
	err    error
}

// build builds the provider once.
func build() (folder string, err error) {
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "provider-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(built.folder, "terraform-provider-delivery"), ".")
		cmd.Dir = rig.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the provider: %w\n%s", err, out)
		}
	})
	return built.folder, built.err
}

// Main runs a package's tests and removes the files of their workspaces.
func Main(m *testing.M) (code int) {
	code = m.Run()
	if built.folder == "" {
		return code
	}
	if err := os.RemoveAll(built.folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Required is the terraform block of a configuration for a Workspace.
const Required = "terraform {\n  required_providers {\n    delivery = { source = \"pipes-as-code/delivery\" }\n  }\n}\n"

// NewWorkspace creates a workspace. If the configuration is not empty, it is written to
// main.tf.
func NewWorkspace(t *testing.T, config string) *Workspace {
	t.Helper()
	provider, err := build()
	if err != nil {
		t.Fatal(err)
	}
	program, err := rig.Tool("terraform")
	if err != nil {
		t.Fatal(err)
	}
	w := &Workspace{dir: t.TempDir(), program: program}
	files := map[string]string{
		"terraform.rc": fmt.Sprintf("provider_installation {\n  dev_overrides { \"pipes-as-code/delivery\" = %q }\n  direct {}\n}\n", provider),
	}
	if config != "" {
		files["main.tf"] = Required + config
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// Folder returns the path of the workspace.
func (w *Workspace) Folder() string { return w.dir }

// Copy copies the files of a folder into the workspace.
func (w *Workspace) Copy(folder string) error { return os.CopyFS(w.dir, os.DirFS(folder)) }

// Command returns a command that runs the program with arguments. The caller starts it.
func (w *Workspace) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Dir = w.dir
	cmd.Env = append(append(os.Environ(), w.Environ...), "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "terraform.rc"), "TF_IN_AUTOMATION=1")
	rig.Separate(cmd)
	return cmd
}

// Run runs the program and returns its output.
func (w *Workspace) Run(ctx context.Context, args ...string) (string, error) {
	out, err := w.Command(ctx, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("terraform %v: %w\n%s", args, err, out)
	}
	return string(out), err
}
