package rollout

import (
	"fmt"
	"strconv"
	"strings"
)

// Step is one step of a rollout. It can be run twice.
type Step struct {
	Kind Kind `json:"kind"`
	// Generation names the generation that the step changes or watches.
	Generation string `json:"generation"`
	// Percent is the share of the requests that the new generation gets, for Shift
	// and for the RunChecks and Observe after it.
	Percent int32 `json:"percent,omitempty"`
}

// Kind is the code of what a step does, as plans and journals store it.
type Kind string

// The kinds of steps.
const (
	PinCapacity        Kind = "pin_capacity"
	MakeTemplate       Kind = "make_template"
	MakeTargets        Kind = "make_targets"
	Connect            Kind = "connect"
	MakeServers        Kind = "make_servers"
	ScaleToLive        Kind = "scale_to_live"
	WaitHealthy        Kind = "wait_healthy"
	Shift              Kind = "shift"
	Serve              Kind = "serve"
	WaitOpen           Kind = "wait_open"
	Observe            Kind = "observe"
	WaitDrain          Kind = "wait_drain"
	UnpinCapacity      Kind = "unpin_capacity"
	Disconnect         Kind = "disconnect"
	WaitStickyExpiry   Kind = "wait_sticky_expiry"
	RemoveServers      Kind = "remove_servers"
	RemoveTargets      Kind = "remove_targets"
	RemoveTemplate     Kind = "remove_template"
	RestoreTraffic     Kind = "restore_traffic"
	Retag              Kind = "retag"
	Attach             Kind = "attach"
	JoinTargets        Kind = "join_targets"
	LeaveTargets       Kind = "leave_targets"
	RemovePolicyAlarms Kind = "remove_policy_alarms"
	EndTakeOver        Kind = "end_take_over"
	// CheckAttached puts what the generation before has lost during the rollout.
	CheckAttached Kind = "check_attached"
	OpenPreview   Kind = "open_preview"
	WaitPreview   Kind = "wait_preview"
	RunChecks     Kind = "check"
	ClosePreview  Kind = "close_preview"
	MakeAlarms    Kind = "make_alarms"
	RemoveAlarms  Kind = "remove_alarms"
)

// Kinds that no plan has. From the journal's entry beginRollback on, a rollout
// is rolled back. Only errors name recordEnd.
const (
	beginRollback Kind = "begin_rollback"
	recordEnd     Kind = "record_end"
)

var titles = map[Kind]string{
	PinCapacity:        "pin the capacity",
	MakeTemplate:       "create the launch template",
	MakeTargets:        "create the target group",
	Connect:            "connect to the listener",
	MakeServers:        "start the servers",
	ScaleToLive:        "scale to the live size",
	WaitHealthy:        "wait for healthy servers",
	Shift:              "shift requests",
	Serve:              "send all requests",
	WaitOpen:           "wait until it is open to requests",
	Observe:            "observe",
	WaitDrain:          "wait for requests to finish",
	UnpinCapacity:      "unpin the capacity",
	Disconnect:         "disconnect from the listener",
	WaitStickyExpiry:   "wait for stickiness to expire",
	RemoveServers:      "terminate the servers",
	RemoveTargets:      "remove the target group",
	RemoveTemplate:     "remove the launch template",
	RestoreTraffic:     "send all requests back",
	Retag:              "update the tags",
	Attach:             "attach policies, schedules and the like",
	JoinTargets:        "join further target groups",
	LeaveTargets:       "leave further target groups",
	RemovePolicyAlarms: "remove the alarms of scaling policies",
	EndTakeOver:        "end the take-over",
	CheckAttached:      "check policies, schedules and the like",
	OpenPreview:        "open the preview",
	WaitPreview:        "wait until the preview is open",
	RunChecks:          "run the checks",
	ClosePreview:       "close the preview",
	MakeAlarms:         "create the alarms",
	RemoveAlarms:       "remove the alarms",
	beginRollback:      "begin the rollback",
	recordEnd:          "record the end",
}

// Title describes the kind for people. A kind that this release does not know
// has none but its code.
func (k Kind) Title() string {
	if title, ok := titles[k]; ok {
		return title
	}
	return string(k)
}

// Title describes the step for people.
func (s Step) Title() string {
	title := s.Kind.Title()
	switch {
	case s.Generation == "":
		return title
	case s.Percent == 0:
		return fmt.Sprintf("%s: %s", title, s.Generation)
	case s.Kind == Shift:
		return fmt.Sprintf("%s: %d%% to %s", title, s.Percent, s.Generation)
	}
	return fmt.Sprintf("%s: %s at %d%%", title, s.Generation, s.Percent)
}

// Code identifies the step in journals, and is unique in a plan:
// "shift:web-prod-bcd12345:25". ParseStep reads it.
func (s Step) Code() string {
	code := string(s.Kind)
	if s.Generation != "" {
		code += ":" + s.Generation
	}
	if s.Percent != 0 {
		code += fmt.Sprintf(":%d", s.Percent)
	}
	return code
}

// ParseStep reads what Code writes. The kind need not be known to this release.
func ParseStep(code string) (Step, error) {
	kind, rest, _ := strings.Cut(code, ":")
	generation, percent, hasPercent := strings.Cut(rest, ":")
	s := Step{Kind: Kind(kind), Generation: generation}
	if hasPercent {
		n, err := strconv.ParseInt(percent, 10, 32)
		if err != nil {
			return Step{}, fmt.Errorf("%q is not a valid step: %w", code, err)
		}
		s.Percent = int32(n)
	}
	if s.Code() != code {
		return Step{}, fmt.Errorf("%q is not a valid step", code)
	}
	return s, nil
}
