package awscloud_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/probe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

const (
	rolloutRegion = "eu-north-1"
	rolloutHost   = "strawberry.example.com"
)

var strawberry = cluster.ID{Service: "strawberry", Environment: "prod"}

// fast is a clock that runs speed times as fast as the machine's.
type fast struct {
	began time.Time
	speed float64
}

func newFast(speed float64) fast { return fast{clock.System{}.Now(), speed} }

func (f fast) Now() time.Time {
	return f.began.Add(time.Duration(float64(clock.System{}.Now().Sub(f.began)) * f.speed))
}

func (f fast) Sleep(ctx context.Context, d time.Duration) error {
	return clock.System{}.Sleep(ctx, time.Duration(float64(d)/f.speed))
}

// site is an AWS account with a network, a cluster in it that is rolled out
// through a proxy, and a repository.
type site struct {
	testing.TB
	account   rig.Account
	landscape rig.Landscape
	proxy     *rig.Proxy
	plane     *rig.DataPlane // nil without one
	clock     clock.Clock
	speed     float64       // of the clock
	path      string        // of the repository
	sticky    time.Duration // how long a client stays with its server
	unhealthy int32         // how many checks a server fails until it is unhealthy
	// defaultAction says that the cluster takes the listener's default action.
	defaultAction bool
	// foreign are things in the account that are not the cluster's, as rig.Leftovers names them.
	foreign []string
	// change changes the cluster's specification; nil leaves it alone.
	change  func(*cluster.Spec)
	cloud   *awscloud.Cloud
	manager *rollout.Manager
	// The test's own calls do not pass the proxy.
	scaling   *autoscaling.Client
	balancing *elb.Client

	mu   sync.Mutex
	said []string
}

// enter has this process act with credentials that lead into any account, and
// try each call so often.
func enter(t testing.TB, attempts int) {
	t.Helper()
	rig.Acceptance(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_MAX_ATTEMPTS": fmt.Sprint(attempts),
	} {
		t.Setenv(name, value)
	}
}

// newSite opens an account in moto.
func newSite(t testing.TB, moto *rig.Moto, c clock.Clock) (s *site, err error) {
	s = &site{TB: t, clock: c, unhealthy: 2, path: filepath.Join(t.TempDir(), "delivery.db")}
	if s.account, err = moto.Account(t.Context()); err != nil {
		return nil, err
	}
	if s.landscape, err = rig.Prepare(t.Context(), s.account, rolloutRegion); err != nil {
		return nil, err
	}
	if s.proxy, err = rig.NewProxy(s.account.Endpoint); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = s.proxy.Close() })
	endpoints := map[string]string{}
	for _, name := range awscloud.EndpointNames {
		endpoints[name] = s.proxy.URL
	}
	s.cloud, err = awscloud.Open(t.Context(), awscloud.Config{
		Region: rolloutRegion, AssumeRole: &awscloud.AssumeRole{RoleARN: s.account.RoleARN(), SessionName: "test"},
		Endpoints: endpoints, Clock: c,
	})
	if err != nil {
		return nil, err
	}
	s.scaling = autoscaling.NewFromConfig(s.account.Config(rolloutRegion))
	s.balancing = elb.NewFromConfig(s.account.Config(rolloutRegion))
	store, err := s.open()
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = store.Close() })
	s.manager = s.run("the test", store)
	return s, nil
}

// openSite opens an account in the moto that all tests share, with a clock
// that goes so fast and, if options are given, with a data plane.
func openSite(t testing.TB, speed float64, o *rig.Options) *site {
	t.Helper()
	moto, err := rig.Shared()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t, moto, newFast(speed))
	if err != nil {
		t.Fatal(err)
	}
	s.speed = speed
	if o != nil {
		s.openPlane(*o)
	}
	return s
}

// openPlane adds a data plane.
func (s *site) openPlane(o rig.Options) {
	s.Helper()
	o.Speed = s.speed
	plane, err := rig.NewDataPlane(s.Context(), s.account, s.landscape, s.proxy, o)
	if err != nil {
		s.Fatal(err)
	}
	s.plane = plane
	s.Cleanup(func() {
		if err := plane.Close(); err != nil {
			s.Error(err)
		}
	})
}

// open opens the repository as a process does.
func (s *site) open() (*sqlite.Store, error) {
	return sqlite.Open(s.Context(), s.path, s.clock)
}

// run is a process that works on the cluster.
func (s *site) run(holder string, store rollout.Store) *rollout.Manager {
	return &rollout.Manager{
		Cloud: s.cloud, Store: store, Prober: probe.Prober{}, Clock: s.clock, Region: rolloutRegion, Holder: holder, Entropy: rand.Reader,
		Progress: func(_ context.Context, format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.said = append(s.said, fmt.Sprintf(format, args...))
		},
	}
}

// log is the output of the latest processes, for people who examine a failure.
func (s *site) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "\n\t" + strings.Join(s.said[max(0, len(s.said)-40):], "\n\t")
}

// spec is the cluster with a version.
func (s *site) spec(version string) cluster.Spec {
	spec := cluster.Spec{
		ID: strawberry, Version: version, ImageID: rig.BaseImage,
		Servers: cluster.Servers{
			InstanceType: "t3.micro", SubnetIDs: s.landscape.Subnets, SecurityGroupIDs: []string{s.landscape.SecurityGroup},
		},
		Size:     cluster.Size{Min: 2, Max: 6},
		Listener: &cluster.Listener{ARN: s.landscape.Listener, Rule: &cluster.Rule{Priority: 100, Hosts: []string{rolloutHost}}},
		Target: &cluster.Target{
			Port: 8080, Protocol: "HTTP", DeregistrationDelay: 20 * time.Second, Stickiness: s.sticky,
			Health: cluster.HealthCheck{
				Path: "/health", Matcher: "200-299", Interval: 5 * time.Second, Timeout: 2 * time.Second,
				HealthyThreshold: 2, UnhealthyThreshold: s.unhealthy, GracePeriod: time.Minute,
			},
		},
		Tags: tagging.Set{
			tagging.Service: strawberry.Service, tagging.Environment: strawberry.Environment, tagging.Version: version,
		},
	}
	if s.defaultAction {
		spec.Listener.Rule = nil
	}
	if s.change != nil {
		s.change(&spec)
	}
	return spec
}

// apply brings the cluster to a version and returns the name of the generation
// that serves then.
func (s *site) apply(version string, settings rollout.Settings) string {
	s.Helper()
	e, err := s.manager.Apply(s.Context(), s.spec(version), settings, s.known())
	if err != nil {
		s.Fatalf("rollout of version %s: %v%s", version, err, s.log())
	}
	if e.Serving == nil || e.Serving.Spec.Version != version {
		s.Fatalf("version %s was rolled out, and %+v serves", version, e.Serving)
	}
	return e.Serving.Name
}

// known is what Terraform's state holds of the cluster.
func (s *site) known() *rollout.GenerationRecord {
	s.Helper()
	p, err := rollout.ReadStatus(s.Context(), s.manager.Store, strawberry, s.manager.Region)
	if err != nil {
		s.Fatal(err)
	}
	return p.Serving
}

// destroy destroys the cluster, and checks that nothing is left.
func (s *site) destroy() {
	s.Helper()
	if err := s.manager.Destroy(s.Context(), strawberry, s.known()); err != nil {
		s.Fatalf("%v%s", err, s.log())
	}
	left, err := s.leftovers(s.Context())
	if err != nil || len(left) > 0 {
		s.Errorf("left behind: %q (%v)", left, err)
	}
}

// leftovers lists what is left of clusters.
func (s *site) leftovers(ctx context.Context) ([]string, error) {
	left, err := rig.Leftovers(ctx, s.account, s.landscape)
	return slices.DeleteFunc(left, func(thing string) bool { return slices.Contains(s.foreign, thing) }), err
}

// group describes a generation's Auto Scaling group; nil if it does not exist.
func (s *site) group(ctx context.Context, name string) (*asgtypes.AutoScalingGroup, error) {
	out, err := s.scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil || len(out.AutoScalingGroups) == 0 {
		return nil, err
	}
	return &out.AutoScalingGroups[0], nil
}

// scale sets a generation's desired capacity, as autoscaling does. It passes the
// proxy, so that a data plane knows at once.
func (s *site) scale(ctx context.Context, name string, desired int32) error {
	_, err := s.scaling.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &name, DesiredCapacity: &desired},
		func(o *autoscaling.Options) { o.BaseEndpoint = &s.proxy.URL })
	return err
}

// inService counts a group's servers that are in service.
func inService(group asgtypes.AutoScalingGroup) (n int32) {
	for _, i := range group.Instances {
		if i.LifecycleState == asgtypes.LifecycleStateInService && aws.ToString(i.HealthStatus) == "Healthy" {
			n++
		}
	}
	return n
}

// weights are those of the generations at the listener, by name.
func (s *site) weights(ctx context.Context) (map[string]int32, error) {
	out, err := s.balancing.DescribeRules(ctx, &elb.DescribeRulesInput{ListenerArn: &s.landscape.Listener})
	if err != nil {
		return nil, err
	}
	weights := map[string]int32{}
	for _, rule := range out.Rules {
		for _, action := range rule.Actions {
			if action.ForwardConfig == nil {
				continue
			}
			for _, t := range action.ForwardConfig.TargetGroups {
				// arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID
				weights[strings.Split(aws.ToString(t.TargetGroupArn), "/")[1]] += aws.ToInt32(t.Weight)
			}
		}
	}
	return weights, nil
}

// checkIdle reports everything that is wrong while nothing is in progress:
// everything that exists must be on record, one generation must serve all
// requests, and nothing may be pinned, suspended or reset.
func (s *site) checkIdle(ctx context.Context, serving string, live int32) error {
	p, err := rollout.ReadStatus(ctx, s.manager.Store, strawberry, s.manager.Region)
	if err != nil {
		return err
	}
	if p.Open != nil {
		return fmt.Errorf("rollout %s has not finished", p.Open.ID)
	}
	if p.Serving == nil || p.Serving.Spec.Version != serving {
		return fmt.Errorf("according to the records %+v serves, want version %s", p.Serving, serving)
	}
	there := []string{p.Serving.Name}
	if p.Kept != nil {
		there = append(there, p.Kept.Name)
	}
	for _, left := range p.Left {
		there = append(there, left.Name)
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	left, err := s.leftovers(ctx)
	if err != nil {
		return err
	}
	found := map[string]int{}
	for _, thing := range left {
		kind, name, _ := strings.Cut(thing, " "+strawberry.Service+"-")
		if name == "" { // an instance, a volume or a rule
			kind = thing[:strings.LastIndex(thing, " ")]
		} else if !slices.Contains(there, strawberry.Service+"-"+name) {
			fault("%s exists and is not on record", thing)
		}
		found[kind]++
	}
	servers := 0
	for _, name := range there {
		group, err := s.group(ctx, name)
		if err != nil {
			return err
		}
		if group == nil {
			fault("Auto Scaling group %s is gone", name)
			continue
		}
		servers += len(group.Instances)
		if len(group.SuspendedProcesses) > len(s.spec("").Attachments.SuspendedProcesses) {
			fault("%s: %d processes are suspended", name, len(group.SuspendedProcesses))
		}
		if is, want := (cluster.Size{Min: aws.ToInt32(group.MinSize), Max: aws.ToInt32(group.MaxSize)}), s.spec("").Size; is != want &&
			!slices.ContainsFunc(p.Left, func(l rollout.GenerationRecord) bool { return l.Name == name }) {
			fault("%s: its bounds are %s, want %s", name, is, want)
		}
		if name == there[0] && (inService(*group) != aws.ToInt32(group.DesiredCapacity) || live > 0 && inService(*group) != live) {
			fault("%s: %d servers are in service and %d desired, want %d", name, inService(*group), aws.ToInt32(group.DesiredCapacity), live)
		}
	}
	rules := 1
	for _, r := range s.spec("").FurtherRules {
		if r.ListenerARN == s.landscape.Listener {
			rules++
		}
	}
	if s.defaultAction {
		rules--
	}
	// Moto gives a server more volumes than one.
	for kind, want := range map[string]int{
		"Auto Scaling group": len(there), "launch template": len(there), "target group": len(there),
		"instance": servers, "listener rule": rules,
	} {
		if found[kind] != want {
			fault("%d times %s, want %d", found[kind], kind, want)
		}
	}
	weights, err := s.weights(ctx)
	if err != nil {
		return err
	}
	if weights[there[0]] == 0 {
		fault("%s has no requests: %v", there[0], weights)
	}
	for name, weight := range weights {
		if name != there[0] && weight > 0 && !slices.Contains(s.foreign, "target group "+name) {
			fault("%s has requests, too: %v", name, weights)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "; "))
	}
	return nil
}
