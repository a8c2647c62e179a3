// Package runner runs the pipes of checkouts, the same for every program: on a
// laptop, on a CI node and in a terraform apply. A run is prepared in a short
// list of phases, and then handed to the engine with all that is known.
package runner

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// Runner runs the pipes of checkouts.
type Runner struct {
	// Open opens the build data repository. It is called on first use, and the
	// store is closed at the end of the run.
	Open func(ctx context.Context) (builddata.Store, error)
	// RepositoryKey stands for the repository in the names of files on this
	// machine: what is kept for one repository is not sent to another.
	RepositoryKey string
	// Environ is set in the environment of the programs that a run starts, over
	// what this process has.
	Environ []string
	// Tasks returns what the tasks of a run need from outside, without Clock and
	// Store.
	Tasks func(t TaskContext) task.Dependencies
	// Holder says who runs the pipe.
	Holder string
	Clock  clock.Clock
}

// TaskContext is what the tasks of a run may depend on.
type TaskContext struct {
	// Store returns the repository, which is opened on first use.
	Store func(ctx context.Context) (builddata.Store, error)
	// OwnEnvironment returns the name of the environment if the run has invented
	// it, so that no other run can mean the same one; else the empty text.
	OwnEnvironment func() string
}

// Request says which pipe to run, and how.
type Request struct {
	// Folder is in the checkout; the nearest .delivery.yml, from there upwards,
	// counts.
	Folder string
	// Pipe is the name of the pipe; empty is the project's own.
	Pipe string
	// Version is an existing version to run the pipe for; without one, the pipe
	// allocates it.
	Version string
	// To is the step to run to, Only the one step to run. Only takes the context
	// of an earlier run of the version: of Of, or else the latest.
	To, Only, Of string
	// Mock runs the mock of every task, and Fail names steps whose mock fails.
	// Nothing is recorded.
	Mock bool
	Fail []string
	// AllowUnpushed runs it from a checkout that cannot be traced.
	AllowUnpushed bool
	// Values are put on the context, over those of .delivery.yml; those under the
	// names Secrets are never shown or stored.
	Values  pipe.Values
	Secrets []string

	// Observer is told what the run does; nil is not told.
	Observer pipe.Observer
	// Warn is told what people should know although the run goes on; nil is not
	// told.
	Warn func(format string, args ...any)
	// Interrupt ends the run as Ctrl-C does: its section last still runs.
	Interrupt context.Context
}

// warn reports a warning.
func (req *Request) warn(format string, args ...any) {
	if req.Warn != nil {
		req.Warn(format, args...)
	}
}

// pluginVariables are set by go-plugin, by which Terraform tells a provider how
// to talk to it. Other programs with plugins would take them for their own.
var pluginVariables = []string{
	"TF_PLUGIN_MAGIC_COOKIE", "PLUGIN_CLIENT_CERT", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS",
	"PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_MULTIPLEX_GRPC",
}

// environ is the environment of what a run starts.
func (r *Runner) environ() []string {
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(pluginVariables, name)
	})
	return append(environ, r.Environ...)
}

// environmentPrefix begins the names of environments that runs invent.
const environmentPrefix = "run-"

// newEnvironment names an environment that no other run has, short enough to be
// a part of a cluster's name.
func newEnvironment() (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return environmentPrefix + cluster.Suffix(random), nil
}

// isOwnEnvironment reports whether a run has invented the name.
func isOwnEnvironment(name string) bool {
	suffix, ok := strings.CutPrefix(name, environmentPrefix)
	return ok && cluster.IsSuffix(suffix)
}

// connection opens the build data repository on first use.
type connection struct {
	open  func(ctx context.Context) (builddata.Store, error)
	mu    sync.Mutex
	store builddata.Store
}

func (c *connection) get(ctx context.Context) (builddata.Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil {
		return c.store, nil
	}
	store, err := c.open(ctx)
	if err == nil {
		c.store = store
	}
	return store, err
}

func (c *connection) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil {
		return nil
	}
	return c.store.Close()
}
