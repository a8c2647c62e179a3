package builddata

import (
	"fmt"
	"time"
)

// Event is something that happened to a version.
type Event struct {
	// ID is unique in the repository. Appending an event whose ID is already
	// there changes nothing, so a report may be sent again. A store gives an
	// ID to an event that has none.
	ID      string
	Service string
	// Number is the version's. In a run it may be 0: then it happened before the
	// run had a version.
	Number int64
	// Run is the pipe run it happened in; empty outside of one. Step is the
	// name of the step.
	Run  string
	Step string

	// What happened: "bake", "deploy"; of a step, its task: "test.command".
	What string
	// Where it happened: a region, an environment or a machine.
	Where  string
	Status Status
	// Message is one line for people.
	Message string
	// Report is the full report, or links to it, or names its file.
	Report string
	// Outputs are the values that a step gave to the run, but for secrets.
	Outputs map[string]string

	// At has microsecond precision and is in UTC. A store sets it where it is zero.
	At time.Time
}

// Status is how far an event has come.
type Status string

// The statuses. All but Started are final.
const (
	Started     Status = "started"
	Succeeded   Status = "succeeded"
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
	// Lost: whoever was at it died without saying so.
	Lost Status = "lost"
)

// Statuses lists every status.
var Statuses = []Status{Started, Succeeded, Failed, Interrupted, Lost}

// Validate reports what no store may accept.
func (e Event) Validate() error {
	if err := ValidateService(e.Service); err != nil {
		return err
	}
	if e.Number < 0 || e.Number == 0 && e.Run == "" {
		return fmt.Errorf("event %q of service %s names no version", e.What, e.Service)
	}
	if e.What == "" {
		return fmt.Errorf("an event of service %s does not say what happened", e.Service)
	}
	_, err := parse("status", string(e.Status), Statuses)
	return err
}

// EventQuery selects the events of one version or of one run, in the order
// they were appended.
type EventQuery struct {
	// Service and Number select a version. With a Run they may be left out.
	Service string
	Number  int64
	// Run, when set, leaves out the events of other runs.
	Run string
	// After continues behind the event with this ID; behind one that does not
	// exist there is nothing.
	After string
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}
