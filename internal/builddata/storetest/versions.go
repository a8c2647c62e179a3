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

// Versions tests what every builddata.Versions guarantees.
func Versions(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBack", versionEveryFactComesBack},
		{"NumbersRisePerService", versionNumbersRisePerService},
		{"NamesFollowTheirScheme", versionNamesFollowTheirScheme},
		{"NumbersAreDistinctUnderContention", versionNumbersAreDistinctUnderContention},
		{"OneKeyIsOneVersionUnderContention", versionOneKeyIsOneVersionUnderContention},
		{"KeyOfADifferentVersionIsAConflict", versionKeyOfADifferentVersionIsAConflict},
		{"InvalidAllocationsChangeNothing", versionInvalidAllocationsChangeNothing},
		{"KeysOfTwoServicesAreIndependent", versionKeysOfTwoServicesAreIndependent},
		{"VersionIsFoundByItsNumber", versionIsFoundByItsNumber},
		{"UnknownVersionIsErrNotFound", versionUnknownVersionIsErrNotFound},
		{"RevokedVersionKeepsItsFirstReason", versionRevokedVersionKeepsItsFirstReason},
		{"ListsAreNewestFirstAndPaged", versionListsAreNewestFirstAndPaged},
	})
}

func versionEveryFactComesBack(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	asked := builddata.Allocation{
		Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor,
		Key: "run-1", SourceRevision: "abc", Labels: map[string]string{"branch": "main"},
	}
	want := builddata.Version{
		Service: "web", Number: 1, Name: "0.1.0", Scheme: builddata.Semver,
		Key: "run-1", SourceRevision: "abc", Labels: map[string]string{"branch": "main"}, CreatedAt: noon,
	}
	got := allocate(t, s, asked)
	equal(t, got, want)
	got, err := s.Version(t.Context(), "web", "0.1.0")
	ok(t, err)
	equal(t, got, want)
}

func versionNumbersRisePerService(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for want := int64(1); want <= 3; want++ {
		for _, service := range []string{"api", "web"} {
			equal(t, allocate(t, s, sequence(service)).Number, want)
		}
	}
}

func versionNamesFollowTheirScheme(t *testing.T, fresh Fresh) {
	hands := clock.NewFake(noon)
	s := fresh(t)(t, hands)
	var got []string
	ask := func(scheme builddata.Scheme, bump builddata.Bump) {
		got = append(got, allocate(t, s, builddata.Allocation{Service: "web", Scheme: scheme, Bump: bump}).Name)
	}
	ask(builddata.Semver, builddata.Major)
	ask(builddata.Calver, "")
	ask(builddata.Semver, builddata.Patch)
	ask(builddata.Sequence, "")
	ask(builddata.Calver, "")
	hands.Set(noon.AddDate(0, 1, 0))
	ask(builddata.Calver, "")
	hands.Set(noon.AddDate(-1, 0, 0))
	ask(builddata.Calver, "")
	ask(builddata.Semver, builddata.Minor)
	equal(t, got, []string{"1.0.0", "2026.11.1", "1.0.1", "4", "2026.11.2", "2026.12.1", "2026.12.2", "1.1.0"})
}

func versionNumbersAreDistinctUnderContention(t *testing.T, fresh Fresh) {
	opener := fresh(t)
	const clients, each = 4, 25
	names := concurrently(t, clients*2, func(i int) []string {
		s := opener(t, clock.System{})
		var names []string
		for range each {
			v, err := s.Allocate(t.Context(), sequence("web"))
			if err != nil {
				t.Error(err)
				return names
			}
			names = append(names, v.Name)
		}
		return names
	})
	slices.Sort(names)
	if distinct := len(slices.Compact(names)); distinct != clients*2*each {
		t.Errorf("got %d distinct numbers of %d", distinct, clients*2*each)
	}
}

func versionOneKeyIsOneVersionUnderContention(t *testing.T, fresh Fresh) {
	opener := fresh(t)
	a := sequence("web")
	a.Key = "run-1"
	names := concurrently(t, 8, func(int) []string {
		v, err := opener(t, clock.System{}).Allocate(t.Context(), a)
		if err != nil {
			t.Error(err)
		}
		return []string{v.Name}
	})
	equal(t, names, slices.Repeat([]string{"1"}, 8))
}

func versionKeyOfADifferentVersionIsAConflict(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	first := builddata.Allocation{Service: "web", Scheme: builddata.Sequence, Key: "k", SourceRevision: "abc"}
	allocate(t, s, first)
	for name, change := range map[string]func(*builddata.Allocation){
		"scheme":          func(a *builddata.Allocation) { a.Scheme = builddata.Calver },
		"source revision": func(a *builddata.Allocation) { a.SourceRevision = "def" },
		"labels":          func(a *builddata.Allocation) { a.Labels = map[string]string{"x": "y"} },
	} {
		a := first
		change(&a)
		_, err := s.Allocate(t.Context(), a)
		var conflict *builddata.KeyError
		if !errors.As(err, &conflict) || !errors.Is(err, builddata.ErrConflict) || !strings.Contains(err.Error(), name) {
			t.Errorf("other %s: got %v, want a KeyError that names it", name, err)
		}
	}
	all, err := s.Versions(t.Context(), builddata.VersionQuery{Service: "web", IncludeRevoked: true})
	ok(t, err)
	equal(t, len(all), 1)
}

func versionInvalidAllocationsChangeNothing(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for name, a := range map[string]builddata.Allocation{
		"missing service": {Scheme: builddata.Sequence},
		"unknown scheme":  {Service: "web", Scheme: "roman"},
		"unknown bump":    {Service: "web", Scheme: builddata.Semver, Bump: "huge"},
		"endless key":     {Service: "web", Scheme: builddata.Sequence, Key: strings.Repeat("k", 513)},
	} {
		if v, err := s.Allocate(t.Context(), a); err == nil {
			t.Errorf("%s: got version %s, want an error", name, v.Name)
		}
	}
	equal(t, allocate(t, s, sequence("web")).Number, 1)
}

func versionKeysOfTwoServicesAreIndependent(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for _, service := range []string{"web", "api"} {
		a := sequence(service)
		a.Key, a.SourceRevision = "run-1", "revision of "+service
		equal(t, allocate(t, s, a).Number, 1)
		equal(t, allocate(t, s, a).Number, 1)
	}
}

func versionIsFoundByItsNumber(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, builddata.Allocation{Service: "api", Scheme: builddata.Calver})
	for range 3 {
		allocate(t, s, builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: builddata.Minor})
	}
	_, err := s.Revoke(t.Context(), "web", "0.2.0", "bad")
	ok(t, err)
	want, err := s.Version(t.Context(), "web", "0.2.0")
	ok(t, err)
	got, err := s.VersionByNumber(t.Context(), "web", 2)
	ok(t, err)
	equal(t, got, want)
}

func versionUnknownVersionIsErrNotFound(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	for _, id := range [][2]string{{"web", "2"}, {"api", "1"}} {
		if _, err := s.Version(t.Context(), id[0], id[1]); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("%v: got %v, want ErrNotFound", id, err)
		}
	}
	if _, err := s.Revoke(t.Context(), "web", "2", "bad"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("revoke: got %v, want ErrNotFound", err)
	}
	for _, number := range []int64{-1, 0, 2} {
		if _, err := s.VersionByNumber(t.Context(), "web", number); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("number %d: got %v, want ErrNotFound", number, err)
		}
	}
}

func versionRevokedVersionKeepsItsFirstReason(t *testing.T, fresh Fresh) {
	hands := clock.NewFake(noon)
	s := fresh(t)(t, hands)
	allocate(t, s, sequence("web"))
	_, err := s.Revoke(t.Context(), "web", "1", "leaks memory")
	ok(t, err)
	hands.Set(noon.Add(time.Hour))
	_, err = s.Revoke(t.Context(), "web", "1", "second thoughts")
	ok(t, err)
	v, err := s.Version(t.Context(), "web", "1")
	ok(t, err)
	equal(t, v.Revocation, &builddata.Revocation{At: noon, Reason: "leaks memory"})
	equal(t, allocate(t, s, sequence("web")).Number, 2)
}

func versionListsAreNewestFirstAndPaged(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	for i := range 7 {
		a := sequence("web")
		a.SourceRevision = fmt.Sprint("r", i%2)
		allocate(t, s, a)
	}
	allocate(t, s, sequence("api"))
	_, err := s.Revoke(t.Context(), "web", "6", "bad")
	ok(t, err)
	numbers := func(q builddata.VersionQuery) (all []int64) {
		q.Service = "web"
		for {
			page, err := s.Versions(t.Context(), q)
			ok(t, err)
			if len(page) == 0 {
				return all
			}
			for _, v := range page {
				all = append(all, v.Number)
			}
			q.Before = all[len(all)-1]
		}
	}
	equal(t, numbers(builddata.VersionQuery{Limit: 2}), []int64{7, 5, 4, 3, 2, 1})
	equal(t, numbers(builddata.VersionQuery{Limit: 3, IncludeRevoked: true}), []int64{7, 6, 5, 4, 3, 2, 1})
	equal(t, numbers(builddata.VersionQuery{Limit: 1, SourceRevision: "r0"}), []int64{7, 5, 3, 1})
	none, err := s.Versions(t.Context(), builddata.VersionQuery{Service: "unknown"})
	ok(t, err)
	equal(t, len(none), 0)
}
