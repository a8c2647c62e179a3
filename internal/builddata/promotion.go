package builddata

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Promotions stores which version was promoted to which stage.
type Promotions interface {
	// Promote promotes a version to a stage, as Promotion.Evaluate decides. A version that
	// does not exist is ErrNotFound.
	Promote(ctx context.Context, p Promotion) (Promotion, error)
	// Promotions lists the promotions of a service, the latest first.
	Promotions(ctx context.Context, q PromotionQuery) ([]Promotion, error)
	// LatestPromotions lists the latest promotion to each stage of a service,
	// by stage.
	LatestPromotions(ctx context.Context, service string) ([]Promotion, error)
}

// Promotion is the promotion of a version to a stage.
type Promotion struct {
	Service string
	// Number is the number of the version.
	Number int64
	// Stage is a named point that versions are promoted to: "passed_test", "prod".
	Stage string
	// Requires names events of the version: by the Type of an event in any letter case, by
	// the part of a type before a dot, by either with an environment ("deploy.apply@prod"),
	// or by the name of a step. For each, there must be an event, and the latest event of each
	// matching type and step must have succeeded. Only events count that happened in a run at
	// the revision of the version: another branch decides what its steps do.
	Requires []string
	// AnyRevision lists types of events that count wherever they happened, such as
	// deployments, which run from a later revision. They then count by their type only, since
	// another branch names its steps as it likes. The RolloutEvent of a rollout, which needs no
	// run, counts as well. It is not stored.
	AnyRevision []string
	// Run is the run that promoted the version; empty outside of a run.
	Run string
	// At is a Timestamp, set by the store.
	At time.Time
}

// Validate returns an error for a promotion that no store accepts.
func (p Promotion) Validate() error {
	if err := ValidateService(p.Service); err != nil {
		return err
	}
	if p.Number < 1 {
		return fmt.Errorf("a promotion of service %s names no version", p.Service)
	}
	if p.Run != "" {
		if err := ValidateRun(p.Run); err != nil {
			return err
		}
	}
	return ValidateName("stage", p.Stage)
}

// Evidence holds the facts from the repository by which Promotion.Evaluate decides.
type Evidence struct {
	Version Version
	// Events are the events of the version, or at least the Latest of each run.
	Events []Event
	// Runs are the runs of the version, in any order.
	Runs []Run
	// Current is the latest promotion to the stage, nil if there is none.
	Current *Promotion
}

// Evaluate decides whether a version may be promoted. A revoked version is a *RevokedError;
// requirements that are not met are a *RequirementError. If the version is already at the
// stage and meets the requirements, it returns that promotion and false: there is nothing
// to store.
func (p Promotion) Evaluate(e Evidence, now time.Time) (result Promotion, changed bool, err error) {
	if _, err := Usable(e.Version); err != nil {
		return Promotion{}, false, err
	}
	if unmet := p.unmet(e); len(unmet) > 0 {
		return Promotion{}, false, &RequirementError{Version: e.Version, Stage: p.Stage, Unmet: unmet}
	}
	if e.Current != nil && e.Current.Number == p.Number {
		return *e.Current, false, nil
	}
	p.At, p.AnyRevision = Timestamp(now), nil
	return p, true, nil
}

// unmet lists the requirements that are not met, each with the reason.
func (p Promotion) unmet(e Evidence) (unmet []string) {
	if r := firstUntraceable(e.Runs); r != nil {
		unmet = append(unmet, "it cannot be traced to a pushed revision: "+r.Untraceable)
	}
	atRevision := map[string]bool{}
	for _, r := range e.Runs {
		atRevision[r.ID] = r.AtRevisionOf(e.Version)
	}
	var own, counting []Event
	for _, event := range e.Events {
		if atRevision[event.Run] {
			own = append(own, event)
		}
		rolledOut := event.Run == "" && event.Type == RolloutEvent
		if atRevision[event.Run] || rolledOut || event.Run != "" && slices.Contains(p.AnyRevision, event.Type) {
			counting = append(counting, event)
		}
	}
	for _, requirement := range p.Requires {
		var found []Event
		for _, event := range counting {
			if event.hasType(requirement) {
				found = append(found, event)
			}
		}
		for _, event := range own {
			if event.Step == requirement && !event.hasType(requirement) {
				found = append(found, event)
			}
		}
		for _, event := range Latest(found) {
			if event.Status != Succeeded {
				reason := fmt.Sprintf("%s %s", cmp.Or(event.Step, event.Type), event.Status)
				if event.Step != requirement {
					reason = requirement + ": " + reason
				}
				unmet = append(unmet, reason)
			}
		}
		if len(found) == 0 {
			unmet = append(unmet, missing(requirement, e))
		}
	}
	return unmet
}

// missing says why no event meets a requirement.
func missing(requirement string, e Evidence) string {
	i := slices.IndexFunc(e.Events, func(event Event) bool { return event.Step == requirement || event.hasType(requirement) })
	if i < 0 {
		return requirement + " has not happened to it"
	}
	if e.Version.SourceRevision == "" {
		return requirement + " does not count, because the version was allocated without a revision"
	}
	return fmt.Sprintf("%s (%s) does not count, because it did not happen in a run at the version's own revision %s; "+
		"what counts from any revision has to be required by its type",
		requirement, e.Events[i].Type, e.Version.SourceRevision)
}

// FirstRun returns the first of a version's runs at its own revision, which allocated it or
// was the first to use it. What its pipe requires of the version cannot be lowered by another
// branch.
func FirstRun(v Version, runs []Run) (first Run, found bool) {
	for _, r := range runs {
		if r.AtRevisionOf(v) && (!found || r.ID < first.ID) {
			first, found = r, true
		}
	}
	return first, found
}

// firstUntraceable returns the earliest run without a pushed revision; nil if there is
// none.
func firstUntraceable(runs []Run) *Run {
	var first *Run
	for i := range runs {
		if runs[i].Untraceable != "" && (first == nil || runs[i].ID < first.ID) {
			first = &runs[i]
		}
	}
	return first
}

// PromotionQuery selects promotions, the latest first.
type PromotionQuery struct {
	Service string
	// Stage, if not empty, selects only the promotions to this stage.
	Stage string
	// Number, if not 0, selects only the promotions of this version.
	Number int64
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// RequirementError says why a version may not be promoted. It matches ErrConflict.
type RequirementError struct {
	Version Version
	Stage   string
	// Unmet are the requirements that are not met, each with the reason.
	Unmet []string
}

func (e *RequirementError) Error() string {
	return fmt.Sprintf("version %s of %s cannot be promoted to %s: %s; it stays where it was",
		e.Version.Name, e.Version.Service, e.Stage, strings.Join(e.Unmet, "; "))
}

// Unwrap makes the error match ErrConflict.
func (e *RequirementError) Unwrap() error { return ErrConflict }
