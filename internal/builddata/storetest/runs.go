package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Runs tests what every builddata.Runs guarantees.
func Runs(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBack", runEveryFactComesBack},
		{"RunAdvancesUntilItEnds", runAdvancesUntilItEnds},
		{"UnknownRunIsErrNotFound", runUnknownRunIsErrNotFound},
		{"ListsAreNewestFirstFilteredAndPaged", runListsAreNewestFirstFilteredAndPaged},
		{"InvalidRunsAreRefused", runInvalidRunsAreRefused},
	})
}

func runEveryFactComesBack(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	v := allocate(t, s, sequence("web"))
	want := run("r-1")
	want.Number, want.To, want.Untraceable, want.Message = v.Number, "bake", "no remote", "so far"
	ok(t, s.SaveRun(t.Context(), want))
	got, err := s.Run(t.Context(), "web", "r-1")
	ok(t, err)
	equal(t, got, want)
}

func runAdvancesUntilItEnds(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	v := allocate(t, s, sequence("web"))
	r := run("r-1")
	ok(t, s.SaveRun(t.Context(), r))
	r.Number, r.SeenAt = v.Number, noon.Add(time.Minute)
	ok(t, s.SaveRun(t.Context(), r))
	// The first fields do not change, nor does the version number if an earlier record
	// arrives late.
	late := run("r-1")
	late.Definition, late.Context, late.Revision = []byte(`"other"`), map[string]string{"other": "x"}, "def"
	ok(t, s.SaveRun(t.Context(), late))
	r.Status, r.Message, r.EndedAt, r.SeenAt = builddata.Failed, "at bake", noon.Add(time.Hour), noon.Add(time.Hour)
	ok(t, s.SaveRun(t.Context(), r))
	again := r
	again.Status, again.Message = builddata.Succeeded, "no, it was fine"
	ok(t, s.SaveRun(t.Context(), again))
	ok(t, s.SaveRun(t.Context(), late))
	got, err := s.Run(t.Context(), "web", "r-1")
	ok(t, err)
	equal(t, got, r)
}

func runUnknownRunIsErrNotFound(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	ok(t, s.SaveRun(t.Context(), run("r-0")))
	for _, id := range [][2]string{{"web", "none"}, {"api", "r-0"}} {
		if _, err := s.Run(t.Context(), id[0], id[1]); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("%v: got %v, want ErrNotFound", id, err)
		}
	}
	r := run("r-1")
	r.Number = 7
	if err := s.SaveRun(t.Context(), r); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound: there is no version 7", err)
	}
}

func runListsAreNewestFirstFilteredAndPaged(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
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
		{"OtherService", builddata.RunQuery{Service: "api"}, []string{"r-1"}},
		{"Service", builddata.RunQuery{Service: "web"}, []string{"r-4", "r-3", "r-2", "r-0"}},
		{"Version", builddata.RunQuery{Service: "web", Number: v.Number}, []string{"r-2"}},
		{"Open", builddata.RunQuery{Service: "web", Open: true}, []string{"r-4", "r-2", "r-0"}},
		{"Page", builddata.RunQuery{Service: "web", Limit: 2, Before: "r-3"}, []string{"r-2", "r-0"}},
		{"AfterUnknown", builddata.RunQuery{Service: "web", Limit: 2, Before: "zzz"}, nil},
		{"UnknownService", builddata.RunQuery{Service: "unknown"}, nil},
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
}

func runInvalidRunsAreRefused(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for name, spoil := range map[string]func(*builddata.Run){
		"NoID":         func(r *builddata.Run) { r.ID = "" },
		"NoDefinition": func(r *builddata.Run) { r.Definition = nil },
		"NoService":    func(r *builddata.Run) { r.Service = "" },
		"NoStart":      func(r *builddata.Run) { r.StartedAt = time.Time{} },
		"NoStatus":     func(r *builddata.Run) { r.Status = "" },
		"TwoParts":     func(r *builddata.Run) { r.To, r.Only = "bake", "bake" },
		"OpenEnd":      func(r *builddata.Run) { r.EndedAt = noon },
		"NoEnd":        func(r *builddata.Run) { r.Status = builddata.Failed },
	} {
		r := run("r-1")
		spoil(&r)
		if err := s.SaveRun(t.Context(), r); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
}

// run returns a run in progress.
func run(id string) builddata.Run {
	return builddata.Run{
		ID: id, Service: "web", Pipe: "ci", Definition: []byte(`{"Name":"ci"}`), Context: map[string]string{"owner_team": "fruit"},
		Revision: "abc", Holder: "ada@ci-7", Status: builddata.Started, StartedAt: noon, SeenAt: noon,
	}
}
