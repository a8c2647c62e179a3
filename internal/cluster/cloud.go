package cluster

import (
	"context"
	"fmt"
	"strings"
)

// Cloud is what a cluster needs of the cloud. Every method looks first and
// acts only on the difference, so each may be called again after an error or
// an interruption, and nothing that is already gone is an error.
type Cloud interface {
	// Check reports everything in s that does not exist or does not fit
	// together, without changing anything.
	Check(ctx context.Context, s Spec) error

	// MakeTemplate, MakeTargets and MakeServers make the parts of a
	// generation. The group starts with size servers.
	MakeTemplate(ctx context.Context, g Generation, s Spec) error
	MakeTargets(ctx context.Context, g Generation, s Spec) error
	MakeServers(ctx context.Context, g Generation, s Spec, size int32) error

	// Connect gives the generation a place at the listener, which it needs to
	// be found healthy: without requests while another generation of the
	// cluster serves there, else with all of them. A rule or default action
	// that something else made is refused.
	Connect(ctx context.Context, g Generation, s Spec) error
	// Serve sends all of the cluster's requests to the generation.
	Serve(ctx context.Context, g Generation, s Spec) error
	// Disconnect takes the generation from the listener. A rule that is left
	// without a generation is deleted; a default action answers 503 from then
	// on. If something else forwards to the generation, nothing is changed.
	Disconnect(ctx context.Context, g Generation, l Listener) error

	// Health says how the generation's servers are.
	Health(ctx context.Context, g Generation) (Health, error)

	// RemoveServers, RemoveTargets and RemoveTemplate return when the part is gone.
	RemoveServers(ctx context.Context, g Generation) error
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

// Observed is what there is of a generation. Fields of parts that are missing
// are zero.
type Observed struct {
	Spec
	// GroupName, TargetGroupARN and TemplateID name the parts.
	GroupName, TargetGroupARN, TemplateID string
	// OwnRootVolumeSize says that Servers.RootVolumeSize is not the image's.
	OwnRootVolumeSize bool
	// Missing names the parts that should be there and are not.
	Missing []string
}

// Gone reports whether there is nothing left of the generation.
func (o Observed) Gone() bool {
	return o.GroupName == "" && o.TargetGroupARN == "" && o.TemplateID == ""
}

// Health is how the servers of a generation are.
type Health struct {
	// Desired is how many there should be, Healthy how many are in service
	// and pass their health check.
	Desired, Healthy int
	// Problems says of each other one why it is not healthy, and of the group
	// why it could not start one.
	Problems []string
}

// maxProblems bounds how many problems one message lists.
const maxProblems = 5

func (h Health) String() string {
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
