package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// shopHost is a host of a further rule.
const shopHost = "shop.example.com"

// gradual moves the requests in steps and watches in between.
var gradual = rollout.Settings{
	Steps: []int32{10, 50, 100}, HealthyWithin: rollout.DefaultHealthyWithin, ObserveFor: 10 * time.Second, Drain: 20 * time.Second,
	OnFailure: rollout.Undo, Protected: rollout.Wait,
}

// atOnce moves all requests together.
var atOnce = rollout.Settings{
	HealthyWithin: rollout.DefaultHealthyWithin, Drain: 20 * time.Second, OnFailure: rollout.Undo, Protected: rollout.Wait,
}

// TestAccRollout_UnderLoad rolls out one version after the other while requests
// come in and the servers are scaled up and down. No request may fail.
func TestAccRollout_UnderLoad(t *testing.T) {
	enter(t, 3)
	for name, c := range map[string]underLoad{
		"Plain":       {rollouts: 20},
		"Propagation": {rollouts: 6, options: rig.Options{Propagation: 150 * time.Millisecond}},
		"Stickiness":  {rollouts: 6, sticky: time.Minute},
		"StickinessAndPropagation": {
			rollouts: 6, sticky: time.Minute, options: rig.Options{Propagation: 150 * time.Millisecond},
		},
		// Servers of several types, with policies, schedules, hooks and a further target group.
		"Attachments": {rollouts: 20, attachments: true},
	} {
		t.Run(name, c.test)
	}
}

type underLoad struct {
	rollouts int
	sticky   time.Duration
	options  rig.Options
	// attachments says that the cluster has all kinds of attachments, and that others have
	// attached some as well.
	attachments bool
}

func (c underLoad) test(t *testing.T) {
	switch {
	case testing.Short():
		c.rollouts = 3
	case c.attachments && !rig.Long():
		c.rollouts = 6
	}
	s := openSite(t, 50, &c.options)
	s.sticky, s.unhealthy = c.sticky, 5
	scaler := newScaler(s)
	s.manager.Cloud = scaler
	if c.attachments {
		s.change = func(spec *cluster.Spec) {
			severalTypes(spec)
			spec.FurtherRules = []cluster.FurtherRule{{
				Name: "shop", ListenerARN: spec.Listener.ARN, Rule: cluster.Rule{Hosts: []string{shopHost}},
			}}
			spec.Target.DeregistrationDelay = time.Minute // a busy machine may take its time
		}
		s.withAttachments()
	}
	first := s.apply("1", atOnce)

	load := s.load()
	load.Cookies = c.sticky > 0
	s.reached()
	stop := s.send(load)
	further, shop := func() rig.Report { return rig.Report{} }, func() rig.Report { return rig.Report{} }
	attached := func() {}
	if c.attachments {
		s.attachByHand(first)
		load := s.load()
		load.Host, load.Rate = furtherHost, 100
		s.reachedAt(furtherHost)
		further = s.send(load)
		other := s.load()
		other.Host, other.Rate = shopHost, 100
		s.reachedAt(shopHost)
		shop = s.send(other)
		attached = func() { scaler.pause(func() { s.attached(s.known().Name, true) }) }
	}
	began := clock.System{}.Now()
	scaling := scaler.start()
	back := 0
	for n := 2; n <= c.rollouts+1; n++ {
		settings, version := atOnce, fmt.Sprint(n)
		if n%2 == 0 {
			settings = gradual
		}
		settings.KeepPrevious = n%3 == 0
		s.apply(version, settings)
		s.served(load, version)
		if n%6 == 3 { // back to the one that was kept
			scaler.pause(func() { s.kept(fmt.Sprint(n - 1)) })
			if _, err := s.manager.Undo(t.Context(), strawberry); err != nil {
				t.Fatalf("%v%s", err, s.log())
			}
			version = fmt.Sprint(n - 1)
			s.served(load, version)
			back++
		}
		scaler.pause(func() { s.sound(version, 0) })
		attached()
	}
	scaled := scaling()
	// There are as many new servers as the old ones were scaled to.
	serving := s.known()
	if err := s.scale(t.Context(), serving.Name, 5); err != nil {
		t.Fatal(err)
	}
	s.apply("last", gradual)
	s.sound("last", 5)
	if c.attachments {
		s.takenBack(scaler, 3)
	}
	took := clock.System{}.Now().Sub(began)

	r := stop()
	t.Logf("%d requests during %d rollouts, %d of them back, and %d scalings: %d failed, in %.0f s; the slowest answer took %s",
		r.Sent, c.rollouts+1+back, back, scaled, r.Failed, took.Seconds(), r.MaxLatency.Round(time.Millisecond))
	if r.Failed > 0 || r.ByStatus[200] != r.Sent {
		t.Errorf("got %v by status, want 200 for each of %d: %v", r.ByStatus, r.Sent, r.Errors)
	}
	if c.attachments {
		for by, r := range map[string]rig.Report{"the further target group": further(), "the further rule": shop()} {
			t.Logf("%d requests by %s: %d failed", r.Sent, by, r.Failed)
			if r.Sent == 0 || r.Failed > 0 || r.ByStatus[200] != r.Sent {
				t.Errorf("got %v by status by %s, want 200 for each of %d: %v", r.ByStatus, by, r.Sent, r.Errors)
			}
		}
	}
	s.destroy()
	if left := s.alarmNames(); len(left) > 0 {
		t.Errorf("the alarms %v are left", left)
	}
}

// takenBack rolls out versions that an alarm has rolled back. Nothing that is attached is lost.
func (s *site) takenBack(cloud cluster.Cloud, times int) {
	s.Helper()
	settings := gradual
	settings.Alarms = []string{"errors"}
	for n := range times {
		s.manager.Cloud = &alarmed{Cloud: cloud}
		_, err := s.manager.Apply(s.Context(), s.spec(fmt.Sprintf("bad-%d", n)), settings, s.known())
		var failure *rollout.Error
		if !errors.As(err, &failure) || failure.Outcome != rollout.RolledBack {
			s.Fatalf("got %v, want it rolled back%s", err, s.log())
		}
		s.attached(s.known().Name, true)
		s.sound("last", 5)
	}
	s.manager.Cloud = cloud
}

// send sends requests until the function that it returns is called.
func (s *site) send(load *rig.Load) (stop func() rig.Report) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan rig.Report, 1)
	go func() { done <- load.Run(ctx) }()
	stop = sync.OnceValue(func() rig.Report {
		cancel()
		return <-done
	})
	s.Cleanup(func() { stop() })
	return stop
}

// load is 500 requests a second. A request that a busy machine answers late has
// not failed.
func (s *site) load() *rig.Load {
	return &rig.Load{URL: s.plane.URL, Host: rolloutHost, Rate: 500, Timeout: time.Minute}
}

// reached waits until requests are answered: also a new rule takes its time.
func (s *site) reached() {
	s.Helper()
	s.reachedAt(rolloutHost)
}

func (s *site) reachedAt(host string) {
	s.Helper()
	s.eventually("requests are answered", func() bool {
		ctx, cancel := context.WithTimeout(s.Context(), 10*time.Millisecond) // for one request
		defer cancel()
		return (&rig.Load{URL: s.plane.URL, Host: host, Rate: 1}).Run(ctx).ByStatus[200] > 0
	})
}

// served waits until a version has answered since now.
func (s *site) served(load *rig.Load, version string) {
	s.Helper()
	before := load.Snapshot().ByVersion[version]
	s.eventually("version "+version+" serves", func() bool { return load.Snapshot().ByVersion[version] > before })
}

func (s *site) eventually(what string, is func() bool) {
	s.Helper()
	check := func(context.Context, time.Duration) (bool, string, error) {
		return is(), what, nil
	}
	if err := clock.Poll(s.Context(), clock.System{}, 20*time.Millisecond, 20*time.Second, check); err != nil {
		s.Fatal(err)
	}
}

// sound checks that nothing is under way and a version serves with so many
// servers; 0 for as many as it was scaled to.
func (s *site) sound(version string, live int32) {
	s.Helper()
	if err := s.checkIdle(s.Context(), version, live); err != nil {
		s.Errorf("version %s: %v", version, err)
	}
}

// kept checks that a version is ready to serve again.
func (s *site) kept(version string) {
	s.Helper()
	p, err := rollout.ReadStatus(s.Context(), s.manager.Store, strawberry, s.manager.Region)
	if err != nil || p.Kept == nil || p.Kept.Spec.Version != version {
		s.Errorf("got %+v kept and %v, want version %s", p.Kept, err, version)
	}
}

// scaler scales whatever serves up and down, between the group's bounds. Moto
// does not keep to them, so no call changes them while it acts.
type scaler struct {
	cluster.Cloud
	site *site
	rand *rand.Rand
	mu   sync.Mutex
}

func newScaler(s *site) *scaler {
	return &scaler{Cloud: s.cloud, site: s, rand: rand.New(rand.NewPCG(1, 2))}
}

// Resize implements cluster.Cloud.
func (a *scaler) Resize(ctx context.Context, g cluster.Generation, size cluster.Size) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.Cloud.Resize(ctx, g, size)
}

// RemoveServers implements cluster.Cloud.
func (a *scaler) RemoveServers(ctx context.Context, g cluster.Generation, force bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.Cloud.RemoveServers(ctx, g, force)
}

// pause does something while the scaler rests.
func (a *scaler) pause(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do()
}

// start scales again and again, until the function that it returns is called,
// which returns how often.
func (a *scaler) start() (stop func() int) {
	ctx, cancel := context.WithCancel(a.site.Context())
	times := 0
	var scaling sync.WaitGroup
	scaling.Go(func() {
		for (clock.System{}).Sleep(ctx, time.Duration(100+a.rand.IntN(150))*time.Millisecond) == nil {
			changed, err := a.scale(ctx)
			if err != nil && ctx.Err() == nil {
				a.site.Error(err)
			}
			if changed {
				times++
			}
		}
	})
	return func() int {
		cancel()
		scaling.Wait()
		return times
	}
}

func (a *scaler) scale(ctx context.Context) (changed bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := rollout.ReadStatus(ctx, a.site.manager.Store, strawberry, a.site.manager.Region)
	if err != nil || p.Serving == nil {
		return false, err
	}
	group, err := a.site.group(ctx, p.Serving.Name)
	if err != nil || group == nil {
		return false, err
	}
	least, most, is := aws.ToInt32(group.MinSize), aws.ToInt32(group.MaxSize), aws.ToInt32(group.DesiredCapacity)
	// Out faster than in: moto ends any of the servers, also those that alone
	// are known to be healthy.
	wanted := min(most, is+1+a.rand.Int32N(2))
	if a.rand.IntN(2) == 0 {
		wanted = max(least, is-1)
	}
	if wanted == is {
		return false, nil
	}
	return true, a.site.scale(ctx, p.Serving.Name, wanted)
}
