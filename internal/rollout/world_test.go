package rollout_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// world is a cloud in memory that holds one cluster. It changes by itself only
// when its clock moves: servers start, fail and end, alarms change, and
// autoscaling scales.
type world struct {
	clock *clock.Fake
	// account is the account of the credentials.
	account string
	// behaviour says how servers of a version behave.
	behaviour map[string]behaviour
	// alarms says how an alarm stands, by its name.
	alarms map[string]func() cluster.Alarm
	// ending is how long a server takes to end, deleting a group to go.
	ending, deleting time.Duration
	// latestTemplate is the number of the latest version of a launch template.
	latestTemplate int64
	// lag is how often a part that was made is not found yet.
	lag int
	// routesShow is when the routes show that were made before.
	routesShow time.Time
	// scaling, when set, scales what serves up and down every scaleEvery.
	scaling    *rand.Rand
	scaleEvery time.Duration

	generations map[string]*generation
	routes      map[string]*route
	// previews are the generations that a preview rule forwards to, by name, and made the
	// alarms that were made for generations.
	previews map[string]cluster.Preview
	made     map[string]bool
	// now is up to when the world has moved, scaled when it was scaled last.
	now, scaled time.Time
	serial      int
	// unreachable says that the load balancer cannot be reached by checks.
	unreachable bool
	// needed is the live size of the serving generation at the last Health call.
	needed int32
	// returning says that requests are being sent back to the old generation.
	returning bool
	// repairing says that no rollout is open, so that requests return to what served.
	repairing bool
	// byHand is what was attached by other means.
	byHand cluster.Attachments
	// obstacles and callers are what is attached and cannot be carried, or calls policies.
	obstacles, callers []string
	// furtherServed says that the further target group has had servers, and furtherEnds that
	// it is to have none any more.
	furtherServed, furtherEnds bool
	// halfAttached says that a change in place may have been interrupted: what it attached is
	// not on record, and is then carried as what others attached.
	halfAttached bool
	// fault is the first promise that a call broke.
	fault error
}

// generation has the parts of a generation. Those that do not exist are nil or
// false.
type generation struct {
	name              string
	template, targets bool
	group             *group
	tags              tagging.Set
	spec              cluster.Spec
	// attached is what its group has, and joined the further target groups.
	attached cluster.Attachments
	joined   []string
	// alarms says that policies have alarms of the cluster's own, and called that those of
	// others call them.
	alarms, called bool
	// left is when it was disconnected while it had requests.
	left time.Time
	// hidden counts how often each part still is not found.
	hidden map[string]int
}

func newWorld(c *clock.Fake) *world {
	return &world{
		clock: c, behaviour: map[string]behaviour{}, alarms: map[string]func() cluster.Alarm{},
		ending: time.Second, deleting: time.Second, scaleEvery: 7 * time.Second,
		generations: map[string]*generation{}, routes: map[string]*route{},
		previews: map[string]cluster.Preview{}, made: map[string]bool{},
		now: c.Now(), scaled: c.Now(),
	}
}

// breaks remembers the first promise that was broken.
func (w *world) breaks(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

func (g *generation) gone() bool { return g == nil || !g.template && !g.targets && g.group == nil }

// names lists the generations of which there is something.
func (w *world) names() []string {
	var names []string
	for name, g := range w.generations {
		if !g.gone() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// at finds a generation, or the empty one of that name.
func (w *world) at(g cluster.Generation) *generation {
	is := w.generations[g.Name]
	if is == nil {
		is = &generation{name: g.Name, hidden: map[string]int{}}
		w.generations[g.Name] = is
	}
	return is
}

// visible is the error while a part that was made is not found yet.
func (w *world) visible(g *generation, part string, there bool) error {
	if !there {
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s of %s is not found yet", part, g.name)}
	}
	if g.hidden[part] > 0 {
		g.hidden[part]--
		return &cluster.NotYetError{Saw: fmt.Sprintf("%s of %s is not found yet", part, g.name)}
	}
	return nil
}

func (w *world) Check(_ context.Context, s cluster.Spec) (cluster.Spec, error) {
	if s.ImageID == "ami-missing" {
		return s, fmt.Errorf("image %s does not exist", s.ImageID)
	}
	if t := s.Servers.Template; t != nil {
		s.Servers.Template = &cluster.Template{ID: t.ID, Version: t.Version, Number: cmp.Or(t.Number, w.latestTemplate)}
	}
	return s, nil
}

func (w *world) MakeTemplate(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	g := w.at(of)
	if !g.template {
		g.template, g.spec, g.hidden["launch template"] = true, s, w.lag
	}
	return w.visible(g, "launch template", true)
}

func (w *world) MakeTargets(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	g := w.at(of)
	if !g.targets {
		g.targets, g.spec, g.hidden["target group"] = true, s, w.lag
	}
	return w.visible(g, "target group", true)
}

func (w *world) MakeServers(_ context.Context, of cluster.Generation, s cluster.Spec, size cluster.Size) error {
	g := w.at(of)
	if g.group == nil {
		if err := w.visible(g, "launch template", g.template); err != nil {
			return err
		}
		if s.Target != nil {
			if err := w.visible(g, "target group", g.targets); err != nil {
				return err
			}
		}
		g.spec, g.tags, g.hidden["group"] = s, of.Tags(s.Tags), w.lag
		all := s.AllAttachments()
		g.attached = cluster.Attachments{Hooks: all.Hooks, TerminationPolicies: all.TerminationPolicies}
		g.joined = nil
		g.group = &group{}
		w.resize(g, size)
	}
	return w.visible(g, "group", true)
}

func (w *world) Health(_ context.Context, generations ...cluster.Generation) ([]cluster.Health, error) {
	all := make([]cluster.Health, len(generations))
	w.needed = 0
	for i, of := range generations {
		g := w.generations[of.Name]
		if g.gone() || g.group == nil || g.group.deleting {
			continue
		}
		all[i] = w.health(g)
		if w.share(g.name) > 0 || g.spec.Listener == nil && i == 0 {
			w.needed = max(w.needed, g.group.desired)
		}
	}
	return all, nil
}

func (w *world) Alarms(_ context.Context, names []string) ([]cluster.Alarm, error) {
	var all []cluster.Alarm
	for _, name := range names {
		a := cluster.Alarm{Name: name, State: cluster.AlarmMissing}
		switch state := w.alarms[name]; {
		case w.made[name]:
			a.State = cluster.AlarmNoData
			of, ok := w.generations[strings.TrimSuffix(name, cluster.SuffixErrors)]
			if ok && w.behaviour[of.spec.Version].fails && w.share(of.name) > 0 {
				a.State, a.Reason = cluster.AlarmFiring, "servers answer 500"
			}
		case state != nil:
			a = state()
			a.Name = name
		}
		all = append(all, a)
	}
	return all, nil
}

func (w *world) Resize(_ context.Context, of cluster.Generation, size cluster.Size) error {
	g := w.generations[of.Name]
	if g.gone() || g.group == nil || g.group.deleting {
		return fmt.Errorf("group %s does not exist", of.Name)
	}
	w.resize(g, size)
	return nil
}

func (w *world) Retag(_ context.Context, of cluster.Generation, s cluster.Spec) error {
	w.at(of).tags = of.Tags(s.Tags)
	return nil
}

func (w *world) RemoveServers(_ context.Context, of cluster.Generation, force bool) error {
	g := w.generations[of.Name]
	if g.gone() || g.group == nil {
		return nil
	}
	if w.share(g.name) > 0 && g.spec.Listener != nil {
		w.breaks("servers of %s were ended while it gets %d%% of the requests", g.name, w.share(g.name))
	}
	if g.spec.TakeOver != "" && !g.left.IsZero() && w.now.Sub(g.left) < time.Second && g.group.want() > 0 {
		w.breaks("servers of %s were ended before the load balancer knew everywhere that they get no requests", g.name)
	}
	if g.alarms || g.called && !w.furtherEnds {
		w.breaks("alarms of %s call policies of a group that ends", g.name)
	}
	return w.end(g, force)
}

func (w *world) RemoveTargets(_ context.Context, of cluster.Generation) error {
	g := w.generations[of.Name]
	if g.gone() || !g.targets {
		return nil
	}
	if w.connected(g.name) {
		return fmt.Errorf("target group %s is in use by a listener", g.name)
	}
	if g.group != nil {
		w.breaks("the target group of %s was removed before its servers", g.name)
	}
	g.targets = false
	return nil
}

func (w *world) RemoveTemplate(_ context.Context, of cluster.Generation) error {
	g := w.generations[of.Name]
	if g.gone() {
		return nil
	}
	if g.group != nil {
		w.breaks("the launch template of %s was removed before its servers", g.name)
	}
	g.template = false
	return nil
}

func (w *world) Observe(_ context.Context, of cluster.Generation, listenerARN string) (cluster.Observed, error) {
	o := cluster.Observed{Spec: cluster.Spec{ID: of.Cluster}}
	g := w.at(of)
	if g.group == nil || g.group.deleting {
		o.Missing = append(o.Missing, "Auto Scaling group "+g.name)
	} else {
		o.GroupName, o.Size, o.Tags, o.Version = g.name, g.group.size, maps.Clone(g.tags), g.spec.Version
	}
	if !g.template {
		o.Missing = append(o.Missing, "launch template "+g.name)
	} else {
		o.TemplateID, o.ImageID, o.Servers = "lt-"+g.name, g.spec.ImageID, g.spec.Servers
	}
	switch {
	case g.targets:
		o.TargetGroupARN, o.Target = "arn:targets/"+g.name, g.spec.Target
		o.Listener, o.Share = w.listener(g.name, listenerARN)
	case listenerARN != "":
		o.Missing = append(o.Missing, "target group "+g.name)
	}
	return o, nil
}

func (w *world) Account(context.Context) (string, error) { return w.account, nil }

func (w *world) Generations(_ context.Context, id cluster.ID) ([]cluster.Generation, error) {
	var all []cluster.Generation
	for _, name := range w.names() {
		if w.generations[name].group != nil {
			all = append(all, cluster.Generation{Cluster: id, Name: name})
		}
	}
	return all, nil
}
