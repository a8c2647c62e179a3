package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// Cluster is what the repository knows of a cluster.
type Cluster struct {
	// Cluster is service/environment.
	Cluster string `json:"cluster"`
	Region  string `json:"region"`
	// Serving is the generation that gets the requests; nil if none does.
	Serving *Generation `json:"serving"`
	// Previous is the generation that keep_previous has kept.
	Previous *Generation `json:"previous,omitempty"`
	// Left are the names of generations of which parts may be left.
	Left []string `json:"left,omitempty"`
	// Rollout is the latest one; nil if there never was one.
	Rollout *Rollout `json:"rollout"`
}

// Generation is the servers of one version.
type Generation struct {
	Version string `json:"version"`
	Name    string `json:"generation"`
	ImageID string `json:"image_id"`
	// DiffersFromTested says how its servers differ from those that the version was
	// tested on; nil if they do not, or if no test on a cluster is on record. It is
	// set for what serves only.
	DiffersFromTested *Comparison `json:"differs_from_tested,omitempty"`
}

// Rollout is a rollout with its steps.
type Rollout struct {
	ID          string           `json:"id"`
	FromVersion string           `json:"from_version,omitempty"`
	ToVersion   string           `json:"to_version,omitempty"`
	Status      builddata.Status `json:"status"`
	// RolledBack says that the rollout was rolled back, or is being.
	RolledBack bool       `json:"rolled_back,omitempty"`
	StartedAt  time.Time  `json:"started_at"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	// Holder is who runs it now.
	Holder           string `json:"holder,omitempty"`
	AbortRequestedBy string `json:"abort_requested_by,omitempty"`
	Steps            []Step `json:"steps"`
}

// InProgress is the status of a rollout that a process runs now. One that has
// not ended and that no process runs is builddata.Interrupted.
const InProgress builddata.Status = "in_progress"

// Step is a step of a rollout.
type Step struct {
	// Step is its code, and Title what people call it.
	Step  string `json:"step"`
	Title string `json:"title"`
	// Phase is Pending for a step that is still to come.
	Phase builddata.Phase `json:"phase"`
	Undo  bool            `json:"undo,omitempty"`
	At    *time.Time      `json:"at,omitempty"`
	// Note is a fact about the step, in part as a code; Detail is it for people.
	Note   string `json:"note,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Pending is the phase of a step that is still to come.
const Pending builddata.Phase = "pending"

// ClusterFilter selects clusters. Empty fields select all.
type ClusterFilter struct {
	Service, Environment, Region string
	// IncludeGone adds clusters of which nothing is left.
	IncludeGone bool
}

// Clusters lists clusters by service, environment and region: what runs where.
func (c *Catalog) Clusters(ctx context.Context, f ClusterFilter) ([]Cluster, error) {
	services, err := c.servicesOr(ctx, f.Service)
	if err != nil {
		return nil, err
	}
	var clusters []Cluster
	for _, service := range services {
		latest, err := c.Store.LatestRollouts(ctx, builddata.ClusterQuery{Service: service, Environment: f.Environment,
			IncludeGone: f.IncludeGone})
		if err != nil {
			return nil, err
		}
		for _, r := range latest {
			if f.Region != "" && r.Region != f.Region {
				continue
			}
			one, err := c.Cluster(ctx, cluster.ID{Service: r.Service, Environment: r.Environment}, r.Region)
			if err != nil {
				return nil, err
			}
			clusters = append(clusters, one)
		}
	}
	return clusters, nil
}

// servicesOr returns the service, or all services if it is empty.
func (c *Catalog) servicesOr(ctx context.Context, service string) ([]string, error) {
	if service != "" {
		return []string{service}, nil
	}
	return c.Store.Services(ctx)
}

// Cluster returns what the repository knows of a cluster. It asks nothing of the
// cloud.
func (c *Catalog) Cluster(ctx context.Context, id cluster.ID, region string) (Cluster, error) {
	found := Cluster{Cluster: id.String(), Region: region}
	status, err := rollout.ReadStatus(ctx, c.Store, id, region)
	if err != nil || status.Last == nil {
		return found, err
	}
	found.Serving, found.Previous = generation(status.Serving), generation(status.Kept)
	if found.Serving != nil {
		if found.Serving.DiffersFromTested, err = c.CompareWithTested(ctx, status.Serving.Spec, region); err != nil {
			return found, err
		}
	}
	for _, left := range status.Left {
		found.Left = append(found.Left, left.Name)
	}
	found.Rollout, err = c.rollout(ctx, id, region, status.Last.ID)
	return found, err
}

// rollout returns a rollout of a cluster with its steps.
func (c *Catalog) rollout(ctx context.Context, id cluster.ID, region, rolloutID string) (*Rollout, error) {
	stored, err := c.Store.Rollout(ctx, id.Service, rolloutID)
	if err != nil {
		return nil, err
	}
	r := &Rollout{
		ID: stored.ID, FromVersion: stored.FromVersion, ToVersion: stored.ToVersion, Status: stored.Status,
		RolledBack: slices.ContainsFunc(stored.Entries, func(e builddata.Entry) bool { return e.Undo }),
		StartedAt:  stored.StartedAt, AbortRequestedBy: stored.AbortRequestedBy, Steps: []Step{},
	}
	if stored.Open() {
		lease, held, err := rollout.ReadLease(ctx, c.Store, c.Clock, id, region)
		if err != nil {
			return nil, err
		}
		r.Status = builddata.Interrupted
		if held {
			r.Status, r.Holder = InProgress, lease.Holder
		}
	} else {
		r.EndedAt = &stored.EndedAt
	}
	steps, err := rollout.Steps(stored)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		step := Step{Step: s.Step, Title: s.Title, Phase: s.Phase, Undo: s.Undo, At: &s.At, Note: s.Note, Detail: s.Detail}
		if s.Phase == "" {
			step.Phase, step.At = Pending, nil
		}
		r.Steps = append(r.Steps, step)
	}
	return r, nil
}

func generation(g *rollout.GenerationRecord) *Generation {
	if g == nil {
		return nil
	}
	return &Generation{Version: g.Spec.Version, Name: g.Name, ImageID: g.Spec.ImageID}
}
