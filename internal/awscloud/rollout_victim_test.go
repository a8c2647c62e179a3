package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// victim is a cluster whose rollouts are killed, one after the other: each is
// begun where the one before was brought to its end, which is checked.
type victim struct {
	*site
	uses int
	// version counts those that served, and serving is the one that does.
	version int
	serving string
	// state is what Terraform knows, which an apply that is killed does not change.
	state *rollout.GenerationRecord

	// checked counts the checks of the live capacity.
	checked atomic.Int64
	mu      sync.Mutex
	// requests and servers are the weights and the servers in service of each
	// generation; short is the first time that there were too few.
	requests, servers map[string]int32
	short             error
}

// mostUses bounds how often an account is used: moto never forgets an instance.
const mostUses = 20

// twoMotos are one for each core, because moto uses only one.
var twoMotos = sync.OnceValues(func() (motos [2]*rig.Moto, err error) {
	if motos[0], err = rig.Shared(); err == nil {
		motos[1], err = rig.StartMoto(context.Background())
	}
	return motos, err
})

// orAnother returns v, or one in a new account if v is nil or used up.
func (v *victim) orAnother(t *testing.T, moto *rig.Moto) (*victim, error) {
	if v != nil && v.uses < mostUses {
		v.uses++
		return v, nil
	}
	s, err := newSite(t, moto, clock.NewFake(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		return nil, err
	}
	s.change = severalTypes
	return &victim{site: s}, nil
}

// undisturbed plays a story once, and returns the calls that it makes.
func undisturbed(t *testing.T, moto *rig.Moto, s story) (calls []string, err error) {
	var v *victim
	if v, err = v.orAnother(t, moto); err != nil {
		return nil, err
	}
	if err := s.prepare(v); err != nil {
		return nil, err
	}
	v.proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Service != "sts" { // only the first process of an account asks for it
			calls = append(calls, c.Action)
		}
		return nil
	})
	err = s.do(t.Context(), v, v.manager)
	v.proxy.Intercept(nil)
	return calls, err
}

// kill plays a story up to a call, has another process continue, and checks the
// result.
func (v *victim) kill(s story, k killing) error {
	if err := s.prepare(v); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	v.requests, v.servers = nil, nil
	v.watch(s.live)
	defer v.proxy.Notify(nil)
	if err := v.interrupt(s, k); err != nil {
		return err
	}
	store, err := v.open()
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // the next process opens it again
	want, err := s.ends[k.way](v, v.run("the next process", store))
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.short != nil {
		return v.short
	}
	if err := v.check(want, s.live); err != nil || s.also == nil {
		return err
	}
	return s.also(v)
}

// attach has the cluster serve with attachments of every kind, and with a further rule.
func (v *victim) attach() error {
	if v.serving != "" {
		return nil
	}
	v.change = func(s *cluster.Spec) {
		severalTypes(s)
		attaches(s)
		s.FurtherRules = []cluster.FurtherRule{{Name: "shop", ListenerARN: s.Listener.ARN, Rule: cluster.Rule{Priority: 50, Hosts: []string{shopHost}}}}
	}
	if err := v.replace(); err != nil {
		return err
	}
	return v.tryAttachByHand(v.state.Name)
}

// stillAttached checks that what serves has everything, and nothing else has alarms.
func (v *victim) stillAttached() error {
	_, err := v.checkAttached(v.state.Name, true)
	if err != nil {
		return err
	}
	if got, want := v.alarmNames(), []string{v.state.Name + "/queue"}; !slices.Equal(got, want) {
		return fmt.Errorf("there are the alarms %v, want %v", got, want)
	}
	return nil
}

// interrupt has a process begin a story, and kills it: from then on, none of
// its calls and nothing that it writes arrives.
func (v *victim) interrupt(s story, k killing) error {
	store, err := v.open()
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it is closed, or the test has failed
	ctx, cancel := context.WithCancel(v.Context())
	defer cancel()
	calls := 0
	v.proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Service == "sts" && calls < k.at {
			return nil
		}
		calls++
		if calls < k.at {
			return nil
		}
		if calls == k.at {
			_ = store.Close()
			if k.after {
				return &rig.Fault{After: true}
			}
		}
		cancel()
		return &rig.Fault{}
	})
	err = s.do(ctx, v, v.run("the one who is killed", store))
	v.proxy.Intercept(nil)
	if calls < k.at || err == nil {
		return fmt.Errorf("it made %d calls and was not killed: %w", calls, err)
	}
	return nil
}

// watch checks, after each call that changes something, that every generation
// that gets requests could take all of them.
func (v *victim) watch(live int32) {
	if live == 0 {
		return
	}
	v.proxy.Notify(func(c rig.Call) {
		if reads(c.Action) {
			return
		}
		v.checked.Add(1)
		if err := v.capacity(live, c.Service); err != nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.short == nil {
				v.short = fmt.Errorf("after %s: %w", c.Action, err)
			}
		}
	})
}

// capacity reads what a call to the service may have changed.
func (v *victim) capacity(live int32, service string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var err error
	if v.requests == nil || service == "elasticloadbalancing" {
		if v.requests, err = v.weights(v.Context()); err != nil {
			return err
		}
	}
	if v.servers == nil || service == "autoscaling" {
		groups, err := v.scaling.DescribeAutoScalingGroups(v.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
		if err != nil {
			return err
		}
		v.servers = map[string]int32{}
		for _, group := range groups.AutoScalingGroups {
			v.servers[aws.ToString(group.AutoScalingGroupName)] = inService(group)
		}
	}
	total := int32(0)
	for name, weight := range v.requests {
		if weight > 0 && v.servers[name] < live {
			return fmt.Errorf("%s gets requests and has %d servers of %d", name, v.servers[name], live)
		}
		total += weight
	}
	if total == 0 {
		return errors.New("nothing gets requests")
	}
	return nil
}

// check compares what exists with what must exist, and updates Terraform's state.
func (v *victim) check(want string, live int32) error {
	p, err := rollout.ReadStatus(v.Context(), v.manager.Store, strawberry, v.manager.Region)
	if err != nil {
		return err
	}
	if want == "" {
		if p.Serving != nil || p.Kept != nil || len(p.Left) > 0 || p.Open != nil {
			return fmt.Errorf("the records have %+v", p)
		}
		v.serving, v.state = "", nil
		return rig.NothingLeft(v.Context(), v.account, v.landscape)
	}
	if want == v.next() {
		v.version++
	}
	v.serving, v.state = want, p.Serving
	return v.checkIdle(v.Context(), want, live)
}

// next is the version after the last one that served.
func (v *victim) next() string { return fmt.Sprint(v.version + 1) }

// create has the cluster serve, scaled to its live size.
func (v *victim) create() error {
	if v.serving != "" {
		return nil
	}
	if _, err := v.manager.Apply(v.Context(), v.spec(v.next()), killedSettings, nil); err != nil {
		return err
	}
	if err := v.check(v.next(), 0); err != nil {
		return err
	}
	return v.scale(v.Context(), v.state.Name, liveSize)
}

// replace has the cluster serve with servers from a rollout. Moto shows which
// load balancer uses a target group only if the rule was created with that group,
// and the killed calls have to be the same ones each time.
func (v *victim) replace() error {
	if v.serving != "" {
		return nil
	}
	if err := v.create(); err != nil {
		return err
	}
	if _, err := v.manager.Apply(v.Context(), v.spec(v.next()), killedSettings, v.state); err != nil {
		return err
	}
	return v.check(v.next(), liveSize)
}

// clear destroys the cluster, if there is one.
func (v *victim) clear() error {
	if v.serving == "" {
		return nil
	}
	if err := v.manager.Destroy(v.Context(), strawberry, v.state); err != nil {
		return err
	}
	return v.check("", 0)
}

// undo rolls an open rollout back, after which before serves, or resumes it if
// that is not possible. A rollout that was killed before it was on record changed
// nothing.
func (v *victim) undo(m *rollout.Manager, before string) (string, error) {
	p, err := rollout.ReadStatus(v.Context(), m.Store, strawberry, m.Region)
	if err != nil || p.Open == nil {
		return before, err
	}
	_, err = m.Undo(v.Context(), strawberry)
	if err == nil || !strings.Contains(err.Error(), "cannot be rolled back") {
		return before, err
	}
	_, err = m.Resume(v.Context(), strawberry)
	return v.next(), err
}
