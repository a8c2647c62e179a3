// Package rollout moves a cluster from one generation of servers to the next:
// it starts new servers, moves the requests to them and removes the old ones,
// or rolls back to the state before. A creation is a rollout from nothing, and
// a destruction is one to nothing.
//
// The whole procedure is a list of steps, which is stored before the first one
// runs. Each step is recorded in the rollout's journal before it runs, compares
// what exists with what should exist, and can run twice. So after a crash,
// another process can continue or roll back from the records alone.
//
// The package reaches the cloud through cluster.Cloud only, and the build data
// repository through Store.
package rollout

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// GenerationRecord is a generation as the repository remembers it: its name and
// what it was made from.
type GenerationRecord struct {
	Name string       `json:"name"`
	Spec cluster.Spec `json:"spec"`
}

func (g GenerationRecord) generation() cluster.Generation {
	return cluster.Generation{Cluster: g.Spec.ID, Name: g.Name}
}

// Inventory lists the generations of a cluster.
type Inventory struct {
	// Serving gets the requests; nil if nothing does.
	Serving *GenerationRecord `json:"serving,omitempty"`
	// Kept is the generation before, ready to serve again.
	Kept *GenerationRecord `json:"kept,omitempty"`
	// Left are generations of which parts may be left.
	Left []GenerationRecord `json:"left,omitempty"`
}

// empty reports whether nothing is left of the cluster.
func (i Inventory) empty() bool { return i.Serving == nil && i.Kept == nil && len(i.Left) == 0 }

// Plan is everything that is needed to continue a rollout or to roll it back.
// It is stored before the first step and never changes.
type Plan struct {
	// Account is the AWS account of the cluster.
	Account string `json:"account"`
	// From is nil in a creation, and To in a destruction. Both are nil in a plan
	// that only removes the kept generation; Stays then continues to serve.
	From  *GenerationRecord `json:"from,omitempty"`
	To    *GenerationRecord `json:"to,omitempty"`
	Stays *GenerationRecord `json:"stays,omitempty"`
	// FromComplete says that From has all of its parts. Otherwise it cannot serve
	// again.
	FromComplete bool `json:"from_complete,omitempty"`
	// Reused says that To is the kept generation, and not a new one.
	Reused bool `json:"reused,omitempty"`
	// Kept and Left are those of the inventory before.
	Kept *GenerationRecord  `json:"kept,omitempty"`
	Left []GenerationRecord `json:"left,omitempty"`

	Settings Settings `json:"settings"`
	// Steps is the whole procedure, so that a later release finishes a rollout as
	// it was planned.
	Steps []Step `json:"steps"`
}

// forwardSteps lists the steps of the plan in their order.
func (p *Plan) forwardSteps() []Step {
	var steps []Step
	add := func(kind Kind, of *GenerationRecord, percent int32) {
		steps = append(steps, Step{Kind: kind, Generation: of.Name, Percent: percent})
	}
	from, to := p.From, p.To
	if to != nil {
		p.arrive(add)
		p.try(add)
		p.serve(add)
	}
	// The steps from here on are irreversible. The generation that served until
	// now is removed last.
	if p.Kept != nil && !p.Reused {
		steps = append(steps, p.removalSteps(*p.Kept)...)
	}
	for _, left := range p.Left {
		steps = append(steps, p.removalSteps(left)...)
	}
	switch {
	case from == nil:
	case to != nil && p.keepsFrom():
		if p.moves() {
			add(Disconnect, from, 0) // its own rule would go on sending it requests
		}
		if joins(from) {
			add(LeaveTargets, from, 0)
		}
		add(UnpinCapacity, from, 0)
	default:
		steps = append(steps, p.removalSteps(*from)...)
	}
	return steps
}

// adds appends a step to a plan.
type adds func(kind Kind, of *GenerationRecord, percent int32)

// arrive adds the steps after which the new generation is healthy and complete, without requests.
func (p *Plan) arrive(add adds) {
	from, to := p.From, p.To
	if from != nil && p.FromComplete {
		add(PinCapacity, from, 0)
	}
	// The target group comes before the servers: unless a listener uses it, it
	// finds no server healthy.
	if !p.Reused {
		add(MakeTemplate, to, 0)
	}
	if to.Spec.Listener != nil {
		if !p.Reused {
			add(MakeTargets, to, 0)
		}
		add(Connect, to, 0)
	}
	if p.Reused {
		add(ScaleToLive, to, 0)
		add(Retag, to, 0)
	} else {
		add(MakeServers, to, 0)
	}
	add(WaitHealthy, to, 0)
	if p.attaches() {
		add(Attach, to, 0)
	}
}

// try adds the steps that test the new generation, at first without requests and then with some
// of them.
func (p *Plan) try(add adds) {
	to := p.To
	if p.Settings.Preview != nil {
		add(OpenPreview, to, 0)
		if p.Settings.Drain > 0 {
			add(WaitPreview, to, 0)
		}
	}
	p.check(add, 0)
	if to.Spec.Listener == nil {
		return
	}
	if p.watches() {
		add(MakeAlarms, to, 0)
	}
	if (p.From == nil || !p.FromComplete) && !p.takesOver() {
		return // nothing else could get the rest of the requests
	}
	for _, percent := range p.Settings.Steps {
		if percent < 100 {
			add(Shift, to, percent)
			p.check(add, percent)
			add(Observe, to, percent)
		}
	}
}

// check adds the checks, if there are any.
func (p *Plan) check(add adds, percent int32) {
	if len(p.Settings.Checks) > 0 {
		add(RunChecks, p.To, percent)
	}
}

// serve adds the steps that give the new generation all requests, and observe it.
func (p *Plan) serve(add adds) {
	from, to := p.From, p.To
	if joins(to) {
		add(JoinTargets, to, 0)
	}
	if to.Spec.Listener != nil {
		add(Serve, to, 0)
		if from == nil && p.Settings.Drain > 0 && !p.takesOver() {
			add(WaitOpen, to, 0)
		}
		p.check(add, 100)
	}
	if p.Settings.Preview != nil {
		add(ClosePreview, to, 0)
	}
	if from != nil || p.takesOver() { // another creation has nothing to roll back to
		add(Observe, to, 0)
	}
	if p.takesOver() {
		if p.Settings.Drain > 0 {
			add(WaitDrain, to, 0)
		}
		add(EndTakeOver, to, 0)
	}
	if from != nil && from.Spec.Listener != nil && p.Settings.Drain > 0 {
		add(WaitDrain, from, 0)
	}
	if p.watches() {
		add(RemoveAlarms, to, 0)
	}
	add(UnpinCapacity, to, 0)
}

// watches reports whether the plan makes alarms for the new generation. A creation is not
// observed, unless it takes something over.
func (p *Plan) watches() bool {
	return (p.From != nil || p.takesOver()) && p.Settings.TargetAlarms != nil
}

// untestSteps lists the steps that remove what only the tests of the new generation need.
func (p *Plan) untestSteps() []Step {
	var steps []Step
	for _, s := range p.Steps {
		switch s.Kind {
		case OpenPreview:
			steps = append(steps, Step{Kind: ClosePreview, Generation: s.Generation})
		case MakeAlarms:
			steps = append(steps, Step{Kind: RemoveAlarms, Generation: s.Generation})
		}
	}
	return steps
}

// takesOver reports whether the plan takes over what others made. From its first shift until
// the new servers have been observed for the last time, going back only takes to remove the
// cluster's rule.
func (p *Plan) takesOver() bool { return p.From == nil && p.To != nil && p.To.Spec.TakeOver != "" }

// destroys reports whether the plan removes the whole cluster.
func (p *Plan) destroys() bool { return p.To == nil && p.Stays == nil }

// moves reports whether the cluster moves to another listener rule or default
// action. Sending all requests there to one generation then leaves the other
// one with the requests of its own rule.
func (p *Plan) moves() bool {
	if p.From == nil || p.To == nil || p.From.Spec.Listener == nil || p.To.Spec.Listener == nil {
		return false
	}
	return !sameRoute(*p.From.Spec.Listener, *p.To.Spec.Listener)
}

// sameRoute reports whether both are the default action of one listener, or
// rules of one listener with the same priority, or any.
func sameRoute(a, b cluster.Listener) bool {
	if a.Rule == nil || b.Rule == nil {
		return a.ARN == b.ARN && a.Rule == b.Rule
	}
	return a.ARN == b.ARN && (a.Rule.Priority == b.Rule.Priority || a.Rule.Priority == 0 || b.Rule.Priority == 0)
}

// restoreSteps lists the steps after which the old generation gets all requests.
func (p *Plan) restoreSteps() []Step {
	if p.From == nil || p.To == nil {
		return nil
	}
	var steps []Step
	if p.From.Spec.Listener != nil && p.To.Spec.Listener != nil {
		steps = append(steps, Step{Kind: RestoreTraffic, Generation: p.From.Name})
		if p.moves() {
			steps = append(steps, Step{Kind: Disconnect, Generation: p.To.Name})
		}
	}
	if joins(p.To) {
		steps = append(steps, Step{Kind: LeaveTargets, Generation: p.To.Name})
	}
	return steps
}

// joins reports whether a generation has further target groups.
func joins(g *GenerationRecord) bool { return len(g.Spec.AllAttachments().TargetGroupARNs) > 0 }

// attaches reports whether anything has to be attached to the new generation or removed from it:
// a kept one may have what is no longer wanted.
func (p *Plan) attaches() bool {
	return !p.To.Spec.AllAttachments().Empty() || p.Reused && !p.Kept.Spec.AllAttachments().Empty()
}

// keepsFrom reports whether the old generation stays, ready to serve again.
func (p *Plan) keepsFrom() bool { return p.Settings.KeepPrevious && p.From != nil && p.FromComplete }

// rollbackSteps lists the steps that roll the plan back, where shifted says that
// the new generation may have got requests.
func (p *Plan) rollbackSteps(shifted bool) []Step {
	var steps []Step
	switch { // users come first
	case shifted && p.takesOver():
		steps = append(steps, Step{Kind: Disconnect, Generation: p.To.Name})
	case shifted:
		steps = p.restoreSteps()
	}
	restores := len(steps) > 0
	steps = append(steps, p.untestSteps()...)
	switch {
	case restores && p.Settings.Drain > 0:
		steps = append(steps, Step{Kind: WaitDrain, Generation: p.To.Name})
	case !shifted && p.Reused && p.moves():
		steps = append(steps, Step{Kind: Disconnect, Generation: p.To.Name})
	}
	if p.Reused {
		steps = append(steps, Step{Kind: UnpinCapacity, Generation: p.To.Name}, Step{Kind: Retag, Generation: p.To.Name})
		if p.attaches() {
			steps = append(steps, Step{Kind: Attach, Generation: p.To.Name})
		}
	} else {
		steps = append(steps, p.removalSteps(*p.To)...)
	}
	if p.From != nil && p.FromComplete {
		steps = append(steps, Step{Kind: UnpinCapacity, Generation: p.From.Name})
		if !p.From.Spec.AllAttachments().Empty() {
			steps = append(steps, Step{Kind: CheckAttached, Generation: p.From.Name})
		}
	}
	return steps
}

// removalSteps lists the steps that remove a generation.
//
// A client that sticks to a target group comes back to it whatever its weight,
// until no part of the load balancer has it at the listener any more.
func (p *Plan) removalSteps(g GenerationRecord) []Step {
	var steps []Step
	// A change in place that was interrupted may have made some that are not on record.
	if g.Spec.AllAttachments().HasAlarms() || p.Settings.CarryAlarmActions || p.destroys() {
		steps = append(steps, Step{Kind: RemovePolicyAlarms, Generation: g.Name})
	}
	if g.Spec.Listener != nil {
		steps = append(steps, Step{Kind: Disconnect, Generation: g.Name})
		switch kept := p.Kept != nil && p.Kept.Name == g.Name; {
		case p.Settings.Drain == 0:
		case p.destroys() && g.Spec.Listener.Rule != nil && !kept: // a later rule answers then
			steps = append(steps, Step{Kind: WaitDrain, Generation: g.Name})
		case p.sticky() && !p.destroys():
			steps = append(steps, Step{Kind: WaitStickyExpiry, Generation: g.Name})
		}
	}
	steps = append(steps, Step{Kind: RemoveServers, Generation: g.Name})
	if g.Spec.Listener != nil {
		steps = append(steps, Step{Kind: RemoveTargets, Generation: g.Name})
	}
	return append(steps, Step{Kind: RemoveTemplate, Generation: g.Name})
}

// sticky reports whether clients stay with the target group that they came to.
// If one of the target groups of a rule is sticky, all of them are.
func (p *Plan) sticky() bool {
	return slices.ContainsFunc(p.generations(), func(g GenerationRecord) bool {
		return g.Spec.Target != nil && g.Spec.Target.Stickiness > 0
	})
}

// irreversible reports whether the plan can no longer be rolled back once the
// step has begun.
func (p *Plan) irreversible(s Step) bool {
	switch {
	case p.To == nil:
		return true
	case s.Generation == p.To.Name:
		return false
	}
	return slices.Contains([]Kind{
		UnpinCapacity, RemovePolicyAlarms, LeaveTargets, Disconnect, RemoveServers, RemoveTargets, RemoveTemplate,
	}, s.Kind)
}

// generations are all the generations of the plan.
func (p *Plan) generations() []GenerationRecord {
	all := slices.Clone(p.Left)
	for _, g := range []*GenerationRecord{p.From, p.To, p.Kept, p.Stays} {
		if g != nil {
			all = append(all, *g)
		}
	}
	return all
}

// generation finds a generation of the plan by its name.
func (p *Plan) generation(name string) (GenerationRecord, error) {
	all := p.generations()
	if i := slices.IndexFunc(all, func(g GenerationRecord) bool { return g.Name == name }); i >= 0 {
		return all[i], nil
	}
	return GenerationRecord{}, fmt.Errorf("the plan has no generation %s", name)
}

// before is the inventory that the plan starts from.
func (p *Plan) before() Inventory {
	return Inventory{Serving: cmp.Or(p.From, p.Stays), Kept: p.Kept, Left: p.Left}
}

// after is the inventory that the plan leads to, without servers that stay
// because they are protected.
func (p *Plan) after() Inventory {
	i := Inventory{Serving: cmp.Or(p.To, p.Stays)}
	if p.To != nil && p.keepsFrom() {
		i.Kept = p.From
	}
	return i
}

// fromVersion and toVersion are empty where there is nothing.
func (p *Plan) fromVersion() string { return versionOf(cmp.Or(p.From, p.Stays)) }
func (p *Plan) toVersion() string   { return versionOf(cmp.Or(p.To, p.Stays)) }

// toName is the name of the new generation; empty in a destruction.
func (p *Plan) toName() string {
	if p.To == nil {
		return ""
	}
	return p.To.Name
}

// versionOf is a generation's version; empty for none.
func versionOf(g *GenerationRecord) string {
	if g == nil {
		return ""
	}
	return g.Spec.Version
}
