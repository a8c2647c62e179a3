package rollout_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// place is where a listener sends requests: a rule, or the default action.
type place struct {
	listener cluster.Listener
	weights  map[string]int32
}

func placeKey(l cluster.Listener) string {
	if l.Rule == nil {
		return l.ARN + " default"
	}
	return fmt.Sprintf("%s %05d", l.ARN, l.Rule.Priority)
}

func (p *place) share(name string) int32 {
	total := int32(0)
	for _, weight := range p.weights {
		total += weight
	}
	if total == 0 {
		return 0
	}
	return p.weights[name] * 100 / total
}

// share is the most that a generation gets at any place.
func (w *world) share(name string) (share int32) {
	for _, p := range w.places {
		share = max(share, p.share(name))
	}
	return share
}

// connected reports whether a generation has a place at a listener.
func (w *world) connected(name string) bool {
	for _, p := range w.places {
		if _, there := p.weights[name]; there {
			return true
		}
	}
	return false
}

func (w *world) keys() []string { return slices.Sorted(maps.Keys(w.places)) }

// listener finds the place of a generation at a listener.
func (w *world) listener(name, arn string) (*cluster.Listener, int32) {
	for _, key := range w.keys() {
		p := w.places[key]
		if _, there := p.weights[name]; there && (arn == "" || p.listener.ARN == arn) {
			l := p.listener
			return &l, p.share(name)
		}
	}
	return nil, 0
}

func (w *world) Connect(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	g := w.at(of)
	if err := w.visible(g, "target group", g.targets); err != nil {
		return err
	}
	p := w.places[placeKey(*s.Listener)]
	if p == nil {
		for _, key := range w.keys() {
			if there := w.places[key]; p == nil && there.listener.ARN == s.Listener.ARN && len(there.weights) > 0 {
				p = there // it serves elsewhere at the listener
			}
		}
	}
	if p == nil {
		w.places[placeKey(*s.Listener)] = &place{listener: *s.Listener, weights: map[string]int32{g.name: 1}}
		return nil
	}
	if _, there := p.weights[g.name]; there {
		return nil
	}
	p.weights[g.name] = 0
	if len(p.weights) == 1 {
		p.weights[g.name] = 1
	}
	return nil
}

func (w *world) Shift(_ context.Context, to cluster.Generation, s cluster.Spec, from cluster.Generation, percent int32) error {
	before := w.idle()
	for _, key := range w.keys() {
		p := w.places[key]
		if _, there := p.weights[to.Name]; !there || p.listener.ARN != s.Listener.ARN {
			continue
		}
		wanted := map[string]int32{}
		for name := range p.weights {
			wanted[name] = 0
		}
		wanted[to.Name] = percent
		if _, there := wanted[from.Name]; there {
			wanted[from.Name] = 100 - percent
		}
		w.gives(to.Name, p.share(to.Name) < percent)
		p.weights = wanted
		w.answers("shift to "+to.Name, before)
		return nil
	}
	return fmt.Errorf("%s has no place at listener %s", to.Name, s.Listener.ARN)
}

func (w *world) Serve(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	before := w.idle()
	g := w.at(of)
	if err := w.visible(g, "target group", g.targets); err != nil {
		return err
	}
	p := w.places[placeKey(*s.Listener)]
	if p == nil {
		p = &place{weights: map[string]int32{}}
		w.places[placeKey(*s.Listener)] = p
	}
	w.gives(g.name, p.share(g.name) < 100)
	p.listener = *s.Listener
	wanted := map[string]int32{}
	for name := range p.weights {
		wanted[name] = 0
	}
	wanted[g.name] = 1
	p.weights = wanted
	// Where Connect lent a place, it is given back.
	for _, key := range w.keys() {
		if other := w.places[key]; other != p && other.listener.ARN == s.Listener.ARN {
			before = append(before, key) // what it was lent is served elsewhere now
			w.disconnectFrom(key, g.name)
		}
	}
	w.answers("serve "+g.name, before)
	return nil
}

func (w *world) Disconnect(_ context.Context, of cluster.Generation, l cluster.Listener) error {
	before := w.idle()
	g := w.generations[of.Name]
	if g.gone() || !g.targets {
		return nil
	}
	for _, key := range w.keys() {
		w.disconnectFrom(key, g.name)
	}
	w.answers("disconnect "+g.name, before)
	return nil
}

// disconnectFrom takes a generation from a place. If it had all the requests,
// those that are left share them.
func (w *world) disconnectFrom(key, name string) {
	p := w.places[key]
	if _, there := p.weights[name]; !there {
		return
	}
	delete(p.weights, name)
	if len(p.weights) == 0 {
		delete(w.places, key)
		return
	}
	total := int32(0)
	for _, weight := range p.weights {
		total += weight
	}
	if total == 0 {
		for other := range p.weights {
			p.weights[other] = 1
		}
	}
}

// gives checks a change by which a generation gets more requests: it must have
// as many healthy servers as the requests needed when somebody looked last,
// unless no other one has a healthy server either, or has all the servers that
// it should have.
func (w *world) gives(name string, more bool) {
	if !more {
		return
	}
	g := w.generations[name]
	if w.returning || w.behaviour[g.spec.Version].dies > 0 {
		return // it served before, and may have lost servers since
	}
	if healthy := w.countHealthy(g); healthy < w.needed && healthy < g.group.want() && w.othersHealthy(name) {
		w.breaks("%s got more requests with %d healthy servers, and %d are needed", name, healthy, w.needed)
	}
}

// want is how many servers there should be.
func (r *group) want() int32 {
	if r == nil {
		return 0
	}
	return r.desired
}

func (w *world) othersHealthy(name string) bool {
	for other, g := range w.generations {
		if other != name && w.share(other) > 0 && w.countHealthy(g) > 0 {
			return true
		}
	}
	return false
}

// idle lists the places that forward to nothing while a generation there is
// healthy.
func (w *world) idle() []string {
	var idle []string
	for _, key := range w.keys() {
		answered, possible := false, false
		for name, weight := range w.places[key].weights {
			healthy := w.countHealthy(w.generations[name]) > 0
			possible = possible || healthy
			// Whoever scales the cluster may have brought it to nothing.
			none := w.generations[name].group.want() == 0
			answered = answered || weight > 0 && (healthy || none)
		}
		if possible && !answered {
			idle = append(idle, key)
		}
	}
	return idle
}

// answers checks a change at the listener, given the places that were idle
// before: none may become it.
func (w *world) answers(doing string, before []string) {
	for _, key := range w.idle() {
		if !slices.Contains(before, key) {
			w.breaks("%s: %s forwards to nothing though a generation is healthy: %v", doing, key, w.places[key].weights)
		}
	}
}
