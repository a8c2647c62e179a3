package cluster

import (
	"context"
	"fmt"
	"strings"
)

// Cloud is everything that a rollout needs of the cloud. Other callers ask for
// the part that they use.
//
// Every method first compares what exists with what is asked for and changes
// only the difference. So each can be called again after an error or an
// interruption, and something that is already gone is not an error. No method
// waits: while the cloud needs more time, the error is a *NotYetError, and the
// caller calls the method again.
type Cloud interface {
	Inspector
	Parts
	Attacher
	Traffic
	Previews
	Capacity
	Alarms
}

// Inspector describes what exists and changes nothing.
type Inspector interface {
	// Account returns the ID of the account that the credentials belong to.
	// Only in that account does "not found" mean that something is gone.
	Account(ctx context.Context) (string, error)
	// Check reports everything in s that does not exist or does not fit
	// together. It returns s with the number of its launch template's version;
	// a number that is known stays.
	Check(ctx context.Context, s Spec) (Spec, error)
	// Observe describes a generation, and lists the parts that are missing.
	Observe(ctx context.Context, g Generation, listenerARN string) (Observed, error)
	// Generations lists the generations of a cluster.
	Generations(ctx context.Context, id ID) ([]Generation, error)
}

// Parts creates, tags and removes the parts of generations.
type Parts interface {
	MakeTemplate(ctx context.Context, g Generation, s Spec) error
	MakeTargets(ctx context.Context, g Generation, s Spec) error
	// MakeServers creates the Auto Scaling group, which starts the least number
	// of servers that size allows. The group has the lifecycle hooks of s before the first
	// server starts.
	MakeServers(ctx context.Context, g Generation, s Spec, size Size) error

	// RemoveServers terminates the generation's servers, which finish their
	// requests first, and deletes the Auto Scaling group. Servers that are
	// protected from scale-in or in standby are terminated only with force.
	// Without it, the error is a *ProtectedError while such servers are left.
	RemoveServers(ctx context.Context, g Generation, force bool) error
	RemoveTargets(ctx context.Context, g Generation) error
	RemoveTemplate(ctx context.Context, g Generation) error

	// Retag gives everything in the generation, including running servers and
	// their volumes, exactly the tags of s, aside from ignored ones. Network interfaces of running
	// servers keep the tags that they were started with.
	Retag(ctx context.Context, g Generation, s Spec) error
}

// Attacher reads and sets what is attached to the groups of generations.
type Attacher interface {
	// Attached returns everything that is attached to a group; nothing if the group does not
	// exist. Policies have a Document, and, if a Policy can express them, their fields.
	Attached(ctx context.Context, g Generation) (Attached, error)
	// Attach gives a group all attachments of s but its further target groups, and removes the
	// obsolete ones.
	Attach(ctx context.Context, g Generation, s Spec, obsolete Attachments) error
	// JoinTargets has a group's servers join target groups, and LeaveTargets leave them.
	JoinTargets(ctx context.Context, g Generation, arns []string) error
	LeaveTargets(ctx context.Context, g Generation, arns []string) error
	// ShareCallers has the callers of one generation's policies call the policies of the same
	// names of another one, too. DropCallers ends the calls of a generation's policies.
	ShareCallers(ctx context.Context, from, to Generation) error
	DropCallers(ctx context.Context, g Generation) error
	// RemovePolicyAlarms removes the alarms that Attach made.
	RemovePolicyAlarms(ctx context.Context, g Generation) error
}

// Attached describes what is attached to a group.
type Attached struct {
	Attachments
	// Obstacles are what the group has and another group cannot be given: each says what it is
	// and what to do.
	Obstacles []string
	// Callers names the alarms that call a scaling policy of the group, aside from those that
	// Attach or AWS made.
	Callers []string
}

// Traffic distributes the requests of a listener among generations. All shares
// are percentages. The further rules of a cluster that exist get the same shares; Serve creates
// those that are missing.
type Traffic interface {
	// CheckRules reports further rules that a load balancer would refuse. Check does so, too.
	CheckRules(ctx context.Context, s Spec) error
	// Rules describes the further rules that exist, and returns the least percentage of the
	// requests that the generation gets by one of them; 100 for no rules.
	Rules(ctx context.Context, g Generation, rules []FurtherRule) (exist []FurtherRule, share int32, err error)
	// RemoveRules removes further rules of a cluster.
	RemoveRules(ctx context.Context, id ID, rules []FurtherRule) error
	// Connect has a listener use the generation's target group, because the load
	// balancer checks its health only then, and gives it no requests. It adds the
	// generation with weight 0 to the listener rule or default action by which
	// the cluster serves, or else creates a closed rule, which no request
	// matches. A rule or default action that does not belong to the cluster is
	// refused.
	Connect(ctx context.Context, g Generation, s Spec) error
	// Shift sends percent of the requests, 1 to 99, to g and the rest to from,
	// where Connect added g. If from is not connected there, g gets all of them;
	// a closed rule has none.
	//
	// For 100 % there is Serve, which does more than move the last requests: it
	// completes a move to another rule, and changes what the rule selects.
	Shift(ctx context.Context, g Generation, s Spec, from Generation, percent int32) error
	// TakeOver sends percent of the requests, 1 to 100, that the rule of s selects to g, where
	// Connect added it, and the rest to the target group that s takes over, which others made. At
	// 100 %, that leaves the rule. The first call opens a closed rule.
	TakeOver(ctx context.Context, g Generation, s Spec, percent int32) error
	// Serve sends all of the cluster's requests to the generation, at the
	// listener rule or default action of s, and has the rule select the requests
	// that s names, which opens a closed one. A closed rule that is not needed any
	// more is deleted. Conditions that a Rule cannot express are kept.
	Serve(ctx context.Context, g Generation, s Spec) error
	// Disconnect removes the generation from the listener. A rule that is left
	// without a generation of the cluster is deleted; a default action then answers 503. If
	// something else forwards to the generation, nothing is changed.
	Disconnect(ctx context.Context, g Generation, l Listener) error
}

// Capacity reports and bounds the number of servers.
type Capacity interface {
	// Health returns the health of each generation's servers. The number of
	// calls to the cloud does not grow with the number of servers.
	Health(ctx context.Context, generations ...Generation) ([]Health, error)
	// Resize sets the bounds of the group, and changes its desired capacity only
	// if it lies outside of them.
	Resize(ctx context.Context, g Generation, size Size) error
}

// NotYetError asks the caller to make a call again after a while: the cloud is
// still working on it, or does not show everywhere what it has confirmed.
type NotYetError struct {
	// Saw describes in a few words what the caller waits for.
	Saw string
	// Err is the cloud's error, if there was one.
	Err error
}

func (e *NotYetError) Error() string { return e.Saw }

// Unwrap returns the cloud's error.
func (e *NotYetError) Unwrap() error { return e.Err }

// ProtectedError says that only servers are left that force has to terminate.
// Waiting helps if their protection ends.
type ProtectedError struct {
	Generation Generation
	// Servers are their ids.
	Servers []string
}

func (e *ProtectedError) Error() string {
	return fmt.Sprintf("%s has servers that are protected from scale-in or in standby: %s", e.Generation.Name, clip(e.Servers, ", ", " and"))
}

// maxShown bounds how many servers or problems one message lists.
const maxShown = 5

// clip joins the first few words, and counts the rest.
func clip(words []string, separator, conjunction string) string {
	shown := words[:min(len(words), maxShown)]
	s := strings.Join(shown, separator)
	if more := len(words) - len(shown); more > 0 {
		s += fmt.Sprintf("%s %d more", conjunction, more)
	}
	return s
}

// Observed describes a generation as it exists. Fields of missing parts are
// zero.
type Observed struct {
	Spec
	// GroupName, TargetGroupARN and TemplateID identify the parts.
	GroupName, TargetGroupARN, TemplateID string
	// OwnRootVolumeSize says that Servers.RootVolumeSize differs from the image's.
	OwnRootVolumeSize bool
	// Share is the percentage of the requests that the generation gets at its
	// listener rule or default action; 0 without a listener.
	Share int32
	// ForeignConditions describes the conditions of the listener rule that a Rule cannot
	// express. They are kept. Values, which may be secret, are not shown.
	ForeignConditions []string
	// Missing names the parts that should exist and do not.
	Missing []string
}

// Gone reports whether nothing is left of the generation.
func (o Observed) Gone() bool {
	return o.GroupName == "" && o.TargetGroupARN == "" && o.TemplateID == ""
}

// Health is the health of a generation's servers.
type Health struct {
	// Exists says that there is a group, and that it is not being deleted.
	Exists bool
	// Size is the group's bounds.
	Size Size
	// Desired is the group's desired capacity. Healthy counts the servers that
	// are in service and pass their health check. Both are in servers, or, if the
	// servers are Weighted, in units of capacity; Healthy may then exceed Desired.
	Desired, Healthy int32
	Weighted         bool
	// Problems gives a reason for each server that is not healthy, and for the
	// group if it could not start one.
	Problems []string
	// Hopeless is why the group can start no server, if it has none and its latest attempt
	// failed for a reason that waiting does not remove; empty otherwise.
	Hopeless string
}

func (h Health) String() string {
	if !h.Exists {
		return "its Auto Scaling group does not exist"
	}
	s := fmt.Sprintf("%d of %d %s healthy", h.Healthy, h.Desired, units(h.Weighted))
	if len(h.Problems) == 0 {
		return s
	}
	return s + ": " + clip(h.Problems, "; ", "; and")
}
