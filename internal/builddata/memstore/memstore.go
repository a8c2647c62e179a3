// Package memstore is a builddata.Store in memory, for tests: maps and a mutex. It passes
// the same test suites as every store, and contains no rules.
package memstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
)

// Repository holds the data that the stores opened on it share.
type Repository struct {
	id       string
	mu       sync.Mutex
	services map[string]*service
	images   map[[2]string]builddata.Image // by region and id
}

// service holds the data of one service.
type service struct {
	versions   []builddata.Version // by number, from 1
	newest     builddata.Newest
	events     []builddata.Event
	leases     map[string]builddata.Lease
	rollouts   []*builddata.Rollout
	runs       map[string]builddata.Run
	promotions []builddata.Promotion
	deploys    map[string]builddata.Deploy // by environment
}

// Store is a client of a Repository.
type Store struct {
	*Repository
	clock clock.Clock
}

var _ builddata.Store = (*Store)(nil)

// New creates an empty repository.
func New() *Repository {
	return &Repository{id: rand.Text(), services: map[string]*service{}, images: map[[2]string]builddata.Image{}}
}

// Open opens the repository with a clock.
func (r *Repository) Open(c clock.Clock) *Store { return &Store{Repository: r, clock: c} }

// Close does nothing.
func (s *Store) Close() error { return nil }

// ID implements builddata.Identity.
func (s *Store) ID(context.Context) (string, error) { return s.id, nil }

// of returns the data of a service, for reading and writing.
func (s *Store) of(name string) *service {
	if s.services[name] == nil {
		s.services[name] = &service{
			leases: map[string]builddata.Lease{}, runs: map[string]builddata.Run{}, deploys: map[string]builddata.Deploy{},
		}
	}
	return s.services[name]
}

// lock locks the repository until the function that it returns is called.
func (s *Store) lock() (unlock func()) {
	s.mu.Lock()
	return s.mu.Unlock
}

// Services implements builddata.Services.
func (s *Store) Services(context.Context) ([]string, error) {
	defer s.lock()()
	var names []string
	for name, of := range s.services {
		if len(of.versions)+len(of.runs)+len(of.rollouts) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Allocate implements builddata.Versions.
func (s *Store) Allocate(_ context.Context, a builddata.Allocation) (builddata.Version, error) {
	defer s.lock()()
	if err := a.Validate(); err != nil {
		return builddata.Version{}, err
	}
	of := s.of(a.Service)
	for _, v := range of.versions {
		if a.Key != "" && v.Key == a.Key {
			return clone(v), a.Match(v)
		}
	}
	v, newest, err := of.newest.Next(a, s.clock.Now())
	if err != nil {
		return builddata.Version{}, err
	}
	of.versions, of.newest = append(of.versions, v), newest
	return clone(v), nil
}

func clone(v builddata.Version) builddata.Version {
	v.Labels = maps.Clone(v.Labels)
	return v
}

// Version implements builddata.Versions.
func (s *Store) Version(_ context.Context, service, name string) (builddata.Version, error) {
	defer s.lock()()
	v, err := s.named(service, name)
	if err != nil {
		return builddata.Version{}, err
	}
	return clone(*v), nil
}

func (s *Store) named(service, name string) (*builddata.Version, error) {
	versions := s.of(service).versions
	i := slices.IndexFunc(versions, func(v builddata.Version) bool { return v.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("version %s of %s: %w", name, service, builddata.ErrNotFound)
	}
	return &versions[i], nil
}

// VersionByNumber implements builddata.Versions.
func (s *Store) VersionByNumber(_ context.Context, service string, number int64) (builddata.Version, error) {
	defer s.lock()()
	v, err := s.numbered(service, number)
	return clone(v), err
}

func (s *Store) numbered(service string, number int64) (builddata.Version, error) {
	versions := s.of(service).versions
	if number < 1 || number > int64(len(versions)) {
		return builddata.Version{}, fmt.Errorf("number %d of %s: %w", number, service, builddata.ErrNotFound)
	}
	return versions[number-1], nil
}

// Versions implements builddata.Versions.
func (s *Store) Versions(_ context.Context, q builddata.VersionQuery) ([]builddata.Version, error) {
	defer s.lock()()
	var page []builddata.Version
	for _, v := range slices.Backward(s.of(q.Service).versions) {
		if len(page) < builddata.PageSize(q.Limit) && (q.Before == 0 || v.Number < q.Before) &&
			(q.SourceRevision == "" || v.SourceRevision == q.SourceRevision) && (q.IncludeRevoked || v.Revocation == nil) {
			page = append(page, clone(v))
		}
	}
	return page, nil
}

// Revoke implements builddata.Versions.
func (s *Store) Revoke(_ context.Context, service, name, reason string) (builddata.Version, error) {
	defer s.lock()()
	v, err := s.named(service, name)
	if err != nil {
		return builddata.Version{}, err
	}
	*v = v.Revoke(reason, s.clock.Now())
	return clone(*v), nil
}

// Append implements builddata.Events.
func (s *Store) Append(_ context.Context, events ...builddata.Event) error {
	defer s.lock()()
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return err
		}
		if e.Number != 0 {
			if _, err := s.numbered(e.Service, e.Number); err != nil {
				return err
			}
		}
	}
	for _, e := range events {
		of := s.of(e.Service)
		e = e.Complete(id.New, s.clock.Now())
		if !slices.ContainsFunc(of.events, func(there builddata.Event) bool { return there.ID == e.ID }) {
			e.Outputs = maps.Clone(e.Outputs)
			of.events = append(of.events, e)
		}
	}
	return nil
}

// Events implements builddata.Events.
func (s *Store) Events(_ context.Context, q builddata.EventQuery) ([]builddata.Event, error) {
	defer s.lock()()
	if err := q.Validate(); err != nil {
		return nil, err
	}
	var page []builddata.Event
	after := q.After == ""
	for _, e := range s.of(q.Service).events {
		if after && len(page) < builddata.PageSize(q.Limit) && (q.Number == 0 || e.Number == q.Number) && (q.Run == "" || e.Run == q.Run) {
			page = append(page, e)
		}
		after = after || e.ID == q.After
	}
	return page, nil
}

// Register implements builddata.Images.
func (s *Store) Register(_ context.Context, images ...builddata.Image) error {
	defer s.lock()()
	registered := map[[2]string]builddata.Image{}
	for _, i := range images {
		if err := i.Validate(); err != nil {
			return err
		}
		if _, err := s.numbered(i.Service, i.Number); err != nil {
			return err
		}
		key := [2]string{i.Region, i.ID}
		var existing *builddata.Image
		for _, known := range []map[[2]string]builddata.Image{s.images, registered} {
			if there, ok := known[key]; ok {
				existing = &there
			}
		}
		i, err := i.Register(existing, s.clock.Now())
		if err != nil {
			return err
		}
		registered[key] = i
	}
	maps.Copy(s.images, registered)
	return nil
}

// OfferImages implements builddata.Images.
func (s *Store) OfferImages(_ context.Context, service string, number int64, bake string) ([]builddata.Image, error) {
	defer s.lock()()
	promoted := slices.ContainsFunc(s.of(service).promotions, func(p builddata.Promotion) bool { return p.Number == number })
	changed, err := builddata.OfferImages(s.imagesOf(builddata.ImageQuery{Service: service, Number: number}), bake, promoted)
	for _, i := range changed {
		s.images[[2]string{i.Region, i.ID}] = i
	}
	return changed, err
}

// ForgetImage implements builddata.Images.
func (s *Store) ForgetImage(_ context.Context, service, region, id string) (builddata.Image, error) {
	defer s.lock()()
	i, ok := s.images[[2]string{region, id}]
	if !ok || i.Service != service {
		return builddata.Image{}, builddata.ErrNotFound
	}
	s.images[[2]string{region, id}] = i.Forget()
	return i.Forget(), nil
}

// Images implements builddata.Images.
func (s *Store) Images(_ context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	defer s.lock()()
	return s.imagesOf(q), nil
}

func (s *Store) imagesOf(q builddata.ImageQuery) []builddata.Image {
	var all []builddata.Image
	for _, i := range s.images {
		if i.Service == q.Service && i.Number == q.Number && (q.Region == "" || i.Region == q.Region) &&
			(q.Architecture == "" || i.Architecture == q.Architecture) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b builddata.Image) int {
		return cmp.Or(strings.Compare(a.Region, b.Region), strings.Compare(a.Architecture, b.Architecture), strings.Compare(a.ID, b.ID))
	})
	return all
}

// Acquire implements builddata.Leases.
func (s *Store) Acquire(_ context.Context, r builddata.LeaseRequest) (builddata.Lease, error) {
	defer s.lock()()
	if err := r.Validate(); err != nil {
		return builddata.Lease{}, err
	}
	l, err := r.Acquire(s.of(r.Service).leases[r.Name], s.clock.Now())
	if err == nil {
		s.of(r.Service).leases[r.Name] = l
	}
	return l, err
}

// Renew implements builddata.Leases.
func (s *Store) Renew(_ context.Context, l builddata.Lease, ttl time.Duration) (builddata.Lease, error) {
	defer s.lock()()
	renewed, err := l.Renew(s.of(l.Service).leases[l.Name], ttl, s.clock.Now())
	if err == nil {
		s.of(l.Service).leases[l.Name] = renewed
	}
	return renewed, err
}

// Release implements builddata.Leases.
func (s *Store) Release(_ context.Context, l builddata.Lease) error {
	defer s.lock()()
	if released, changed := l.Release(s.of(l.Service).leases[l.Name]); changed {
		s.of(l.Service).leases[l.Name] = released
	}
	return nil
}

// Lease implements builddata.Leases.
func (s *Store) Lease(_ context.Context, service, name string) (builddata.Lease, error) {
	defer s.lock()()
	if l := s.of(service).leases[name]; l.Held() {
		return l, nil
	}
	return builddata.Lease{}, fmt.Errorf("the lease %s: %w", name, builddata.ErrNotFound)
}

// Begin implements builddata.Rollouts.
func (s *Store) Begin(_ context.Context, l builddata.Lease, r builddata.Rollout) error {
	defer s.lock()()
	if err := r.Validate(); err != nil {
		return err
	}
	of := s.of(l.Service)
	if err := l.Check(of.leases[l.Name]); err != nil {
		return err
	}
	var existing, open *builddata.Rollout
	for _, other := range of.rollouts {
		if other.ID == r.ID {
			existing = other
		}
		if other.Open() && other.Environment == r.Environment && other.Region == r.Region {
			open = other
		}
	}
	begun, changed, err := r.Begin(l, existing, open, s.clock.Now())
	if changed {
		of.rollouts = append(of.rollouts, &begun)
	}
	return err
}

// find returns a stored rollout, which the caller may change.
func (s *Store) find(service, id string) (*builddata.Rollout, error) {
	for _, r := range slices.Backward(s.of(service).rollouts) {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("rollout %s of %s: %w", id, service, builddata.ErrNotFound)
}

// under checks the lease and returns the rollout that is changed under it.
func (s *Store) under(l builddata.Lease, id string) (*builddata.Rollout, error) {
	if err := l.Check(s.of(l.Service).leases[l.Name]); err != nil {
		return nil, err
	}
	return s.find(l.Service, id)
}

// Record implements builddata.Rollouts.
func (s *Store) Record(_ context.Context, l builddata.Lease, id string, e builddata.Entry) error {
	defer s.lock()()
	if err := e.Validate(); err != nil {
		return err
	}
	r, err := s.under(l, id)
	if err != nil {
		return err
	}
	if e, err = r.Record(e, s.clock.Now()); err != nil {
		return err
	}
	r.Entries = append(r.Entries, e)
	return nil
}

// End implements builddata.Rollouts.
func (s *Store) End(_ context.Context, l builddata.Lease, id string, e builddata.Ending) error {
	defer s.lock()()
	if err := e.Validate(); err != nil {
		return err
	}
	r, err := s.under(l, id)
	if err != nil {
		return err
	}
	*r, _, err = r.End(e, s.clock.Now())
	return err
}

// RequestAbort implements builddata.Rollouts.
func (s *Store) RequestAbort(_ context.Context, service, id, by string) error {
	defer s.lock()()
	r, err := s.find(service, id)
	if err != nil {
		return err
	}
	*r, _, err = r.RequestAbort(by)
	return err
}

// Rollout implements builddata.Rollouts.
func (s *Store) Rollout(_ context.Context, service, id string) (builddata.Rollout, error) {
	defer s.lock()()
	r, err := s.find(service, id)
	if err != nil {
		return builddata.Rollout{}, err
	}
	whole := *r
	whole.Entries = slices.Clone(r.Entries)
	return whole, nil
}

// Rollouts implements builddata.Rollouts.
func (s *Store) Rollouts(_ context.Context, q builddata.RolloutQuery) ([]builddata.Rollout, error) {
	defer s.lock()()
	var page []builddata.Rollout
	after := q.Before == ""
	for _, r := range slices.Backward(s.of(q.Service).rollouts) {
		if after && len(page) < builddata.PageSize(q.Limit) && (!q.Open || r.Open()) &&
			(q.Environment == "" || r.Environment == q.Environment) && (q.Region == "" || r.Region == q.Region) {
			bare := *r
			bare.Entries = nil
			page = append(page, bare)
		}
		after = after || r.ID == q.Before
	}
	return page, nil
}

// LatestRollouts implements builddata.Rollouts.
func (s *Store) LatestRollouts(_ context.Context, q builddata.ClusterQuery) ([]builddata.Rollout, error) {
	defer s.lock()()
	latest := map[[2]string]builddata.Rollout{}
	for _, r := range s.of(q.Service).rollouts {
		bare := *r
		bare.Plan, bare.Result, bare.Entries = nil, nil, nil
		latest[[2]string{r.Environment, r.Region}] = bare
	}
	var all []builddata.Rollout
	for _, r := range latest {
		if (q.Environment == "" || r.Environment == q.Environment) && (q.IncludeGone || !r.Gone) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b builddata.Rollout) int {
		return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.Region, b.Region))
	})
	return all, nil
}

// SaveRun implements builddata.Runs.
func (s *Store) SaveRun(_ context.Context, r builddata.Run) error {
	defer s.lock()()
	if err := r.Validate(); err != nil {
		return err
	}
	if r.Number != 0 {
		if _, err := s.numbered(r.Service, r.Number); err != nil {
			return err
		}
	}
	if stored, ok := s.of(r.Service).runs[r.ID]; ok {
		r, _ = stored.Advance(r)
	}
	s.of(r.Service).runs[r.ID] = r
	return nil
}

// Run implements builddata.Runs.
func (s *Store) Run(_ context.Context, service, id string) (builddata.Run, error) {
	defer s.lock()()
	r, ok := s.of(service).runs[id]
	if !ok {
		return builddata.Run{}, fmt.Errorf("run %s of %s: %w", id, service, builddata.ErrNotFound)
	}
	return r, nil
}

// Runs implements builddata.Runs.
func (s *Store) Runs(_ context.Context, q builddata.RunQuery) ([]builddata.Run, error) {
	defer s.lock()()
	of := s.of(q.Service)
	if _, ok := of.runs[q.Before]; q.Before != "" && !ok {
		return nil, nil
	}
	var page []builddata.Run
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(of.runs))) {
		r := of.runs[key]
		if len(page) < builddata.PageSize(q.Limit) && (q.Before == "" || r.ID < q.Before) && (q.Number == 0 || r.Number == q.Number) &&
			(!q.Open || !r.Ended()) {
			r.Definition, r.Context = nil, nil
			page = append(page, r)
		}
	}
	return page, nil
}

// Promote implements builddata.Promotions.
func (s *Store) Promote(_ context.Context, p builddata.Promotion) (builddata.Promotion, error) {
	defer s.lock()()
	if err := p.Validate(); err != nil {
		return builddata.Promotion{}, err
	}
	of := s.of(p.Service)
	v, err := s.numbered(p.Service, p.Number)
	if err != nil {
		return builddata.Promotion{}, err
	}
	evidence := builddata.Evidence{Version: v}
	for _, e := range of.events {
		if e.Number == p.Number {
			evidence.Events = append(evidence.Events, e)
		}
	}
	for _, r := range of.runs {
		if r.Number == p.Number {
			evidence.Runs = append(evidence.Runs, r)
		}
	}
	for i := range of.promotions {
		if of.promotions[i].Stage == p.Stage {
			evidence.Current = &of.promotions[i]
		}
	}
	result, changed, err := p.Evaluate(evidence, s.clock.Now())
	if changed {
		of.promotions = append(of.promotions, result)
	}
	return result, err
}

// Promotions implements builddata.Promotions.
func (s *Store) Promotions(_ context.Context, q builddata.PromotionQuery) ([]builddata.Promotion, error) {
	defer s.lock()()
	var page []builddata.Promotion
	for _, p := range slices.Backward(s.of(q.Service).promotions) {
		if len(page) < builddata.PageSize(q.Limit) && (q.Stage == "" || p.Stage == q.Stage) && (q.Number == 0 || p.Number == q.Number) {
			page = append(page, p)
		}
	}
	return page, nil
}

// LatestPromotions implements builddata.Promotions.
func (s *Store) LatestPromotions(_ context.Context, service string) ([]builddata.Promotion, error) {
	defer s.lock()()
	latest := map[string]builddata.Promotion{}
	for _, p := range s.of(service).promotions {
		latest[p.Stage] = p
	}
	var all []builddata.Promotion
	for _, stage := range slices.Sorted(maps.Keys(latest)) {
		all = append(all, latest[stage])
	}
	return all, nil
}

// RecordDeploy implements builddata.Deploys.
func (s *Store) RecordDeploy(_ context.Context, l builddata.Lease, d builddata.Deploy) error {
	defer s.lock()()
	of := s.of(d.Service)
	if err := l.Check(s.of(l.Service).leases[l.Name]); err != nil {
		return err
	}
	v, err := s.numbered(d.Service, d.Number)
	if err != nil {
		return err
	}
	if d, err = d.Record(l, v, s.clock.Now()); err == nil {
		of.deploys[d.Environment] = d
	}
	return err
}

// LatestDeploy implements builddata.Deploys.
func (s *Store) LatestDeploy(_ context.Context, service, environment string) (builddata.Deploy, error) {
	defer s.lock()()
	d, ok := s.of(service).deploys[environment]
	if !ok {
		return d, builddata.ErrNotFound
	}
	return d, nil
}
