package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// memory is a store in memory, for the many rollouts that are simulated; the
// real one syncs its files.
type memory struct {
	clock    *clock.Fake
	leases   map[string]builddata.Lease
	rollouts []*builddata.Rollout
	versions map[string]builddata.Version
	images   []builddata.Image
	events   []builddata.Event
	// deaf says that nobody hears of requests to abort.
	deaf bool
	// known are the generations that are on record now.
	known map[string]bool
}

func newMemory(c *clock.Fake) *memory {
	return &memory{clock: c, leases: map[string]builddata.Lease{}, versions: map[string]builddata.Version{}, known: map[string]bool{}}
}

func (m *memory) Acquire(_ context.Context, name, holder string, ttl time.Duration) (builddata.Lease, error) {
	last, now := m.leases[name], m.clock.Now()
	if last.Holder != "" && now.Before(last.ExpiresAt) {
		return builddata.Lease{}, &builddata.HeldError{Lease: last}
	}
	l := builddata.Lease{Name: name, Holder: holder, Token: last.Token + 1, AcquiredAt: now, ExpiresAt: now.Add(ttl)}
	m.leases[name] = l
	return l, nil
}

func (m *memory) Lease(_ context.Context, name string) (builddata.Lease, error) {
	if l := m.leases[name]; l.Holder != "" {
		return l, nil
	}
	return builddata.Lease{}, builddata.ErrNotFound
}

func (m *memory) fence(l builddata.Lease) error {
	switch last := m.leases[l.Name]; {
	case last.Holder == "":
		return &builddata.LostError{Name: l.Name, Holder: l.Holder}
	case last.Token != l.Token:
		return &builddata.LostError{Name: l.Name, Holder: l.Holder, Now: last}
	}
	return nil
}

func (m *memory) Renew(_ context.Context, l builddata.Lease, ttl time.Duration) (builddata.Lease, error) {
	if err := m.fence(l); err != nil {
		return builddata.Lease{}, err
	}
	l = m.leases[l.Name]
	l.ExpiresAt = m.clock.Now().Add(ttl)
	m.leases[l.Name] = l
	return l, nil
}

func (m *memory) Release(_ context.Context, l builddata.Lease) error {
	if last := m.leases[l.Name]; last.Token == l.Token {
		last.Holder, last.ExpiresAt = "", time.Time{}
		m.leases[l.Name] = last
	}
	return nil
}

func (m *memory) Begin(_ context.Context, l builddata.Lease, r builddata.Rollout) error {
	if err := m.fence(l); err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return err
	}
	for _, other := range m.rollouts {
		if other.Status == builddata.Started || other.ID == r.ID {
			return fmt.Errorf("%w: rollout %s is not at its end", builddata.ErrConflict, other.ID)
		}
	}
	r.Status, r.StartedAt = builddata.Started, m.clock.Now()
	m.rollouts = append(m.rollouts, &r)
	var p rollout.Plan
	if err := json.Unmarshal(r.Plan, &p); err != nil {
		return err
	}
	for _, s := range []*rollout.Side{p.From, p.To, p.Stays, p.Kept} {
		if s != nil {
			m.known[s.Name] = true
		}
	}
	for _, s := range p.Left {
		m.known[s.Name] = true
	}
	return nil
}

func (m *memory) open(l builddata.Lease, id string) (*builddata.Rollout, error) {
	if err := m.fence(l); err != nil {
		return nil, err
	}
	for _, r := range m.rollouts {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, builddata.ErrNotFound
}

func (m *memory) Record(_ context.Context, l builddata.Lease, id string, e builddata.Entry) error {
	r, err := m.open(l, id)
	if err != nil {
		return err
	}
	if r.Status != builddata.Started {
		return fmt.Errorf("%w: it ended", builddata.ErrConflict)
	}
	if err := e.Validate(); err != nil {
		return err
	}
	e.At = m.clock.Now()
	r.Entries = append(r.Entries, e)
	return nil
}

func (m *memory) End(_ context.Context, l builddata.Lease, id string, status builddata.Status, result []byte) error {
	r, err := m.open(l, id)
	if err != nil {
		return err
	}
	if r.Status == status && bytes.Equal(r.Result, result) {
		return nil
	}
	if r.Status != builddata.Started {
		return fmt.Errorf("%w: it ended", builddata.ErrConflict)
	}
	r.Status, r.Result, r.EndedAt = status, result, m.clock.Now()
	var e rollout.Estate
	if err := json.Unmarshal(result, &e); err != nil {
		return err
	}
	clear(m.known)
	for _, s := range sides(e) {
		m.known[s.Name] = true
	}
	return nil
}

// sides lists all generations of an estate.
func sides(e rollout.Estate) []rollout.Side {
	all := slices.Clone(e.Left)
	for _, s := range []*rollout.Side{e.Serving, e.Kept} {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all
}

// returning reports whether requests are being given back.
func (m *memory) returning() bool {
	for _, r := range m.rollouts {
		if n := len(r.Entries); r.Status == builddata.Started && n > 0 {
			return strings.HasPrefix(r.Entries[n-1].Step, string(rollout.Return))
		}
	}
	return false
}

func (m *memory) RequestAbort(_ context.Context, id, by string) error {
	for _, r := range m.rollouts {
		if r.ID == id && r.Status == builddata.Started {
			if r.AbortRequestedBy == "" && !m.deaf {
				r.AbortRequestedBy = by
			}
			return nil
		}
	}
	return builddata.ErrConflict
}

func (m *memory) Rollout(_ context.Context, id string) (builddata.Rollout, error) {
	for _, r := range slices.Backward(m.rollouts) {
		if r.ID == id {
			whole := *r
			whole.Entries = slices.Clone(r.Entries)
			return whole, nil
		}
	}
	return builddata.Rollout{}, builddata.ErrNotFound
}

func (m *memory) Rollouts(_ context.Context, q builddata.RolloutQuery) ([]builddata.Rollout, error) {
	var page []builddata.Rollout
	limit := q.Limit
	if limit == 0 {
		limit = builddata.DefaultPage
	}
	behind := q.Before == ""
	for _, r := range slices.Backward(m.rollouts) {
		if behind && len(page) < limit && (!q.Open || r.Status == builddata.Started) {
			bare := *r
			bare.Entries = nil
			page = append(page, bare)
		}
		behind = behind || r.ID == q.Before
	}
	return page, nil
}

func (m *memory) Append(_ context.Context, events ...builddata.Event) error {
	for _, e := range events {
		if !slices.ContainsFunc(m.events, func(there builddata.Event) bool { return there.ID == e.ID }) {
			m.events = append(m.events, e)
		}
	}
	return nil
}

func (m *memory) Version(_ context.Context, _, name string) (builddata.Version, error) {
	v, ok := m.versions[name]
	if !ok {
		return v, builddata.ErrNotFound
	}
	return v, nil
}

func (m *memory) Images(_ context.Context, q builddata.ImageQuery) ([]builddata.Image, error) {
	var all []builddata.Image
	for _, i := range m.images {
		if i.Number == q.Number {
			all = append(all, i)
		}
	}
	return all, nil
}
