package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Rollouts tests what every builddata.Rollouts guarantees.
func Rollouts(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBack", rolloutEveryFactComesBack},
		{"CreationAndDestructionComeBack", rolloutCreationAndDestructionComeBack},
		{"CallerCannotSetTheStoresFields", rolloutCallerCannotSetTheStoresFields},
		{"RolloutBegunAgainIsStoredOnce", rolloutBegunAgainIsStoredOnce},
		{"IDStandsForOneRollout", rolloutIDStandsForOneRollout},
		{"ClusterHasOneOpenRollout", rolloutClusterHasOneOpenRollout},
		{"RolloutNeedsALeaseOfItsService", rolloutNeedsALeaseOfItsService},
		{"LatestOfEachClusterIsListed", rolloutLatestOfEachClusterIsListed},
		{"OneClientOfManyBegins", rolloutOneClientOfManyBegins},
		{"NoEntryIsLostUnderContention", rolloutNoEntryIsLostUnderContention},
		{"WritesUnderALostLeaseChangeNothing", rolloutWritesUnderALostLeaseChangeNothing},
		{"ExpiredLeaseIsGoodUntilItIsAcquired", rolloutExpiredLeaseIsGoodUntilItIsAcquired},
		{"EndedRolloutTakesNoEntries", rolloutEndedRolloutTakesNoEntries},
		{"RolloutEndsOnce", rolloutEndsOnce},
		{"EmptyResultIsNone", rolloutEmptyResultIsNone},
		{"OnlyTheFirstAbortRequestCounts", rolloutOnlyTheFirstAbortRequestCounts},
		{"UnknownRolloutIsErrNotFound", rolloutUnknownRolloutIsErrNotFound},
		{"InvalidRolloutsChangeNothing", rolloutInvalidRolloutsChangeNothing},
		{"ListsAreNewestFirstFilteredAndPaged", rolloutListsAreNewestFirstFilteredAndPaged},
		{"OpenRolloutsArePagedAfterOneThatEnded", rolloutOpenRolloutsArePagedAfterOneThatEnded},
	})
}

func rolloutEveryFactComesBack(t *testing.T, fresh Fresh) {
	hands, s, l := leased(t, fresh)
	// Half a microsecond behind noon, and not in UTC.
	hands.Set(noon.Add(500).In(time.FixedZone("", 3600)))
	want := rollout("r-1")
	ok(t, s.Begin(t.Context(), l, want))
	want.Status, want.StartedAt = builddata.Started, noon
	equal(t, read(t, s, "r-1"), want)

	// The store overrides the fields that it sets.
	at := noon
	for _, e := range []builddata.Entry{
		{Step: "launch", Phase: builddata.Began, At: noon.AddDate(1, 0, 0)},
		{Step: "launch", Phase: builddata.Done, Note: "asg-\x00ü"},
		{Step: "await", Phase: builddata.Began},
		{Step: "await", Phase: builddata.Erred, Note: "1 of 3 healthy"},
		{Step: "launch", Undo: true, Phase: builddata.Began},
		{Step: "launch", Undo: true, Phase: builddata.Done},
	} {
		at = at.Add(time.Second)
		hands.Set(at.Add(500).In(time.FixedZone("", 3600)))
		ok(t, s.Record(t.Context(), l, "r-1", e))
		e.At = at
		want.Entries = append(want.Entries, e)
	}
	equal(t, read(t, s, "r-1"), want)

	ok(t, s.RequestAbort(t.Context(), "web", "r-1", grace))
	want.AbortRequestedBy = grace
	equal(t, read(t, s, "r-1"), want)

	hands.Set(noon.Add(time.Minute + 500).In(time.FixedZone("", 3600)))
	want.Status, want.Result, want.EndedAt = builddata.Failed, []byte("\x00 left \xff"), noon.Add(time.Minute)
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: want.Status, Result: want.Result}))
	equal(t, read(t, s, "r-1"), want)

	want.Entries = nil
	equal(t, listed(t, s, builddata.RolloutQuery{Service: "web"}), []builddata.Rollout{want})
}

func rolloutCreationAndDestructionComeBack(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	for _, r := range []builddata.Rollout{
		{ID: "r-1", ToVersion: "1"},
		{ID: "r-2", FromVersion: "1"},
	} {
		r.Service, r.Environment, r.Region, r.Plan = "web", "production", "eu-north-1", []byte("{}")
		ok(t, s.Begin(t.Context(), l, r))
		ok(t, s.End(t.Context(), l, r.ID, builddata.Ending{Status: builddata.Succeeded}))
		r.Status, r.StartedAt, r.EndedAt = builddata.Succeeded, noon, noon
		equal(t, read(t, s, r.ID), r)
	}
}

func rolloutCallerCannotSetTheStoresFields(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	r := rollout("r-1")
	r.Status, r.Result, r.AbortRequestedBy = builddata.Succeeded, []byte("done"), grace
	r.StartedAt, r.EndedAt = noon.AddDate(1, 0, 0), noon.AddDate(2, 0, 0)
	r.Entries = []builddata.Entry{{Step: "launch", Phase: builddata.Done}}
	ok(t, s.Begin(t.Context(), l, r))
	want := rollout("r-1")
	want.Status, want.StartedAt = builddata.Started, noon
	equal(t, read(t, s, "r-1"), want)
}

func rolloutBegunAgainIsStoredOnce(t *testing.T, fresh Fresh) {
	hands, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	ok(t, s.Record(t.Context(), l, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Began}))
	hands.Set(noon.Add(time.Second))
	before := read(t, s, "r-1")
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	equal(t, read(t, s, "r-1"), before)

	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded, Result: []byte("done")}))
	before = read(t, s, "r-1")
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	equal(t, read(t, s, "r-1"), before)
}

func rolloutIDStandsForOneRollout(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	before := read(t, s, "r-1")
	for name, change := range map[string]func(*builddata.Rollout){
		"environment":  func(r *builddata.Rollout) { r.Environment = "staging" },
		"region":       func(r *builddata.Rollout) { r.Region = "us-east-1" },
		"from version": func(r *builddata.Rollout) { r.FromVersion = "0" },
		"to version":   func(r *builddata.Rollout) { r.ToVersion = "3" },
		"plan":         func(r *builddata.Rollout) { r.Plan = []byte("{}") },
	} {
		r := rollout("r-1")
		change(&r)
		if err := s.Begin(t.Context(), l, r); !errors.Is(err, builddata.ErrConflict) {
			t.Errorf("other %s: got %v, want ErrConflict", name, err)
		}
	}
	equal(t, read(t, s, "r-1"), before)
	equal(t, len(listed(t, s, builddata.RolloutQuery{Service: "web"})), 1)
}

func rolloutClusterHasOneOpenRollout(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	err := s.Begin(t.Context(), l, rollout("r-2"))
	if !errors.Is(err, builddata.ErrConflict) || !strings.Contains(fmt.Sprint(err), "r-1") {
		t.Errorf("got %v, want ErrConflict that names r-1", err)
	}
	notFound(t, s, "r-2")
	for id, change := range map[string]func(*builddata.Rollout){
		"r-4": func(r *builddata.Rollout) { r.Environment = "staging" },
		"r-5": func(r *builddata.Rollout) { r.Region = "us-east-1" },
	} {
		r := rollout(id)
		change(&r)
		ok(t, s.Begin(t.Context(), l, r))
	}
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Failed}))
	ok(t, s.Begin(t.Context(), l, rollout("r-2")))
	other := rollout("r-3")
	other.Service = "api"
	ok(t, s.Begin(t.Context(), leaseOf(t, s, "api"), other))
}

func rolloutNeedsALeaseOfItsService(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	before := read(t, s, "r-1")
	foreign := leaseOf(t, s, "api")
	for name, err := range map[string]error{
		"begin":  s.Begin(t.Context(), foreign, rollout("r-2")),
		"record": s.Record(t.Context(), foreign, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Done}),
		"end":    s.End(t.Context(), foreign, "r-1", builddata.Ending{Status: builddata.Succeeded}),
		"abort":  s.RequestAbort(t.Context(), "api", "r-1", grace),
	} {
		if !errors.Is(err, builddata.ErrConflict) && !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrConflict or ErrNotFound", name, err)
		}
	}
	equal(t, read(t, s, "r-1"), before)
	notFound(t, s, "r-2")
	if _, err := s.Rollout(t.Context(), "api", "r-1"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound: it is one of another service", err)
	}
}

func rolloutLatestOfEachClusterIsListed(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	begin := func(id, environment, region, from, to string) builddata.Rollout {
		r := rollout(id)
		r.Environment, r.Region, r.FromVersion, r.ToVersion = environment, region, from, to
		ok(t, s.Begin(t.Context(), l, r))
		r.Plan, r.Status, r.StartedAt = nil, builddata.Started, noon
		return r
	}
	end := func(r builddata.Rollout, status builddata.Status, gone ...bool) builddata.Rollout {
		r.Status, r.Gone, r.EndedAt = status, len(gone) > 0, noon
		ok(t, s.End(t.Context(), l, r.ID, builddata.Ending{Status: status, Result: []byte("left"), Gone: r.Gone}))
		return r
	}
	end(begin("r-1", "prod", "us-east-1", "", "1"), builddata.Succeeded)
	prod := end(begin("r-2", "prod", "us-east-1", "1", "2"), builddata.Failed)
	north := begin("r-3", "prod", "eu-north-1", "", "1")
	end(begin("r-4", "gone", "us-east-1", "", "1"), builddata.Succeeded)
	gone := end(begin("r-5", "gone", "us-east-1", "1", ""), builddata.Succeeded, true)
	never := end(begin("r-6", "never", "us-east-1", "", "1"), builddata.Failed, true)
	left := end(begin("r-7", "left", "us-east-1", "1", ""), builddata.Failed)
	end(begin("r-8", "again", "us-east-1", "1", ""), builddata.Succeeded, true)
	again := end(begin("r-9", "again", "us-east-1", "", "2"), builddata.Succeeded)
	for _, tt := range []struct {
		q    builddata.ClusterQuery
		want []builddata.Rollout
	}{
		{builddata.ClusterQuery{Service: "web"}, []builddata.Rollout{again, left, north, prod}},
		{builddata.ClusterQuery{Service: "web", IncludeGone: true}, []builddata.Rollout{again, gone, left, never, north, prod}},
		{builddata.ClusterQuery{Service: "web", Environment: "prod"}, []builddata.Rollout{north, prod}},
		{builddata.ClusterQuery{Service: "web", Environment: "gone"}, nil},
		{builddata.ClusterQuery{Service: "api"}, nil},
	} {
		got, err := s.LatestRollouts(t.Context(), tt.q)
		ok(t, err)
		equal(t, got, tt.want)
	}
}

func rolloutOneClientOfManyBegins(t *testing.T, fresh Fresh) {
	opener := fresh(t)
	l, err := opener(t, clock.System{}).Acquire(t.Context(), request("web", ada, time.Hour))
	ok(t, err)
	begun := concurrently(t, 8, func(i int) []string {
		id := fmt.Sprint("r-", i)
		err := opener(t, clock.System{}).Begin(t.Context(), l, rollout(id))
		switch {
		case err == nil:
			return []string{id}
		case !errors.Is(err, builddata.ErrConflict):
			t.Errorf("got %v, want ErrConflict", err)
		}
		return nil
	})
	equal(t, len(begun), 1)
	equal(t, ids(listed(t, opener(t, clock.System{}), builddata.RolloutQuery{Service: "web"})), begun)
}

func rolloutNoEntryIsLostUnderContention(t *testing.T, fresh Fresh) {
	opener := fresh(t)
	s := opener(t, clock.System{})
	l, err := s.Acquire(t.Context(), request("web", ada, time.Hour))
	ok(t, err)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	want := concurrently(t, 4, func(i int) (steps []string) {
		client := opener(t, clock.System{})
		for n := range 5 {
			step := fmt.Sprint(i, "-", n)
			if err := client.Record(t.Context(), l, "r-1", builddata.Entry{Step: step, Phase: builddata.Done}); err != nil {
				t.Error(err)
			}
			steps = append(steps, step)
		}
		return steps
	})
	var got []string
	next := map[string]int{}
	for _, e := range read(t, s, "r-1").Entries {
		got = append(got, e.Step)
		client, n, _ := strings.Cut(e.Step, "-")
		equal(t, n, fmt.Sprint(next[client])) // the entries of each client are in order
		next[client]++
	}
	slices.Sort(got)
	slices.Sort(want)
	equal(t, got, want)
}

func rolloutWritesUnderALostLeaseChangeNothing(t *testing.T, fresh Fresh) {
	lose := func(t *testing.T, take bool) (s builddata.Store, old, now builddata.Lease) {
		hands, s, old := leased(t, fresh)
		ok(t, s.Begin(t.Context(), old, rollout("r-1")))
		if !take {
			ok(t, s.Release(t.Context(), old))
			return s, old, now
		}
		hands.Set(old.ExpiresAt)
		return s, old, acquire(t, s, "web", grace)
	}
	for name, take := range map[string]bool{"Taken": true, "Released": false} {
		t.Run(name, func(t *testing.T) {
			s, old, now := lose(t, take)
			before := read(t, s, "r-1")
			other := rollout("r-2")
			other.Region = "us-east-1"
			isLost(t, s.Begin(t.Context(), old, other), old, now)
			isLost(t, s.Begin(t.Context(), old, rollout("r-1")), old, now)
			isLost(t, s.Record(t.Context(), old, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Began}), old, now)
			isLost(t, s.End(t.Context(), old, "r-1", builddata.Ending{Status: builddata.Succeeded}), old, now)
			notFound(t, s, "r-2")
			equal(t, read(t, s, "r-1"), before)
		})
	}
	t.Run("WhoTookItGoesOn", func(t *testing.T) {
		s, _, now := lose(t, true)
		ok(t, s.Record(t.Context(), now, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Began}))
		ok(t, s.End(t.Context(), now, "r-1", builddata.Ending{Status: builddata.Failed}))
		r := read(t, s, "r-1")
		equal(t, len(r.Entries), 1)
		equal(t, r.Status, builddata.Failed)
	})
	t.Run("NeverHeld", func(t *testing.T) {
		s := fresh(t)(t, clock.NewFake(noon))
		none := builddata.Lease{Service: "web"}
		isLost(t, s.Begin(t.Context(), none, rollout("r-1")), none, builddata.Lease{})
		notFound(t, s, "r-1")
	})
}

func rolloutExpiredLeaseIsGoodUntilItIsAcquired(t *testing.T, fresh Fresh) {
	hands, s, l := leased(t, fresh)
	hands.Set(l.ExpiresAt.Add(time.Hour))
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	ok(t, s.Record(t.Context(), l, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Done}))
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded}))
	equal(t, read(t, s, "r-1").Status, builddata.Succeeded)
}

func rolloutEndedRolloutTakesNoEntries(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded}))
	before := read(t, s, "r-1")
	err := s.Record(t.Context(), l, "r-1", builddata.Entry{Step: "launch", Phase: builddata.Done})
	if !errors.Is(err, builddata.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	equal(t, read(t, s, "r-1"), before)
}

func rolloutEndsOnce(t *testing.T, fresh Fresh) {
	hands, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	for _, status := range []builddata.Status{"", "maybe", builddata.Started, builddata.Interrupted} {
		if err := s.End(t.Context(), l, "r-1", builddata.Ending{Status: status}); err == nil {
			t.Errorf("%q was accepted as an end", status)
		}
	}
	equal(t, read(t, s, "r-1").Status, builddata.Started)

	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded, Result: []byte("done")}))
	before := read(t, s, "r-1")
	hands.Set(noon.Add(time.Second))
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded, Result: []byte("done")}))
	for _, tt := range []struct {
		status builddata.Status
		result []byte
	}{
		{builddata.Failed, []byte("done")},
		{builddata.Succeeded, []byte("other")},
		{builddata.Succeeded, nil},
	} {
		if err := s.End(t.Context(), l, "r-1", builddata.Ending{Status: tt.status, Result: tt.result}); !errors.Is(err, builddata.ErrConflict) {
			t.Errorf("%s, %q: got %v, want ErrConflict", tt.status, tt.result, err)
		}
	}
	equal(t, read(t, s, "r-1"), before)
}

func rolloutEmptyResultIsNone(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded, Result: []byte{}}))
	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Succeeded}))
	equal(t, read(t, s, "r-1").Result, nil)
}

func rolloutOnlyTheFirstAbortRequestCounts(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	if err := s.RequestAbort(t.Context(), "web", "r-1", ""); err == nil {
		t.Error("an anonymous request to abort was accepted")
	}
	ok(t, s.RequestAbort(t.Context(), "web", "r-1", grace))
	ok(t, s.RequestAbort(t.Context(), "web", "r-1", ada))
	equal(t, read(t, s, "r-1").AbortRequestedBy, grace)

	ok(t, s.End(t.Context(), l, "r-1", builddata.Ending{Status: builddata.Failed}))
	before := read(t, s, "r-1")
	if err := s.RequestAbort(t.Context(), "web", "r-1", grace); !errors.Is(err, builddata.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	equal(t, read(t, s, "r-1"), before)
}

func rolloutUnknownRolloutIsErrNotFound(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	notFound(t, s, "r-2")
	for name, err := range map[string]error{
		"record": s.Record(t.Context(), l, "r-2", builddata.Entry{Step: "launch", Phase: builddata.Done}),
		"end":    s.End(t.Context(), l, "r-2", builddata.Ending{Status: builddata.Succeeded}),
		"abort":  s.RequestAbort(t.Context(), "web", "r-2", grace),
	} {
		if !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	notFound(t, s, "r-2")
}

func rolloutInvalidRolloutsChangeNothing(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	for name, change := range map[string]func(*builddata.Rollout){
		"id":          func(r *builddata.Rollout) { r.ID = "" },
		"service":     func(r *builddata.Rollout) { r.Service = "a b" },
		"environment": func(r *builddata.Rollout) { r.Environment = "" },
		"region":      func(r *builddata.Rollout) { r.Region = "" },
		"plan":        func(r *builddata.Rollout) { r.Plan = nil },
	} {
		r := rollout("r-1")
		change(&r)
		if err := s.Begin(t.Context(), l, r); err == nil {
			t.Errorf("a rollout with a bad %s was accepted", name)
		}
	}
	equal(t, len(listed(t, s, builddata.RolloutQuery{Service: "web"})), 0)

	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	for _, e := range []builddata.Entry{{Phase: builddata.Done}, {Step: "launch"}, {Step: "launch", Phase: "soon"}} {
		if err := s.Record(t.Context(), l, "r-1", e); err == nil {
			t.Errorf("the entry %+v was accepted", e)
		}
	}
	equal(t, len(read(t, s, "r-1").Entries), 0)
}

func rolloutListsAreNewestFirstFilteredAndPaged(t *testing.T, fresh Fresh) {
	hands, s, l := leased(t, fresh)
	leases := map[string]builddata.Lease{"web": l, "api": leaseOf(t, s, "api")}
	for i, cluster := range []string{
		"web production eu-north-1", "web production eu-north-1", "web staging eu-north-1",
		"api production eu-north-1", "web production us-east-1", "web production eu-north-1", "web staging eu-north-1",
	} {
		r := rollout(fmt.Sprint("r-", i+1))
		where := strings.Fields(cluster)
		r.Service, r.Environment, r.Region = where[0], where[1], where[2]
		l := leases[r.Service]
		hands.Set(noon.Add(time.Duration(i) * time.Second))
		ok(t, s.Begin(t.Context(), l, r))
		if i < 4 {
			ok(t, s.Record(t.Context(), l, r.ID, builddata.Entry{Step: "launch", Phase: builddata.Done}))
			ok(t, s.End(t.Context(), l, r.ID, builddata.Ending{Status: builddata.Succeeded}))
		}
	}
	for _, tt := range []struct {
		q    builddata.RolloutQuery
		want string
	}{
		{builddata.RolloutQuery{Service: "web"}, "7 6 5 3 2 1"},
		{builddata.RolloutQuery{Service: "web", Environment: "production"}, "6 5 2 1"},
		{builddata.RolloutQuery{Service: "api"}, "4"},
		{builddata.RolloutQuery{Service: "web", Region: "eu-north-1"}, "7 6 3 2 1"},
		{builddata.RolloutQuery{Service: "web", Environment: "production", Region: "eu-north-1"}, "6 2 1"},
		{builddata.RolloutQuery{Service: "web", Open: true}, "7 6 5"},
		{builddata.RolloutQuery{Open: true, Service: "api"}, ""},
		{builddata.RolloutQuery{Service: "web", Open: true, Region: "eu-north-1"}, "7 6"},
		{builddata.RolloutQuery{Open: true, Service: "web", Environment: "production", Region: "us-east-1"}, "5"},
		{builddata.RolloutQuery{Service: "unknown"}, ""},
	} {
		want := strings.Fields(tt.want)
		for i := range want {
			want[i] = "r-" + want[i]
		}
		for _, limit := range []int{0, 1, 2} {
			q := tt.q
			q.Limit = limit
			got := []string{}
			for {
				page := ids(listed(t, s, q))
				if limit > 0 && len(page) > limit {
					t.Errorf("got a page of %d, want at most %d", len(page), limit)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				q.Before = page[len(page)-1]
			}
			if diff := slices.Compare(got, want); diff != 0 {
				t.Errorf("%+v in pages of %d: got %v, want %v", tt.q, limit, got, want)
			}
		}
	}
}

func rolloutOpenRolloutsArePagedAfterOneThatEnded(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	for i := range 4 {
		r := rollout(fmt.Sprint("r-", i+1))
		r.Region = fmt.Sprint("region-", i)
		ok(t, s.Begin(t.Context(), l, r))
	}
	first := ids(listed(t, s, builddata.RolloutQuery{Service: "web", Open: true, Limit: 2}))
	equal(t, first, []string{"r-4", "r-3"})
	ok(t, s.End(t.Context(), l, "r-3", builddata.Ending{Status: builddata.Succeeded}))
	equal(t, ids(listed(t, s, builddata.RolloutQuery{Service: "web", Open: true, Limit: 2, Before: "r-3"})), []string{"r-2", "r-1"})
}

// leased opens an empty repository with the lease to write rollouts of web.
func leased(t *testing.T, fresh Fresh) (hands *clock.Fake, s builddata.Store, l builddata.Lease) {
	hands = clock.NewFake(noon)
	s = fresh(t)(t, hands)
	return hands, s, acquire(t, s, "web", ada)
}

// leaseOf takes the lease to write rollouts of another service.
func leaseOf(t *testing.T, s builddata.Leases, service string) builddata.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), builddata.LeaseRequest{Service: service, Name: service, Holder: ada, TTL: time.Minute})
	ok(t, err)
	return l
}

// rollout returns a rollout of the cluster web in production in eu-north-1, with all fields
// that the caller sets.
func rollout(id string) builddata.Rollout {
	return builddata.Rollout{
		ID: id, Service: "web", Environment: "production", Region: "eu-north-1",
		FromVersion: "1", ToVersion: "2", Plan: []byte("{\"steps\": 7}\x00\xff"),
	}
}

func read(t *testing.T, s builddata.Rollouts, id string) builddata.Rollout {
	t.Helper()
	r, err := s.Rollout(t.Context(), "web", id)
	ok(t, err)
	return r
}

func notFound(t *testing.T, s builddata.Rollouts, id string) {
	t.Helper()
	if _, err := s.Rollout(t.Context(), "web", id); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("rollout %s: got %v, want ErrNotFound", id, err)
	}
}

func listed(t *testing.T, s builddata.Rollouts, q builddata.RolloutQuery) []builddata.Rollout {
	t.Helper()
	all, err := s.Rollouts(t.Context(), q)
	ok(t, err)
	return all
}

func ids(all []builddata.Rollout) (ids []string) {
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	return ids
}
