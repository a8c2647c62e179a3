package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// memory is a store in memory, for the many rollouts that are simulated: the
// real one syncs its files. Beside what every store does, it knows which
// generations are on record, and can lose requests to abort.
type memory struct {
	*memstore.Store
	// unheard says that requests to abort do not arrive.
	unheard bool
	// known are the generations that are on record now.
	known map[string]bool
}

func newMemory(c *clock.Fake) *memory {
	return &memory{Store: memstore.New().Open(c), known: map[string]bool{}}
}

// Begin implements builddata.Rollouts.
func (m *memory) Begin(ctx context.Context, l builddata.Lease, r builddata.Rollout) error {
	if err := m.Store.Begin(ctx, l, r); err != nil {
		return err
	}
	var p rollout.Plan
	if err := json.Unmarshal(r.Plan, &p); err != nil {
		return err
	}
	for _, s := range []*rollout.GenerationRecord{p.From, p.To, p.Stays, p.Kept} {
		if s != nil {
			m.known[s.Name] = true
		}
	}
	for _, s := range p.Left {
		m.known[s.Name] = true
	}
	return nil
}

// End implements builddata.Rollouts.
func (m *memory) End(ctx context.Context, l builddata.Lease, id string, e builddata.Ending) error {
	if err := m.Store.End(ctx, l, id, e); err != nil {
		return err
	}
	var left rollout.Inventory
	if err := json.Unmarshal(e.Result, &left); err != nil {
		return err
	}
	clear(m.known)
	for _, s := range generations(left) {
		m.known[s.Name] = true
	}
	return nil
}

// RequestAbort implements builddata.Rollouts.
func (m *memory) RequestAbort(ctx context.Context, service, id, by string) error {
	if m.unheard {
		return nil
	}
	return m.Store.RequestAbort(ctx, service, id, by)
}

// generations lists all generations of an inventory.
func generations(i rollout.Inventory) []rollout.GenerationRecord {
	all := slices.Clone(i.Left)
	for _, s := range []*rollout.GenerationRecord{i.Serving, i.Kept} {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all
}

// lease is the lease of the cluster; zero if it is not held.
func (m *memory) lease() builddata.Lease {
	l, err := m.Lease(context.Background(), web.Service, leaseName)
	if err != nil && !errors.Is(err, builddata.ErrNotFound) {
		panic(err)
	}
	return l
}

// rollouts lists all rollouts with their journals, the newest first.
func (m *memory) rollouts() []builddata.Rollout {
	var all []builddata.Rollout
	for r, err := range builddata.AllRollouts(context.Background(), m, builddata.RolloutQuery{Service: web.Service}) {
		if err == nil {
			r, err = m.Rollout(context.Background(), r.Service, r.ID)
		}
		if err != nil {
			panic(err)
		}
		all = append(all, r)
	}
	return all
}

// open lists the rollouts that have not ended.
func (m *memory) open() []builddata.Rollout {
	open, err := m.Rollouts(context.Background(), builddata.RolloutQuery{Service: web.Service, Open: true})
	if err != nil {
		panic(err)
	}
	return open
}

// returning reports whether requests are being given back.
func (m *memory) returning() bool {
	for _, r := range m.open() {
		r, err := m.Rollout(context.Background(), r.Service, r.ID)
		if err != nil {
			panic(err)
		}
		if n := len(r.Entries); n > 0 {
			return strings.HasPrefix(r.Entries[n-1].Step, string(rollout.RestoreTraffic))
		}
	}
	return false
}

// replay stores a rollout of the cluster as its process did, with its journal
// and its end.
func (m *memory) replay(t *testing.T, r builddata.Rollout) {
	t.Helper()
	l, err := m.Acquire(t.Context(), builddata.LeaseRequest{Service: web.Service, Name: leaseName, Holder: "a process", TTL: time.Minute})
	r.Service, r.Environment, r.Region = web.Service, web.Environment, region
	err = errors.Join(err, m.Begin(t.Context(), l, r))
	for _, e := range r.Entries {
		err = errors.Join(err, m.Record(t.Context(), l, r.ID, e))
	}
	if !r.Open() {
		err = errors.Join(err, m.End(t.Context(), l, r.ID, builddata.Ending{Status: r.Status, Result: r.Result}))
	}
	if err := errors.Join(err, m.Release(t.Context(), l)); err != nil {
		t.Fatal(err)
	}
}
