// Package cluster defines immutable server clusters: their specification, their
// generations, and what they need of a cloud. It knows the cloud only as the
// interface Cloud.
package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// ID names a cluster: one service in one environment.
type ID struct{ Service, Environment string }

// String returns service/environment.
func (id ID) String() string { return id.Service + "/" + id.Environment }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	service, environment, ok := strings.Cut(s, "/")
	id := ID{Service: service, Environment: environment}
	if !ok {
		return ID{}, fmt.Errorf("%q is not a valid cluster: use service/environment, for example \"strawberry/prod\"", s)
	}
	return id, id.Validate()
}

var environmentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate checks both names.
func (id ID) Validate() error {
	if err := builddata.ValidateService(id.Service); err != nil {
		return err
	}
	if !environmentPattern.MatchString(id.Environment) {
		return fmt.Errorf("environment %q: use 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit", id.Environment)
	}
	return nil
}

// Spec is what a cluster should be.
type Spec struct {
	ID
	// Version is the version that the image holds.
	Version string
	ImageID string
	Servers Servers
	Size    Size
	// Listener is where the cluster's requests come from, and Target how they
	// reach the servers. A cluster has both or neither: without, it is a
	// worker cluster, judged by its instances' health alone.
	Listener *Listener
	Target   *Target
	// Tags are all the tags that everything in the cluster carries.
	Tags tagging.Set
}

// ListenerARN is empty for a worker cluster.
func (s Spec) ListenerARN() string {
	if s.Listener == nil {
		return ""
	}
	return s.Listener.ARN
}

// SameServers reports whether a cluster as s can become one as other by
// changes that leave its servers as they are: sizes, tags, and for which
// requests its listener rule stands.
func (s Spec) SameServers(other Spec) bool {
	return s.ID == other.ID && s.Version == other.Version && s.ImageID == other.ImageID &&
		s.Servers.same(other.Servers) && s.ListenerARN() == other.ListenerARN() &&
		(s.Listener == nil || (s.Listener.Rule == nil) == (other.Listener.Rule == nil)) &&
		reflect.DeepEqual(s.Target, other.Target)
}

// same compares what the servers are made of. The order of subnets and
// security groups means nothing.
func (s Servers) same(other Servers) bool {
	for _, all := range []*[]string{&s.SubnetIDs, &s.SecurityGroupIDs, &other.SubnetIDs, &other.SecurityGroupIDs} {
		*all = slices.Sorted(slices.Values(*all))
	}
	return reflect.DeepEqual(s, other)
}

// Servers is what the servers are made of, beside the image.
type Servers struct {
	// Template, when set, is copied and takes the place of the other fields
	// but SubnetIDs.
	Template *Template

	InstanceType     string
	SubnetIDs        []string
	SecurityGroupIDs []string
	// InstanceProfile is the name or the ARN of an IAM instance profile.
	InstanceProfile string
	// UserData is plain text, not base64.
	UserData string
	// RootVolumeSize is in GiB; 0 leaves it as the image has it.
	RootVolumeSize int32
	// OptionalTokens admits version 1 of the instance metadata service.
	OptionalTokens bool
}

// Template names a version of a launch template that exists already.
type Template struct {
	ID string
	// Version is a number, "$Latest" or "$Default".
	Version string
}

// Size bounds how many servers there are. Between the bounds, whoever scales
// the group decides.
type Size struct{ Min, Max int32 }

// String returns "2 to 4".
func (s Size) String() string { return fmt.Sprintf("%d to %d", s.Min, s.Max) }

// Listener is a listener that exists already, and the part of its requests
// that is meant for the cluster.
type Listener struct {
	ARN string
	// Rule selects requests; without it the cluster takes the listener's
	// default action.
	Rule *Rule
}

// Rule selects requests by host and path; those given must all match.
type Rule struct {
	// Priority is 1 to 50000 and unique in the listener.
	Priority int32
	Hosts    []string
	Paths    []string
}

// Target is how requests reach a server.
type Target struct {
	Port     int32
	Protocol string // HTTP or HTTPS
	Health   HealthCheck
	// DeregistrationDelay is how long a server that leaves may finish its requests.
	DeregistrationDelay time.Duration
	// Stickiness is how long a client stays with its server; 0 is not at all.
	Stickiness time.Duration
}

// HealthCheck decides whether a server gets requests.
type HealthCheck struct {
	Path               string
	Matcher            string // status codes: "200", "200-299", "200,302"
	Interval           time.Duration
	Timeout            time.Duration
	HealthyThreshold   int32
	UnhealthyThreshold int32
	// GracePeriod is how long a new server may be unhealthy before it is replaced.
	GracePeriod time.Duration
}

// Validate reports everything that cannot work whatever the cloud holds.
func (s Spec) Validate() error {
	faults := []error{s.ID.Validate(), Generation{Cluster: s.ID}.Tags(s.Tags).Validate(), s.Size.Validate()}
	if (s.Listener == nil) != (s.Target == nil) {
		faults = append(faults, errors.New("listener and target belong together: set both, or neither for a worker cluster"))
	}
	if s.Listener != nil && s.Listener.Rule != nil {
		faults = append(faults, s.Listener.Rule.Validate())
	}
	if s.Target != nil && s.Target.Health.Timeout >= s.Target.Health.Interval {
		faults = append(faults, fmt.Errorf("health check: the timeout (%s) must be shorter than the interval (%s)", s.Target.Health.Timeout, s.Target.Health.Interval))
	}
	return errors.Join(faults...)
}

// Validate reports bounds that contradict each other.
func (s Size) Validate() error {
	if s.Min < 0 || s.Max < 1 || s.Min > s.Max {
		return fmt.Errorf("min_size is %d and max_size is %d: 0 ≤ min_size ≤ max_size and max_size ≥ 1 are required", s.Min, s.Max)
	}
	return nil
}

// maxConditionValues is how many hosts and paths together AWS takes in one
// rule, https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html.
const maxConditionValues = 5

// Validate reports what a load balancer would refuse.
func (r Rule) Validate() error {
	switch n := len(r.Hosts) + len(r.Paths); {
	case n == 0:
		return errors.New("the listener rule selects nothing: give hosts, paths or both, or leave the rule out to take the listener's default action")
	case n > maxConditionValues:
		return fmt.Errorf("the listener rule has %d hosts and paths, but a load balancer takes at most %d in one rule", n, maxConditionValues)
	}
	return nil
}
