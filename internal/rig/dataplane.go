package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// DataPlane adds what moto lacks: servers on the instances of Auto Scaling groups,
// and a load balancer that routes requests to them by the rules of the landscape's
// listener and checks their health. Moto stays the source of instances, target
// groups and rules.
//
// Through the proxy, DescribeTargetHealth returns the health that was found. Targets
// drain as in AWS, where Auto Scaling terminates an instance only after the
// deregistration delay; moto terminates it at once, so the data plane keeps its
// server for that long. A group that is deleted by force drains too, which AWS does
// not promise.
type DataPlane struct {
	// URL is the address of the load balancer.
	URL string

	options  Options
	proxy    *Proxy
	observer *observer
	http     *http.Server
	// Requests keep their connections, health checks do not, as in AWS.
	requests, checks *http.Transport

	running sync.WaitGroup // all goroutines but watch
	stop    context.CancelFunc
	stopped <-chan struct{} // watch should end
	watched chan struct{}   // watch has ended
	// changed requests a refresh. One is enough for all calls until then.
	changed chan struct{}

	mu      sync.Mutex
	servers map[string]*server      // by instance id
	groups  map[string]*targetGroup // by ARN
	// rules are in effect, latest are those in moto, and pending those in between.
	rules, latest []rule
	pending       []pending
	announced     bool
	// changes counts the calls that may have changed something; seen is how many of
	// them the latest refresh includes. refreshed is closed after each refresh.
	changes, seen int64
	refreshed     chan struct{}
	err           error // of the latest refresh
}

// Options configure a data plane.
type Options struct {
	// Behave returns the behaviour of a version's servers; nil means that all are
	// good. The version is the instance's tag "version".
	Behave func(version string) Behaviour
	// Speed is how many times faster than in AWS time passes: it divides the
	// durations of target groups, rules, Auto Scaling groups and behaviours. 0
	// means 1.
	Speed float64
	// Propagation is how long the load balancer keeps using the old rules and
	// weights after a change, as AWS's nodes do for seconds. Speed does not change
	// it.
	Propagation time.Duration
	// Replace replaces instances that the load balancer finds unhealthy, as Auto
	// Scaling groups with the health check type ELB do in AWS after their grace
	// period.
	Replace bool
}

// A refresh takes four calls, and two for each target group that may have changed,
// at about 6 ms each. The data plane refreshes after each call through the proxy
// that may have changed something, and regularly because of other calls.
const (
	refreshInterval = 250 * time.Millisecond
	refreshPause    = 20 * time.Millisecond // to combine calls in a row
	refreshTimeout  = 30 * time.Second
)

// NewDataPlane starts a data plane behind the listener of the landscape, and
// returns after the first refresh. It uses the proxy's Answer and Notify; Intercept
// stays free.
func NewDataPlane(ctx context.Context, a Account, l Landscape, p *Proxy, o Options) (*DataPlane, error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a data plane: %w", err)
	}
	d := &DataPlane{
		URL:       "http://" + listener.Addr().String(),
		options:   o,
		proxy:     p,
		observer:  newObserver(a, l, o.Speed),
		requests:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		checks:    &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		watched:   make(chan struct{}),
		changed:   make(chan struct{}, 1),
		servers:   map[string]*server{},
		groups:    map[string]*targetGroup{},
		refreshed: make(chan struct{}),
	}
	d.http = &http.Server{Handler: d}
	d.running.Go(func() { _ = d.http.Serve(listener) })
	watching, stop := context.WithCancel(context.Background())
	d.stop, d.stopped = stop, watching.Done()
	p.Notify(d.notice)
	p.Answer(d.answer)
	go d.watch(watching)
	if err := d.Sync(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a data plane: %w", err), d.Close())
	}
	return d, nil
}

// Close ends the servers and the load balancer, and releases the proxy. It returns
// the error, if any, of the latest refresh.
func (d *DataPlane) Close() error {
	d.proxy.Notify(nil)
	d.proxy.Answer(nil)
	d.stop()
	<-d.watched
	_ = d.http.Close() // requests in progress are meant to fail
	d.mu.Lock()
	for _, g := range d.groups {
		for _, t := range g.targets {
			if t.draining != nil {
				t.draining.Stop()
			}
			t.cancel()
		}
	}
	for _, s := range d.servers {
		s.close()
	}
	err := d.err
	d.mu.Unlock()
	d.running.Wait()
	d.requests.CloseIdleConnections()
	d.checks.CloseIdleConnections()
	d.observer.transport.CloseIdleConnections()
	return err
}

// Sync waits until the data plane knows the current state of moto. After calls
// through the proxy it is only needed before requests that depend on them.
func (d *DataPlane) Sync(ctx context.Context) error {
	d.touch()
	d.catchUp(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// notice receives each call that passed the proxy.
func (d *DataPlane) notice(c Call) {
	for _, reading := range []string{"Describe", "Get", "List"} {
		if strings.HasPrefix(c.Action, reading) {
			return
		}
	}
	if c.Service == "ec2" && c.Action == "TerminateInstances" {
		d.kill(c.names("InstanceId."))
	}
	d.touch()
}

// kill ends servers whose instances were terminated directly, not by their Auto
// Scaling group, and so did not drain.
func (d *DataPlane) kill(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if s, ok := d.servers[id]; ok {
			s.die()
		}
	}
}

// touch requests a refresh.
func (d *DataPlane) touch() {
	d.mu.Lock()
	d.changes++
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// catchUp waits for a refresh that began after all changes so far, or failed.
func (d *DataPlane) catchUp(ctx context.Context) {
	d.mu.Lock()
	want := d.changes
	for d.seen < want {
		refreshed := d.refreshed
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-d.stopped:
			return
		case <-refreshed:
		}
		d.mu.Lock()
		if d.err != nil {
			break
		}
	}
	d.mu.Unlock()
}

// watch refreshes again and again.
func (d *DataPlane) watch(ctx context.Context) {
	defer close(d.watched)
	for {
		err := d.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		d.mu.Lock()
		d.err = err
		close(d.refreshed)
		d.refreshed = make(chan struct{})
		d.mu.Unlock()
		if !pause(ctx, refreshPause) {
			return
		}
		timer := time.NewTimer(refreshInterval)
		select {
		case <-ctx.Done():
		case <-d.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (d *DataPlane) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	d.mu.Lock()
	changes := d.changes
	d.mu.Unlock()
	p, err := d.observer.snapshot(ctx, changes)
	if err != nil {
		return err
	}
	if err := d.apply(p); err != nil {
		return err
	}
	d.mu.Lock()
	d.seen = max(d.seen, changes)
	d.mu.Unlock()
	if d.options.Replace {
		d.replace(ctx, p)
	}
	return nil
}

// replace terminates the instances that a load balancer finds unhealthy; their
// group in moto starts others.
func (d *DataPlane) replace(ctx context.Context, p snapshot) {
	unhealthy := map[string]bool{}
	d.mu.Lock()
	for _, g := range d.groups {
		for _, t := range g.targets {
			i := p.instances[t.id]
			if i.replaced && t.State == elbtypes.TargetHealthStateEnumUnhealthy && time.Since(t.started) > i.grace {
				unhealthy[t.id] = true
			}
		}
	}
	d.mu.Unlock()
	for id := range unhealthy {
		// It fails if the instance has been terminated meanwhile. If not, the next
		// refresh finds it again.
		_, _ = d.observer.autoscaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false),
		}, func(o *autoscaling.Options) { o.RetryMaxAttempts = 1 })
		d.touch()
	}
}

// behave returns the behaviour of a version's servers at the data plane's speed.
func (d *DataPlane) behave(version string) Behaviour {
	if d.options.Behave == nil {
		return Behaviour{}
	}
	b := d.options.Behave(version)
	b.HealthyAfter, b.DiesAfter = scaled(b.HealthyAfter, d.options.Speed), scaled(b.DiesAfter, d.options.Speed)
	return b
}
