package builddata

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Events stores what happened to versions and in runs.
type Events interface {
	// Append stores all the events or none of them. An event of a version
	// that does not exist is ErrNotFound.
	Append(ctx context.Context, events ...Event) error
	// Events lists events in the order in which they were appended.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
}

// Event is something that happened to a version or in a run.
type Event struct {
	// ID is unique in the repository. Appending an event again with the same ID changes
	// nothing. A store gives an ID to an event that has none.
	ID      string `json:"id"`
	Service string `json:"service"`
	// Number is the number of the version. In a run it may be 0: the event happened before
	// the run had a version.
	Number int64 `json:"number,omitempty"`
	// Run is the run in which the event happened, and Step the name of the step; both are
	// empty outside of a run.
	Run  string `json:"run,omitempty"`
	Step string `json:"step,omitempty"`
	// Type says what happened: "bake", "deploy"; of a step, its task: "test.command".
	Type string `json:"type"`
	// Location is where it happened: a region, an environment or a machine.
	Location string `json:"location,omitempty"`
	Status   Status `json:"status"`
	// Reason is a code for why the event has its status; empty unless callers need to
	// distinguish reasons.
	Reason string `json:"reason,omitempty"`
	// Message is one line for people.
	Message string `json:"message,omitempty"`
	// Report is the full report, a link to it, or the name of its file.
	Report string `json:"report,omitempty"`
	// LogAddress is the address of the step's log, or of the part that was sent, in the log
	// store; empty if there is none.
	LogAddress string `json:"log_address,omitempty"`
	// OutputTail is the end of a failed step's output, without secrets.
	OutputTail string `json:"output_tail,omitempty"`
	// Outputs are the values that a step added to the context of the run, without secrets.
	Outputs map[string]string `json:"outputs,omitempty"`
	// At is a Timestamp. A store sets it if it is zero.
	At time.Time `json:"at"`
}

// RolloutEvent is the type of the events of rollouts.
const RolloutEvent = "deploy"

// Status is the status of an event, a run or a rollout.
type Status string

// The statuses. All but Started are final.
const (
	Started     Status = "started"
	Succeeded   Status = "succeeded"
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
	// Lost: the process died before it could record how it ended.
	Lost Status = "lost"
)

// Statuses lists every status.
var Statuses = []Status{Started, Succeeded, Failed, Interrupted, Lost}

// Validate returns an error for an event that no store accepts.
func (e Event) Validate() error {
	if err := ValidateService(e.Service); err != nil {
		return err
	}
	if e.Number < 0 || e.Number == 0 && e.Run == "" {
		return fmt.Errorf("event %q of service %s names neither a version nor a run", e.Type, e.Service)
	}
	if e.Run != "" {
		if err := ValidateRun(e.Run); err != nil {
			return err
		}
	}
	if e.Type == "" {
		return fmt.Errorf("an event of service %s has no type", e.Service)
	}
	_, err := parse("status", string(e.Status), Statuses)
	return err
}

// Complete returns the event with an ID and a time, if it lacks them.
func (e Event) Complete(newID func(now time.Time) string, now time.Time) Event {
	if e.ID == "" {
		e.ID = newID(now)
	}
	e.At = Timestamp(cmp.Or(e.At, now))
	return e
}

// Latest returns the latest event of each type and step. The events must be in the order in
// which they were appended, and so is the result.
func Latest(events []Event) []Event {
	type key struct{ eventType, step string }
	seen := map[key]bool{}
	var latest []Event
	for _, e := range slices.Backward(events) {
		if k := (key{e.Type, e.Step}); !seen[k] {
			seen[k] = true
			latest = append(latest, e)
		}
	}
	slices.Reverse(latest)
	return latest
}

// hasType reports whether a requirement names the type of the event, in any letter case, or
// the part of it before a dot. TYPE@ENVIRONMENT names the events of the type in one
// environment.
func (e Event) hasType(requirement string) bool {
	wanted, environment, located := strings.Cut(requirement, "@")
	wanted = strings.ToLower(wanted)
	return (e.Type == wanted || strings.HasPrefix(e.Type, wanted+".")) && (!located || e.Location == environment)
}

// EventQuery selects the events of one version or of one run of a service.
type EventQuery struct {
	Service string
	// Number selects the events of a version, Run those of a run; with both,
	// an event has to match both. One of them is required.
	Number int64
	Run    string
	// After selects the events after the one with this ID; none if that does not exist.
	After string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// Validate returns an error for a query that no store accepts.
func (q EventQuery) Validate() error {
	if err := ValidateService(q.Service); err != nil {
		return err
	}
	if q.Number == 0 && q.Run == "" {
		return fmt.Errorf("a query for events of service %s names neither a version nor a run", q.Service)
	}
	return nil
}
