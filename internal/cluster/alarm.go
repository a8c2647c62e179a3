package cluster

import (
	"context"
	"fmt"
	"strings"
)

// Alarms reads the states of alarms, and makes those of a generation.
type Alarms interface {
	// Alarms returns one Alarm for each name, in their order.
	Alarms(ctx context.Context, names []string) ([]Alarm, error)
	// MakeAlarms makes the alarms on the generation's target group, and returns once all of
	// them are visible.
	MakeAlarms(ctx context.Context, g Generation, s Spec, t TargetAlarms) error
	// RemoveAlarms removes those of the alarms that exist.
	RemoveAlarms(ctx context.Context, names []string) error
}

// Alarm is an alarm and its state.
type Alarm struct {
	Name  string
	State AlarmState
	// Reason is the cloud's own text.
	Reason string
}

// AlarmState is the state of an alarm, in CloudWatch's words.
type AlarmState string

// The states of an alarm. AlarmMissing says that the alarm does not exist.
const (
	AlarmOK      AlarmState = "OK"
	AlarmFiring  AlarmState = "ALARM"
	AlarmNoData  AlarmState = "INSUFFICIENT_DATA"
	AlarmMissing AlarmState = "missing"
)

// Verdict returns an *AlarmError if any of the alarms fires or does not exist.
// With noDataIsBad, an alarm without data counts as firing.
func Verdict(alarms []Alarm, noDataIsBad bool) error {
	var bad []Alarm
	for _, a := range alarms {
		if a.State == AlarmFiring || a.State == AlarmMissing || a.State == AlarmNoData && noDataIsBad {
			bad = append(bad, a)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &AlarmError{Alarms: bad}
}

// AlarmError lists the alarms that Verdict objects to.
type AlarmError struct{ Alarms []Alarm }

func (e *AlarmError) Error() string {
	all := make([]string, len(e.Alarms))
	for i, a := range e.Alarms {
		all[i] = a.problem()
	}
	return strings.Join(all, "; ")
}

func (a Alarm) problem() string {
	s := fmt.Sprintf("alarm %q ", a.Name)
	switch a.State {
	case AlarmMissing:
		return s + "does not exist in this account and region"
	case AlarmNoData:
		s += "has no data, which counts as firing (missing_data)"
	default:
		s += "fires"
	}
	// The reason on one line, without a full stop: it becomes part of a sentence.
	if reason := strings.TrimRight(strings.Join(strings.Fields(a.Reason), " "), "."); reason != "" {
		s += ": " + reason
	}
	return s
}
