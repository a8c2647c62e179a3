package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/keylock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// onCommandLine is what the variables of Terraform and Packer have in common.
const onCommandLine = "Lists and maps are written as text that holds HCL. " +
	"They are passed on the command line, which other users of the machine can see: do not put secrets here."

// terraformArguments are those of all tasks that run Terraform.
var terraformArguments = []pipe.Argument{
	{
		Name: "folder", Kind: pipe.Text, Required: true,
		Summary: "The folder of the Terraform configuration, relative to the root of the checkout.",
	},
	{Name: "variables", Kind: pipe.Table, Summary: "The configuration's variables. " + onCommandLine},
	{
		Name: "workspace", Kind: pipe.Text, From: []string{"env.TF_WORKSPACE"},
		Summary: "The Terraform workspace, which is created if it does not exist; by default that in the environment variable TF_WORKSPACE, " +
			"or else the selected one.",
	},
	{Name: "backend", Kind: pipe.Table, Summary: "Settings of the backend that the configuration does not contain."},
	{Name: "terraform", Kind: pipe.Text, Summary: "The program, by name or path; by default terraform, or else tofu."},
	{Name: "lock_timeout", Kind: pipe.Duration, Summary: "How long to wait while another process has locked the state, by default 5m."},
}

// provision applies a Terraform configuration.
func (r *Registry) provision(name string) pipe.Definition {
	return pipe.Definition{
		Type: name, Summary: "Applies a Terraform configuration. Its outputs become values of the run.",
		Arguments:   append(slices.Clone(terraformArguments), environmentArgument),
		Environment: environment,
		Lacking:     lacking("terraform", terraforms...),
		Run:         r.runApply,
		Mock:        mock(nil, func(c *pipe.Call) string { return "apply " + configuration(c) }),
	}
}

// provisionApply is the type of the task that applies a configuration for tests.
const provisionApply = "provision.apply"

// ProvisionDestroy is the type of the task that undoes provision.apply.
const ProvisionDestroy = "provision.destroy"

// destroy undoes provision.
func (r *Registry) destroy() pipe.Definition {
	return pipe.Definition{
		Type: ProvisionDestroy, Summary: "Destroys the resources of a Terraform configuration, and its workspace.",
		Arguments: append(slices.Clone(terraformArguments), pipe.Argument{
			Name: argEnvironment, Kind: pipe.Text,
			Summary: "The environment that must be empty in the end: clusters of the service in it that are not in the state are removed too.",
		}),
		Undoes:      true,
		Environment: environment,
		Lacking:     lacking("terraform", terraforms...),
		Run:         r.runDestroy,
		Mock:        mock(nil, func(c *pipe.Call) string { return "destroy " + configuration(c) }),
	}
}

func configuration(c *pipe.Call) string {
	s := c.Args.Text("folder")
	if workspace := c.Args.Text("workspace"); workspace != "" {
		s += " in workspace " + workspace
	}
	return s
}

// withTerraform runs a step of Terraform in its initialized folder, in which no
// other step runs meanwhile.
func (r *Registry) withTerraform(
	ctx context.Context, c *pipe.Call, step func(ctx context.Context, c *pipe.Call, t *terraform) (pipe.Result, error),
) (result pipe.Result, err error) {
	if err := checkEnvironment(c.Args); err != nil {
		return result, err
	}
	t, err := newTerraform(ctx, c)
	if err != nil {
		return result, err
	}
	defer func() { result.Warnings = t.warnings }()
	unlock, err := lockKey(ctx, c, &r.folders, t.folder, "runs in")
	if err != nil {
		return result, err
	}
	defer unlock()
	if err := t.init(ctx); err != nil {
		return result, err
	}
	return step(ctx, c, t)
}

// lockKey locks a key that the steps of a run share, such as a folder. Doing says what
// they do with it.
func lockKey(ctx context.Context, c *pipe.Call, locks *keylock.Locks, key, doing string) (unlock func(), err error) {
	if unlock, ok := locks.TryLock(key); ok {
		return unlock, nil
	}
	printf(c, "waiting for another step that %s %s", doing, key)
	return locks.Lock(ctx, key)
}

func (r *Registry) runApply(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	return r.withTerraform(ctx, c, apply)
}

func apply(ctx context.Context, c *pipe.Call, t *terraform) (result pipe.Result, err error) {
	if err := t.selectWorkspace(ctx); err != nil {
		return result, err
	}
	options := []tfexec.ApplyOption{tfexec.LockTimeout(t.lockTimeout)}
	for _, variable := range t.variables() {
		options = append(options, variable)
	}
	if err := t.run(ctx, "apply", func() error { return t.Apply(ctx, options...) }); err != nil {
		return result, err
	}
	if result.Outputs, result.Secrets, err = t.outputs(ctx); err != nil {
		return result, fmt.Errorf("it was applied, but its outputs cannot be read: %w", err)
	}
	for _, name := range c.Declared {
		if _, ok := result.Outputs[name]; !ok {
			return result, fmt.Errorf("declared output %s was not set: it was applied, but its only outputs are: %s",
				name, text.List(slices.Sorted(maps.Keys(result.Outputs))))
		}
	}
	result.Message = "applied " + configuration(c)
	return result, nil
}

func (r *Registry) runDestroy(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	result, err := r.destroyConfiguration(ctx, c)
	environment := c.Args.Text(argEnvironment)
	if err != nil || environment == "" || r.Remove == nil {
		return result, err
	}
	printf(c, "looking for remaining clusters of %s in %s", c.Run.Service, environment)
	err = r.Remove(ctx, c.Run.Service, environment, func(format string, args ...any) { printf(c, format, args...) })
	if err != nil {
		return result, fmt.Errorf("%s, but not everything that remains of %s in %s could be removed: %w",
			result.Message, c.Run.Service, environment, err)
	}
	return result, nil
}

// destroyConfiguration destroys what a configuration has made. If its folder does not exist
// and no step of this run has applied anything, there is nothing. A step that is run alone
// follows an earlier run, of which the folder may be missing.
func (r *Registry) destroyConfiguration(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	applied := slices.ContainsFunc(c.Run.Steps, func(s pipe.StepSummary) bool {
		return s.Status != pipe.Skipped && (strings.EqualFold(s.Task, provisionApply) || strings.EqualFold(s.Task, deployApply))
	})
	if _, err := os.Stat(resolve(c.Folder, c.Args.Text("folder"))); errors.Is(err, os.ErrNotExist) && len(c.Run.Steps) > 0 && !applied {
		result := pipe.Result{
			Message: fmt.Sprintf("nothing to destroy: the folder %s does not exist, and this run has applied nothing", c.Args.Text("folder")),
		}
		printf(c, "%s", result.Message)
		return result, nil
	}
	return r.withTerraform(ctx, c, destroy)
}

// destroy destroys what is in the workspace, if there is one, and the workspace.
func destroy(ctx context.Context, c *pipe.Call, t *terraform) (result pipe.Result, err error) {
	exists := true
	if t.workspace != "" {
		if exists, err = t.workspaceExists(ctx); err != nil {
			return result, err
		}
	}
	if !exists {
		result.Message = fmt.Sprintf("nothing to destroy: there is no workspace %s", t.workspace)
		printf(c, "%s", result.Message)
		return result, nil
	}
	if err := t.destroyAll(ctx); err != nil {
		return result, err
	}
	result.Message = "destroyed " + configuration(c)
	return result, nil
}

// destroyAll destroys what is in the workspace, and the workspace.
func (t *terraform) destroyAll(ctx context.Context) error {
	if err := t.selectWorkspace(ctx); err != nil {
		return err
	}
	options := []tfexec.DestroyOption{tfexec.LockTimeout(t.lockTimeout)}
	for _, variable := range t.variables() {
		options = append(options, variable)
	}
	if err := t.run(ctx, "destroy", func() error { return t.Destroy(ctx, options...) }); err != nil {
		return err
	}
	return t.deleteWorkspace(ctx)
}
