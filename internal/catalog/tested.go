package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// Comparison says how servers differ from those that their version was tested on.
type Comparison struct {
	// Run is the run that tested the cluster in Environment and Region.
	Run         string               `json:"run"`
	Environment string               `json:"environment"`
	Region      string               `json:"region"`
	Differences []cluster.Difference `json:"differences"`
}

func (c Comparison) String() string {
	return fmt.Sprintf("run %s, in environment %s in %s", c.Run, c.Environment, c.Region)
}

// CompareWithTested compares servers in a region with those of another environment
// that their version was tested on. If it was tested on several, those that s differs
// least from count, and of these the latest. It returns nil if there is no difference,
// or if the repository has no record of such a test.
func (c *Catalog) CompareWithTested(ctx context.Context, s cluster.Spec, region string) (*Comparison, error) {
	v, err := c.Store.Version(ctx, s.Service, s.Version)
	if errors.Is(err, builddata.ErrNotFound) {
		return nil, nil // an imported cluster
	}
	if err != nil {
		return nil, err
	}
	events, err := builddata.Collect(builddata.AllEvents(ctx, c.Store, builddata.EventQuery{Service: v.Service, Number: v.Number}))
	if err != nil {
		return nil, err
	}
	runs, err := builddata.Collect(builddata.AllRuns(ctx, c.Store, builddata.RunQuery{Service: v.Service, Number: v.Number}))
	if err != nil {
		return nil, err
	}
	images, err := c.Store.Images(ctx, builddata.ImageQuery{Service: v.Service, Number: v.Number})
	if err != nil {
		return nil, err
	}
	var least *Comparison
	for _, environment := range builddata.TestedEnvironments(v, events, runs) {
		if environment.Environment == s.Environment {
			continue
		}
		serving, err := c.served(ctx, v, environment)
		if err != nil {
			return nil, err
		}
		for _, testedRegion := range slices.Sorted(maps.Keys(serving)) {
			tested := serving[testedRegion].Spec
			if tested.Version != v.Name {
				continue
			}
			if testedRegion != region && sameImage(images, testedRegion, tested.ImageID, region, s.ImageID) {
				tested.ImageID = s.ImageID
			}
			differences := s.Differences(tested)
			if len(differences) == 0 {
				return nil, nil
			}
			if least == nil || len(differences) < len(least.Differences) {
				least = &Comparison{Run: environment.Run, Environment: environment.Environment, Region: testedRegion, Differences: differences}
			}
		}
	}
	return least, nil
}

// served returns the generations that served in an environment when it was tested,
// by region. Rollouts older than the version are not read.
func (c *Catalog) served(
	ctx context.Context, v builddata.Version, tested builddata.TestedEnvironment,
) (map[string]rollout.GenerationRecord, error) {
	var rollouts []builddata.Rollout
	q := builddata.RolloutQuery{Service: v.Service, Environment: tested.Environment}
	for r, err := range builddata.AllRollouts(ctx, c.Store, q) {
		if err != nil {
			return nil, err
		}
		if r.StartedAt.Before(v.CreatedAt) {
			break
		}
		rollouts = append(rollouts, r)
	}
	return rollout.ServedAt(rollouts, tested.At)
}

// sameImage reports whether two images of a version in two regions are the same.
func sameImage(images []builddata.Image, oneRegion, one, otherRegion, other string) bool {
	find := func(region, id string) int {
		return slices.IndexFunc(images, func(i builddata.Image) bool { return i.Region == region && i.ID == id })
	}
	a, b := find(oneRegion, one), find(otherRegion, other)
	return a >= 0 && b >= 0 && images[a].SameAs(images[b])
}
