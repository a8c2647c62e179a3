package rollout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Error says that a rollout did not come to its end, and where that leaves the
// cluster.
type Error struct {
	Cluster cluster.ID
	// ID is the rollout's; empty if it never began.
	ID string
	// From and To are versions, empty for none.
	From, To string
	// Cleanup says that no more was to be done than to remove what was kept.
	Cleanup bool
	// Step is what failed, and Err why.
	Step string
	Err  error
	// Outcome is where that leaves the cluster.
	Outcome Outcome
	// Serving says what gets the requests now.
	Serving string
	// UndoErr says why taking the rollout back stopped, if it did.
	UndoErr error
}

// Outcome is where a failure leaves a cluster.
type Outcome int

// Refused: nothing was begun. Undone: all is as it was before. Stopped: the
// rollout is in the journal, to be gone on with or taken back. Settled: the
// new version serves and only the removal of the old one is not complete.
const (
	Refused Outcome = iota
	Undone
	Stopped
	Settled
)

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s.\n\nWhat happened: ", e.headline())
	if e.Step != "" {
		fmt.Fprintf(&s, "the step %q failed: ", e.Step)
	}
	fmt.Fprintf(&s, "%s.\nState now:     ", sentence(e.Err))
	undo := fmt.Sprintf("\"delivery rollout undo %s\"", e.Cluster)
	var lost *builddata.LostError
	if errors.As(e, &lost) {
		fmt.Fprintf(&s, "somebody else has taken over since, and nothing more is changed here.\nWhat to do:    see \"delivery rollout status %s\".", e.Cluster)
		return s.String()
	}
	if e.Outcome == Settled && e.To == "" {
		fmt.Fprintf(&s, "%s; everything that may be left of it is on record.\nWhat to do:    mend the cause and destroy again to go on, or apply to have it whole again.", e.Serving)
		return s.String()
	}
	switch e.Outcome {
	case Refused:
		fmt.Fprintf(&s, "nothing was changed; %s.\nWhat to do:    mend the cause and apply again.", e.Serving)
	case Undone:
		fmt.Fprintf(&s, "%s; nothing is left that was made for this rollout.\nWhat to do:    mend the cause and apply again.", e.Serving)
	case Settled:
		fmt.Fprintf(&s, "%s; what was to be removed may be there in part, as rollout %s has on record.\nWhat to do:    mend the cause and apply again to go on.", e.Serving, e.ID)
	case Stopped:
		fmt.Fprintf(&s, "%s; rollout %s is not at its end, and everything it made is on record", e.Serving, e.ID)
		if e.UndoErr != nil {
			fmt.Fprintf(&s, "; taking it back stopped, too: %s", sentence(e.UndoErr))
		}
		fmt.Fprintf(&s, ".\nWhat to do:    apply again to go on, or take it back with %s.", undo)
	}
	return s.String()
}

func (e *Error) headline() string {
	switch {
	case e.Outcome == Settled && e.To != "" && !e.Cleanup:
		return fmt.Sprintf("rollout of cluster %s from version %s to %s is not complete", e.Cluster, e.From, e.To)
	case e.Cleanup:
		return fmt.Sprintf("the generation that cluster %s kept could not be removed", e.Cluster)
	case e.From == "" && e.To != "":
		return fmt.Sprintf("cluster %s could not be made with version %s", e.Cluster, e.To)
	case e.To == "":
		return fmt.Sprintf("cluster %s could not be removed", e.Cluster)
	case e.From == e.To:
		return fmt.Sprintf("rollout of new servers of version %s in cluster %s failed", e.To, e.Cluster)
	}
	return fmt.Sprintf("rollout of cluster %s from version %s to %s failed", e.Cluster, e.From, e.To)
}

// sentence is an error's text without the full stop that some end with.
func sentence(err error) string { return strings.TrimRight(err.Error(), ".") }

// Unwrap returns the causes.
func (e *Error) Unwrap() []error { return []error{e.Err, e.UndoErr} }

// UnhealthyError says that servers that were healthy are no more.
type UnhealthyError struct {
	Generation string
	Health     cluster.Health
}

func (e *UnhealthyError) Error() string {
	return fmt.Sprintf("servers of %s do not stay healthy: %s", e.Generation, e.Health)
}

// AbortError says that somebody asked to take the rollout back.
type AbortError struct{ By string }

func (e *AbortError) Error() string { return "its abortion was asked for by " + e.By }

// errLastHealthy: taking the rollout back would leave the requests nothing.
var errLastHealthy = errors.New("the old servers are not healthy and the new ones are, so the requests stay with those")
