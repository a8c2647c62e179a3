package pipe

import (
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Summary is a run so far, or in the end.
type Summary struct {
	// Run is the run's id.
	Run     string `json:"run"`
	Pipe    string `json:"pipe"`
	Service string `json:"service"`
	// Version is empty until the run has one, and Number its number.
	Version string `json:"version,omitempty"`
	Number  int64  `json:"number,omitempty"`
	// Revision is the SCM revision; Untraceable says why the run is not tied
	// to one that the remote has, and is empty if it is.
	Revision    string `json:"revision,omitempty"`
	Untraceable string `json:"untraceable,omitempty"`
	// Status is Started while the run is in progress. In the section last it is
	// what the run will end with, unless another step fails.
	Status builddata.Status `json:"status"`
	// FailedStep is the first step that failed, or was interrupted if the run
	// was; empty if there is none.
	FailedStep string `json:"failed_step,omitempty"`
	// Steps are those that have ended; in the end, in the order in which they began.
	Steps     []StepSummary `json:"steps"`
	StartedAt time.Time     `json:"started_at"`
	// Elapsed is how long the run took, by the monotonic clock where there is one.
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Failed returns the step FailedStep, nil if there is none.
func (s *Summary) Failed() *StepSummary {
	for i := range s.Steps {
		if s.FailedStep != "" && s.Steps[i].Name == s.FailedStep {
			return &s.Steps[i]
		}
	}
	return nil
}

// Reason is a code for why a step has its status.
type Reason string

// The reasons.
const (
	// ReasonWhenFalse: the step was skipped, because its when is false.
	ReasonWhenFalse Reason = "when_false"
	// ReasonMissingValue: the step of the section last was skipped, because the
	// step that sets a value it needs did not succeed.
	ReasonMissingValue Reason = "missing_value"
	// ReasonAbandoned: the step of the section last was skipped, because the run
	// was stopped.
	ReasonAbandoned Reason = "abandoned"
	// ReasonTimedOut: the step failed, because it took longer than its timeout.
	ReasonTimedOut Reason = "timed_out"
)

// StepSummary is what became of a step.
type StepSummary struct {
	Name    string           `json:"name"`
	Task    string           `json:"task"`
	Section Section          `json:"section"`
	Status  builddata.Status `json:"status"`
	// Reason is a code that says why the step was skipped, or why it failed if
	// that is one of the Reasons.
	Reason Reason `json:"reason,omitempty"`
	// Message is one line for people; of a failed step it says why.
	Message  string   `json:"message,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Outputs are what the step put on the context, but for secrets.
	Outputs map[string]string `json:"outputs,omitempty"`
	Report  string            `json:"report,omitempty"`
	// Tail is the end of what a failed step printed, and Log the file that
	// holds all of it.
	Tail string `json:"output_tail,omitempty"`
	Log  string `json:"log,omitempty"`
	// Attempts is how often the step was tried.
	Attempts  int           `json:"attempts"`
	StartedAt time.Time     `json:"started_at"`
	Elapsed   time.Duration `json:"elapsed_ns"`
}
