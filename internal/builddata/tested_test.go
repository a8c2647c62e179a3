package builddata_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

func TestTestedEnvironments(t *testing.T) {
	const ok, failed, started = builddata.Succeeded, builddata.Failed, builddata.Started
	start := time.Unix(0, 0).UTC()
	type events []builddata.Event
	apply := func(run, environment string, status builddata.Status) builddata.Event {
		return builddata.Event{Run: run, Type: "provision.apply", Step: "create " + environment, Location: environment, Status: status}
	}
	test := func(run, step string, status builddata.Status) builddata.Event {
		return builddata.Event{Run: run, Type: "test.command", Step: step, Location: "a machine", Status: status}
	}
	deploy := apply("r-1", "staging", ok)
	deploy.Type = "deploy.apply"
	elsewhere := apply("r-1", "", ok)
	tested := func(run, environment string, at int) builddata.TestedEnvironment {
		return builddata.TestedEnvironment{Run: run, Environment: environment, At: start.Add(time.Duration(at) * time.Second)}
	}
	for _, tt := range []struct {
		name   string
		events events
		want   []builddata.TestedEnvironment
	}{
		{"Tested", events{
			apply("r-1", "e-1", started), apply("r-1", "e-1", ok), test("r-1", "functional", started), test("r-1", "functional", ok),
		}, []builddata.TestedEnvironment{tested("r-1", "e-1", 3)}},
		{"FirstOfTwoTests", events{apply("r-1", "e-1", ok), test("r-1", "functional", ok), test("r-1", "load", ok)},
			[]builddata.TestedEnvironment{tested("r-1", "e-1", 1)}},
		{"Deployed", events{deploy, test("r-1", "functional", ok)}, []builddata.TestedEnvironment{tested("r-1", "staging", 1)}},
		{"LatestRunFirst", events{
			apply("r-1", "e-1", ok), test("r-1", "functional", ok), apply("r-2", "e-2", ok), test("r-2", "functional", ok),
		}, []builddata.TestedEnvironment{tested("r-2", "e-2", 3), tested("r-1", "e-1", 1)}},
		{"TwoEnvironments", events{apply("r-1", "e-1", ok), apply("r-1", "e-2", ok), test("r-1", "functional", ok)},
			[]builddata.TestedEnvironment{tested("r-1", "e-1", 2), tested("r-1", "e-2", 2)}},
		{"Retried", events{apply("r-1", "e-1", ok), test("r-1", "functional", failed), test("r-1", "functional", ok)},
			[]builddata.TestedEnvironment{tested("r-1", "e-1", 2)}},
		{"FailedInTheEnd", events{apply("r-1", "e-1", ok), test("r-1", "functional", ok), test("r-1", "functional", failed)}, nil},
		{"OneOfTwoFailed", events{apply("r-1", "e-1", ok), test("r-1", "functional", ok), test("r-1", "load", failed)}, nil},
		{"TestNotFinished", events{apply("r-1", "e-1", ok), test("r-1", "functional", started)}, nil},
		{"ApplyFailed", events{apply("r-1", "e-1", failed), test("r-1", "functional", ok)}, nil},
		{"OnlyUnitTests", events{test("r-1", "unit", ok), apply("r-1", "e-1", ok)}, nil},
		{"NotTested", events{apply("r-1", "e-1", ok)}, nil},
		{"NoEnvironment", events{elsewhere, test("r-1", "functional", ok)}, nil},
		{"InTwoRuns", events{apply("r-1", "e-1", ok), test("r-2", "functional", ok)}, nil},
		{"ForeignRevision", events{apply("foreign", "e-1", ok), test("foreign", "functional", ok)}, nil},
		{"ForeignTests", events{apply("r-1", "e-1", ok), test("foreign", "functional", ok)}, nil},
		{"FailedElsewhere", events{apply("r-1", "e-1", ok), test("r-1", "functional", ok), test("foreign", "functional", failed)},
			[]builddata.TestedEnvironment{tested("r-1", "e-1", 1)}},
		{"NoRun", events{apply("", "e-1", ok), test("", "functional", ok)}, nil},
		{"UnknownRun", events{apply("unknown", "e-1", ok), test("unknown", "functional", ok)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.events {
				tt.events[i].At = start.Add(time.Duration(i) * time.Second)
			}
			runs := []builddata.Run{{ID: "r-1", Revision: "abc"}, {ID: "foreign", Revision: "def"}, {ID: "r-2", Revision: "abc"}}
			got := builddata.TestedEnvironments(builddata.Version{SourceRevision: "abc"}, tt.events, runs)
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-), want (+):\n%s", diff)
			}
			if got := builddata.TestedEnvironments(builddata.Version{}, tt.events, []builddata.Run{{ID: "r-1"}}); got != nil {
				t.Errorf("without a revision: got %v", got)
			}
		})
	}
}
