package rollout

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Settings say how careful a rollout is.
type Settings struct {
	// Steps are the rising percentages, 1 to 100, of the requests that the new
	// generation gets one after the other. It gets all requests at the end,
	// whether or not the last of them is 100.
	Steps []int32 `json:"steps,omitempty"`
	// HealthyWithin bounds the time until new servers are healthy.
	HealthyWithin time.Duration `json:"healthy_within_ns"`
	// ObserveFor is how long servers and alarms are observed after each of the
	// Steps.
	ObserveFor time.Duration `json:"observe_for_ns"`
	// Alarms are observed for ObserveFor, and must not fire before the rollout.
	Alarms []string `json:"alarms,omitempty"`
	// MissingDataIsBad makes an alarm without data count as firing.
	MissingDataIsBad bool `json:"missing_data_is_bad,omitempty"`
	// CarryAlarmActions has alarms of others that call a scaling policy of the cluster call that
	// of the new generation. Otherwise such an alarm is a reason not to begin.
	CarryAlarmActions bool `json:"carry_alarm_actions,omitempty"`
	// TargetAlarms are made for the new generation, and observed as Alarms are; nil for none.
	TargetAlarms *cluster.TargetAlarms `json:"target_alarms,omitempty"`
	// Preview lets the requests of tests reach the new generation; nil for none. Its header's
	// value, and those of the Checks, may be secret.
	Preview *cluster.Preview `json:"preview,omitempty"`
	// Checks test the new generation before it gets requests, and after each shift.
	Checks []Check `json:"checks,omitempty"`
	// CheckURL is where the checks go; empty is the address of the load balancer.
	CheckURL string `json:"check_url,omitempty"`
	// Unreachable says what happens if the checks cannot be run.
	Unreachable Unreachable `json:"unreachable,omitempty"`
	// Drain is how long the old servers stay, without new requests, before they
	// are terminated.
	Drain time.Duration `json:"drain_ns"`
	// KeepPrevious keeps the old generation ready, so that going back to it only
	// changes weights.
	KeepPrevious bool `json:"keep_previous,omitempty"`
	// OnFailure says what happens to a new generation that failed.
	OnFailure OnFailure `json:"on_failure,omitempty"`
	// Protected says what happens to old servers that are protected from scale-in
	// or in standby.
	Protected Protected `json:"protected,omitempty"`
}

// OnFailure says what happens to a new generation that failed. The old one gets
// all requests back first.
type OnFailure string

const (
	// Undo removes the new generation.
	Undo OnFailure = "undo"
	// Keep leaves the new generation without requests, so that it can be examined.
	// The next rollout continues with it or removes it.
	Keep OnFailure = "keep"
)

// Protected says what happens to servers that are protected from scale-in or in
// standby.
type Protected string

const (
	// Wait waits, for an hour at most, until their protection ends.
	Wait Protected = "wait"
	// Ignore leaves them running, without requests. The next rollout removes them.
	Ignore Protected = "ignore"
	// Force terminates them.
	Force Protected = "force"
)

// DefaultHealthyWithin is the default of Settings.HealthyWithin.
const DefaultHealthyWithin = 15 * time.Minute

// Defaults returns the default settings for a cluster: its old servers stay for
// as long as their requests may take.
func Defaults(s cluster.Spec) Settings {
	d := Settings{HealthyWithin: DefaultHealthyWithin, OnFailure: Undo, Protected: Wait}
	if s.Target != nil {
		d.Drain = s.Target.DeregistrationDelay
	}
	return d
}

// Validate reports settings that contradict each other.
func (s Settings) Validate() error {
	var errs []error
	before := int32(0)
	for _, percent := range s.Steps {
		if percent <= before || percent > 100 {
			errs = append(errs, fmt.Errorf("rollout steps %v: they must rise, from at least 1 to at most 100 percent", s.Steps))
			break
		}
		before = percent
	}
	if len(s.Alarms) > 0 && s.ObserveFor == 0 {
		errs = append(errs, errors.New("rollout: alarms are observed for observe_for, which is 0; set it to the time that they need to fire"))
	}
	if t := s.TargetAlarms; t != nil {
		if err := t.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("rollout: %w", err))
		} else if s.ObserveFor < t.Window() {
			errs = append(errs, fmt.Errorf("rollout: observe_for is %s, but target_alarms need %s to fire (period times evaluation_periods); "+
				"observe for as long at least", s.ObserveFor, t.Window()))
		}
	}
	if u, err := url.Parse(s.CheckURL); s.CheckURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, errors.New("rollout: the preview's url must be an address such as https://balancer.example.com"))
	}
	for _, c := range s.Checks {
		if err := c.validate(); err != nil {
			errs = append(errs, fmt.Errorf("rollout: %w", err))
		}
	}
	return errors.Join(errs...)
}

// revise takes over the waits and the handling of failures from a later call, so
// that new settings can help a rollout finish that the old ones hold up. What
// shapes the plan stays as it was planned.
func (s *Settings) revise(by Settings) {
	s.HealthyWithin, s.ObserveFor = by.HealthyWithin, by.ObserveFor
	s.Alarms, s.MissingDataIsBad = by.Alarms, by.MissingDataIsBad
	s.OnFailure, s.Protected = by.OnFailure, by.Protected
	if len(s.Checks) > 0 { // otherwise no step runs them
		s.Checks, s.CheckURL, s.Unreachable = by.Checks, by.CheckURL, by.Unreachable
	}
}
