package builddata_test

import (
	"errors"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

func TestAll_ReadsEveryPage(t *testing.T) {
	s := memstore.New().Open(clock.System{})
	const n = 2*builddata.DefaultPage + 5
	for range n {
		if _, err := s.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), builddata.Event{Service: "web", Number: 1, Type: "bake", Status: builddata.Succeeded}); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := builddata.Collect(builddata.AllVersions(t.Context(), s, builddata.VersionQuery{Service: "web", Limit: 3}))
	if err != nil || len(versions) != n || versions[n-1].Number != 1 {
		t.Errorf("got %d versions and %v, want %d down to 1", len(versions), err, n)
	}
	events, err := builddata.Collect(builddata.AllEvents(t.Context(), s, builddata.EventQuery{Service: "web", Number: 1}))
	if err != nil || len(events) != n {
		t.Errorf("got %d events and %v, want %d", len(events), err, n)
	}
	if _, err := builddata.Collect(builddata.AllEvents(t.Context(), s, builddata.EventQuery{Service: "web"})); err == nil ||
		errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want the store's error", err)
	}
}
