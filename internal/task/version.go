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
func (r *Registry) version() pipe.Definition {
	return pipe.Definition{
		Type: InitVersion, Summary: "Gives the run its version: a new one of the service, or the existing one that the run is for.",
		Arguments: []pipe.Argument{
			{
				Name: "scheme", Kind: pipe.Text, OneOf: text.Strings(builddata.Schemes),
				Summary: "How the version's number is rendered: sequence (the default), semver or calver.",
			},
			{
				Name: "bump", Kind: pipe.Text, OneOf: text.Strings(builddata.Bumps),
				Summary: "Which part of a semver version rises: patch (the default), minor or major.",
			},
			{Name: "labels", Kind: pipe.Table, Summary: "Labels to store with the version."},
			{
				Name: "key", Kind: pipe.Text,
				Summary: "The idempotency key: the same service and key give the same version. By default it is the run.",
			},
		},
		Outputs: []string{pipe.ValueVersion, pipe.ValueNumber}, AllocatesVersion: true,
		Run: r.initVersion,
		Mock: mock(map[string]string{pipe.ValueVersion: "0-mock", pipe.ValueNumber: "0"}, func(c *pipe.Call) string {
			return "allocate a version of " + c.Run.Service
		}),
	}
}

func (r *Registry) initVersion(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	a := builddata.Allocation{
		Service: c.Run.Service, Key: cmp.Or(c.Args.Text("key"), "run "+c.Run.Run),
		SourceRevision: c.Run.Revision, Labels: c.Args.Table("labels"),
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
		return r.existingVersion(ctx, c)
	}
	store, err := r.Store(ctx)
	if err != nil {
		return pipe.Result{}, allocationError(c, err)
	}
	v, err := store.Allocate(ctx, a)
	if err != nil {
		return pipe.Result{}, allocationError(c, err)
	}
	if _, err := builddata.Usable(v); err != nil {
		return pipe.Result{}, fmt.Errorf("%w; it was allocated with the key %q: use another key", err, a.Key)
	}
	printf(c, "version %s of %s, its number %d", v.Name, v.Service, v.Number)
	return versionResult(v, "version "+v.Name), nil
}

func allocationError(c *pipe.Call, err error) error {
	return fmt.Errorf("no version of %s was allocated: %w; try again, or run the pipe for an existing version", c.Run.Service, err)
}

// existingVersion looks up the version that the run was given. If the repository
// cannot be reached, the run's own number of it counts.
func (r *Registry) existingVersion(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	printf(c, "the run uses the existing version %s", c.Run.Version)
	v := builddata.Version{Service: c.Run.Service, Name: c.Run.Version}
	store, err := r.Store(ctx)
	if err == nil {
		v, err = store.Version(ctx, c.Run.Service, c.Run.Version)
	}
	switch {
	case err == nil:
	case isUnavailable(err) && c.Run.Number > 0:
		v.Number = c.Run.Number
		result := versionResult(v, "existing version "+v.Name)
		result.Warnings = []string{fmt.Sprintf("version %s could not be looked up: %v", v.Name, err)}
		return result, nil
	case isUnavailable(err):
		return pipe.Result{
			Outputs:  map[string]string{pipe.ValueVersion: v.Name, pipe.ValueNumber: "0"},
			Message:  "existing version " + v.Name,
			Warnings: []string{fmt.Sprintf("version %s could not be looked up, so its number is unknown: %v", v.Name, err)},
		}, nil
	default:
		return pipe.Result{}, fmt.Errorf("version %s of %s: %w", c.Run.Version, c.Run.Service, err)
	}
	if _, err := builddata.Usable(v); err != nil {
		return pipe.Result{}, err
	}
	return versionResult(v, "existing version "+v.Name), nil
}

func versionResult(v builddata.Version, message string) pipe.Result {
	return pipe.Result{
		Version: &v, Message: message,
		Outputs: map[string]string{pipe.ValueVersion: v.Name, pipe.ValueNumber: strconv.FormatInt(v.Number, 10)},
	}
}
