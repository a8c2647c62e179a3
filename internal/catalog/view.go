package catalog

import (
	"encoding/json"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Version is a version with the stages it was promoted to.
type Version struct {
	Service        string            `json:"service"`
	Version        string            `json:"version"`
	Number         int64             `json:"number"`
	Scheme         builddata.Scheme  `json:"scheme"`
	Key            string            `json:"key,omitempty"`
	SourceRevision string            `json:"source_revision,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	CreatedAt      time.Time         `json:"created_at"`
	RevokedAt      *time.Time        `json:"revoked_at,omitempty"`
	RevokedReason  string            `json:"revoked_reason,omitempty"`
	// Stages are the stages it was promoted to, the latest first.
	Stages []string `json:"stages,omitempty"`
}

func newVersion(v builddata.Version) Version {
	version := Version{
		Service: v.Service, Version: v.Name, Number: v.Number, Scheme: v.Scheme, Key: v.Key,
		SourceRevision: v.SourceRevision, Labels: v.Labels, CreatedAt: v.CreatedAt,
	}
	if v.Revocation != nil {
		version.RevokedAt, version.RevokedReason = &v.Revocation.At, v.Revocation.Reason
	}
	return version
}

// History is a version with its events.
type History struct {
	Version
	Events []Event `json:"events"`
}

// Stage is a stage of a service with the version that is at it.
type Stage struct {
	Stage   string    `json:"stage"`
	Version string    `json:"version"`
	Number  int64     `json:"number"`
	Revoked bool      `json:"revoked,omitempty"`
	Since   time.Time `json:"since"`
	Run     string    `json:"run,omitempty"`
}

// Image is a machine image of a version.
type Image struct {
	Version      string                `json:"version"`
	Region       string                `json:"region"`
	ImageID      string                `json:"image_id"`
	Architecture string                `json:"architecture"`
	Status       builddata.ImageStatus `json:"status"`
	Digest       string                `json:"digest,omitempty"`
	Run          string                `json:"run,omitempty"`
	RegisteredAt time.Time             `json:"registered_at"`
}

// Event is something that happened to a version.
type Event struct {
	ID       string           `json:"id"`
	At       time.Time        `json:"at"`
	Run      string           `json:"run,omitempty"`
	Step     string           `json:"step,omitempty"`
	Type     string           `json:"type"`
	Location string           `json:"location,omitempty"`
	Status   builddata.Status `json:"status"`
	Reason   string           `json:"reason,omitempty"`
	Message  string           `json:"message,omitempty"`
	Report   string           `json:"report,omitempty"`
	// LogAddress is the address of the step's log in the log store, and OutputTail the end of
	// a failed step's output.
	LogAddress string            `json:"log_address,omitempty"`
	OutputTail string            `json:"output_tail,omitempty"`
	Outputs    map[string]string `json:"outputs,omitempty"`
}

// Events converts events.
func Events(all []builddata.Event) []Event {
	events := make([]Event, len(all))
	for i, e := range all {
		events[i] = Event{
			ID: e.ID, At: e.At, Run: e.Run, Step: e.Step, Type: e.Type, Location: e.Location, Status: e.Status,
			Reason: e.Reason, Message: e.Message, Report: e.Report, LogAddress: e.LogAddress, OutputTail: e.OutputTail, Outputs: e.Outputs,
		}
	}
	return events
}

// Run is one execution of a pipe.
type Run struct {
	Run         string            `json:"run"`
	Service     string            `json:"service"`
	Version     string            `json:"version,omitempty"`
	Number      int64             `json:"number,omitempty"`
	Pipe        string            `json:"pipe"`
	RunTo       string            `json:"run_to,omitempty"`
	RunTask     string            `json:"run_task,omitempty"`
	Revision    string            `json:"revision,omitempty"`
	Untraceable string            `json:"untraceable,omitempty"`
	Holder      string            `json:"holder"`
	Status      builddata.Status  `json:"status"`
	Message     string            `json:"message,omitempty"`
	StartedAt   time.Time         `json:"started_at"`
	SeenAt      time.Time         `json:"seen_at"`
	EndedAt     *time.Time        `json:"ended_at,omitempty"`
	Context     map[string]string `json:"context,omitempty"`
	Definition  json.RawMessage   `json:"definition,omitempty"`
	Events      []Event           `json:"events,omitempty"`
}

// NewRun converts a run, without the name of its version, its context, definition and
// events. A run in progress that has given no sign of life for builddata.RunLostAfter
// before now counts as lost.
func NewRun(r builddata.Run, now time.Time) Run {
	run := Run{
		Run: r.ID, Service: r.Service, Number: r.Number, Pipe: r.Pipe, RunTo: r.To, RunTask: r.Only, Revision: r.Revision,
		Untraceable: r.Untraceable, Holder: r.Holder, Status: r.State(now), Message: r.Message, StartedAt: r.StartedAt, SeenAt: r.SeenAt,
	}
	if run.Status == builddata.Lost && run.Message == "" {
		run.Message = "no sign of life since " + r.SeenAt.UTC().Format(time.DateTime)
	}
	if r.Ended() {
		run.EndedAt = &r.EndedAt
	}
	return run
}
