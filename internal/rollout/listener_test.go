package rollout_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// route is a listener rule or a default action. A closed rule selects no requests.
type route struct {
	listener cluster.Listener
	closed   bool
	weights  map[string]int32
	// further is the name of a further rule; empty for the cluster's own route.
	further string
}

func furtherKey(r cluster.FurtherRule) string { return "further " + r.Name + " " + r.ListenerARN }

// furtherRoutes lists the further rules that exist.
func (w *world) furtherRoutes(rules []cluster.FurtherRule) (all []*route) {
	for _, r := range rules {
		if p := w.routes[furtherKey(r)]; p != nil {
			all = append(all, p)
		}
	}
	return all
}

func (w *world) Rules(_ context.Context, g cluster.Generation, rules []cluster.FurtherRule) (exist []cluster.FurtherRule, share int32, err error) {
	share = 100
	for _, r := range rules {
		if p := w.routes[furtherKey(r)]; p != nil {
			exist, share = append(exist, r), min(share, p.share(g.Name))
		}
	}
	return exist, share, nil
}

func (w *world) CheckRules(context.Context, cluster.Spec) error { return nil }

func (w *world) RemoveRules(_ context.Context, _ cluster.ID, rules []cluster.FurtherRule) error {
	for _, r := range rules {
		delete(w.routes, furtherKey(r))
	}
	return nil
}

func (o outside) Rules(ctx context.Context, g cluster.Generation, rules []cluster.FurtherRule) (exist []cluster.FurtherRule, share int32, err error) {
	err = o.ask(ctx, "Rules", func() error { exist, share, err = o.w.Rules(ctx, g, rules); return err })
	return exist, share, err
}

func (o outside) CheckRules(ctx context.Context, s cluster.Spec) error {
	return o.ask(ctx, "CheckRules", func() error { return o.w.CheckRules(ctx, s) })
}

func (o outside) RemoveRules(ctx context.Context, id cluster.ID, rules []cluster.FurtherRule) error {
	return o.change(ctx, "RemoveRules", func() error { return o.w.RemoveRules(ctx, id, rules) })
}

// hasFurther is a cluster with further rules, one of them at another listener.
func hasFurther(names ...string) func(*cluster.Spec) {
	return func(s *cluster.Spec) {
		for _, name := range names {
			s.FurtherRules = append(s.FurtherRules, cluster.FurtherRule{
				Name: name, ListenerARN: "arn:listener/" + name, Rule: cluster.Rule{Priority: 20, Hosts: []string{name + ".example.com"}},
			})
		}
	}
}

func routeKey(l cluster.Listener) string {
	if l.Rule == nil {
		return l.ARN + " default"
	}
	return fmt.Sprintf("%s %05d", l.ARN, l.Rule.Priority)
}

// named returns l with a rule of any priority at that of the cluster's rule, or else a free one.
func (w *world) named(l cluster.Listener) cluster.Listener {
	if l.Rule == nil || l.Rule.Priority != 0 {
		return l
	}
	rule := *l.Rule
	rule.Priority = cluster.FirstFreePriority
	for _, key := range w.keys() {
		if there := w.routes[key].listener; w.routes[key].further == "" && there.ARN == l.ARN && there.Rule != nil {
			rule.Priority = there.Rule.Priority
		}
	}
	return cluster.Listener{ARN: l.ARN, Rule: &rule}
}

func (p *route) share(name string) int32 {
	if p.closed {
		return 0
	}
	total := int32(0)
	for _, weight := range p.weights {
		total += weight
	}
	if total == 0 {
		return 0
	}
	return p.weights[name] * 100 / total
}

// share is the largest share that a generation gets at any route.
func (w *world) share(name string) (share int32) {
	for _, p := range w.routes {
		share = max(share, p.share(name))
	}
	return share
}

// connected reports whether a route forwards to a generation.
func (w *world) connected(name string) bool {
	if _, ok := w.previews[name]; ok {
		return true
	}
	for _, p := range w.routes {
		if _, there := p.weights[name]; there {
			return true
		}
	}
	return false
}

func (w *world) keys() []string { return slices.Sorted(maps.Keys(w.routes)) }

// listener finds the route by which a generation gets requests.
func (w *world) listener(name, arn string) (*cluster.Listener, int32) {
	for _, key := range w.keys() {
		p := w.routes[key]
		if _, there := p.weights[name]; there && !p.closed && p.further == "" && (arn == "" || p.listener.ARN == arn) {
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
	p := w.routes[routeKey(w.named(*s.Listener))]
	if p == nil {
		for _, key := range w.keys() {
			if there := w.routes[key]; p == nil && there.further == "" && there.listener.ARN == s.Listener.ARN {
				p = there // it serves by another rule of the listener
			}
		}
	}
	if p == nil {
		l := w.named(*s.Listener)
		if l.Rule == nil { // the default action continues to answer
			l.Rule = &cluster.Rule{Priority: 49000}
		}
		p = &route{listener: l, closed: true, weights: map[string]int32{g.name: 100}}
		w.routes[routeKey(l)] = p
	}
	for _, p := range append(w.furtherRoutes(s.FurtherRules), p) {
		if _, there := p.weights[g.name]; !there {
			p.weights[g.name] = 0
		}
	}
	return nil
}

func (w *world) Shift(_ context.Context, to cluster.Generation, s cluster.Spec, from cluster.Generation, percent int32) error {
	before := w.idle()
	for _, key := range w.keys() {
		p := w.routes[key]
		if _, there := p.weights[to.Name]; !there || p.further != "" || p.listener.ARN != s.Listener.ARN {
			continue
		}
		for _, p := range append(w.furtherRoutes(s.FurtherRules), p) {
			if _, there := p.weights[to.Name]; !there {
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
		}
		w.answers("shift to "+to.Name, before)
		return nil
	}
	return fmt.Errorf("%s is not connected to listener %s", to.Name, s.Listener.ARN)
}

// theirs is a target group of others, which always answers, also by a later rule of theirs.
const theirs = "arn:targets/theirs"

func takesOver(s *cluster.Spec) { s.TakeOver = theirs }

func (w *world) TakeOver(_ context.Context, of cluster.Generation, s cluster.Spec, percent int32) error {
	before := w.idle()
	l := w.named(*s.Listener)
	p := w.routes[routeKey(l)]
	if p == nil || !w.connected(of.Name) {
		return fmt.Errorf("%s is not connected to listener %s", of.Name, l.ARN)
	}
	w.gives(of.Name, p.share(of.Name) < percent)
	p.listener, p.closed = l, false
	p.weights = map[string]int32{of.Name: percent}
	if percent < 100 {
		p.weights[s.TakeOver] = 100 - percent
	}
	w.answers("take over by "+of.Name, before)
	return nil
}

func (w *world) Serve(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	before := w.idle()
	g := w.at(of)
	if err := w.visible(g, "target group", g.targets); err != nil {
		return err
	}
	l := w.named(*s.Listener)
	p := w.routes[routeKey(l)]
	if p == nil {
		p = &route{weights: map[string]int32{}}
		w.routes[routeKey(l)] = p
	}
	p.listener, p.closed = l, false
	for _, r := range s.FurtherRules {
		if rule := r.Rule; w.routes[furtherKey(r)] == nil {
			w.routes[furtherKey(r)] = &route{
				listener: cluster.Listener{ARN: r.ListenerARN, Rule: &rule}, further: r.Name, weights: map[string]int32{},
			}
		}
	}
	for _, p := range append(w.furtherRoutes(s.FurtherRules), p) {
		w.gives(g.name, p.share(g.name) < 100)
		wanted := map[string]int32{}
		for name := range p.weights {
			wanted[name] = 0
		}
		wanted[g.name] = 100
		p.weights = wanted
	}
	// The generation no longer needs the route that Connect may have added it to.
	for _, key := range w.keys() {
		if other := w.routes[key]; other != p && other.further == "" && other.listener.ARN == s.Listener.ARN {
			before = append(before, key) // its requests go elsewhere now
			w.disconnectFrom(key, g.name)
		}
	}
	w.answers("serve "+g.name, before)
	return nil
}

func (w *world) Disconnect(_ context.Context, of cluster.Generation, l cluster.Listener) error {
	before := w.idle()
	g := w.generations[of.Name]
	if g.gone() || !g.targets || w.now.Before(w.routesShow) {
		return nil
	}
	delete(w.previews, g.name)
	served := w.share(g.name) > 0
	for _, key := range w.keys() {
		w.disconnectFrom(key, g.name)
	}
	if served && len(w.routes) == 0 {
		g.left = w.now
	}
	w.answers("disconnect "+g.name, before)
	return nil
}

// disconnectFrom removes a generation from a route. If it had all requests, the
// others share them.
func (w *world) disconnectFrom(key, name string) {
	p := w.routes[key]
	if _, there := p.weights[name]; !there {
		return
	}
	delete(p.weights, name)
	share, there := p.weights[theirs]
	if len(p.weights) == 0 || there && len(p.weights) == 1 {
		delete(w.routes, key)
		return
	}
	if there && share == 0 {
		delete(p.weights, theirs)
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

// gives checks a change that gives a generation more requests. In a rollout, it
// must have a healthy server, unless it was scaled to zero. It must have as many as
// the requests needed at the last Health call, unless no other generation has one,
// or it has all its desired servers.
func (w *world) gives(name string, more bool) {
	if !more {
		return
	}
	g := w.generations[name]
	if w.returning || w.behaviour[g.spec.Version].dies > 0 {
		return // it served before, and may have lost servers since
	}
	switch healthy := w.countHealthy(g); {
	case healthy == 0 && g.group.want() > 0 && !w.repairing:
		w.breaks("%s got requests and has no healthy server of %d", name, g.group.want())
	case healthy < w.needed && healthy < g.group.want() && w.othersHealthy(name):
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

// idle lists the routes that forward to no healthy server although one of their
// generations has some.
func (w *world) idle() []string {
	var idle []string
	for _, key := range w.keys() {
		answered, possible := false, false
		if w.routes[key].closed {
			continue
		}
		for name, weight := range w.routes[key].weights {
			if name == theirs {
				answered, possible = answered || weight > 0, true
				continue
			}
			healthy := w.countHealthy(w.generations[name]) > 0
			possible = possible || healthy
			// Autoscaling may have scaled it to zero.
			none := w.generations[name].group.want() == 0
			answered = answered || weight > 0 && (healthy || none)
		}
		if possible && !answered {
			idle = append(idle, key)
		}
	}
	return idle
}

// answers checks that no route became idle, given those that were idle before.
func (w *world) answers(doing string, before []string) {
	for _, key := range w.idle() {
		if !slices.Contains(before, key) {
			w.breaks("%s: %s forwards to no healthy server although a generation has some: %v", doing, key, w.routes[key].weights)
		}
	}
}
