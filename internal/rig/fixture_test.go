package rig_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// fixture is an account with a data plane, 100 times faster than AWS. Its
// clients go through the proxy.
type fixture struct {
	*testing.T
	*rig.DataPlane
	account   rig.Account
	proxy     *rig.Proxy
	landscape rig.Landscape
	scaling   *autoscaling.Client
	compute   *ec2.Client
	balancing *elb.Client
}

func newFixture(t *testing.T, o rig.Options) *fixture {
	t.Helper()
	account := rig.NewAccount(t)
	s := &fixture{T: t, account: account}
	var err error
	if s.landscape, err = rig.Prepare(t.Context(), account, region); err != nil {
		t.Fatal(err)
	}
	if s.proxy, err = rig.NewProxy(account.Endpoint); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.proxy.Close() })
	if o.Speed == 0 {
		o.Speed = 100
	}
	if s.DataPlane, err = rig.NewDataPlane(t.Context(), account, s.landscape, s.proxy, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	account.Endpoint = s.proxy.URL
	cfg := account.Config(region)
	s.scaling, s.compute, s.balancing = autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg), elb.NewFromConfig(cfg)
	return s
}

// behaviours returns the behaviour of each version in the map.
func behaviours(b map[string]rig.Behaviour) func(string) rig.Behaviour {
	return func(version string) rig.Behaviour { return b[version] }
}

// generation starts servers of a version, and returns the ARN of their target
// group. All names are the version's.
func (s *fixture) generation(version string, servers int32, attributes map[string]string) string {
	s.Helper()
	s.template(version)
	arn := s.targetGroup(version, attributes)
	s.group(version, servers, arn)
	return arn
}

func (s *fixture) template(name string) {
	s.Helper()
	_, err := s.compute.CreateLaunchTemplate(s.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: &name,
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String(rig.BaseImage), InstanceType: ec2types.InstanceTypeT3Micro},
	})
	s.check(err)
}

func (s *fixture) targetGroup(name string, attributes map[string]string) string {
	s.Helper()
	made, err := s.balancing.CreateTargetGroup(s.Context(), &elb.CreateTargetGroupInput{
		Name: &name, Port: aws.Int32(8080), Protocol: types.ProtocolEnumHttp, VpcId: &s.landscape.VPC,
		HealthCheckPath: aws.String("/health"), HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2),
		HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: aws.Int32(2), Matcher: &types.Matcher{HttpCode: aws.String("200-299")},
	})
	s.check(err)
	arn := made.TargetGroups[0].TargetGroupArn
	in := &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: arn}
	for key, value := range attributes {
		in.Attributes = append(in.Attributes, types.TargetGroupAttribute{Key: &key, Value: &value})
	}
	if len(attributes) > 0 {
		_, err = s.balancing.ModifyTargetGroupAttributes(s.Context(), in)
		s.check(err)
	}
	return *arn
}

func (s *fixture) group(version string, servers int32, arn string) {
	s.Helper()
	_, err := s.scaling.CreateAutoScalingGroup(s.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &version, LaunchTemplate: &asgtypes.LaunchTemplateSpecification{LaunchTemplateName: &version},
		MinSize: aws.Int32(0), MaxSize: aws.Int32(4), DesiredCapacity: &servers,
		VPCZoneIdentifier: aws.String(strings.Join(s.landscape.Subnets, ",")), TargetGroupARNs: []string{arn},
		HealthCheckType: aws.String("ELB"), HealthCheckGracePeriod: aws.Int32(10),
		Tags: []asgtypes.Tag{{
			Key: aws.String("version"), Value: &version, PropagateAtLaunch: aws.Bool(true),
			ResourceId: &version, ResourceType: aws.String("auto-scaling-group"),
		}},
	})
	s.check(err)
}

// resize sets how many servers a group has.
func (s *fixture) resize(version string, servers int32) {
	s.Helper()
	_, err := s.scaling.UpdateAutoScalingGroup(s.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &version, DesiredCapacity: &servers,
	})
	s.check(err)
	s.sync()
}

// forward is an action; sticky is in seconds.
func forward(weights map[string]int32, sticky int32) []types.Action {
	config := &types.ForwardActionConfig{}
	for _, arn := range slices.Sorted(maps.Keys(weights)) {
		config.TargetGroups = append(config.TargetGroups, types.TargetGroupTuple{TargetGroupArn: &arn, Weight: aws.Int32(weights[arn])})
	}
	if sticky > 0 {
		config.TargetGroupStickinessConfig = &types.TargetGroupStickinessConfig{Enabled: aws.Bool(true), DurationSeconds: &sticky}
	}
	return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: config}}
}

// serve sends all requests by weight.
func (s *fixture) serve(weights map[string]int32, sticky int32) {
	s.Helper()
	_, err := s.balancing.ModifyListener(s.Context(), &elb.ModifyListenerInput{
		ListenerArn: &s.landscape.Listener, DefaultActions: forward(weights, sticky),
	})
	s.check(err)
	s.sync()
}

func (s *fixture) sync() {
	s.Helper()
	s.check(s.Sync(s.Context()))
}

// health describes the targets of a group, through the proxy.
func (s *fixture) health(arn string) []types.TargetHealth {
	s.Helper()
	out, err := s.balancing.DescribeTargetHealth(s.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	s.check(err)
	var all []types.TargetHealth
	for _, d := range out.TargetHealthDescriptions {
		all = append(all, *d.TargetHealth)
	}
	return all
}

// await waits until all targets of a group are in a state.
func (s *fixture) await(arn string, state types.TargetHealthStateEnum) {
	s.Helper()
	s.eventually("targets are "+string(state), func() bool {
		all := s.health(arn)
		return len(all) > 0 && !slices.ContainsFunc(all, func(h types.TargetHealth) bool { return h.State != state })
	})
}

func (s *fixture) eventually(what string, is func() bool) {
	s.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("never: %s", what)
		}
	}
}

// answer is what a client got.
type answer struct {
	status            int
	version, instance string
	body              string
}

// get asks the load balancer, with a client of its own or one that keeps cookies.
func (s *fixture) get(client *http.Client, path, host string) answer {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.URL+path, nil)
	s.check(err)
	req.Host = host
	resp, err := client.Do(req)
	s.check(err)
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	s.check(err)
	return answer{resp.StatusCode, resp.Header.Get("X-Version"), resp.Header.Get("X-Instance"), string(body)}
}

func (s *fixture) client() *http.Client {
	s.Helper()
	jar, err := cookiejar.New(nil)
	s.check(err)
	transport := &http.Transport{}
	s.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// load sends requests for a time.
func (s *fixture) load(rate int, last time.Duration) rig.Report {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), last)
	defer cancel()
	return (&rig.Load{URL: s.URL, Rate: rate}).Run(ctx)
}

func (s *fixture) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}
