// Package rollout moves a cluster from one generation of servers to the next:
// new servers in, old ones out, or back where it was. The whole procedure is a
// list of steps that is written down before the first is taken; each step is
// in the journal before it is done, looks before it acts, and may be done
// twice. So whoever comes after a crash can go on or take it back by the
// record alone.
//
// The package knows no cloud but cluster.Cloud and no store but what it asks
// of builddata. A creation is a rollout from nothing, a destruction one to
// nothing.
package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Side is one generation and what it is made of.
type Side struct {
	Name string
	Spec cluster.Spec
}

func (s Side) generation() cluster.Generation {
	return cluster.Generation{Cluster: s.Spec.ID, Name: s.Name}
}

// Estate is what there is of a cluster.
type Estate struct {
	// Serving is the generation that the requests go to; nil if there is none.
	Serving *Side
	// Kept is the generation before, ready to serve again.
	Kept *Side
	// Left are generations of which parts may be left.
	Left []Side
}

// empty reports whether nothing is left of the cluster.
func (e Estate) empty() bool { return e.Serving == nil && e.Kept == nil && len(e.Left) == 0 }

// Plan is everything that is needed to go on with a rollout, or to take it
// back. It is stored before the first step and never changes.
type Plan struct {
	// Account is the one that the cluster is in.
	Account string
	// From is nil in a creation, To in a destruction. In a plan that only
	// removes what was kept, both are, and Stays is what goes on serving.
	From, To, Stays *Side
	// FromLives says that From has all of its parts. A generation that does
	// not is no place to go back to.
	FromLives bool
	// Reused says that To was there already: the generation that was kept.
	Reused bool
	// Kept and Left are those of the estate before.
	Kept *Side
	Left []Side

	Settings Settings
	// Steps is the whole procedure, so that a rollout that an older release
	// began is finished as it was planned.
	Steps []Step
}

// Step is one step of a rollout. It can be taken twice.
type Step struct {
	Do Kind
	// Of names the generation it is about.
	Of string
	// Percent is the share of the requests, for Shift only.
	Percent int32 `json:",omitempty"`
}

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	Hold           Kind = "hold the size"
	MakeTemplate   Kind = "make the launch template"
	MakeTargets    Kind = "make the target group"
	Connect        Kind = "connect to the listener"
	MakeServers    Kind = "start the servers"
	Wake           Kind = "bring to the live size"
	AwaitHealthy   Kind = "see the servers healthy"
	Shift          Kind = "shift requests"
	Serve          Kind = "send all requests"
	Observe        Kind = "observe"
	Drain          Kind = "let requests finish"
	Release        Kind = "release the size"
	Disconnect     Kind = "take from the listener"
	Forget         Kind = "let clients forget"
	RemoveServers  Kind = "end the servers"
	RemoveTargets  Kind = "remove the target group"
	RemoveTemplate Kind = "remove the launch template"
	Return         Kind = "give all requests back"
	Retag          Kind = "set the tags"
)

// String names the step in journals and messages; it is unique in a plan.
func (s Step) String() string {
	switch s.Do {
	case Shift:
		return fmt.Sprintf("%s: %d%% to %s", s.Do, s.Percent, s.Of)
	case Observe:
		if s.Percent > 0 {
			return fmt.Sprintf("%s: %s at %d%%", s.Do, s.Of, s.Percent)
		}
	}
	return fmt.Sprintf("%s: %s", s.Do, s.Of)
}

// forward lists the steps of the plan in their order.
func (p *Plan) forward() []Step {
	var steps []Step
	add := func(do Kind, of *Side, percent int32) {
		steps = append(steps, Step{Do: do, Of: of.Name, Percent: percent})
	}
	from, to := p.From, p.To
	if to != nil {
		if from != nil && p.FromLives {
			add(Hold, from, 0)
		}
		// The target group before the servers: one that no listener uses never
		// finds a server healthy.
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
			add(Wake, to, 0)
			add(Retag, to, 0)
		} else {
			add(MakeServers, to, 0)
		}
		add(AwaitHealthy, to, 0)
		if to.Spec.Listener != nil {
			if from != nil && p.FromLives {
				for _, percent := range p.Settings.Steps {
					if percent < 100 {
						add(Shift, to, percent)
						add(Observe, to, percent)
					}
				}
			}
			add(Serve, to, 0)
		}
		if from != nil { // else there is nothing to go back to
			add(Observe, to, 0)
		}
		if from != nil && from.Spec.Listener != nil && p.Settings.Drain > 0 {
			add(Drain, from, 0)
		}
		add(Release, to, 0)
	}
	// From here on there is no way back. What serves last goes last.
	if p.Kept != nil && !p.Reused {
		steps = append(steps, p.removal(*p.Kept)...)
	}
	for _, left := range p.Left {
		steps = append(steps, p.removal(left)...)
	}
	switch {
	case from == nil:
	case to != nil && p.keeps():
		if p.moves() {
			add(Disconnect, from, 0) // its place would go on sending it requests
		}
		add(Release, from, 0)
	default:
		steps = append(steps, p.removal(*from)...)
	}
	return steps
}

// destroys reports whether nothing is to be left of the cluster.
func (p *Plan) destroys() bool { return p.To == nil && p.Stays == nil }

// moves reports whether the cluster gets its requests at another place than
// before. Then sending all requests to one generation leaves the other its own.
func (p *Plan) moves() bool {
	if p.From == nil || p.To == nil || p.From.Spec.Listener == nil || p.To.Spec.Listener == nil {
		return false
	}
	return !samePlace(*p.From.Spec.Listener, *p.To.Spec.Listener)
}

// samePlace reports whether two are the default action of one listener, or
// rules of it with the same priority.
func samePlace(a, b cluster.Listener) bool {
	if a.Rule == nil || b.Rule == nil {
		return a.ARN == b.ARN && a.Rule == b.Rule
	}
	return a.ARN == b.ARN && a.Rule.Priority == b.Rule.Priority
}

// back lists the steps after which the old generation gets all the requests.
func (p *Plan) back() []Step {
	if p.From == nil || p.To == nil || p.From.Spec.Listener == nil || p.To.Spec.Listener == nil {
		return nil
	}
	steps := []Step{{Do: Return, Of: p.From.Name}}
	if p.moves() {
		steps = append(steps, Step{Do: Disconnect, Of: p.To.Name})
	}
	return steps
}

// keeps reports whether the old generation stays, ready to serve again.
func (p *Plan) keeps() bool { return p.Settings.KeepPrevious && p.From != nil && p.FromLives }

// backward lists the steps that take the plan back, where shifted says that
// requests may have been sent to the new generation.
func (p *Plan) backward(shifted bool) []Step {
	var steps []Step
	if shifted {
		steps = p.back()
		if len(steps) > 0 && p.Settings.Drain > 0 {
			steps = append(steps, Step{Do: Drain, Of: p.To.Name})
		}
	}
	if p.Reused {
		steps = append(steps, Step{Do: Release, Of: p.To.Name}, Step{Do: Retag, Of: p.To.Name})
	} else {
		steps = append(steps, p.removal(*p.To)...)
	}
	if p.From != nil && p.FromLives {
		steps = append(steps, Step{Do: Release, Of: p.From.Name})
	}
	return steps
}

// removal lists the steps that leave nothing of a generation.
//
// A client that sticks to a target group comes back to it whatever its weight,
// until the load balancer knows everywhere that the listener has it no more.
func (p *Plan) removal(s Side) []Step {
	var steps []Step
	if s.Spec.Listener != nil {
		steps = append(steps, Step{Do: Disconnect, Of: s.Name})
		if p.Settings.Drain > 0 && p.sticks() {
			steps = append(steps, Step{Do: Forget, Of: s.Name})
		}
	}
	steps = append(steps, Step{Do: RemoveServers, Of: s.Name})
	if s.Spec.Listener != nil {
		steps = append(steps, Step{Do: RemoveTargets, Of: s.Name})
	}
	return append(steps, Step{Do: RemoveTemplate, Of: s.Name})
}

// sticks reports whether clients stay with the target group they came to: all
// that share a place do if one of them is sticky.
func (p *Plan) sticks() bool {
	return slices.ContainsFunc(p.sides(), func(s Side) bool { return s.Spec.Target != nil && s.Spec.Target.Stickiness > 0 })
}

// settles reports whether a step of the plan leaves no way back.
func (p *Plan) settles(s Step) bool {
	switch {
	case p.To == nil:
		return true
	case s.Of == p.To.Name:
		return false
	}
	return s.Do == Release || s.Do == Disconnect || s.Do == RemoveServers || s.Do == RemoveTargets || s.Do == RemoveTemplate
}

// sides are the generations of the plan.
func (p *Plan) sides() []Side {
	all := slices.Clone(p.Left)
	for _, s := range []*Side{p.From, p.To, p.Kept, p.Stays} {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all
}

// side finds a generation of the plan by its name.
func (p *Plan) side(name string) (Side, error) {
	all := p.sides()
	if i := slices.IndexFunc(all, func(s Side) bool { return s.Name == name }); i >= 0 {
		return all[i], nil
	}
	return Side{}, fmt.Errorf("the plan has no generation %s", name)
}

// before is the estate that the plan began with.
func (p *Plan) before() Estate {
	return Estate{Serving: cmp.Or(p.From, p.Stays), Kept: p.Kept, Left: p.Left}
}

// after is the estate that the plan leads to, but for what could not be removed.
func (p *Plan) after() Estate {
	e := Estate{Serving: cmp.Or(p.To, p.Stays)}
	if p.To != nil && p.keeps() {
		e.Kept = p.From
	}
	return e
}

func encode(v any) ([]byte, error) { return json.Marshal(v) }

// decodePlan reads what Begin stored.
func decodePlan(r builddata.Rollout) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(r.Plan, &p); err != nil {
		return p, fmt.Errorf("the plan of rollout %s cannot be read: %w", r.ID, err)
	}
	return p, nil
}

// decodeResult reads what End stored.
func decodeResult(r builddata.Rollout) (Estate, error) {
	var e Estate
	if err := json.Unmarshal(r.Result, &e); err != nil {
		return e, fmt.Errorf("the result of rollout %s cannot be read: %w", r.ID, err)
	}
	return e, nil
}

// to names the new generation; empty for none.
func (p *Plan) to() string {
	if p.To == nil {
		return ""
	}
	return p.To.Name
}

// version is a side's version; empty for none.
func version(s *Side) string {
	if s == nil {
		return ""
	}
	return s.Spec.Version
}
