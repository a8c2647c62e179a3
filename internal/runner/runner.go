// Package runner runs the pipes of checkouts for every program: on a laptop, on a CI node
// and in a terraform apply. It prepares a run in a list of phases, and then passes it to
// the engine.
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
	// RepositoryKey stands for the repository in the names of files on this machine, so
	// that the records for one repository are not sent to another.
	RepositoryKey string
	// Environ is added to the environment of the programs that a run starts. It overrides
	// the environment of this process.
	Environ []string
	// Tasks returns the dependencies of a run's tasks, except for Clock and Store, which
	// the Runner sets.
	Tasks func(t TaskContext) task.Dependencies
	// Logs returns the store for the logs of steps, and nil if there is none.
	Logs func() (pipe.LogStore, error)
	// Holder identifies this process to people: "ada@ci-7, delivery, process 4711".
	Holder string
	Clock  clock.Clock
}

// TaskContext is what the dependencies of a run's tasks can use of the run.
type TaskContext struct {
	// Store returns the repository. It is opened on first use.
	Store func(ctx context.Context) (builddata.Store, error)
	// OwnEnvironment returns the name of the environment if a run has generated it, so that
	// no other run uses the same one; otherwise the empty string.
	OwnEnvironment func() string
}

// Request says which pipe to run, and how.
type Request struct {
	// Folder is a folder in the checkout. The nearest .delivery.yml in it or above it is
	// used.
	Folder string
	// Pipe is the name of the pipe; empty for the one that .delivery.yml names.
	Pipe string
	// Version is an existing version to run the pipe for; without one, the pipe
	// allocates it.
	Version string
	// To is the step to run to, and Only the only step to run. Only takes its context from
	// the run Of, or else from the latest run of the version.
	To, Only, Of string
	// Mock runs the mock of every task, and Fail names steps whose mock fails.
	// Nothing is recorded.
	Mock bool
	Fail []string
	// Branch is the branch of a mocked run; "mock" if it is empty.
	Branch string
	// AssumeVersion says that a pipe which allocates no version is looked at as it runs for an
	// existing one.
	AssumeVersion bool
	// AllowUnpushed allows a run from an untraceable checkout.
	AllowUnpushed bool
	// AllowOtherRevision allows steps that build although the checkout is at another revision
	// than the version.
	AllowOtherRevision bool
	// AllowOlder allows to deploy an older version than the one that was deployed last.
	AllowOlder bool
	// Values are added to the context and override those of .delivery.yml. Values whose
	// names are in Secrets are never shown or stored.
	Values  pipe.Values
	Secrets []string

	// Observer is told what the run does; it may be nil.
	Observer pipe.Observer
	// Warn reports warnings, after which the run continues; it may be nil.
	Warn func(format string, args ...any)
	// Interrupt ends to interrupt the run as Ctrl-C does: its section last still runs.
	Interrupt context.Context
}

// warn reports a warning.
func (req *Request) warn(format string, args ...any) {
	if req.Warn != nil {
		req.Warn(format, args...)
	}
}

// pluginVariables are the environment variables by which go-plugin tells a provider how to
// connect to Terraform. They would confuse other programs with plugins.
var pluginVariables = []string{
	"TF_PLUGIN_MAGIC_COOKIE", "PLUGIN_CLIENT_CERT", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS",
	"PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_MULTIPLEX_GRPC",
}

// environ returns the environment of the programs that a run starts.
func (r *Runner) environ() []string {
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(pluginVariables, name)
	})
	return append(environ, r.Environ...)
}

// environmentPrefix begins the generated names of environments.
const environmentPrefix = "run-"

// newEnvironment generates the name of an environment. It is unique, and short enough to be
// part of a cluster's name.
func newEnvironment() (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return environmentPrefix + cluster.Suffix(random), nil
}

// isGeneratedEnvironment reports whether newEnvironment could have returned the name.
func isGeneratedEnvironment(name string) bool {
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
