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

// DataPlane is what moto lacks: servers on the instances of Auto Scaling
// groups, and a load balancer that sends requests to them by the rules of the
// landscape's listener and checks their health. Moto stays the one that says
// which instances, target groups and rules there are.
//
// DescribeTargetHealth, asked through the proxy, tells the health that was
// found. Targets drain as in AWS, where Auto Scaling ends an instance only
// after the deregistration delay; moto ends it at once, so the data plane keeps
// its server for that long. A group that is deleted by force drains as well,
// which AWS does not promise.
type DataPlane struct {
	// URL is where the load balancer listens.
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
	// changed holds the wish for a look. One is enough for all calls until then.
	changed chan struct{}

	mu      sync.Mutex
	servers map[string]*server      // by instance id
	groups  map[string]*targetGroup // by ARN
	// rules are in effect, latest are moto's, and pending those in between.
	rules, latest []rule
	pending       []pending
	announced     bool
	// changes counts the calls that may have changed something, and seen is
	// how many of them the latest look at moto came after; looked is closed
	// at the end of each look.
	changes, seen int64
	looked        chan struct{}
	err           error // of the latest look
}

// Options are how a data plane behaves.
type Options struct {
	// Behave says how the servers of a version behave; without it, all are
	// good. The version is the instance's tag "version".
	Behave func(version string) Behaviour
	// Speed is how many times faster than in AWS the time goes by: it divides
	// what target groups, rules, Auto Scaling groups and behaviours have of
	// durations. 0 is 1.
	Speed float64
	// Propagation is how long the load balancer goes on by its former rules
	// and weights after they were changed, as AWS's nodes do for seconds. It
	// is the machine's time.
	Propagation time.Duration
	// Replace has instances that the load balancer finds unhealthy replaced,
	// as Auto Scaling groups with the health check type ELB do in AWS after
	// their grace period.
	Replace bool
}

// Looks at moto. One takes four calls and two for each target group that may
// have changed, at some 6 ms each. So the data plane looks after each call
// that may have changed something and passed the proxy, and else only now and
// then, for what did not.
const (
	lookEvery  = 250 * time.Millisecond
	lookPause  = 20 * time.Millisecond // for several calls in a row
	lookWithin = 30 * time.Second
)

// NewDataPlane starts a data plane behind the listener of the landscape, and
// returns when it has seen everything that is there. It takes the proxy's
// Answer and Notify; Intercept stays free.
func NewDataPlane(ctx context.Context, a Account, l Landscape, p *Proxy, o Options) (*DataPlane, error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a data plane: %w", err)
	}
	d := &DataPlane{
		URL:      "http://" + listener.Addr().String(),
		options:  o,
		proxy:    p,
		observer: newObserver(a, l, o.Speed),
		requests: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		checks:   &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		watched:  make(chan struct{}),
		changed:  make(chan struct{}, 1),
		servers:  map[string]*server{},
		groups:   map[string]*targetGroup{},
		looked:   make(chan struct{}),
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

// Close ends the servers and the load balancer, and gives the proxy back. It
// returns the error, if any, of the latest look at moto.
func (d *DataPlane) Close() error {
	d.proxy.Notify(nil)
	d.proxy.Answer(nil)
	d.stop()
	<-d.watched
	_ = d.http.Close() // what is under way is meant to fail
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

// Sync waits until the data plane has seen what moto says now. It need not be
// called after calls that pass the proxy, unless the next request must know.
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

// notice is told of each call that passed the proxy.
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

// kill ends servers whose instances were terminated behind the back of their
// Auto Scaling group, so that nothing let them drain.
func (d *DataPlane) kill(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if s, ok := d.servers[id]; ok {
			s.die()
		}
	}
}

// touch asks for a look.
func (d *DataPlane) touch() {
	d.mu.Lock()
	d.changes++
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// catchUp waits for a look that began after all the changes so far, or failed.
func (d *DataPlane) catchUp(ctx context.Context) {
	d.mu.Lock()
	want := d.changes
	for d.seen < want {
		looked := d.looked
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-d.stopped:
			return
		case <-looked:
		}
		d.mu.Lock()
		if d.err != nil {
			break
		}
	}
	d.mu.Unlock()
}

// watch looks at moto again and again.
func (d *DataPlane) watch(ctx context.Context) {
	defer close(d.watched)
	for {
		err := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		d.mu.Lock()
		d.err = err
		close(d.looked)
		d.looked = make(chan struct{})
		d.mu.Unlock()
		if !pause(ctx, lookPause) {
			return
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
		case <-d.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (d *DataPlane) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	d.mu.Lock()
	changes := d.changes
	d.mu.Unlock()
	p, err := d.observer.look(ctx, changes)
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

// replace ends the instances that a load balancer finds unhealthy; moto's
// group starts others.
func (d *DataPlane) replace(ctx context.Context, p picture) {
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
		// It fails if the instance has been terminated meanwhile. If it is still
		// there, the next look finds it again.
		_, _ = d.observer.autoscaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false),
		}, func(o *autoscaling.Options) { o.RetryMaxAttempts = 1 })
		d.touch()
	}
}

// behave is the behaviour of a version's servers at the data plane's speed.
func (d *DataPlane) behave(version string) Behaviour {
	if d.options.Behave == nil {
		return Behaviour{}
	}
	b := d.options.Behave(version)
	b.HealthyAfter, b.DiesAfter = scaled(b.HealthyAfter, d.options.Speed), scaled(b.DiesAfter, d.options.Speed)
	return b
}
