package rig

import (
	"context"
	"slices"
	"time"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// targetGroup is a target group with the health of its targets. The data plane's lock
// protects it.
type targetGroup struct {
	settings
	// used means that the listener forwards to it; only then AWS checks health.
	used bool
	// targets are in the order of registration, including draining ones.
	targets []*target
	turns   int // requests so far, for round robin
}

// target is a server in a target group.
type target struct {
	*server
	// ctx ends with the target's health checks and requests.
	ctx    context.Context
	cancel context.CancelFunc

	health
	checking            context.CancelFunc // ends the health checks; nil if there are none
	draining            *time.Timer        // ends the deregistration; nil if there is none
	successes, failures int                // in a row
}

// health is a target's health in DescribeTargetHealth.
type health struct {
	State       elbtypes.TargetHealthStateEnum
	Reason      elbtypes.TargetHealthReasonEnum
	Description string
}

var (
	stateHealthy  = health{State: elbtypes.TargetHealthStateEnumHealthy}
	stateStarting = health{
		elbtypes.TargetHealthStateEnumInitial, elbtypes.TargetHealthReasonEnumRegistrationInProgress,
		"Target registration is in progress",
	}
	stateInitial = health{
		elbtypes.TargetHealthStateEnumInitial, elbtypes.TargetHealthReasonEnumInitialHealthChecking,
		"Initial health checks in progress",
	}
	stateDraining = health{
		elbtypes.TargetHealthStateEnumDraining, elbtypes.TargetHealthReasonEnumDeregistrationInProgress,
		"Target deregistration is in progress",
	}
	stateNotInUse = health{
		elbtypes.TargetHealthStateEnumUnused, elbtypes.TargetHealthReasonEnumNotInUse,
		"Target group is not configured to receive traffic from the load balancer",
	}
	stateNotRegistered = health{
		elbtypes.TargetHealthStateEnumUnused, elbtypes.TargetHealthReasonEnumNotRegistered,
		"Target is not registered to the target group",
	}
)

// candidates returns the targets that may get a request: the healthy ones or, if
// there are none, all registered ones, as AWS fails open.
func (g *targetGroup) candidates() []*target {
	var registered, healthy []*target
	for _, t := range g.targets {
		if t.draining != nil {
			continue
		}
		registered = append(registered, t)
		if t.State == elbtypes.TargetHealthStateEnumHealthy {
			healthy = append(healthy, t)
		}
	}
	if len(healthy) > 0 {
		return healthy
	}
	return registered
}

// record records the result of a health check. A new target must pass one check to be
// healthy, an unhealthy one as many as the group's threshold.
func (t *target) record(s settings, failure *health) {
	if failure == nil {
		t.successes, t.failures = t.successes+1, 0
		if t.State == elbtypes.TargetHealthStateEnumInitial || t.successes >= s.healthy {
			t.health = stateHealthy
		}
		return
	}
	t.successes, t.failures = 0, t.failures+1
	switch {
	case t.State == elbtypes.TargetHealthStateEnumUnhealthy || t.failures >= s.unhealthy:
		t.health = *failure
	case t.State == elbtypes.TargetHealthStateEnumInitial:
		t.health = stateInitial
	}
}

// apply updates the target groups to a snapshot.
func (d *DataPlane) apply(p snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, i := range p.instances {
		if s, ok := d.servers[id]; ok {
			s.gone = false // it was only stopped
			continue
		}
		s, err := startServer(id, i.version, d.behave(i.version))
		if err != nil {
			return err
		}
		d.servers[id] = s
	}
	used := map[string]bool{}
	for _, r := range p.rules {
		for _, arn := range r.action.groups() {
			used[arn] = true
		}
	}
	for arn, s := range p.groups {
		g := d.groups[arn]
		if g == nil {
			g = &targetGroup{}
			d.groups[arn] = g
		}
		g.settings = s
		d.use(g, used[arn])
		d.register(g, p)
	}
	for arn, g := range d.groups {
		if _, ok := p.groups[arn]; !ok {
			g.registered = nil
			d.register(g, p)
			delete(d.groups, arn)
		}
	}
	for id, s := range d.servers {
		if _, ok := p.instances[id]; !ok {
			s.gone = true
			d.retire(s)
		}
	}
	d.announce(p.rules)
	return nil
}

// use starts or ends the health checks of a whole group.
func (d *DataPlane) use(g *targetGroup, used bool) {
	if g.used == used {
		return
	}
	g.used = used
	for _, t := range g.targets {
		if t.draining == nil {
			d.admit(g, t)
		}
	}
}

// register registers and deregisters targets.
func (d *DataPlane) register(g *targetGroup, p snapshot) {
	is := map[string]bool{}
	for _, id := range g.registered {
		if _, runs := p.instances[id]; !runs {
			continue
		}
		is[id] = true
		at := slices.IndexFunc(g.targets, func(t *target) bool { return t.id == id })
		switch {
		case at < 0:
			t := &target{server: d.servers[id]}
			t.ctx, t.cancel = context.WithCancel(context.Background())
			t.server.targets++
			g.targets = append(g.targets, t)
			d.admit(g, t)
		case g.targets[at].draining != nil && g.targets[at].draining.Stop():
			g.targets[at].draining = nil
			d.admit(g, g.targets[at])
		}
	}
	for _, t := range g.targets {
		if !is[t.id] && t.draining == nil {
			d.drain(g, t)
		}
	}
}

// admit restarts a target's health checks.
func (d *DataPlane) admit(g *targetGroup, t *target) {
	if t.checking != nil {
		t.checking()
		t.checking = nil
	}
	t.successes, t.failures = 0, 0
	if !g.used {
		t.health = stateNotInUse
		return
	}
	t.health = stateStarting
	var ctx context.Context
	ctx, t.checking = context.WithCancel(t.ctx)
	d.running.Go(func() { d.check(ctx, g, t) })
}

// drain lets requests in progress end within the deregistration delay, and cuts those
// that take longer. Moto has terminated the instance by then; in AWS, Auto Scaling
// terminates it after the delay.
func (d *DataPlane) drain(g *targetGroup, t *target) {
	if t.checking != nil {
		t.checking()
		t.checking = nil
	}
	t.health = stateDraining
	t.draining = time.AfterFunc(g.deregistration, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		t.cancel()
		g.targets = slices.DeleteFunc(g.targets, func(other *target) bool { return other == t })
		t.server.targets--
		d.retire(t.server)
	})
}

// retire ends the server of a terminated instance, unless a target group still waits
// for its requests.
func (d *DataPlane) retire(s *server) {
	if !s.gone || s.targets > 0 {
		return
	}
	if d.servers[s.id] == s {
		delete(d.servers, s.id)
		s.close()
	}
}

// describe returns the health of the targets with these ids, or of all.
func (g *targetGroup) describe(ids []string) []described {
	var all []described
	if len(ids) == 0 {
		for _, t := range g.targets {
			all = append(all, described{t.id, g.port, t.health})
		}
		return all
	}
	for _, id := range ids {
		d := described{id, g.port, stateNotRegistered}
		if at := slices.IndexFunc(g.targets, func(t *target) bool { return t.id == id }); at >= 0 {
			d.health = g.targets[at].health
		}
		all = append(all, d)
	}
	return all
}

// described is a target in DescribeTargetHealth.
type described struct {
	id, port string
	health
}
