package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Events tests what every builddata.Events guarantees.
func Events(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBackInOrder", eventEveryFactComesBackInOrder},
		{"EventSentAgainIsStoredOnce", eventSentAgainIsStoredOnce},
		{"AllEventsAreStoredOrNone", eventAllEventsAreStoredOrNone},
		{"EventsOfARunAreListed", eventsOfARunAreListed},
	})
}

func eventEveryFactComesBackInOrder(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	var want []builddata.Event
	for i := range 5 {
		want = append(want, builddata.Event{
			ID: fmt.Sprint("id-", 9-i), Service: "web", Number: 1, Run: fmt.Sprint("run-", i%2),
			Type: "test", Location: "laptop", Status: builddata.Succeeded, Message: "42 passed", Report: "https://example.com/r",
			At: noon.Add(-time.Duration(i) * time.Minute),
		})
	}
	ok(t, s.Append(t.Context(), want[:3]...))
	ok(t, s.Append(t.Context(), want[3:]...))
	got, err := s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, got, want)
	got, err = s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1, Run: "run-0", After: want[0].ID, Limit: 1})
	ok(t, err)
	equal(t, got, want[2:3])
}

func eventSentAgainIsStoredOnce(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	e := builddata.Event{ID: "e-1", Service: "web", Number: 1, Type: "bake", Status: builddata.Started}
	ok(t, s.Append(t.Context(), e))
	ok(t, s.Append(t.Context(), e, builddata.Event{Service: "web", Number: 1, Type: "bake", Status: builddata.Succeeded}))
	got, err := s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, len(got), 2)
	if got[1].ID == "" || !got[1].At.Equal(noon) {
		t.Errorf("got id %q at %s, want both set by the store", got[1].ID, got[1].At)
	}
}

func eventAllEventsAreStoredOrNone(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	good := builddata.Event{Service: "web", Number: 1, Type: "bake", Status: builddata.Started}
	stray := good
	stray.Number = 2
	if err := s.Append(t.Context(), good, stray); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	wrong := good
	wrong.Status = "maybe"
	if err := s.Append(t.Context(), good, wrong); err == nil {
		t.Error("an unknown status was accepted")
	}
	got, err := s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, len(got), 0)
}

func eventsOfARunAreListed(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	v := allocate(t, s, sequence("web"))
	events := []builddata.Event{
		{ID: "e-1", Service: "web", Run: "r-1", Step: "clean", Type: "setup.clean", Status: builddata.Succeeded, At: noon},
		{
			ID: "e-2", Service: "web", Number: v.Number, Run: "r-1", Step: "unit tests", Type: "test.command", Status: builddata.Lost, At: noon,
			Report: "{}", Outputs: map[string]string{"a": "b"}, Reason: "timeout",
			LogAddress: "s3://logs/web/r-1/unit%20tests.log", OutputTail: "line 1\nline 2: \u00fc\n",
		},
		{ID: "e-3", Service: "web", Number: v.Number, Run: "r-2", Type: "bake", Status: builddata.Succeeded, At: noon},
	}
	ok(t, s.Append(t.Context(), events...))
	ok(t, s.Append(t.Context(), events...)) // stored once, however often it is sent
	for _, tt := range []struct {
		q    builddata.EventQuery
		want []builddata.Event
	}{
		{builddata.EventQuery{Service: "web", Run: "r-1"}, events[:2]},
		{builddata.EventQuery{Service: "web", Run: "r-1", After: "e-1"}, events[1:2]},
		{builddata.EventQuery{Service: "web", Number: v.Number}, events[1:]},
		{builddata.EventQuery{Service: "web", Number: v.Number, Run: "r-1"}, events[1:2]},
		{builddata.EventQuery{Service: "web", Run: "none"}, nil},
		{builddata.EventQuery{Service: "web", Run: "r-1", After: "none"}, nil},
		{builddata.EventQuery{Service: "api", Run: "r-1"}, nil},
	} {
		got, err := s.Events(t.Context(), tt.q)
		ok(t, err)
		equal(t, got, tt.want)
	}
	for _, q := range []builddata.EventQuery{{Service: "web"}, {Run: "r-1"}} {
		if _, err := s.Events(t.Context(), q); err == nil {
			t.Errorf("%+v was answered", q)
		}
	}
	nowhere := builddata.Event{Service: "web", Type: "bake", Status: builddata.Succeeded}
	if err := s.Append(t.Context(), nowhere); err == nil {
		t.Error("an event of no version and no run was stored")
	}
}
