package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Promotions tests what every builddata.Promotions guarantees.
func Promotions(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBack", promotionEveryFactComesBack},
		{"LatestOfEachStageIsListed", promotionLatestOfEachStageIsListed},
		{"RequirementsMustBeMet", promotionRequirementsMustBeMet},
		{"OnlyRunsAtItsRevisionCount", promotionOnlyRunsAtItsRevisionCount},
		{"EnvironmentOfARequirementCounts", promotionEnvironmentOfARequirementCounts},
		{"UntraceableVersionIsRefused", promotionUntraceableVersionIsRefused},
		{"RevokedAndUnknownVersionsAreRefused", promotionRevokedAndUnknownVersionsAreRefused},
	})
}

func promotionEveryFactComesBack(t *testing.T, fresh Fresh) {
	hands := clock.NewFake(noon)
	s := fresh(t)(t, hands)
	for range 2 {
		allocate(t, s, sequence("web"))
	}
	one := builddata.Promotion{Service: "web", Number: 1, Stage: "tested", Run: "r-1", At: noon}
	two := builddata.Promotion{Service: "web", Number: 2, Stage: "tested", Run: "r-1", At: noon.Add(time.Minute)}
	got, err := promote(t, s, 1)
	ok(t, err)
	equal(t, got, one)
	hands.Set(noon.Add(time.Minute))
	got, err = promote(t, s, 1) // it is already at the stage
	ok(t, err)
	equal(t, got, one)
	got, err = promote(t, s, 2)
	ok(t, err)
	equal(t, got, two)
	for _, tt := range []struct {
		q    builddata.PromotionQuery
		want []builddata.Promotion
	}{
		{builddata.PromotionQuery{Service: "web", Stage: "tested"}, []builddata.Promotion{two, one}},
		{builddata.PromotionQuery{Service: "web", Stage: "tested", Limit: 1}, []builddata.Promotion{two}},
		{builddata.PromotionQuery{Service: "web", Number: 1}, []builddata.Promotion{one}},
		{builddata.PromotionQuery{Service: "web", Stage: "prod"}, nil},
		{builddata.PromotionQuery{Service: "api"}, nil},
	} {
		all, err := s.Promotions(t.Context(), tt.q)
		ok(t, err)
		equal(t, all, tt.want)
	}
	// The promotion of an earlier version is a new promotion.
	got, err = promote(t, s, 1)
	ok(t, err)
	equal(t, got.At, noon.Add(time.Minute))
}

func promotionLatestOfEachStageIsListed(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for range 2 {
		allocate(t, s, sequence("web"))
	}
	allocate(t, s, sequence("api"))
	for _, p := range []builddata.Promotion{
		{Service: "web", Number: 1, Stage: "tested"}, {Service: "web", Number: 1, Stage: "prod"},
		{Service: "web", Number: 2, Stage: "tested"}, {Service: "api", Number: 1, Stage: "tested"},
	} {
		_, err := s.Promote(t.Context(), p)
		ok(t, err)
	}
	got, err := s.LatestPromotions(t.Context(), "web")
	ok(t, err)
	equal(t, got, []builddata.Promotion{{Service: "web", Number: 1, Stage: "prod", At: noon},
		{Service: "web", Number: 2, Stage: "tested", At: noon}})
	got, err = s.LatestPromotions(t.Context(), "unknown")
	ok(t, err)
	equal(t, len(got), 0)
}

func promotionRequirementsMustBeMet(t *testing.T, fresh Fresh) {
	s := fresh(t)(t, clock.NewFake(noon))
	ok(t, s.SaveRun(t.Context(), runOf(t, s, "r-1", "abc")))
	var unmet *builddata.RequirementError
	refused := func(why string, requires ...string) {
		t.Helper()
		_, err := promote(t, s, 1, requires...)
		if !errors.As(err, &unmet) || !errors.Is(err, builddata.ErrConflict) || len(unmet.Unmet) != 1 || unmet.Unmet[0] != why {
			t.Errorf("got %v, want %q", err, why)
		}
	}
	refused("test has not happened to it", "test")
	tested(t, s, "unit tests", builddata.Succeeded)
	tested(t, s, "load tests", builddata.Failed)
	refused("test: load tests failed", "test")
	refused("load tests failed", "load tests")
	refused("tests has not happened to it", "tests")
	tested(t, s, "load tests", builddata.Started)
	refused("test.command: load tests started", "test.command")
	tested(t, s, "load tests", builddata.Succeeded)
	if _, err := promote(t, s, 1, "test", "unit tests", "Test.Command"); err != nil {
		t.Error(err)
	}
	// The requirements apply even if the version is already at the stage.
	tested(t, s, "load tests", builddata.Failed)
	refused("test: load tests failed", "test")
}

func promotionOnlyRunsAtItsRevisionCount(t *testing.T, fresh Fresh) {
	s := fresh(t)(t, clock.NewFake(noon))
	ok(t, s.SaveRun(t.Context(), runOf(t, s, "r-1", "abc")))
	other := run("r-2")
	other.Number, other.Revision = 1, "def"
	ok(t, s.SaveRun(t.Context(), other))
	event := func(run, eventType, step string, status builddata.Status) {
		t.Helper()
		ok(t, s.Append(t.Context(), builddata.Event{Service: "web", Number: 1, Run: run, Type: eventType, Step: step, Status: status}))
	}
	p := builddata.Promotion{Service: "web", Number: 1, Stage: "tested", Requires: []string{"unit tests"}, AnyRevision: []string{"deploy.apply"}}
	event("r-1", "test.command", "unit tests", builddata.Failed)
	event("r-2", "test.command", "unit tests", builddata.Succeeded)
	if _, err := s.Promote(t.Context(), p); !isA[*builddata.RequirementError](err) {
		t.Errorf("got %v, want a RequirementError", err)
	}
	event("r-1", "test.command", "unit tests", builddata.Succeeded)
	event("r-2", "test.command", "unit tests", builddata.Failed)
	event("r-2", "deploy.apply", "roll out", builddata.Succeeded)
	p.Requires = []string{"unit tests", "deploy.apply"}
	got, err := s.Promote(t.Context(), p)
	ok(t, err)
	p.AnyRevision, p.At = nil, noon
	equal(t, got, p)
}

// The rollouts to two environments are events of one type, of no run and no step.
func promotionEnvironmentOfARequirementCounts(t *testing.T, fresh Fresh) {
	s := fresh(t)(t, clock.NewFake(noon))
	allocate(t, s, sequence("web"))
	event := func(environment string, status builddata.Status) {
		t.Helper()
		ok(t, s.Append(t.Context(), builddata.Event{Service: "web", Number: 1, Type: builddata.RolloutEvent, Location: environment, Status: status}))
	}
	event("prod", builddata.Succeeded)
	event("qa", builddata.Failed)
	_, err := promote(t, s, 1, "deploy@prod")
	ok(t, err)
	if _, err := promote(t, s, 1, "deploy@qa"); !isA[*builddata.RequirementError](err) {
		t.Errorf("got %v, want a RequirementError", err)
	}
}

func promotionUntraceableVersionIsRefused(t *testing.T, fresh Fresh) {
	s := fresh(t)(t, clock.NewFake(noon))
	allocate(t, s, sequence("web"))
	r := run("r-1")
	r.Number, r.Untraceable = 1, "it has no remote"
	ok(t, s.SaveRun(t.Context(), r))
	var unmet *builddata.RequirementError
	if _, err := promote(t, s, 1); !errors.As(err, &unmet) {
		t.Errorf("got %v, want a RequirementError", err)
	}
}

func promotionRevokedAndUnknownVersionsAreRefused(t *testing.T, fresh Fresh) {
	s := fresh(t)(t, clock.NewFake(noon))
	v := allocate(t, s, sequence("web"))
	_, err := s.Revoke(t.Context(), "web", v.Name, "broken")
	ok(t, err)
	var revoked *builddata.RevokedError
	if _, err := promote(t, s, 1); !errors.As(err, &revoked) {
		t.Errorf("got %v, want a RevokedError", err)
	}
	if _, err := promote(t, s, 2); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	for _, p := range []builddata.Promotion{{Service: "web", Number: 1}, {Service: "web", Stage: "a b", Number: 1}, {Stage: "x", Number: 1},
		{Service: "web", Stage: "x"}} {
		if _, err := s.Promote(t.Context(), p); err == nil {
			t.Errorf("%+v was stored", p)
		}
	}
}

// promote promotes a version of web to the stage "tested".
func promote(t *testing.T, s builddata.Store, number int64, requires ...string) (builddata.Promotion, error) {
	return s.Promote(t.Context(), builddata.Promotion{Service: "web", Number: number, Stage: "tested", Requires: requires, Run: "r-1"})
}

// tested records the result of a test of version 1 of web.
func tested(t *testing.T, s builddata.Store, step string, status builddata.Status) {
	t.Helper()
	ok(t, s.Append(t.Context(), builddata.Event{Service: "web", Number: 1, Run: "r-1", Type: "test.command", Step: step, Status: status}))
}

// runOf allocates version 1 of web from a revision, and returns a run of it at the revision.
func runOf(t *testing.T, s builddata.Store, id, revision string) builddata.Run {
	t.Helper()
	a := sequence("web")
	a.SourceRevision = revision
	r := run(id)
	r.Number, r.Revision = allocate(t, s, a).Number, revision
	return r
}
