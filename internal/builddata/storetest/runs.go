package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// runs is what builddata.Runs promises.
func runs(t *testing.T, fresh func(t *testing.T) Opener) {
	open := func(t *testing.T) builddata.Store { return fresh(t)(t, clock.NewFake(noon)) }
	t.Run("EveryFactComesBack", func(t *testing.T) {
		s := open(t)
		v := allocate(t, s, sequence("web"))
		want := run("r-1")
		want.Number, want.Only, want.Untraceable, want.Message = v.Number, "to bake", "no remote", "so far"
		ok(t, s.SaveRun(t.Context(), want))
		got, err := s.Run(t.Context(), "r-1")
		ok(t, err)
		equal(t, got, want)
	})
	t.Run("WhatBecomesOfIt", func(t *testing.T) {
		s := open(t)
		v := allocate(t, s, sequence("web"))
		r := run("r-1")
		ok(t, s.SaveRun(t.Context(), r))
		r.Number, r.SeenAt = v.Number, noon.Add(time.Minute)
		ok(t, s.SaveRun(t.Context(), r))
		// What began it stays; so does the version, if an earlier record comes late.
		late := run("r-1")
		late.Definition, late.Context, late.Revision = []byte(`"other"`), map[string]string{"other": "x"}, "def"
		ok(t, s.SaveRun(t.Context(), late))
		r.Status, r.Message, r.EndedAt, r.SeenAt = builddata.Failed, "at bake", noon.Add(time.Hour), noon.Add(time.Hour)
		ok(t, s.SaveRun(t.Context(), r))
		again := r
		again.Status, again.Message = builddata.Succeeded, "no, it was fine"
		ok(t, s.SaveRun(t.Context(), again))
		ok(t, s.SaveRun(t.Context(), late))
		got, err := s.Run(t.Context(), "r-1")
		ok(t, err)
		equal(t, got, r)
	})
	t.Run("UnknownIsErrNotFound", func(t *testing.T) {
		s := open(t)
		if _, err := s.Run(t.Context(), "none"); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		r := run("r-1")
		r.Number = 7
		if err := s.SaveRun(t.Context(), r); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound: there is no version 7", err)
		}
	})
	t.Run("Lists", func(t *testing.T) {
		s := open(t)
		v := allocate(t, s, sequence("web"))
		for i := range 5 {
			r := run(fmt.Sprint("r-", i))
			switch i {
			case 1:
				r.Service = "api"
			case 2:
				r.Number = v.Number
			case 3:
				r.Status, r.EndedAt = builddata.Succeeded, noon
			}
			ok(t, s.SaveRun(t.Context(), r))
		}
		for _, tt := range []struct {
			name string
			q    builddata.RunQuery
			want []string
		}{
			{"All", builddata.RunQuery{}, []string{"r-4", "r-3", "r-2", "r-1", "r-0"}},
			{"Service", builddata.RunQuery{Service: "web"}, []string{"r-4", "r-3", "r-2", "r-0"}},
			{"Version", builddata.RunQuery{Service: "web", Number: v.Number}, []string{"r-2"}},
			{"Open", builddata.RunQuery{Service: "web", Open: true}, []string{"r-4", "r-2", "r-0"}},
			{"Page", builddata.RunQuery{Limit: 2, Before: "r-3"}, []string{"r-2", "r-1"}},
			{"BehindNone", builddata.RunQuery{Limit: 2, Before: "zzz"}, nil},
			{"None", builddata.RunQuery{Service: "nobody"}, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				all, err := s.Runs(t.Context(), tt.q)
				ok(t, err)
				var got []string
				for _, r := range all {
					got = append(got, r.ID)
					if r.Definition != nil || r.Context != nil {
						t.Errorf("a list holds the definition and context of %s", r.ID)
					}
				}
				equal(t, got, tt.want)
			})
		}
	})
	t.Run("NonsenseIsRefused", func(t *testing.T) {
		s := open(t)
		for name, spoil := range map[string]func(*builddata.Run){
			"NoID":         func(r *builddata.Run) { r.ID = "" },
			"NoDefinition": func(r *builddata.Run) { r.Definition = nil },
			"NoService":    func(r *builddata.Run) { r.Service = "" },
			"NoStart":      func(r *builddata.Run) { r.StartedAt = time.Time{} },
			"NoStatus":     func(r *builddata.Run) { r.Status = "" },
			"OpenEnd":      func(r *builddata.Run) { r.EndedAt = noon },
			"NoEnd":        func(r *builddata.Run) { r.Status = builddata.Failed },
		} {
			r := run("r-1")
			spoil(&r)
			if err := s.SaveRun(t.Context(), r); err == nil {
				t.Errorf("%s was stored", name)
			}
		}
	})
	t.Run("EventsOfARun", func(t *testing.T) {
		s := open(t)
		v := allocate(t, s, sequence("web"))
		events := []builddata.Event{
			{ID: "e-1", Service: "web", Run: "r-1", Step: "clean", What: "setup.clean", Status: builddata.Succeeded, At: noon},
			{ID: "e-2", Service: "web", Number: v.Number, Run: "r-1", Step: "unit tests", What: "test.command", Status: builddata.Lost, At: noon, Report: "{}", Outputs: map[string]string{"a": "b"}},
			{ID: "e-3", Service: "web", Number: v.Number, Run: "r-2", What: "bake", Status: builddata.Succeeded, At: noon},
		}
		ok(t, s.Append(t.Context(), events...))
		ok(t, s.Append(t.Context(), events...)) // once, however often it is sent
		for _, tt := range []struct {
			q    builddata.EventQuery
			want []builddata.Event
		}{
			{builddata.EventQuery{Run: "r-1"}, events[:2]},
			{builddata.EventQuery{Run: "r-1", After: "e-1"}, events[1:2]},
			{builddata.EventQuery{Service: "web", Number: v.Number}, events[1:]},
			{builddata.EventQuery{Service: "web", Number: v.Number, Run: "r-1"}, events[1:2]},
			{builddata.EventQuery{Run: "none"}, nil},
			{builddata.EventQuery{Run: "r-1", After: "none"}, nil},
			{builddata.EventQuery{}, nil},
		} {
			got, err := s.Events(t.Context(), tt.q)
			ok(t, err)
			equal(t, got, tt.want)
		}
		nowhere := builddata.Event{Service: "web", What: "bake", Status: builddata.Succeeded}
		if err := s.Append(t.Context(), nowhere); err == nil {
			t.Error("an event of no version and no run was stored")
		}
	})
}

// promotions is what builddata.Promotions promises.
func promotions(t *testing.T, fresh func(t *testing.T) Opener) {
	promote := func(s builddata.Store, number int64, requires ...string) (builddata.Promotion, error) {
		return s.Promote(t.Context(), builddata.Promotion{Service: "web", Number: number, Stage: "tested", Requires: requires, Run: "r-1"})
	}
	tested := func(t *testing.T, s builddata.Store, step string, status builddata.Status) {
		t.Helper()
		ok(t, s.Append(t.Context(), builddata.Event{Service: "web", Number: 1, Run: "r-1", What: "test.command", Step: step, Status: status}))
	}
	t.Run("EveryFactComesBack", func(t *testing.T) {
		hands := clock.NewFake(noon)
		s := fresh(t)(t, hands)
		for range 2 {
			allocate(t, s, sequence("web"))
		}
		one := builddata.Promotion{Service: "web", Number: 1, Stage: "tested", Run: "r-1", At: noon}
		two := builddata.Promotion{Service: "web", Number: 2, Stage: "tested", Run: "r-1", At: noon.Add(time.Minute)}
		got, err := promote(s, 1)
		ok(t, err)
		equal(t, got, one)
		hands.Set(noon.Add(time.Minute))
		got, err = promote(s, 1) // it is there already
		ok(t, err)
		equal(t, got, one)
		got, err = promote(s, 2)
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
		// Back to an earlier one is a promotion of its own.
		got, err = promote(s, 1)
		ok(t, err)
		equal(t, got.At, noon.Add(time.Minute))
	})
	t.Run("Requirements", func(t *testing.T) {
		s := fresh(t)(t, clock.NewFake(noon))
		allocate(t, s, sequence("web"))
		var unmet *builddata.RequirementError
		refused := func(why string, requires ...string) {
			t.Helper()
			_, err := promote(s, 1, requires...)
			if !errors.As(err, &unmet) || !errors.Is(err, builddata.ErrConflict) || len(unmet.Unmet) != 1 || unmet.Unmet[0] != why {
				t.Errorf("got %v, want %q", err, why)
			}
		}
		refused("test has not happened to it", "test")
		tested(t, s, "unit tests", builddata.Succeeded)
		tested(t, s, "load tests", builddata.Failed)
		refused("test: load tests failed", "test")
		refused("load tests: load tests failed", "load tests")
		refused("tests has not happened to it", "tests")
		tested(t, s, "load tests", builddata.Started)
		refused("test.command: load tests started", "test.command")
		tested(t, s, "load tests", builddata.Succeeded)
		if _, err := promote(s, 1, "test", "unit tests", "Test.Command"); err != nil {
			t.Error(err)
		}
		// That it is there already does not say that it still may be.
		tested(t, s, "load tests", builddata.Failed)
		refused("test: load tests failed", "test")
	})
	t.Run("Untraceable", func(t *testing.T) {
		s := fresh(t)(t, clock.NewFake(noon))
		allocate(t, s, sequence("web"))
		r := run("r-1")
		r.Number, r.Untraceable = 1, "it has no remote"
		ok(t, s.SaveRun(t.Context(), r))
		var unmet *builddata.RequirementError
		if _, err := promote(s, 1); !errors.As(err, &unmet) {
			t.Errorf("got %v, want a RequirementError", err)
		}
	})
	t.Run("RevokedAndUnknown", func(t *testing.T) {
		s := fresh(t)(t, clock.NewFake(noon))
		v := allocate(t, s, sequence("web"))
		_, err := s.Revoke(t.Context(), "web", v.Name, "broken")
		ok(t, err)
		var revoked *builddata.RevokedError
		if _, err := promote(s, 1); !errors.As(err, &revoked) {
			t.Errorf("got %v, want a RevokedError", err)
		}
		if _, err := promote(s, 2); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		for _, p := range []builddata.Promotion{{Service: "web", Number: 1}, {Service: "web", Stage: "a b", Number: 1}, {Stage: "x", Number: 1}, {Service: "web", Stage: "x"}} {
			if _, err := s.Promote(t.Context(), p); err == nil {
				t.Errorf("%+v was stored", p)
			}
		}
	})
}

// run is one that goes on.
func run(id string) builddata.Run {
	return builddata.Run{
		ID: id, Service: "web", Pipe: "ci", Definition: []byte(`{"Name":"ci"}`), Context: map[string]string{"owner_team": "fruit"},
		Revision: "abc", Holder: "ada@ci-7", Status: builddata.Started, StartedAt: noon, SeenAt: noon,
	}
}
