package rollout

import (
	"errors"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Settings say how careful a rollout is.
type Settings struct {
	// Steps are the percentages of the requests that the new generation gets,
	// one after the other, rising, the last one 100. Empty is all at once.
	Steps []int32
	// HealthyWithin is how long new servers may take to be healthy.
	HealthyWithin time.Duration
	// ObserveFor is how long the servers and the alarms are watched after each
	// of the Steps.
	ObserveFor time.Duration
	// Alarms are watched for ObserveFor, and must not fire before the rollout.
	Alarms []string
	// MissingDataIsBad has an alarm without data count as one that fires.
	MissingDataIsBad bool
	// Drain is how long the old servers stay, without new requests, before
	// they are ended.
	Drain time.Duration
	// KeepPrevious leaves the old generation ready, so that going back is one
	// change of weights.
	KeepPrevious bool
	// OnFailure is what becomes of a new generation that failed.
	OnFailure OnFailure
	// Protected is what becomes of old servers that are protected from
	// scale-in or in standby.
	Protected Protected
}

// OnFailure is what becomes of a new generation that failed. In either case
// the old one gets all requests back first.
type OnFailure string

// Undo removes the new generation. Keep leaves it without requests, to be
// looked at; the next rollout goes on with it or removes it.
const (
	Undo OnFailure = "undo"
	Keep OnFailure = "keep"
)

// Protected is what becomes of servers that somebody protected.
type Protected string

// Wait waits, for an hour at most, until they are protected no more. Ignore
// leaves them running, without requests, for the next rollout to remove. Force
// ends them.
const (
	Wait   Protected = "wait"
	Ignore Protected = "ignore"
	Force  Protected = "force"
)

// DefaultHealthyWithin is how long new servers may take where nobody says.
const DefaultHealthyWithin = 15 * time.Minute

// Defaults are the settings where nobody says otherwise, for a cluster as s:
// old servers stay for as long as their requests may take.
func Defaults(s cluster.Spec) Settings {
	d := Settings{HealthyWithin: DefaultHealthyWithin, OnFailure: Undo, Protected: Wait}
	if s.Target != nil {
		d.Drain = s.Target.DeregistrationDelay
	}
	return d
}

// Validate reports settings that contradict each other.
func (s Settings) Validate() error {
	var faults []error
	before := int32(0)
	for _, percent := range s.Steps {
		if percent <= before || percent > 100 {
			faults = append(faults, fmt.Errorf("rollout steps %v: they must rise, from at least 1 to at most 100 percent", s.Steps))
			break
		}
		before = percent
	}
	if len(s.Alarms) > 0 && s.ObserveFor == 0 {
		faults = append(faults, errors.New("rollout: alarms are watched for observe_for, which is 0; set it to how long they take to fire"))
	}
	return errors.Join(faults...)
}

// revise takes over what a later call says of the waits and of what becomes of
// failures, so that a rollout which these keep from its end can be gone on
// with. What shapes the plan stays as it was planned.
func (s *Settings) revise(by Settings) {
	s.HealthyWithin, s.ObserveFor = by.HealthyWithin, by.ObserveFor
	s.Alarms, s.MissingDataIsBad = by.Alarms, by.MissingDataIsBad
	s.OnFailure, s.Protected = by.OnFailure, by.Protected
}
