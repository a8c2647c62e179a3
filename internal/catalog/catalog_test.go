package catalog_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newCatalog opens the catalog of a repository with three versions of web, the
// second of which was revoked, and one of api.
func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c := clock.NewFake(noon)
	cat := &catalog.Catalog{Store: memstore.New().Open(c), Clock: c}
	for _, service := range []string{"web", "web", "web", "api"} {
		_, err := cat.Store.Allocate(t.Context(), builddata.Allocation{Service: service, Scheme: builddata.Semver, Bump: builddata.Minor})
		fatal(t, err)
	}
	for _, p := range []builddata.Promotion{{Stage: "tested", Number: 1}, {Stage: "tested", Number: 2}, {Stage: "prod", Number: 1},
		{Stage: "tested", Number: 1}} {
		p.Service = "web"
		_, err := cat.Store.Promote(t.Context(), p)
		fatal(t, err)
	}
	_, err := cat.Store.Revoke(t.Context(), "web", "0.2.0", "loses orders")
	fatal(t, err)
	return cat
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

func TestVersions_HaveTheirStages(t *testing.T) {
	cat := newCatalog(t)
	versions, err := cat.Versions(t.Context(), builddata.VersionQuery{Service: "web", IncludeRevoked: true})
	fatal(t, err)
	var got []string
	for _, v := range versions {
		got = append(got, fmt.Sprint(v.Version, " ", v.Stages, " ", v.RevokedReason))
	}
	equal(t, got, []string{"0.3.0 [] ", "0.2.0 [tested] loses orders", "0.1.0 [tested prod] "})
}

func TestStages(t *testing.T) {
	cat := newCatalog(t)
	stages, err := cat.Stages(t.Context(), "web")
	fatal(t, err)
	equal(t, stages, []catalog.Stage{
		{Stage: "prod", Version: "0.1.0", Number: 1, Since: noon}, {Stage: "tested", Version: "0.1.0", Number: 1, Since: noon},
	})
}

// TestHistory_HasEveryEvent reads more events than a page holds.
func TestHistory_HasEveryEvent(t *testing.T) {
	cat := newCatalog(t)
	const n = 1005
	for i := range n {
		fatal(t, cat.Store.Append(t.Context(), builddata.Event{ID: fmt.Sprint("e-", i), Service: "web", Number: 1, Type: "bake",
			Status: builddata.Succeeded}))
	}
	history, err := cat.History(t.Context(), "web", "0.1.0")
	fatal(t, err)
	if len(history.Events) != n || history.Events[n-1].ID != "e-1004" {
		t.Errorf("got %d events, want all %d", len(history.Events), n)
	}
}

func TestRuns_OfAllServicesAreNewestFirst(t *testing.T) {
	cat := newCatalog(t)
	for i, service := range []string{"web", "api", "web", "api"} {
		r := builddata.Run{
			ID: fmt.Sprint("r-", i), Service: service, Number: 1, Pipe: "ci", Definition: []byte("{}"),
			Status: builddata.Started, StartedAt: noon, SeenAt: noon.Add(-time.Duration(i) * time.Minute),
		}
		fatal(t, cat.Store.SaveRun(t.Context(), r))
	}
	for _, tt := range []struct {
		q    builddata.RunQuery
		want []string
	}{
		{builddata.RunQuery{}, []string{"r-3 lost", "r-2 started", "r-1 started", "r-0 started"}},
		{builddata.RunQuery{Limit: 3}, []string{"r-3 lost", "r-2 started", "r-1 started"}},
		{builddata.RunQuery{Service: "web"}, []string{"r-2 started", "r-0 started"}},
	} {
		runs, err := cat.Runs(t.Context(), tt.q)
		fatal(t, err)
		var got []string
		for _, r := range runs {
			got = append(got, fmt.Sprint(r.Run, " ", r.Status))
			if r.Version != "0.1.0" {
				t.Errorf("run %s is for version %q, want 0.1.0", r.Run, r.Version)
			}
		}
		equal(t, got, tt.want)
	}
}

func TestRun_IsFoundWithoutItsService(t *testing.T) {
	cat := newCatalog(t)
	fatal(t, cat.Store.SaveRun(t.Context(), builddata.Run{
		ID: "r-1", Service: "web", Pipe: "ci", Definition: []byte("{}"), Status: builddata.Started, StartedAt: noon, SeenAt: noon,
	}))
	fatal(t, cat.Store.Append(t.Context(), builddata.Event{ID: "e-1", Service: "web", Run: "r-1", Type: "setup.clean",
		Status: builddata.Succeeded, At: noon}))
	for _, service := range []string{"", "web"} {
		r, err := cat.Run(t.Context(), service, "r-1")
		fatal(t, err)
		equal(t, r.Events, []catalog.Event{{ID: "e-1", Run: "r-1", Type: "setup.clean", Status: builddata.Succeeded, At: noon}})
		if r.Version != "" || string(r.Definition) != "{}" {
			t.Errorf("got version %q and definition %s", r.Version, r.Definition)
		}
	}
	for _, id := range [][2]string{{"", "none"}, {"web", "none"}, {"api", "r-1"}} {
		if _, err := cat.Run(t.Context(), id[0], id[1]); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("%v: got %v, want ErrNotFound", id, err)
		}
	}
}
