package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	web  = cluster.ID{Service: "web", Environment: "prod"}
)

const (
	region    = "eu-north-1"
	leaseName = "cluster:prod:eu-north-1"
)

// spec is a cluster of 2 to 6 servers behind a rule of a listener.
func spec(version string, changes ...func(*cluster.Spec)) cluster.Spec {
	s := cluster.Spec{
		ID: web, Version: version, ImageID: "ami-" + version,
		Servers:  cluster.Servers{InstanceType: "t3.micro", SubnetIDs: []string{"subnet-a", "subnet-b"}},
		Size:     cluster.Size{Min: 2, Max: 6},
		Listener: &cluster.Listener{ARN: "arn:listener/1", Rule: &cluster.Rule{Priority: 10, Hosts: []string{"web.example.com"}}},
		Target:   &cluster.Target{Port: 8080, Protocol: "HTTP", DeregistrationDelay: 10 * time.Second},
		Tags:     tagging.Set{tagging.Version: version},
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func worker(s *cluster.Spec) { s.Listener, s.Target = nil, nil }

func priority(n int32) func(*cluster.Spec) {
	return func(s *cluster.Spec) {
		s.Listener = &cluster.Listener{ARN: s.Listener.ARN, Rule: &cluster.Rule{Priority: n, Hosts: []string{"web.example.com"}}}
	}
}

func anyPriority(s *cluster.Spec) { priority(0)(s) }

func listener(arn string) func(*cluster.Spec) {
	return func(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: arn, Rule: s.Listener.Rule} }
}

func defaultAction(s *cluster.Spec) { s.Listener = &cluster.Listener{ARN: s.Listener.ARN} }

// quick returns settings with short waits.
func quick(changes ...func(*rollout.Settings)) rollout.Settings {
	s := rollout.Settings{
		HealthyWithin: 2 * time.Minute, ObserveFor: time.Second, Drain: time.Second,
		OnFailure: rollout.Undo, Protected: rollout.Wait,
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func steps(percents ...int32) func(*rollout.Settings) {
	return func(s *rollout.Settings) { s.Steps = percents }
}

func keepPrevious(s *rollout.Settings) { s.KeepPrevious = true }

func keepOnFailure(s *rollout.Settings) { s.OnFailure = rollout.Keep }

func alarms(names ...string) func(*rollout.Settings) {
	return func(s *rollout.Settings) { s.Alarms = names }
}

// preview adds a preview by a header, and a check.
func preview(s *rollout.Settings) {
	s.Preview = &cluster.Preview{Header: &cluster.Header{Name: "X-Preview", Values: []string{"sesame"}}}
	s.Checks = []rollout.Check{{Path: "/buy", Method: "GET", Status: "200", Timeout: 5 * time.Second, Within: 6 * time.Second}}
}

// checkCommand adds a check by a command.
func checkCommand(s *rollout.Settings) {
	s.Checks = append(s.Checks, rollout.Check{Command: []string{"./smoke.sh", "--fast"}, Timeout: time.Minute})
}

// watched adds an alarm on the target group.
func watched(s *rollout.Settings) {
	none := int32(0)
	s.TargetAlarms = &cluster.TargetAlarms{Errors5xx: &none, Period: time.Minute, EvaluationPeriods: 1}
}

func protected(p rollout.Protected) func(*rollout.Settings) {
	return func(s *rollout.Settings) { s.Protected = p }
}

// harness is a world, a store and a clock for any number of processes.
type harness struct {
	clock *clock.Fake
	world *world
	store *memory
	// real, when set, replaces store. What only store can check is then not checked.
	real    rollout.Store
	entropy *rand.ChaCha8
	// known is what the caller of Apply remembers, as Terraform's state does.
	known     *rollout.GenerationRecord
	processes int
	checks    int
	trace     func(format string, args ...any)
}

func newHarness(seed byte) *harness {
	c := clock.NewFake(noon)
	s := &harness{clock: c, world: newWorld(c), store: newMemory(c), entropy: rand.NewChaCha8([32]byte{seed})}
	for _, version := range []string{"1", "2", "3"} {
		s.world.behaviour[version] = behaviour{start: time.Second}
		s.allocate(version)
	}
	return s
}

// allocate allocates the next version of the service, which is to have a name.
func (s *harness) allocate(name string) {
	v, err := s.store.Allocate(context.Background(), builddata.Allocation{Service: web.Service, Scheme: builddata.Sequence})
	if err != nil || v.Name != name {
		panic(fmt.Sprintf("got version %s and %v, want %s", v.Name, err, name))
	}
}

// process starts a process. A nil fault lets every call through.
func (s *harness) process(f func(k int, name string) fault) (*rollout.Manager, *process) {
	s.processes++
	p := &process{harness: s, holder: fmt.Sprintf("process %d", s.processes), fault: f}
	out := outside{process: p, w: s.world, s: s.records()}
	return &rollout.Manager{
		Cloud: out, Store: out, Prober: out, Clock: p, Region: region, Holder: p.holder, Entropy: s.entropy,
		Progress: func(_ context.Context, format string, args ...any) {
			if s.trace != nil {
				s.trace("%s %s: "+format, append([]any{s.clock.Now().Format("15:04:05"), p.holder}, args...)...)
			}
		},
	}, p
}

func (s *harness) records() rollout.Store {
	if s.real != nil {
		return s.real
	}
	return s.store
}

// fixed fails one call of a process.
func fixed(at int, f fault) func(int, string) fault {
	return func(k int, _ string) fault {
		if k == at {
			return f
		}
		return none
	}
}

// apply applies as Terraform does: it knows the generation that it created.
func (s *harness) apply(m *rollout.Manager, spec cluster.Spec, settings rollout.Settings) error {
	return s.applyIn(context.Background(), m, spec, settings)
}

// imported makes the caller know the cluster, as an import does, if err says that
// it exists already: its creation finished, but the caller did not learn of it.
func (s *harness) imported(err error) bool {
	if err == nil || s.known != nil || !strings.Contains(err.Error(), "exists already") {
		return false
	}
	s.known = s.status().Serving
	return s.known != nil
}

func (s *harness) applyIn(ctx context.Context, m *rollout.Manager, spec cluster.Spec, settings rollout.Settings) error {
	e, err := m.Apply(ctx, spec, settings, s.refresh())
	if err == nil {
		s.known = e.Serving
	}
	return err
}

// refresh returns the generation that the caller knows, as it exists. If that is
// gone, it is the one that serves according to the records.
func (s *harness) refresh() *rollout.GenerationRecord {
	s.world.move()
	if s.known != nil && s.world.generations[s.known.Name].gone() {
		s.known = s.status().Serving
	}
	if s.known == nil {
		return nil
	}
	g := s.world.generations[s.known.Name]
	if g.gone() {
		s.known = nil
		return nil
	}
	record := *s.known
	if g.group != nil {
		record.Spec.Size = g.group.size
	}
	if l := record.Spec.Listener; l != nil {
		named := s.world.named(*l)
		record.Spec.Listener = &named
	}
	return &record
}

// check checks what must hold after every call: everything that exists is on
// record, and at most one rollout is open.
func (s *harness) check(call string) {
	s.checks++
	if s.real != nil {
		return
	}
	for name, g := range s.world.generations {
		if !g.gone() && !s.store.known[name] {
			s.world.breaks("after %s: generation %s is in no record", call, name)
		}
	}
	s.world.checkFurther()
	if open := s.store.open(); len(open) > 1 {
		s.world.breaks("after %s: %d rollouts are open", call, len(open))
	}
}

// status reads the records without faults.
func (s *harness) status() rollout.Status {
	p, err := rollout.ReadStatus(context.Background(), s.records(), web, region)
	if err != nil {
		s.world.breaks("read the status: %w", err)
	}
	return p
}

// serving is the version that serves according to the records; empty for none.
func (s *harness) serving() string {
	if p := s.status(); p.Serving != nil {
		return p.Serving.Spec.Version
	}
	return ""
}

// converged reports everything that is wrong when nothing is in progress and want
// serves; empty for nothing.
func (s *harness) converged(want string) error {
	s.checks++
	faults := []error{s.world.fault}
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	p := s.status()
	if p.Open != nil {
		wrong("rollout %s is open", p.Open.ID)
	}
	if got := s.serving(); got != want {
		wrong("version %q serves according to the records, want %q", got, want)
	}
	s.world.move()
	var expected []string
	for _, record := range generations(p.Inventory) {
		expected = append(expected, record.Name)
	}
	for _, name := range s.world.names() {
		if !slices.Contains(expected, name) {
			wrong("%s exists and is not on record", name)
		}
	}
	for name := range s.world.previews {
		wrong("the preview of %s is open", name)
	}
	for name := range s.world.made {
		wrong("the alarm %s is left", name)
	}
	for key, route := range s.world.routes {
		if p.Serving == nil || route.share(p.Serving.Name) != 100 {
			wrong("%s forwards to %v", key, route.weights)
		}
		if _, there := route.weights[theirs]; there {
			wrong("%s still forwards to what was taken over: %v", key, route.weights)
		}
	}
	if p.Serving != nil {
		var declared, exist []string
		spec := p.Serving.Spec
		if s.known != nil && s.known.Name == p.Serving.Name {
			spec = s.known.Spec // changes in place are not recorded
		}
		for _, r := range spec.FurtherRules {
			declared = append(declared, furtherKey(r))
		}
		for _, key := range s.world.keys() {
			if s.world.routes[key].further != "" {
				exist = append(exist, key)
			}
		}
		if slices.Sort(declared); !slices.Equal(declared, exist) {
			wrong("there are the further rules %q, want %q", exist, declared)
		}
	}
	if l := s.store.lease(); l.Holder != "" && l.ExpiresAt.After(s.clock.Now().Add(30*time.Second)) {
		wrong("the lease is held by %s until %s", l.Holder, l.ExpiresAt)
	}
	// Changes in place are not recorded.
	var changed cluster.Size
	if p.Serving != nil && s.known != nil && s.known.Name == p.Serving.Name {
		changed = p.Serving.Spec.Size
		p.Serving = s.known
	}
	for _, record := range []*rollout.GenerationRecord{p.Serving, p.Kept} {
		if record == nil {
			continue
		}
		g := s.world.generations[record.Name]
		if g.gone() || g.group == nil || !g.template {
			wrong("%s is not complete", record.Name)
			continue
		}
		if g.group.size != record.Spec.Size && (record != p.Serving || g.group.size != changed) {
			wrong("%s has bounds %s, want %s", record.Name, g.group.size, record.Spec.Size)
		}
		if tags := (cluster.Generation{Cluster: web, Name: record.Name}).Tags(record.Spec.Tags); !maps.Equal(g.tags, tags) {
			wrong("%s has tags %v, want %v", record.Name, g.tags, tags)
		}
		if wrongs := s.world.attachmentsWrong(g, record.Spec.Attachments, record == p.Serving); wrongs != "" {
			wrong("%s: %s", record.Name, wrongs)
		}
		if record == p.Serving && record.Spec.Listener != nil {
			key := routeKey(s.world.named(*record.Spec.Listener))
			if route := s.world.routes[key]; route == nil || route.share(record.Name) != 100 {
				wrong("%s does not get the requests at %s", record.Name, key)
			}
		}
	}
	faults = append(faults, s.journals())
	return errors.Join(faults...)
}

// journals reports contradictions in journals: a step that has ended must have
// begun.
func (s *harness) journals() error {
	for _, r := range s.store.rollouts() {
		began := map[string]bool{}
		for _, e := range r.Entries {
			switch {
			case e.Phase == builddata.Began:
				began[e.Step] = true
			case !began[e.Step]:
				return fmt.Errorf("the journal of %s has %q %s, but not begun", r.ID, e.Step, e.Phase)
			default:
				began[e.Step] = false
			}
		}
		if r.Status != builddata.Started && r.EndedAt.IsZero() {
			return fmt.Errorf("rollout %s ended without a time", r.ID)
		}
	}
	return nil
}

// outcome is the Outcome of an *Error; -1 for any other error.
func outcome(err error) rollout.Outcome {
	var e *rollout.Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return -1
}
