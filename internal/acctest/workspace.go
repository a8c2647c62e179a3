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

// Workspace is a folder in which the real program acts on a configuration,
// for what the test library cannot do, such as being interrupted.
type Workspace struct {
	// Environ is added to the environment of the program.
	Environ []string

	dir     string
	program string
}

// built is the provider's binary, for all tests of a process.
var built = sync.OnceValues(func() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "provider-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(folder, "terraform-provider-delivery"), ".")
	cmd.Dir = rig.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	return folder, nil
})

// RemoveBuilt removes what NewWorkspace built, at the end of a process.
func RemoveBuilt() error {
	folder, err := built()
	if err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

// NewWorkspace makes a folder that holds the configuration, if there is one.
func NewWorkspace(t *testing.T, config string) *Workspace {
	t.Helper()
	provider, err := built()
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
		files["main.tf"] = "terraform {\n  required_providers {\n    delivery = { source = \"pipes-as-code/delivery\" }\n  }\n}\n" + config
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// Copy adds the files of a folder.
func (w *Workspace) Copy(folder string) error { return os.CopyFS(w.dir, os.DirFS(folder)) }

// Command is the program with arguments, not started yet.
func (w *Workspace) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Dir = w.dir
	cmd.Env = append(append(os.Environ(), w.Environ...), "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "terraform.rc"), "TF_IN_AUTOMATION=1")
	rig.Separate(cmd)
	return cmd
}

// Run runs the program to its end and returns all it printed.
func (w *Workspace) Run(ctx context.Context, args ...string) (string, error) {
	out, err := w.Command(ctx, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("terraform %v: %w\n%s", args, err, out)
	}
	return string(out), err
}
