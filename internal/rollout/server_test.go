package rollout_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// behaviour says how the servers of a version behave.
type behaviour struct {
	// start is how long a server takes to be healthy.
	start time.Duration
	// never says that none ever is.
	never bool
	// dies, when set, is how long after its start a server fails for good.
	dies time.Duration
	// flaky is how many servers fail at first and are replaced after grace.
	flaky int
	// hopeless, when set, is why no server can be started, until it heals.
	hopeless string
	heals    time.Time
	// fails says that the servers answer 500 to everything but health checks.
	fails bool
	// protected is how many servers of each group are protected from scale-in.
	protected int
}

// grace is the time until a server that is not healthy is replaced.
const grace = 3 * time.Second

// group is a number of servers.
type group struct {
	size    cluster.Size
	desired int32
	servers []server
	started int // how many servers were ever started
	// deleting says that the group is being deleted, until gone.
	deleting bool
	gone     time.Time
}

type server struct {
	id        string
	started   time.Time
	flaky     bool
	protected bool
	ends      time.Time // zero if it is not being ended
}

func (s server) ending() bool { return !s.ends.IsZero() }

// healthy reports whether a server is in service and healthy.
func (w *world) healthy(g *generation, s server) bool {
	b := w.behaviour[g.spec.Version]
	age := w.now.Sub(s.started)
	switch {
	case s.ending(), s.flaky, b.never, w.hopeless(g) != "", age < b.start, b.dies > 0 && age >= b.dies:
		return false
	}
	// A target group that no listener uses never finds a server healthy.
	return g.spec.Listener == nil || w.connected(g.name)
}

// hopeless is why the group can start no server now; empty if it can.
func (w *world) hopeless(g *generation) string {
	b := w.behaviour[g.spec.Version]
	if !b.heals.IsZero() && !w.now.Before(b.heals) {
		return ""
	}
	return b.hopeless
}

func (w *world) countHealthy(g *generation) (n int32) {
	if g.gone() || g.group == nil {
		return 0
	}
	for _, s := range g.group.servers {
		if w.healthy(g, s) {
			n++
		}
	}
	return n
}

func (w *world) health(g *generation) cluster.Health {
	h := cluster.Health{Exists: true, Size: g.group.size, Desired: g.group.desired, Healthy: w.countHealthy(g)}
	if h.Healthy < h.Desired {
		h.Hopeless = w.hopeless(g)
	}
	for _, s := range g.group.servers {
		if !w.healthy(g, s) && h.Hopeless == "" && len(h.Problems) < 5 {
			h.Problems = append(h.Problems, s.id+" is unhealthy (Target.Timeout)")
		}
	}
	return h
}

// resize sets the bounds, and of the present size what they force.
func (w *world) resize(g *generation, size cluster.Size) {
	g.group.size = size
	w.scale(g, min(max(g.group.desired, size.Min), size.Max))
}

// scale starts or ends servers until there are as many as desired.
func (w *world) scale(g *generation, desired int32) {
	r := g.group
	r.desired = desired
	alive := func() (n int32) {
		for _, s := range r.servers {
			if !s.ending() {
				n++
			}
		}
		return n
	}
	b := w.behaviour[g.spec.Version]
	for alive() < desired {
		w.serial++
		r.started++
		r.servers = append(r.servers, server{
			id: fmt.Sprintf("i-%04d", w.serial), started: w.now, flaky: r.started <= b.flaky, protected: r.started <= b.protected,
		})
	}
	for alive() > desired {
		// The last one that is not healthy, else the last one.
		pick := -1
		for i, s := range slices.Backward(r.servers) {
			if s.ending() || s.protected {
				continue
			}
			if pick < 0 || !w.healthy(g, s) {
				pick = i
			}
			if !w.healthy(g, s) {
				break
			}
		}
		if pick < 0 {
			return
		}
		r.servers[pick].ends = w.now.Add(w.ending)
	}
}

// end does the next step of ending a group.
func (w *world) end(g *generation, force bool) error {
	r := g.group
	if r.deleting {
		return &cluster.NotYetError{Saw: fmt.Sprintf("group %s is being deleted", g.name)}
	}
	if r.size.Min > 0 || r.desired > 0 {
		r.size.Min = 0
		w.scale(g, 0)
		return &cluster.NotYetError{Saw: fmt.Sprintf("%d servers of %s are ending", len(r.servers), g.name)}
	}
	w.scale(g, 0) // the protection of servers may have ended
	var protected []string
	for _, s := range r.servers {
		if s.ending() {
			return &cluster.NotYetError{Saw: fmt.Sprintf("servers of %s are ending", g.name)}
		}
		protected = append(protected, s.id)
	}
	if len(protected) > 0 && !force {
		return &cluster.ProtectedError{Generation: cluster.Generation{Cluster: g.spec.ID, Name: g.name}, Servers: protected}
	}
	r.deleting, r.servers, r.gone = true, nil, w.now.Add(w.deleting)
	return &cluster.NotYetError{Saw: fmt.Sprintf("group %s is being deleted", g.name)}
}

// move advances the world to the time of its clock.
func (w *world) move() {
	now := w.clock.Now()
	if !now.After(w.now) {
		return
	}
	if w.scaling != nil {
		for next := w.scaled.Add(w.scaleEvery); !next.After(now); next = w.scaled.Add(w.scaleEvery) {
			w.scaled, w.now = next, next
			w.renew()
			w.autoscale()
		}
	}
	w.now = now
	w.renew()
}

// renew removes servers and groups whose time has come.
func (w *world) renew() {
	for _, g := range w.generations {
		r := g.group
		if r == nil {
			continue
		}
		if r.deleting {
			if !w.now.Before(r.gone) {
				g.group = nil
			}
			continue
		}
		r.servers = slices.DeleteFunc(r.servers, func(s server) bool { return s.ending() && !w.now.Before(s.ends) })
		for i, s := range r.servers {
			if s.flaky && w.now.Sub(s.started) >= grace {
				w.serial++
				r.started++
				r.servers[i] = server{id: fmt.Sprintf("i-%04d", w.serial), started: w.now}
			}
		}
	}
}

// autoscale scales what gets requests by a few servers, within its bounds.
func (w *world) autoscale() {
	for _, name := range w.names() {
		g := w.generations[name]
		if g.group == nil || g.group.deleting || w.share(name) == 0 && g.spec.Listener != nil {
			continue
		}
		if w.scaling.IntN(3) == 0 {
			desired := g.group.desired + int32(w.scaling.IntN(5)) - 2
			w.scale(g, min(max(desired, g.group.size.Min), g.group.size.Max))
		}
	}
}
