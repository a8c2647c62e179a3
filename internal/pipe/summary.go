package pipe

import (
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Summary describes a run that is in progress or has ended.
type Summary struct {
	// Run is the ID of the run.
	Run     string `json:"run"`
	Pipe    string `json:"pipe"`
	Service string `json:"service"`
	// Version and Number are the version of the run; empty and 0 until it has one.
	Version string `json:"version,omitempty"`
	Number  int64  `json:"number,omitempty"`
	// Revision is the SCM revision of the checkout. Untraceable says why the remote does
	// not have it; empty if the remote does.
	Revision    string `json:"revision,omitempty"`
	Untraceable string `json:"untraceable,omitempty"`
	// Status is Started while the run is in progress. In the section last, it is the status
	// that the run ends with unless another step fails.
	Status builddata.Status `json:"status"`
	// FailedStep is the first step that failed or, in an interrupted run, that was
	// interrupted; empty if there is none.
	FailedStep string `json:"failed_step,omitempty"`
	// Message says more about the status, on one line: why the run failed, or which steps
	// failed although it succeeded.
	Message string `json:"message,omitempty"`
	// Steps are the steps that have ended. Once the run has ended, they are in the order in
	// which they began.
	Steps     []StepSummary `json:"steps"`
	StartedAt time.Time     `json:"started_at"`
	// Elapsed is the duration of the run.
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Failed returns the summary of FailedStep; nil if there is none.
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
	// ReasonStopped: the step of the section last was skipped, because the run was stopped.
	ReasonStopped Reason = "stopped"
	// ReasonTimedOut: the step failed, because it took longer than its timeout.
	ReasonTimedOut Reason = "timed_out"
	// ReasonBusy: the step failed, because another process is changing the same thing.
	ReasonBusy Reason = "busy"
	// ReasonOlder: the step failed, because it would deploy an older version than the latest.
	ReasonOlder Reason = "older_version"
	// ReasonUnmet: the step failed, because what it requires of the version has not happened.
	ReasonUnmet Reason = "requirements_unmet"
)

// StepSummary describes a step that is running, has ended, or was skipped.
type StepSummary struct {
	Name    string           `json:"name"`
	Task    string           `json:"task"`
	Section Section          `json:"section"`
	Status  builddata.Status `json:"status"`
	// AllowedFailure says that the step failed, but that the run does not fail for it.
	AllowedFailure bool `json:"allowed_failure,omitempty"`
	// Reason is a code for why the step was skipped or failed; empty if there is no code
	// for it.
	Reason Reason `json:"reason,omitempty"`
	// Environment is the environment on which the step acts; empty if it acts on none.
	Environment string `json:"environment,omitempty"`
	// Message is one line for people. For a failed step, it says why the step failed.
	Message  string   `json:"message,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Outputs are the values that the step added to the context, without secrets.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Withheld are the names of the outputs that are neither shown nor stored, since they
	// are secrets or contain one.
	Withheld []string `json:"withheld,omitempty"`
	// NotStored are the names of the values that a failed step needs and that an earlier step
	// has set, but that another run of the step does not have, since they are not stored.
	NotStored []string `json:"-"`
	Report    string   `json:"report,omitempty"`
	// Tail is the end of a failed step's output, Log the file with the complete output, and
	// LogAddress the address of the log in the log store.
	Tail       string `json:"output_tail,omitempty"`
	Log        string `json:"log,omitempty"`
	LogAddress string `json:"log_address,omitempty"`
	// Attempts is the number of attempts.
	Attempts  int           `json:"attempts"`
	StartedAt time.Time     `json:"started_at"`
	Elapsed   time.Duration `json:"elapsed_ns"`
	// Hints are those of the error with which the step failed.
	Hints []Hint `json:"-"`
}

// shortTail is the number of lines of a failed step's output that messages show.
const shortTail = 20

// ShortTail returns the last lines of Tail.
func (s *StepSummary) ShortTail() string {
	lines := strings.Split(s.Tail, "\n")
	return strings.Join(lines[max(0, len(lines)-shortTail):], "\n")
}
