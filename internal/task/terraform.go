package task

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// terraformGrace is how long Terraform has to end after an interruption. It
// waits for what the cloud is at, and then saves its state, without which
// nobody knows what there is.
const terraformGrace = 5 * time.Minute

// defaultWorkspace is there with most backends, and cannot be deleted.
const defaultWorkspace = "default"

// terraform is a configuration, and the program to run it with: Terraform or
// OpenTofu.
type terraform struct {
	*tfexec.Terraform
	call *pipe.Call
	// name is what to call the program.
	name        string
	folder      string
	workspace   string
	lockTimeout string
	warnings    []string
}

// terraforms are the programs that are looked for, in this order.
var terraforms = []string{"terraform", "tofu"}

// newTerraform finds the program for the step.
func newTerraform(ctx context.Context, c *pipe.Call) (*terraform, error) {
	dir, err := folder(c)
	if err != nil {
		return nil, err
	}
	names := terraforms
	if named := c.Args.Text("terraform"); named != "" {
		names = []string{named}
	}
	path, err := findProgram(c, names)
	if err != nil {
		return nil, err
	}
	t := &terraform{call: c, folder: dir, workspace: c.Args.Text("workspace"), lockTimeout: "5m0s"}
	t.name = strings.TrimSuffix(filepath.Base(path), ".exe")
	if c.Args.Has("lock_timeout") {
		t.lockTimeout = c.Args.Duration("lock_timeout").String()
	}
	if t.Terraform, err = tfexec.NewTerraform(dir, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := t.SetEnv(t.environ()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if runtime.GOOS != "windows" { // where programs cannot be interrupted
		if err := t.SetWaitDelay(terraformGrace); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	t.SetStderr(c.Output)
	// The library asks for the version, too, and remembers it.
	version, _, err := t.Version(ctx, false)
	if err != nil {
		return nil, t.failed(ctx, "version", err)
	}
	say(c, "%s %s in %s", path, version, dir)
	return t, nil
}

// findProgram finds the first of some programs on the PATH of the step.
func findProgram(c *pipe.Call, names []string) (string, error) {
	for _, name := range names {
		if path := program(c, name); filepath.IsAbs(path) {
			if _, err := os.Stat(path); err != nil {
				return "", &process.NotFoundError{Program: path, Err: err}
			}
			return path, nil
		}
		if runtime.GOOS == "windows" {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
			continue
		}
		for _, dir := range filepath.SplitList(process.Variable(c.Environ, "PATH")) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", &process.NotFoundError{Program: strings.Join(names, " or "), Err: exec.ErrNotFound}
}

// environ is the step's environment without what the library sets itself.
// Whoever relied on a variable that holds a Terraform variable is told.
func (t *terraform) environ() map[string]string {
	all := map[string]string{"CHECKPOINT_DISABLE": "1"} // a pipe needs no advice on updates
	for _, entry := range t.call.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			all[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		variable, ok := strings.CutPrefix(name, "TF_VAR_")
		if _, written := t.call.Args.Table("variables")[variable]; ok && !written {
			t.warnings = append(t.warnings, fmt.Sprintf("%s is set in the environment, but not passed on: if the configuration needs it, write below variables %s: ${{ env.%s }}", name, variable, name))
		}
		if strings.HasPrefix(name, "TF_CLI_ARGS") {
			t.warnings = append(t.warnings, name+" is set in the environment, but not passed on: what it asks for is not done")
		}
	}
	// OpenTofu says so among its results, where the library does not expect it.
	if file := all[cliConfig]; file != "" {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			t.warnings = append(t.warnings, fmt.Sprintf("%s names %s, which does not exist; it is left out", cliConfig, file))
			delete(all, cliConfig)
		}
	}
	return tfexec.CleanEnv(all)
}

// cliConfig is the variable that names the configuration of the program itself.
const cliConfig = "TF_CLI_CONFIG_FILE"

// talking runs one of the program's commands with what it prints going to the
// step's output.
func (t *terraform) talking(ctx context.Context, command string, do func() error) error {
	say(t.call, "$ %s %s", t.name, command)
	t.SetStdout(t.call.Output)
	defer t.SetStdout(nil)
	return t.failed(ctx, command, do())
}

// firstError is the summary of the first error that Terraform printed.
var firstError = regexp.MustCompile(`(?m)^[│\s]*Error: (.+)$`)

// failed makes a short error of one that holds all that was printed.
func (t *terraform) failed(ctx context.Context, command string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // the library's error is not sound then
	}
	why := "it failed; its output says why"
	if m := firstError.FindStringSubmatch(text.Clean(err.Error())); m != nil {
		why = strings.TrimSpace(m[1])
	} else if text, _, _ := strings.Cut(err.Error(), "\n"); !isExit(err) {
		why = text
	}
	return fmt.Errorf("%s %s: %s", t.name, command, why)
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// init makes the folder ready.
func (t *terraform) init(ctx context.Context) error {
	var options []tfexec.InitOption
	backend := t.call.Args.Table("backend")
	for _, name := range slices.Sorted(maps.Keys(backend)) {
		options = append(options, tfexec.BackendConfig(name+"="+backend[name]))
	}
	if len(backend) > 0 {
		// Another run may have left another one. Moving state is not for a pipe.
		options = append(options, tfexec.Reconfigure(true))
	}
	return t.talking(ctx, "init", func() error { return t.Init(ctx, options...) })
}

// exists reports whether the workspace is there.
func (t *terraform) exists(ctx context.Context) (bool, error) {
	all, selected, err := t.WorkspaceList(ctx)
	if err == nil && selected == t.workspace && selected != defaultWorkspace && slices.Contains(all, defaultWorkspace) {
		// The selected one is listed even if somebody else has deleted it.
		if err = t.WorkspaceSelect(ctx, defaultWorkspace); err == nil {
			all, _, err = t.WorkspaceList(ctx)
		}
	}
	if err != nil {
		return false, t.failed(ctx, "workspace list", err)
	}
	return slices.Contains(all, t.workspace), nil
}

// enter selects the workspace, which it makes if it is not there.
func (t *terraform) enter(ctx context.Context) error {
	if t.workspace == "" {
		return nil
	}
	there, err := t.exists(ctx)
	if err != nil {
		return err
	}
	if there {
		return t.talking(ctx, "workspace select "+t.workspace, func() error { return t.WorkspaceSelect(ctx, t.workspace) })
	}
	return t.talking(ctx, "workspace new "+t.workspace, func() error {
		return t.WorkspaceNew(ctx, t.workspace, tfexec.LockTimeout(t.lockTimeout))
	})
}

// leave deletes the workspace, for which another one has to be selected.
func (t *terraform) leave(ctx context.Context) error {
	if t.workspace == "" || t.workspace == defaultWorkspace {
		return nil
	}
	all, _, err := t.WorkspaceList(ctx)
	if err != nil {
		return t.failed(ctx, "workspace list", err)
	}
	other := defaultWorkspace
	if !slices.Contains(all, other) { // where a backend has none
		i := slices.IndexFunc(all, func(name string) bool { return name != t.workspace })
		if i < 0 {
			t.warnings = append(t.warnings, fmt.Sprintf("the workspace %s is empty, but is still there: there is no other one that could be selected", t.workspace))
			return nil
		}
		other = all[i]
	}
	err = t.talking(ctx, "workspace select "+other, func() error { return t.WorkspaceSelect(ctx, other) })
	if err != nil {
		return err
	}
	return t.talking(ctx, "workspace delete "+t.workspace, func() error {
		return t.WorkspaceDelete(ctx, t.workspace, tfexec.LockTimeout(t.lockTimeout))
	})
}

// variables are the assignments for -var, as texts: for a variable of a
// complex type the text is HCL.
func (t *terraform) variables() (all []*tfexec.VarOption) {
	table := t.call.Args.Table("variables")
	for _, name := range slices.Sorted(maps.Keys(table)) {
		all = append(all, tfexec.Var(name+"="+table[name]))
	}
	return all
}

// outputs returns the configuration's outputs as texts, and the names of those
// that are sensitive. Whatever is not a text is compact JSON.
func (t *terraform) outputs(ctx context.Context) (texts map[string]string, secrets []string, err error) {
	t.SetStdout(io.Discard) // the sensitive ones are among them
	all, err := t.Output(ctx)
	if err != nil {
		return nil, nil, t.failed(ctx, "output", err)
	}
	texts = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := outputText(all[name].Value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s output %s: %w", t.name, name, err)
		}
		if why := pipe.NotSettable(name); why != "" {
			t.warnings = append(t.warnings, fmt.Sprintf("the output %s is not put on the context: %s", name, why))
			continue
		}
		texts[name] = text
		if all[name].Sensitive {
			secrets = append(secrets, name)
		}
	}
	return texts, secrets, nil
}

func outputText(value json.RawMessage) (string, error) {
	if string(value) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return "", err
	}
	return compact.String(), nil
}
