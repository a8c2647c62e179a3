package builddata

import (
	"slices"
	"strings"
	"time"
)

// TestedEnvironment is an environment that a version was tested in.
type TestedEnvironment struct {
	Environment string
	// Run is the run that tested it.
	Run string
	// At is when the first of the tests had succeeded.
	At time.Time
}

// applyEvents are the types of the steps that put a version into an environment, which is the
// Location of their events.
var applyEvents = []string{"provision.apply", "deploy.apply"}

// TestedEnvironments lists in which environments a version was tested, those of the latest
// run first. In one run at the version's own revision, the version was put into the
// environment, a test succeeded afterwards, and of every test of the run the latest attempt
// succeeded. Events are those of the version, in the order in which they were appended, and
// runs are its runs.
func TestedEnvironments(v Version, events []Event, runs []Run) []TestedEnvironment {
	own := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return !r.AtRevisionOf(v) })
	slices.SortFunc(own, func(a, b Run) int { return strings.Compare(b.ID, a.ID) })
	var tested []TestedEnvironment
	for _, r := range own {
		latest := Latest(slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Run != r.ID }))
		if slices.ContainsFunc(latest, func(e Event) bool { return e.isTest() && e.Status != Succeeded }) {
			continue
		}
		for i, applied := range latest {
			if !slices.Contains(applyEvents, applied.Type) || applied.Status != Succeeded || applied.Location == "" {
				continue
			}
			if test := slices.IndexFunc(latest[i:], Event.isTest); test >= 0 {
				tested = append(tested, TestedEnvironment{Environment: applied.Location, Run: r.ID, At: latest[i+test].At})
			}
		}
	}
	return tested
}

// isTest reports whether the event is of a task that tests: "test.command".
func (e Event) isTest() bool { return strings.HasPrefix(e.Type, "test.") }
