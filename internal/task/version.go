package task

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// InitVersion is the type of the task that gives a run its version.
const InitVersion = "init.version"

// version gives the run its version.
func (l *Library) version() pipe.Definition {
	return pipe.Definition{
		Type: InitVersion, Summary: "Gives the run its version: a new one of the service, or the one that it was started with.",
		Arguments: []pipe.Argument{
			{Name: "scheme", Kind: pipe.Text, OneOf: text.Strings(builddata.Schemes), Summary: "How the version's number is rendered: sequence (the default), semver or calver."},
			{Name: "bump", Kind: pipe.Text, OneOf: text.Strings(builddata.Bumps), Summary: "Which part of a semver version rises: patch (the default), minor or major."},
			{Name: "labels", Kind: pipe.Table, Summary: "Facts to remember with the version."},
			{Name: "key", Kind: pipe.Text, Summary: "The same service and key give the same version; by default the run is the key."},
		},
		Outputs: []string{pipe.ValueVersion, pipe.ValueNumber},
		Run:     l.initVersion,
		Mock: mock(map[string]string{pipe.ValueVersion: "0-mock", pipe.ValueNumber: "0"}, func(c *pipe.Call) string {
			return "allocate a version of " + c.Run.Service
		}),
	}
}

func (l *Library) initVersion(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	a := builddata.Allocation{
		Service: c.Run.Service, Key: cmp.Or(c.Args.Text("key"), "run "+c.Run.Run), SourceRevision: c.Run.Revision, Labels: c.Args.Table("labels"),
		Scheme: builddata.Scheme(cmp.Or(c.Args.Text("scheme"), string(builddata.Schemes[0]))),
		Bump:   builddata.Bump(cmp.Or(c.Args.Text("bump"), string(builddata.Bumps[0]))),
	}
	if a.Labels == nil {
		a.Labels = map[string]string{}
	}
	if err := a.Validate(); err != nil {
		return pipe.Result{}, err
	}
	if c.Run.Version != "" {
		return l.brought(ctx, c)
	}
	store, err := l.Store(ctx)
	if err != nil {
		return pipe.Result{}, unallocated(c, err)
	}
	v, err := store.Allocate(ctx, a)
	if err != nil {
		return pipe.Result{}, unallocated(c, err)
	}
	if _, err := builddata.Usable(v); err != nil {
		return pipe.Result{}, fmt.Errorf("%w; the key %q stands for it: use another key", err, a.Key)
	}
	say(c, "version %s of %s, its number %d", v.Name, v.Service, v.Number)
	return versioned(v, "version "+v.Name), nil
}

func unallocated(c *pipe.Call, err error) error {
	return fmt.Errorf("no version of %s was allocated: %w; try again, or bring a version with --version", c.Run.Service, err)
}

// brought keeps the version that the run has already. Without the repository
// its number is what the run knows of it.
func (l *Library) brought(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	say(c, "the run has version %s already", c.Run.Version)
	v := builddata.Version{Service: c.Run.Service, Name: c.Run.Version}
	store, err := l.Store(ctx)
	if err == nil {
		v, err = store.Version(ctx, c.Run.Service, c.Run.Version)
	}
	switch {
	case err == nil:
	case isUnavailable(err) && c.Run.Number > 0:
		v.Number = c.Run.Number
		result := versioned(v, "version "+v.Name+", as the run was started with")
		result.Warnings = []string{fmt.Sprintf("version %s could not be looked up: %v", v.Name, err)}
		return result, nil
	case isUnavailable(err):
		return pipe.Result{
			Outputs:  map[string]string{pipe.ValueVersion: v.Name, pipe.ValueNumber: "0"},
			Message:  "version " + v.Name + ", as the run was started with",
			Warnings: []string{fmt.Sprintf("version %s could not be looked up, so its number is unknown: %v", v.Name, err)},
		}, nil
	default:
		return pipe.Result{}, fmt.Errorf("version %s of %s: %w", c.Run.Version, c.Run.Service, err)
	}
	if _, err := builddata.Usable(v); err != nil {
		return pipe.Result{}, err
	}
	return versioned(v, "version "+v.Name+", as the run was started with"), nil
}

func versioned(v builddata.Version, message string) pipe.Result {
	return pipe.Result{
		Version: &v, Message: message,
		Outputs: map[string]string{pipe.ValueVersion: v.Name, pipe.ValueNumber: strconv.FormatInt(v.Number, 10)},
	}
}
