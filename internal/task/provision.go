package task

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// terraformArguments are those of all tasks that run Terraform.
var terraformArguments = []pipe.Argument{
	{Name: "folder", Kind: pipe.Text, Required: true, Summary: "The folder of the Terraform configuration, from the root of the checkout."},
	{Name: "variables", Kind: pipe.Table, Summary: "The configuration's variables. Lists and maps are written as a text that holds HCL. They are passed on the command line, which others on the machine can see: no place for secrets."},
	{Name: "workspace", Kind: pipe.Text, From: []string{"env.TF_WORKSPACE"}, Summary: "The Terraform workspace, which is made if it is not there; by default that in the environment variable TF_WORKSPACE, or else the one that is selected."},
	{Name: "backend", Kind: pipe.Table, Summary: "Settings of the backend that the configuration leaves open."},
	{Name: "terraform", Kind: pipe.Text, Summary: "The program, by name or path; by default terraform, or else tofu."},
	{Name: "lock_timeout", Kind: pipe.Duration, Summary: "How long to wait while somebody else has the state locked, by default 5m."},
}

// provision applies a Terraform configuration.
func (l *Library) provision(name string) pipe.Definition {
	return pipe.Definition{
		Type: name, Summary: "Applies a Terraform configuration, and puts its outputs on the context.",
		Arguments: terraformArguments,
		Run:       l.runApply,
		Mock:      mock(nil, func(c *pipe.Call) string { return "apply " + configuration(c) }),
	}
}

// ProvisionDestroy is the type of the task that undoes provision.apply.
const ProvisionDestroy = "provision.destroy"

// destroy undoes provision.
func (l *Library) destroy() pipe.Definition {
	return pipe.Definition{
		Type: ProvisionDestroy, Summary: "Destroys what a Terraform configuration has made, and its workspace.",
		Arguments: append(slices.Clone(terraformArguments), pipe.Argument{
			Name: "environment", Kind: pipe.Text, Summary: "The environment of which nothing may be left: servers of the service in it that the state does not know are removed, too.",
		}),
		Run:  l.runDestroy,
		Mock: mock(nil, func(c *pipe.Call) string { return "destroy " + configuration(c) }),
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
func (l *Library) withTerraform(
	ctx context.Context, c *pipe.Call, step func(ctx context.Context, c *pipe.Call, t *terraform) (pipe.Result, error),
) (result pipe.Result, err error) {
	t, err := newTerraform(ctx, c)
	if err != nil {
		return result, err
	}
	defer func() { result.Warnings = t.warnings }()
	unlock, ok := l.folders.TryLock(t.folder)
	if !ok {
		say(c, "waiting for another step in %s", t.folder)
		if unlock, err = l.folders.Lock(ctx, t.folder); err != nil {
			return result, err
		}
	}
	defer unlock()
	if err := t.init(ctx); err != nil {
		return result, err
	}
	return step(ctx, c, t)
}

func (l *Library) runApply(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	return l.withTerraform(ctx, c, apply)
}

func apply(ctx context.Context, c *pipe.Call, t *terraform) (result pipe.Result, err error) {
	if err := t.enter(ctx); err != nil {
		return result, err
	}
	options := []tfexec.ApplyOption{tfexec.LockTimeout(t.lockTimeout)}
	for _, variable := range t.variables() {
		options = append(options, variable)
	}
	if err := t.talking(ctx, "apply", func() error { return t.Apply(ctx, options...) }); err != nil {
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

func (l *Library) runDestroy(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	result, err := l.withTerraform(ctx, c, destroy)
	environment := c.Args.Text("environment")
	if err != nil || environment == "" || l.Remove == nil {
		return result, err
	}
	say(c, "looking for remaining clusters of %s in %s", c.Run.Service, environment)
	err = l.Remove(ctx, c.Run.Service, environment, func(format string, args ...any) { say(c, format, args...) })
	if err != nil {
		return result, fmt.Errorf("%s, but not everything that remains of %s in %s could be removed: %w",
			result.Message, c.Run.Service, environment, err)
	}
	return result, nil
}

// destroy destroys what is in the workspace, if there is one, and the workspace.
func destroy(ctx context.Context, c *pipe.Call, t *terraform) (result pipe.Result, err error) {
	exists := true
	if t.workspace != "" {
		if exists, err = t.exists(ctx); err != nil {
			return result, err
		}
	}
	if !exists {
		result.Message = fmt.Sprintf("nothing to destroy: there is no workspace %s", t.workspace)
		say(c, "%s", result.Message)
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
	if err := t.enter(ctx); err != nil {
		return err
	}
	options := []tfexec.DestroyOption{tfexec.LockTimeout(t.lockTimeout)}
	for _, variable := range t.variables() {
		options = append(options, variable)
	}
	if err := t.talking(ctx, "destroy", func() error { return t.Destroy(ctx, options...) }); err != nil {
		return err
	}
	return t.leave(ctx)
}
