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
	"syscall"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// terraformGrace is how long Terraform may take to end after an interrupt. It
// waits for calls in progress and then saves its state, which is the only record
// of what exists.
const terraformGrace = 5 * time.Minute

// defaultWorkspace exists in most backends, and cannot be deleted.
const defaultWorkspace = "default"

// terraform is a configuration and the program for it: Terraform or OpenTofu.
type terraform struct {
	*tfexec.Terraform
	call *pipe.Call
	// name is the program's name for messages.
	name        string
	folder      string
	workspace   string
	lockTimeout string
	warnings    []string
}

// terraforms are the programs to look for, in this order.
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
	if runtime.GOOS != "windows" { // there, programs cannot be interrupted
		if err := t.SetWaitDelay(terraformGrace); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	t.SetStderr(c.Output)
	// The library caches the version, which it needs itself.
	version, _, err := t.Version(ctx, false)
	if err != nil {
		return nil, t.shortError(ctx, "version", err)
	}
	printf(c, "%s %s in %s", path, version, dir)
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
			info, err := os.Stat(path)
			if filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", &process.NotFoundError{Program: strings.Join(names, " or "), Err: exec.ErrNotFound}
}

// environ returns the step's environment without what the library sets itself. It
// warns of variables that Terraform would have read.
func (t *terraform) environ() map[string]string {
	all := map[string]string{"CHECKPOINT_DISABLE": "1"} // do not look for updates
	for _, entry := range t.call.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			all[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		variable, ok := strings.CutPrefix(name, "TF_VAR_")
		if _, written := t.call.Args.Table("variables")[variable]; ok && !written {
			t.warnings = append(t.warnings, fmt.Sprintf(
				"%s is set in the environment, but not passed on: if the configuration needs it, add %s: ${{ env.%s }} to variables",
				name, variable, name))
		}
		if strings.HasPrefix(name, "TF_CLI_ARGS") {
			t.warnings = append(t.warnings, name+" is set in the environment, but not passed on")
		}
	}
	// OpenTofu warns of a missing file in its JSON output, which the library cannot
	// parse then.
	if file := all[cliConfig]; file != "" {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			t.warnings = append(t.warnings, fmt.Sprintf("%s is not passed on, because its file %s does not exist", cliConfig, file))
			delete(all, cliConfig)
		}
	}
	return tfexec.CleanEnv(all)
}

// cliConfig is the variable with the path of the CLI configuration file.
const cliConfig = "TF_CLI_CONFIG_FILE"

// run runs one of the program's commands, which prints to the step's output.
func (t *terraform) run(ctx context.Context, command string, do func() error) error {
	printf(t.call, "$ %s %s", t.name, command)
	t.SetStdout(t.call.Output)
	defer t.SetStdout(nil)
	return t.shortError(ctx, command, do())
}

// firstError is the summary of the first error that Terraform printed.
var firstError = regexp.MustCompile(`(?m)^[│\s]*Error: (.+)$`)

// shortError shortens an error that contains the whole output.
func (t *terraform) shortError(ctx context.Context, command string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // the library's error is unspecified then
	}
	if errors.Is(err, syscall.E2BIG) {
		var texts []string
		for name, value := range t.call.Args.Table("variables") {
			texts = append(texts, name+"="+value)
		}
		return fmt.Errorf("%s %s: %w", t.name, command, tooLong(t.call, err, texts))
	}
	problem := "failed; see the output"
	if m := firstError.FindStringSubmatch(text.Clean(err.Error())); m != nil {
		problem = strings.TrimSpace(m[1])
	} else if line, _, _ := strings.Cut(err.Error(), "\n"); !isExit(err) {
		problem = line
	}
	return fmt.Errorf("%s %s: %s", t.name, command, problem)
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// init initializes the folder.
func (t *terraform) init(ctx context.Context) error {
	var options []tfexec.InitOption
	backend := t.call.Args.Table("backend")
	for _, name := range slices.Sorted(maps.Keys(backend)) {
		options = append(options, tfexec.BackendConfig(name+"="+backend[name]))
	}
	if len(backend) > 0 {
		// Another run may have used another backend. A pipe must not move state.
		options = append(options, tfexec.Reconfigure(true))
	}
	return t.run(ctx, "init", func() error { return t.Init(ctx, options...) })
}

// workspaceExists reports whether the workspace exists.
func (t *terraform) workspaceExists(ctx context.Context) (bool, error) {
	all, selected, err := t.WorkspaceList(ctx)
	if err == nil && selected == t.workspace && selected != defaultWorkspace && slices.Contains(all, defaultWorkspace) {
		// The selected one is listed even if another process has deleted it.
		if err = t.WorkspaceSelect(ctx, defaultWorkspace); err == nil {
			all, _, err = t.WorkspaceList(ctx)
		}
	}
	if err != nil {
		return false, t.shortError(ctx, "workspace list", err)
	}
	return slices.Contains(all, t.workspace), nil
}

// selectWorkspace selects the workspace, which it creates if it does not exist.
func (t *terraform) selectWorkspace(ctx context.Context) error {
	if t.workspace == "" {
		return nil
	}
	exists, err := t.workspaceExists(ctx)
	if err != nil {
		return err
	}
	if exists {
		return t.run(ctx, "workspace select "+t.workspace, func() error { return t.WorkspaceSelect(ctx, t.workspace) })
	}
	return t.run(ctx, "workspace new "+t.workspace, func() error {
		return t.WorkspaceNew(ctx, t.workspace, tfexec.LockTimeout(t.lockTimeout))
	})
}

// deleteWorkspace deletes the workspace, after selecting another one.
func (t *terraform) deleteWorkspace(ctx context.Context) error {
	if t.workspace == "" || t.workspace == defaultWorkspace {
		return nil
	}
	all, _, err := t.WorkspaceList(ctx)
	if err != nil {
		return t.shortError(ctx, "workspace list", err)
	}
	other := defaultWorkspace
	if !slices.Contains(all, other) { // as in some backends
		i := slices.IndexFunc(all, func(name string) bool { return name != t.workspace })
		if i < 0 {
			t.warnings = append(t.warnings, fmt.Sprintf(
				"the workspace %s is empty, but was not deleted: there is no other workspace to select", t.workspace))
			return nil
		}
		other = all[i]
	}
	err = t.run(ctx, "workspace select "+other, func() error { return t.WorkspaceSelect(ctx, other) })
	if err != nil {
		return err
	}
	return t.run(ctx, "workspace delete "+t.workspace, func() error {
		return t.WorkspaceDelete(ctx, t.workspace, tfexec.LockTimeout(t.lockTimeout))
	})
}

// variables are the assignments for -var. The text of a variable with a complex
// type is HCL.
func (t *terraform) variables() (all []*tfexec.VarOption) {
	table := t.call.Args.Table("variables")
	for _, name := range slices.Sorted(maps.Keys(table)) {
		all = append(all, tfexec.Var(name+"="+table[name]))
	}
	return all
}

// outputs returns the configuration's outputs as texts, and the names of the
// sensitive ones. Outputs that are not strings are compact JSON.
func (t *terraform) outputs(ctx context.Context) (texts map[string]string, secrets []string, err error) {
	t.SetStdout(io.Discard) // it contains the sensitive ones
	all, err := t.Output(ctx)
	if err != nil {
		return nil, nil, t.shortError(ctx, "output", err)
	}
	texts = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value, err := outputText(all[name].Value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s output %s: %w", t.name, name, err)
		}
		if problem := pipe.NotSettable(name); problem != "" {
			t.warnings = append(t.warnings, fmt.Sprintf("the output %s is not set as a value: %s", name, problem))
			continue
		}
		texts[name] = value
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
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return "", err
	}
	return compact.String(), nil
}
