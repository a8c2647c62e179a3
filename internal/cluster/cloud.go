package cluster

import (
	"context"
	"fmt"
	"strings"
)

// Cloud is what a cluster needs of the cloud. Every method looks first and
// acts only on the difference, so each may be called again after an error or
// an interruption, and nothing that is already gone is an error. No method
// waits: what takes the cloud longer than its calls is a *NotYetError, and the
// method is to be called again.
type Cloud interface {
	// Account names the account that is acted in: where another one is, nothing
	// that is not there is gone.
	Account(ctx context.Context) (string, error)

	// Check reports everything in s that does not exist or does not fit
	// together, without changing anything.
	Check(ctx context.Context, s Spec) error

	// MakeTemplate, MakeTargets and MakeServers make the parts of a
	// generation. The group starts with as many servers as its bounds force.
	MakeTemplate(ctx context.Context, g Generation, s Spec) error
	MakeTargets(ctx context.Context, g Generation, s Spec) error
	MakeServers(ctx context.Context, g Generation, s Spec, size Size) error

	// Connect gives the generation a place at the listener, which it needs to
	// be found healthy: without requests while another generation of the
	// cluster serves there, else with all of them. A rule or default action
	// that something else made is refused.
	Connect(ctx context.Context, g Generation, s Spec) error
	// Shift sends a percentage of the cluster's requests, 1 to 99, to one
	// generation and the rest to the other, where Connect gave the first one
	// its place. If the other has no place there, the first gets all.
	Shift(ctx context.Context, to Generation, s Spec, percent int32, from Generation) error
	// Serve sends all of the cluster's requests to the generation, and has the
	// listener select those requests that s says.
	Serve(ctx context.Context, g Generation, s Spec) error
	// Disconnect takes the generation from the listener. A rule that is left
	// without a generation is deleted; a default action answers 503 from then
	// on. If something else forwards to the generation, nothing is changed.
	Disconnect(ctx context.Context, g Generation, l Listener) error

	// Health says how the servers of each generation are. The number of calls
	// it takes does not grow with the number of servers.
	Health(ctx context.Context, generations ...Generation) ([]Health, error)
	// Alarms says in which state each alarm is.
	Alarms(ctx context.Context, names []string) ([]Alarm, error)

	// RemoveServers ends the generation's servers, which finish their
	// requests, and with all that are gone its group. Servers that are
	// protected from scale-in or in standby are ended only by force; while
	// such are left without it, the error is a *ProtectedError.
	RemoveServers(ctx context.Context, g Generation, force bool) error
	RemoveTargets(ctx context.Context, g Generation) error
	RemoveTemplate(ctx context.Context, g Generation) error

	// Resize sets the bounds of the group, and of its present size only what
	// the bounds force.
	Resize(ctx context.Context, g Generation, size Size) error
	// Retag gives everything in the generation, running servers and their
	// volumes included, exactly the tags of s. Network interfaces of running
	// servers keep those they were started with.
	Retag(ctx context.Context, g Generation, s Spec) error

	// Observe reports what there is of a generation, and whether all of its
	// parts are.
	Observe(ctx context.Context, g Generation, listenerARN string) (Observed, error)
	// Generations lists the generations of a cluster.
	Generations(ctx context.Context, id ID) ([]Generation, error)
}

// NotYetError says that a call has to be made again after a while: the cloud
// is still at it, or does not know everywhere what it has confirmed already.
type NotYetError struct {
	// Saw says what is waited for, in a few words.
	Saw string
	// Err is what the cloud said; nil if it said nothing wrong.
	Err error
}

func (e *NotYetError) Error() string { return e.Saw }

// Unwrap returns what the cloud said.
func (e *NotYetError) Unwrap() error { return e.Err }

// ProtectedError says that servers are left which only force ends. Waiting
// helps once whoever protected them is done.
type ProtectedError struct {
	Generation Generation
	// Servers are their ids.
	Servers []string
}

func (e *ProtectedError) Error() string {
	shown := e.Servers[:min(len(e.Servers), maxProblems)]
	s := fmt.Sprintf("%s has servers that are protected from scale-in or in standby: %s", e.Generation.Name, strings.Join(shown, ", "))
	if more := len(e.Servers) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Observed is what there is of a generation. Fields of parts that are missing
// are zero.
type Observed struct {
	Spec
	// GroupName, TargetGroupARN and TemplateID name the parts.
	GroupName, TargetGroupARN, TemplateID string
	// OwnRootVolumeSize says that Servers.RootVolumeSize is not the image's.
	OwnRootVolumeSize bool
	// Share is the percentage that the generation gets of the requests at its
	// place at the listener; 0 without a listener.
	Share int32
	// Missing names the parts that should be there and are not.
	Missing []string
}

// Gone reports whether there is nothing left of the generation.
func (o Observed) Gone() bool {
	return o.GroupName == "" && o.TargetGroupARN == "" && o.TemplateID == ""
}

// Health is how the servers of a generation are.
type Health struct {
	// Exists says that there is a group, and that it is not being deleted.
	Exists bool
	// Size is the group's bounds.
	Size Size
	// Desired is how many servers there should be, Healthy how many are in
	// service and pass their health check.
	Desired, Healthy int32
	// Problems says of each other one why it is not healthy, and of the group
	// why it could not start one.
	Problems []string
}

// maxProblems bounds how many problems one message lists.
const maxProblems = 5

func (h Health) String() string {
	if !h.Exists {
		return "its Auto Scaling group is not there"
	}
	s := fmt.Sprintf("%d of %d servers healthy", h.Healthy, h.Desired)
	if len(h.Problems) == 0 {
		return s
	}
	shown := h.Problems[:min(len(h.Problems), maxProblems)]
	s += ": " + strings.Join(shown, "; ")
	if more := len(h.Problems) - len(shown); more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}

// Alarm is the state of an alarm.
type Alarm struct {
	Name  string
	State AlarmState
	// Reason is the cloud's own words.
	Reason string
}

// AlarmState is how an alarm stands.
type AlarmState string

// The states of an alarm. AlarmMissing: there is no such alarm.
const (
	AlarmOK      AlarmState = "OK"
	AlarmFiring  AlarmState = "ALARM"
	AlarmNoData  AlarmState = "INSUFFICIENT_DATA"
	AlarmMissing AlarmState = "missing"
)
