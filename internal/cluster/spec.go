// Package cluster defines immutable server clusters: their specification, their
// generations, and what they need of a cloud. It knows the cloud only as the
// interface Cloud.
//
// Specifications are stored as JSON in the plans of rollouts: see package
// rollout before a tag or a type is changed. Durations are stored in
// nanoseconds, as the names of their keys say.
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
type ID struct {
	Service     string `json:"service"`
	Environment string `json:"environment"`
}

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
		return fmt.Errorf("environment %q: use 1 to 64 letters, digits, dots, underscores and hyphens, "+
			"beginning with a letter or digit", id.Environment)
	}
	return nil
}

// Spec specifies a cluster.
type Spec struct {
	ID
	// Version is the version that the image holds.
	Version string  `json:"version"`
	ImageID string  `json:"image_id"`
	Servers Servers `json:"servers"`
	Size    Size    `json:"size"`
	// Listener is where the cluster's requests come from, and Target is how they
	// reach the servers. A worker cluster has neither, and only the health of its
	// instances counts. Every other cluster has both.
	Listener *Listener `json:"listener,omitempty"`
	Target   *Target   `json:"target,omitempty"`
	// FurtherRules are other rules by which the cluster gets requests.
	FurtherRules []FurtherRule `json:"further_rules,omitempty"`
	// Tags are all the tags that everything in the cluster carries.
	Tags tagging.Set `json:"tags,omitempty"`
	// IgnoredTags are tags that others put on the cluster. They are neither compared
	// nor removed, and not given to new generations.
	IgnoredTags tagging.Ignored `json:"ignored_tags,omitzero"`
	// Attachments are declared. Carried are those that the generation before had by other means.
	Attachments Attachments `json:"attachments,omitzero"`
	Carried     Attachments `json:"carried,omitzero"`
	// TakeOver is the ARN of a target group of others that gets the requests which the rule of
	// the Listener selects. A creation moves them from there in steps; nothing else uses it.
	TakeOver string `json:"take_over,omitempty"`
}

// AllAttachments are those that a generation is to have.
func (s Spec) AllAttachments() Attachments { return s.Attachments.And(s.Carried) }

// ListenerARN is empty for a worker cluster.
func (s Spec) ListenerARN() string {
	if s.Listener == nil {
		return ""
	}
	return s.Listener.ARN
}

// SameServers reports whether a change from s to other needs no new servers:
// only sizes, tags, and the requests that the listener rule selects differ.
func (s Spec) SameServers(other Spec) bool {
	return s.ID == other.ID && s.Version == other.Version && s.ImageID == other.ImageID &&
		s.Servers.same(other.Servers) && s.ListenerARN() == other.ListenerARN() &&
		(s.Listener == nil || (s.Listener.Rule == nil) == (other.Listener.Rule == nil)) &&
		reflect.DeepEqual(s.Target, other.Target)
}

// same ignores the order of subnets, security groups and volumes. It also ignores which
// number "$Latest" or "$Default" meant: a later version of a launch template
// replaces no servers.
func (s Servers) same(other Servers) bool {
	for _, t := range []**Template{&s.Template, &other.Template} {
		if *t != nil {
			*t = &Template{ID: (*t).ID, Version: (*t).Version}
		}
	}
	for _, all := range []*[]string{&s.SubnetIDs, &s.SecurityGroupIDs, &other.SubnetIDs, &other.SecurityGroupIDs} {
		*all = slices.Sorted(slices.Values(*all))
	}
	s.Volumes, other.Volumes = sortedVolumes(s.Volumes), sortedVolumes(other.Volumes)
	return reflect.DeepEqual(s, other)
}

// Servers specifies the servers, except for their image.
type Servers struct {
	// Template, when set, is copied, and replaces all other fields but SubnetIDs,
	// OptionalTokens, Mixed and CapacityRebalance.
	Template *Template `json:"template,omitempty"`

	InstanceType string `json:"instance_type,omitempty"`
	// Mixed, when set, replaces the InstanceType.
	Mixed            *Mixed   `json:"mixed_instances,omitempty"`
	SubnetIDs        []string `json:"subnet_ids,omitempty"`
	SecurityGroupIDs []string `json:"security_group_ids,omitempty"`
	// InstanceProfile is the name or the ARN of an IAM instance profile.
	InstanceProfile string `json:"instance_profile,omitempty"`
	// UserData is plain text. Data that is not text is in UserDataBase64 instead. See
	// SetUserData.
	UserData       string `json:"user_data,omitempty"`
	UserDataBase64 string `json:"user_data_base64,omitempty"`
	// RootVolumeSize is in GiB; 0 keeps the image's size.
	RootVolumeSize int32         `json:"root_volume_size,omitempty"`
	RootVolume     VolumeOptions `json:"root_volume,omitzero"`
	Volumes        []Volume      `json:"volumes,omitempty"`
	// OptionalTokens also allows version 1 of the instance metadata service.
	OptionalTokens bool `json:"optional_tokens,omitempty"`
	// MetadataHopLimit is how far answers of the instance metadata service travel; 0
	// is the default.
	MetadataHopLimit   int32  `json:"metadata_hop_limit,omitempty"`
	KeyName            string `json:"key_name,omitempty"`
	DetailedMonitoring bool   `json:"detailed_monitoring,omitempty"`
	// CapacityRebalance replaces spot servers that are likely to be interrupted.
	CapacityRebalance bool `json:"capacity_rebalance,omitempty"`
}

// Template names a version of an existing launch template.
type Template struct {
	ID string `json:"id"`
	// Version is a number, "$Latest" or "$Default".
	Version string `json:"version"`
	// Number is the number of the version that is copied: Check finds out what
	// Version means when a rollout is planned. 0 if it is not on record.
	Number int64 `json:"number,omitempty"`
}

// WithTemplateOf returns s, which specifies the same servers as made, with the
// number of the template version that those were made from.
func (s Spec) WithTemplateOf(made Spec) Spec {
	if t, was := s.Servers.Template, made.Servers.Template; t != nil && was != nil && t.ID == was.ID && t.Version == was.Version {
		s.Servers.Template = was
	}
	return s
}

// Size bounds the number of servers. Autoscaling decides between the bounds.
type Size struct {
	Min int32 `json:"min"`
	Max int32 `json:"max"`
}

// String returns "2 to 4".
func (s Size) String() string { return fmt.Sprintf("%d to %d", s.Min, s.Max) }

// Listener is an existing listener, and the part of its requests that is meant
// for the cluster.
type Listener struct {
	ARN string `json:"arn"`
	// Rule selects requests. Without it, the cluster takes the listener's default
	// action.
	Rule *Rule `json:"rule,omitempty"`
}

// Target specifies the target group, by which requests reach a server.
type Target struct {
	Port     int32       `json:"port"`
	Protocol string      `json:"protocol"` // HTTP or HTTPS
	Health   HealthCheck `json:"health"`
	// DeregistrationDelay is the time that a server has to finish its requests
	// before it is terminated.
	DeregistrationDelay time.Duration `json:"deregistration_delay_ns"`
	// Stickiness is how long a client stays with its server; 0 turns it off.
	Stickiness time.Duration `json:"stickiness_ns"`
}

// SetHealth sets the health check. Its port and protocol are zero if they are those of the
// target, however they were named.
func (t *Target) SetHealth(h HealthCheck) {
	if h.Port == t.Port {
		h.Port = 0
	}
	if h.Protocol == t.Protocol {
		h.Protocol = ""
	}
	t.Health = h
}

// HealthCheck decides whether a server gets requests.
type HealthCheck struct {
	Path               string        `json:"path"`
	Matcher            string        `json:"matcher"` // status codes: "200", "200-299", "200,302"
	Interval           time.Duration `json:"interval_ns"`
	Timeout            time.Duration `json:"timeout_ns"`
	HealthyThreshold   int32         `json:"healthy_threshold"`
	UnhealthyThreshold int32         `json:"unhealthy_threshold"`
	// Port and Protocol are those of the checks; zero for those of the target.
	Port     int32  `json:"port,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	// GracePeriod is how long a new server may be unhealthy before it is replaced.
	GracePeriod time.Duration `json:"grace_period_ns"`
}

// Validate reports everything that is wrong whatever exists in the cloud.
func (s Spec) Validate() error {
	tags := Generation{Cluster: s.ID}.Tags(s.Tags)
	errs := []error{s.ID.Validate(), tags.Validate(), s.IgnoredTags.Validate(tags), s.Size.Validate(), s.Servers.Validate()}
	if (s.Listener == nil) != (s.Target == nil) {
		errs = append(errs, errors.New("listener and target belong together: set both, or neither for a worker cluster"))
	}
	if s.Listener != nil && s.Listener.Rule != nil {
		errs = append(errs, s.Listener.Rule.Validate())
	}
	errs = append(errs, s.validateFurtherRules())
	if s.Target != nil {
		errs = append(errs, s.Target.Health.Validate())
	}
	if s.TakeOver != "" && (s.Listener == nil || s.Listener.Rule == nil) {
		errs = append(errs, errors.New("what runs is taken over by a rule before its own, and removing that rule is the way back: "+
			"set listener and listener_rule; a default action cannot be taken over"))
	}
	errs = append(errs, s.Attachments.Validate(s.Target != nil))
	if len(s.Version) > MaxVersion {
		errs = append(errs, fmt.Errorf("the version has %d bytes, but a launch template can name one of at most %d", len(s.Version), MaxVersion))
	}
	return errors.Join(errs...)
}

// Warnings describes what the cloud may refuse.
func (s Spec) Warnings() []string {
	if s.Listener == nil || s.Listener.Rule == nil {
		return nil
	}
	return s.Listener.Rule.Warnings()
}

// Validate reports bounds that contradict each other.
func (s Size) Validate() error {
	if s.Min < 0 || s.Max < 1 || s.Min > s.Max {
		return fmt.Errorf("min_size is %d and max_size is %d: 0 ≤ min_size ≤ max_size and max_size ≥ 1 are required", s.Min, s.Max)
	}
	return nil
}
