package builddata_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Only what happened in a run at the version's own revision counts, but for the types that
// count from any revision, which count by their type only.
func TestPromotion_Evaluate(t *testing.T) {
	const ok, failed = builddata.Succeeded, builddata.Failed
	own, other := builddata.Run{ID: "own", Revision: "abc"}, builddata.Run{ID: "other", Revision: "def"}
	event := func(run, eventType, step string, status builddata.Status) builddata.Event {
		return builddata.Event{Run: run, Type: eventType, Step: step, Status: status}
	}
	at := func(environment string, e builddata.Event) builddata.Event {
		e.Location = environment
		return e
	}
	for _, tt := range []struct {
		name     string
		requires string
		events   []builddata.Event
		// want is a part of what is unmet; empty if nothing is.
		want string
	}{
		{"Own", "unit tests", []builddata.Event{event("own", "test.command", "unit tests", ok)}, ""},
		{"OwnByType", "test", []builddata.Event{event("own", "test.command", "unit tests", ok)}, ""},
		{"OwnFailed", "test", []builddata.Event{event("own", "test.command", "unit tests", failed)}, "test: unit tests failed"},
		{
			"SucceededElsewhere", "unit tests",
			[]builddata.Event{event("own", "test.command", "unit tests", failed), event("other", "test.command", "unit tests", ok)},
			"to tested: unit tests failed",
		},
		{
			"FailedElsewhere", "unit tests",
			[]builddata.Event{event("own", "test.command", "unit tests", ok), event("other", "test.command", "unit tests", failed)}, "",
		},
		{
			"OnlyElsewhere", "test.command", []builddata.Event{event("other", "test.command", "unit tests", ok)},
			"did not happen in a run at the version's own revision abc",
		},
		{"UnknownRun", "bake", []builddata.Event{event("unknown", "bake", "", ok)}, "does not count"},
		{"NoRun", "bake", []builddata.Event{event("", "bake", "", ok)}, "does not count"},
		{"Deployed", "deploy", []builddata.Event{event("other", "deploy.apply", "roll out", ok)}, ""},
		{"DeployedWithoutARun", "deploy", []builddata.Event{event("", "deploy", "", ok)}, ""},
		{"StepNamedLikeARollout", "deploy", []builddata.Event{event("other", "deploy", "deploy", ok)}, "does not count"},
		{"TaskWithoutARun", "deploy.apply", []builddata.Event{event("", "deploy.apply", "", ok)}, "does not count"},
		{"DeployFailed", "deploy.apply", []builddata.Event{event("other", "deploy.apply", "roll out", failed)}, "deploy.apply: roll out failed"},
		{
			"DeployNamedLikeTests", "unit tests",
			[]builddata.Event{event("own", "test.command", "unit tests", failed), event("other", "deploy.apply", "unit tests", ok)},
			"to tested: unit tests failed",
		},
		{"OnlyADeployNamedLikeTests", "unit tests", []builddata.Event{event("other", "deploy.apply", "unit tests", ok)}, "required by its type"},
		{"DeployedThere", "deploy.apply@prod", []builddata.Event{at("qa", event("other", "deploy.apply", "roll out", failed)),
			at("prod", event("other", "deploy.apply", "roll out", ok))}, ""},
		{"DeployedElsewhere", "deploy@prod", []builddata.Event{at("qa", event("other", "deploy.apply", "roll out", ok))},
			"deploy@prod has not happened to it"},
		{"DeployFailedThere", "Deploy.Apply@prod", []builddata.Event{at("prod", event("other", "deploy.apply", "roll out", failed)),
			at("qa", event("other", "deploy.apply", "roll out", ok))}, "roll out failed"},
		{"RolledOutThere", "deploy@prod", []builddata.Event{at("prod", event("", "deploy", "", ok)), at("qa", event("", "deploy", "", failed))}, ""},
		{"Nothing", "test", nil, "test has not happened to it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := builddata.Promotion{
				Service: "web", Number: 1, Stage: "tested", Requires: []string{tt.requires}, AnyRevision: []string{"deploy.apply"},
			}
			_, changed, err := p.Evaluate(builddata.Evidence{
				Version: builddata.Version{Service: "web", Number: 1, SourceRevision: "abc"}, Events: tt.events, Runs: []builddata.Run{own, other},
			}, time.Unix(0, 0))
			var unmet *builddata.RequirementError
			if changed != (tt.want == "") || tt.want != "" && (!errors.As(err, &unmet) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %t and %v, want %q", changed, err, tt.want)
			}
		})
	}
}

// Without a revision of the version, no run is at it.
func TestPromotion_EvaluateWithoutRevision(t *testing.T) {
	p := builddata.Promotion{Service: "web", Number: 1, Stage: "tested", Requires: []string{"test"}}
	_, _, err := p.Evaluate(builddata.Evidence{
		Version: builddata.Version{Service: "web", Number: 1}, Runs: []builddata.Run{{ID: "r-1"}},
		Events: []builddata.Event{{Run: "r-1", Type: "test.command", Status: builddata.Succeeded}},
	}, time.Unix(0, 0))
	if err == nil || !strings.Contains(err.Error(), "allocated without a revision") {
		t.Errorf("got %v, want that the version has no revision", err)
	}
}

func TestFirstRun(t *testing.T) {
	v := builddata.Version{SourceRevision: "abc"}
	runs := []builddata.Run{{ID: "3", Revision: "abc"}, {ID: "2", Revision: "abc"}, {ID: "1", Revision: "def"}}
	got, found := builddata.FirstRun(v, runs)
	if diff := cmp.Diff(got, runs[1]); diff != "" || !found {
		t.Errorf("found: %t; got (-) differs from want (+):\n%s", found, diff)
	}
	if _, found := builddata.FirstRun(builddata.Version{}, []builddata.Run{{ID: "1"}}); found {
		t.Error("a run without a revision is at that of a version without one")
	}
}
