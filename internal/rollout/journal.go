package rollout

import (
	"maps"
	"slices"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Notes of steps that are done. The note of a step that failed is text for people.
const (
	// serversLeft: RemoveServers left protected servers running.
	serversLeft = "protected_servers_left"
	// noServers: WaitHealthy found a group that is scaled to 0.
	noServers = "no_servers"
)

// notChecked is the note of a RunChecks that is done without its checks, and unreachable that
// of one that failed because it could not run them.
const (
	notChecked  = "not_checked"
	unreachable = "unreachable"
)

// noteTexts are the codes of notes for people.
var noteTexts = map[string]string{
	serversLeft: errServersLeft.Error(),
	noServers:   errNoServers.Error(),
	notChecked:  errNotChecked.Error(),
	unreachable: "the checks could not be run",
}

// journal is the progress of a rollout: its plan, and what the entries that the
// repository has of it amount to.
type journal struct {
	plan Plan

	// began and done hold the codes of steps. A rollback has its own.
	began, done map[string]bool
	// rollingBack says that the rollout is rolled back, and cause is why.
	rollingBack bool
	cause       string
	// unreachable says that this was because the checks could not be run.
	unreachable bool
	// doubtful are the steps that had begun and were not done when the rollback
	// began.
	doubtful map[string]bool
	// left are generations whose protected servers stay.
	left []GenerationRecord
}

func readJournal(r builddata.Rollout) (*journal, error) {
	plan, err := decodePlan(r)
	if err != nil {
		return nil, err
	}
	j := &journal{plan: plan, began: map[string]bool{}, done: map[string]bool{}}
	for _, e := range r.Entries {
		j.add(e)
	}
	return j, nil
}

// add takes the next entry into account.
func (j *journal) add(e builddata.Entry) {
	if e.Step == string(beginRollback) {
		j.rollingBack, j.cause = true, e.Note
		j.doubtful = maps.Clone(j.began)
		maps.DeleteFunc(j.doubtful, func(step string, _ bool) bool { return j.done[step] })
		clear(j.done)
		return
	}
	j.began[e.Step] = true
	if !j.rollingBack {
		j.unreachable = e.Phase == builddata.Erred && e.Note == unreachable
	}
	if !j.rollingBack && slices.ContainsFunc(j.plan.restoreSteps(), func(s Step) bool { return s.Code() == e.Step }) {
		// The old generation gets all requests again, and the new one is kept. A
		// resumed rollout repeats every step.
		clear(j.done)
		return
	}
	if e.Phase != builddata.Done {
		return
	}
	j.done[e.Step] = true
	if e.Note != serversLeft {
		return
	}
	if i := slices.IndexFunc(j.plan.Steps, func(s Step) bool { return s.Code() == e.Step }); i >= 0 {
		if g, err := j.generation(j.plan.Steps[i].Generation); err == nil {
			j.left = append(j.left, g)
		}
	}
}

// generation finds a generation of the plan. If the plan reuses the kept
// generation, that has the new specification, and during a rollback its former
// one.
func (j *journal) generation(name string) (GenerationRecord, error) {
	if j.rollingBack && j.plan.Reused && name == j.plan.toName() {
		return *j.plan.Kept, nil
	}
	return j.plan.generation(name)
}

// shifted reports whether the new generation may have got requests.
func (j *journal) shifted() bool {
	return slices.ContainsFunc(j.plan.Steps, func(s Step) bool {
		return (s.Kind == Shift || s.Kind == Serve || s.Kind == JoinTargets) && j.began[s.Code()]
	})
}

// irreversible reports whether the rollout can no longer be rolled back.
func (j *journal) irreversible() bool {
	return j.plan.To == nil || !j.rollingBack && slices.ContainsFunc(j.plan.Steps, func(s Step) bool {
		return j.plan.irreversible(s) && j.began[s.Code()]
	})
}

// served reports whether the new generation was given all requests.
func (j *journal) served() bool {
	return slices.ContainsFunc(j.plan.Steps, func(s Step) bool { return s.Kind == Serve && j.done[s.Code()] })
}

// serving is the generation that the requests go to.
func (j *journal) serving() *GenerationRecord {
	if j.plan.To == nil {
		return j.plan.Stays
	}
	if j.plan.From == nil || j.irreversible() || j.served() && !j.rollingBack {
		return j.plan.To
	}
	return j.plan.From
}

// inventory is the cluster's inventory during the rollout.
func (j *journal) inventory() Inventory {
	i := j.plan.before()
	i.Serving = j.serving()
	return i
}
