// Package catalog is the read side of the build data repository. It returns what the
// repository holds in the form that programs print or encode. It depends neither on the
// command line nor on a store's technology.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Catalog reads from a repository.
type Catalog struct {
	Store builddata.Store
	// Clock decides which runs count as lost.
	Clock clock.Clock
}

// Version returns one version with the stages it was promoted to.
func (c *Catalog) Version(ctx context.Context, service, name string) (Version, error) {
	v, err := c.Store.Version(ctx, service, name)
	if err != nil {
		return Version{}, err
	}
	return c.Staged(ctx, v)
}

// Staged returns a version with the stages it was promoted to.
func (c *Catalog) Staged(ctx context.Context, v builddata.Version) (Version, error) {
	staged := newVersion(v)
	promotions, err := c.Store.Promotions(ctx, builddata.PromotionQuery{Service: v.Service, Number: v.Number})
	for _, p := range promotions {
		if !slices.Contains(staged.Stages, p.Stage) {
			staged.Stages = append(staged.Stages, p.Stage)
		}
	}
	return staged, err
}

// Versions lists versions with the stages they were promoted to, the newest
// first.
func (c *Catalog) Versions(ctx context.Context, q builddata.VersionQuery) ([]Version, error) {
	found, err := c.Store.Versions(ctx, q)
	if err != nil {
		return nil, err
	}
	versions := make([]Version, len(found))
	for i, v := range found {
		if versions[i], err = c.Staged(ctx, v); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// History returns one version with all its events.
func (c *Catalog) History(ctx context.Context, service, name string) (History, error) {
	v, err := c.Version(ctx, service, name)
	if err != nil {
		return History{}, err
	}
	events, err := builddata.Collect(builddata.AllEvents(ctx, c.Store, builddata.EventQuery{Service: service, Number: v.Number}))
	return History{Version: v, Events: Events(events)}, err
}

// Images lists all images of a version, also those that cannot be used, by region,
// architecture and id.
func (c *Catalog) Images(ctx context.Context, service, version string) ([]Image, error) {
	v, err := c.Store.Version(ctx, service, version)
	if err != nil {
		return nil, err
	}
	stored, err := c.Store.Images(ctx, builddata.ImageQuery{Service: v.Service, Number: v.Number})
	images := make([]Image, len(stored))
	for n, i := range stored {
		images[n] = newImage(v.Name, i)
	}
	return images, err
}

// Image returns one stored image.
func (c *Catalog) Image(ctx context.Context, i builddata.Image) (Image, error) {
	v, err := c.Store.VersionByNumber(ctx, i.Service, i.Number)
	return newImage(v.Name, i), err
}

func newImage(version string, i builddata.Image) Image {
	return Image{
		Version: version, Region: i.Region, ImageID: i.ID, Architecture: i.Architecture, Status: i.Status, Digest: i.Digest,
		Run: i.Run, RegisteredAt: i.RegisteredAt,
	}
}

// Stages lists the stages of a service with the version that is at each, by
// name.
func (c *Catalog) Stages(ctx context.Context, service string) ([]Stage, error) {
	promotions, err := c.Store.LatestPromotions(ctx, service)
	if err != nil {
		return nil, err
	}
	stages := make([]Stage, len(promotions))
	for i, p := range promotions {
		v, err := c.Store.VersionByNumber(ctx, service, p.Number)
		if err != nil {
			return nil, err
		}
		stages[i] = Stage{Stage: p.Stage, Version: v.Name, Number: p.Number, Since: p.At, Run: p.Run, Revoked: v.Revocation != nil}
	}
	return stages, nil
}

// Runs lists the runs of a service, the newest first. With an empty service, it lists the
// runs of all services.
func (c *Catalog) Runs(ctx context.Context, q builddata.RunQuery) ([]Run, error) {
	services, err := c.servicesOr(ctx, q.Service)
	if err != nil {
		return nil, err
	}
	var found []builddata.Run
	for _, service := range services {
		q.Service = service
		page, err := c.Store.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
	}
	slices.SortStableFunc(found, func(a, b builddata.Run) int { return strings.Compare(b.ID, a.ID) })
	found = found[:min(len(found), builddata.PageSize(q.Limit))]
	runs := make([]Run, len(found))
	for i, r := range found {
		if runs[i], err = c.named(ctx, r); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// FindRun returns the run with an ID, without its events. With an empty service, it
// searches all services.
func (c *Catalog) FindRun(ctx context.Context, service, id string) (builddata.Run, error) {
	if service != "" {
		return c.Store.Run(ctx, service, id)
	}
	services, err := c.Store.Services(ctx)
	if err != nil {
		return builddata.Run{}, err
	}
	for _, service := range services {
		r, err := c.Store.Run(ctx, service, id)
		if !errors.Is(err, builddata.ErrNotFound) {
			return r, err
		}
	}
	return builddata.Run{}, fmt.Errorf("read run %s: %w", id, builddata.ErrNotFound)
}

// Run returns a run with its pipe and its events. With an empty service, it searches all
// services.
func (c *Catalog) Run(ctx context.Context, service, id string) (Run, error) {
	found, err := c.FindRun(ctx, service, id)
	if err != nil {
		return Run{}, err
	}
	r, err := c.named(ctx, found)
	if err != nil {
		return Run{}, err
	}
	events, err := builddata.Collect(builddata.AllEvents(ctx, c.Store, builddata.EventQuery{Service: r.Service, Run: id}))
	r.Context, r.Definition, r.Events = found.Context, found.Definition, Events(events)
	return r, err
}

// named returns a run with the name of its version.
func (c *Catalog) named(ctx context.Context, r builddata.Run) (Run, error) {
	run := NewRun(r, c.Clock.Now())
	if r.Number == 0 {
		return run, nil
	}
	v, err := c.Store.VersionByNumber(ctx, r.Service, r.Number)
	run.Version = v.Name
	return run, err
}
