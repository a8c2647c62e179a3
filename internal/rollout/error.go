package rollout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Error says why a rollout failed or stopped, and in which state the cluster is.
type Error struct {
	Cluster cluster.ID
	// ID is the rollout's; empty if it did not start.
	ID string
	// From and To are versions, empty for none.
	From, To string
	// Cleanup says that the rollout was only to remove the kept generation.
	Cleanup bool
	// Step is the step that failed, if it was one.
	Step Step
	Err  error

	Outcome Outcome
	// Serving says in words what gets the requests now.
	Serving string
	// RollbackErr says why the rollback stopped, if it did.
	RollbackErr error
}

// Outcome is the state in which a failure leaves a cluster.
type Outcome int

const (
	// Refused: the rollout did not start.
	Refused Outcome = iota
	// RolledBack: everything is as it was before.
	RolledBack
	// Stopped: the rollout can be resumed or rolled back.
	Stopped
	// Irreversible: the rollout can no longer be rolled back, and what it was to
	// remove is not removed completely.
	Irreversible
)

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s.\n\nWhat happened: ", e.headline())
	if e.Step.Kind != "" {
		fmt.Fprintf(&s, "the step %q failed: ", e.Step.Title())
	}
	now, do := e.advice()
	fmt.Fprintf(&s, "%s.\nState now:     %s.\nWhat to do:    %s.", sentence(e.Err), now, do)
	return s.String()
}

// advice describes the state of the cluster and what to do.
func (e *Error) advice() (now, do string) {
	if errors.As(e, new(*builddata.LostError)) {
		return "another process has taken over, and this one changes nothing more",
			fmt.Sprintf("see \"delivery rollout status %s\"", e.Cluster)
	}
	switch e.Outcome {
	case Refused:
		return "nothing was changed; " + e.Serving, "fix the cause and apply again"
	case RolledBack:
		if e.cannotTell() {
			return e.Serving + "; nothing is left that was made for this rollout",
				"make the load balancer reachable from where the rollout runs, set the preview's url to an address that is, " +
					"or set its unreachable to \"continue\", and apply again"
		}
		return e.Serving + "; nothing is left that was made for this rollout", "fix the cause and apply again"
	case Irreversible:
		if e.To == "" {
			return e.Serving + "; everything that may be left of the cluster is on record",
				"fix the cause and destroy again to continue, or apply to make the cluster complete again"
		}
		return fmt.Sprintf("%s; parts of what was to be removed may still exist, and rollout %s has them on record", e.Serving, e.ID),
			"fix the cause and apply again to continue"
	}
	now = fmt.Sprintf("%s; rollout %s has not finished, and everything that it created is on record", e.Serving, e.ID)
	if e.RollbackErr != nil {
		now += "; the rollback stopped, too: " + sentence(e.RollbackErr)
	}
	return now, fmt.Sprintf("apply again to continue, or roll back with \"delivery rollout undo %s\"", e.Cluster)
}

func (e *Error) headline() string {
	switch {
	case e.Outcome == Irreversible && e.To != "" && !e.Cleanup:
		return fmt.Sprintf("rollout of cluster %s from version %s to %s is not complete", e.Cluster, e.From, e.To)
	case e.Cleanup:
		return fmt.Sprintf("the kept generation of cluster %s could not be removed", e.Cluster)
	case e.Outcome == RolledBack && e.cannotTell():
		return fmt.Sprintf("cluster %s was not changed to version %s, because the version could not be checked", e.Cluster, e.To)
	case e.From == "" && e.To != "":
		return fmt.Sprintf("cluster %s could not be created with version %s", e.Cluster, e.To)
	case e.To == "":
		return fmt.Sprintf("cluster %s could not be removed", e.Cluster)
	case e.From == e.To:
		return fmt.Sprintf("rollout of new servers of version %s in cluster %s failed", e.To, e.Cluster)
	}
	return fmt.Sprintf("rollout of cluster %s from version %s to %s failed", e.Cluster, e.From, e.To)
}

// cannotTell reports whether the rollout failed for a reason that says nothing about the
// version.
func (e *Error) cannotTell() bool {
	return errors.As(e.Err, new(*UnreachableError)) || errors.As(e.Err, new(*recordedUnreachable))
}

// recordedUnreachable is an *UnreachableError as another process recorded it.
type recordedUnreachable struct{ error }

// sentence is an error's text without the full stop that some end with.
func sentence(err error) string { return strings.TrimRight(err.Error(), ".") }

// Unwrap returns the causes.
func (e *Error) Unwrap() []error { return []error{e.Err, e.RollbackErr} }

// UnhealthyError says that servers were healthy and no longer are.
type UnhealthyError struct {
	Generation string
	Health     cluster.Health
}

func (e *UnhealthyError) Error() string {
	return fmt.Sprintf("servers of %s do not stay healthy: %s", e.Generation, e.Health)
}

// LaunchError says that the cloud cannot start any server of a generation.
type LaunchError struct {
	Generation string
	// Reason is in the cloud's words.
	Reason string
}

func (e *LaunchError) Error() string {
	return fmt.Sprintf("no server of %s can be started, and waiting does not help: %s", e.Generation, e.Reason)
}

// AbortError says that a user or another process requested an abort.
type AbortError struct{ By string }

func (e *AbortError) Error() string { return "abort requested by " + e.By }

// errLastHealthy: after a rollback, no healthy server would get requests.
var errLastHealthy = errors.New("the old servers are not healthy and the new ones are, so the new ones keep the requests")
