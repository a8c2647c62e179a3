package runner

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// Project is a checkout with its .delivery.yml.
type Project struct {
	*pipefile.Project
	// Root is the folder of .delivery.yml.
	Root   string
	State  State
	loader *pipefile.Loader
}

// OpenProject reads the nearest .delivery.yml in the folder or above it. The network is how
// git asks servers, for libraries and for pushed revisions.
func OpenProject(folder string, network scm.Network) (*Project, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	root, err := pipefile.Find(folder)
	if err != nil {
		return nil, err
	}
	state, err := OpenState()
	if err != nil {
		return nil, err
	}
	loader := &pipefile.Loader{Root: root, CacheDir: state.Libraries(), Network: network}
	project, err := loader.Project()
	if err != nil {
		return nil, err
	}
	if err := builddata.ValidateService(project.Service); err != nil {
		return nil, &pipe.Diagnostic{At: project.Position("service"), Problem: err.Error()}
	}
	return &Project{Project: project, Root: root, State: state, loader: loader}, nil
}

// List lists the pipes that the project can run.
func (p *Project) List(ctx context.Context) ([]pipefile.Listing, error) { return p.loader.List(ctx) }

// Load returns a pipe of the project as it would run, or its diagnostics as an error. It
// reads neither the repository nor AWS.
func (p *Project) Load(ctx context.Context, req Request) (*pipe.Pipe, error) {
	values, err := p.initialValues(req.Values, req.Version)
	if err != nil {
		return nil, err
	}
	loaded, err := p.load(ctx, req.Pipe)
	if err != nil {
		return nil, err
	}
	tasks := task.New(task.Dependencies{})
	if req.AssumeVersion && req.Version == "" && !allocatesVersion(loaded, tasks) {
		values[pipe.ValueVersion], values[pipe.ValueNumber] = mockVersion, ""
	}
	if err := checkSteps(loaded, tasks, req); err != nil {
		return nil, err
	}
	return loaded, pipe.Check(loaded, tasks, expression.Language{}, values)
}

// Source returns the file of a pipe as it is written; an empty name stands for the pipe that
// .delivery.yml names.
func (p *Project) Source(ctx context.Context, name string) ([]byte, error) {
	return p.loader.Source(ctx, cmp.Or(name, p.Pipe))
}

// mockVersion is the version of a mocked run.
const mockVersion = "0-mock"

// load returns a pipe of the project; an empty name stands for the pipe that .delivery.yml
// names.
func (p *Project) load(ctx context.Context, name string) (*pipe.Pipe, error) {
	if name == "" {
		name = p.Pipe
	}
	if name == "" {
		return nil, &pipe.Diagnostic{
			At: p.At, Advice: pipe.HintChoosePipe,
			Problem: "the key pipe is missing: add \"pipe: ci\"; \"delivery pipe list\" lists the pipes",
		}
	}
	return p.loader.Pipe(ctx, name)
}

// Mask returns a mask for the secrets that are known before a run begins: environment
// variables, values of the project, and values of the request.
func (p *Project) Mask(environ []string, req Request) *pipe.Mask {
	mask := pipe.NewMask(environ, p.Secrets, p.Service)
	for _, values := range []pipe.Values{p.Values, req.Values} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if slices.Contains(p.Secrets, name) || slices.Contains(req.Secrets, name) {
				mask.Add(name, values[name])
			}
			mask.AddValue(name, values[name])
		}
	}
	return mask
}

// initialValues returns the values that a run of the project begins with: those of the
// project, overridden by those of the request, and the existing version, if any. If more
// contains a value that cannot be set, the error is a *pipe.Diagnostic.
func (p *Project) initialValues(more pipe.Values, version string) (pipe.Values, error) {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if why := pipe.NotSettable(name); why != "" {
			return nil, &pipe.Diagnostic{At: p.At, Problem: "the value " + name + " cannot be set: " + why}
		}
	}
	values := p.Values.Clone()
	maps.Copy(values, more)
	if version != "" {
		values[pipe.ValueVersion], values[pipe.ValueNumber] = version, ""
	}
	return values, nil
}
