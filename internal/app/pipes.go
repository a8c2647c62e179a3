package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// Pipes runs the pipes of a checkout, the same for every program.
type Pipes struct {
	// Folder is in the checkout; the nearest .delivery.yml above it counts.
	Folder string
	// Repository is the URL of the build data repository; see OpenRepository.
	Repository string
	// AWS says how to reach AWS. Programs that a run starts get its profile and
	// region.
	AWS awscloud.Config
	// Holder says who is at work.
	Holder string
	Clock  clock.Clock
	// Warn tells people what they should know, but what keeps nothing from going on.
	Warn func(format string, args ...any)
}

// Project is a checkout with its .delivery.yml.
type Project struct {
	*pipefile.Project
	Root   string
	State  State
	loader *pipefile.Loader
}

// Project finds the checkout's .delivery.yml and reads it.
func (p *Pipes) Project() (*Project, error) {
	folder, err := filepath.Abs(p.Folder)
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
	loader := &pipefile.Loader{Root: root, CacheDir: state.Libraries()}
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

// Pipe loads a pipe, the project's own for an empty name, and judges it with
// the values that a run would begin with.
func (p *Pipes) Pipe(ctx context.Context, project *Project, name string, values pipe.Values) (*pipe.Pipe, error) {
	if name == "" {
		name = project.Pipe
	}
	if name == "" {
		return nil, &pipe.Diagnostic{At: project.At, Problem: "it names no pipe: add \"pipe: ci\", or choose one with --pipe; \"delivery pipe list\" lists them"}
	}
	loaded, err := project.loader.Pipe(ctx, name)
	if err != nil {
		return nil, err
	}
	return loaded, pipe.Check(loaded, task.New(task.Dependencies{}), values)
}

// Begin is what a run of the project begins with: its values, more that are
// put over them, and a version that is brought, if any. What only the run sets
// is a *pipe.Diagnostic.
func (p *Project) Begin(more pipe.Values, version string) (pipe.Values, error) {
	for _, name := range pipe.Reserved {
		if _, ok := more[name]; ok {
			return nil, &pipe.Diagnostic{At: p.At, Problem: fmt.Sprintf("the value %s cannot be put over it: a run sets that by itself", name)}
		}
	}
	values := p.Values.Clone()
	maps.Copy(values, more)
	if version != "" {
		values[pipe.ValueVersion], values[pipe.ValueNumber] = version, ""
	}
	return values, nil
}

// repository opens the build data repository on first use.
type repository struct {
	open func(ctx context.Context) (builddata.Store, error)
	mu   sync.Mutex
	it   builddata.Store
}

func (r *repository) store(ctx context.Context) (builddata.Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.it != nil {
		return r.it, nil
	}
	store, err := r.open(ctx)
	if err == nil {
		r.it = store
	}
	return store, err
}

func (r *repository) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.it == nil {
		return nil
	}
	return r.it.Close()
}

// journals is the folder for what the repository does not have yet.
func (p *Pipes) journals(s State) (string, error) {
	path, err := ResolveRepository(p.Repository)
	return s.Journals(path), err
}

// pluginVariables are how Terraform, by the library go-plugin, tells a provider
// how to speak with it. Others with plugins would take them for their own.
var pluginVariables = []string{
	"TF_PLUGIN_MAGIC_COOKIE", "PLUGIN_CLIENT_CERT", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS",
	"PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_MULTIPLEX_GRPC",
}

// environ is the environment of what a run starts: the present one, the same
// repository, and the same AWS.
func (p *Pipes) environ() ([]string, error) {
	path, err := ResolveRepository(p.Repository)
	if err != nil {
		return nil, err
	}
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(pluginVariables, name)
	})
	environ = append(environ, RepositoryVariable+"=sqlite://"+filepath.ToSlash(path))
	if p.AWS.Profile != "" {
		environ = append(environ, "AWS_PROFILE="+p.AWS.Profile)
	}
	if p.AWS.Region != "" {
		environ = append(environ, "AWS_REGION="+p.AWS.Region)
	}
	return environ, nil
}

// newEnvironment names an environment that is unique to a run, and short
// enough to be a part of a cluster's name.
func newEnvironment() (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return environmentPrefix + suffix(random), nil
}
