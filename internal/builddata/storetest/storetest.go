// Package storetest is what every builddata.Store promises, as a test suite.
// Each implementation runs it.
package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Opener opens one repository. Each call is a client of its own, as another
// process would be, and is closed by the end of the test.
type Opener func(t *testing.T, c clock.Clock) builddata.Store

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Run runs the suite. Fresh makes an empty repository for each test.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	// open is for the tests that need one client and no say in the time.
	open := func(t *testing.T) builddata.Store { return fresh(t)(t, clock.NewFake(noon)) }

	t.Run("Versions", func(t *testing.T) {
		t.Run("EveryFactComesBack", func(t *testing.T) {
			s := open(t)
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
		})
		t.Run("NumbersRisePerService", func(t *testing.T) {
			s := open(t)
			for want := int64(1); want <= 3; want++ {
				for _, service := range []string{"api", "web"} {
					equal(t, allocate(t, s, sequence(service)).Number, want)
				}
			}
		})
		t.Run("NamesFollowTheirScheme", func(t *testing.T) {
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
		})
		t.Run("NumbersAreDistinctUnderContention", func(t *testing.T) {
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
		})
		t.Run("OneKeyIsOneVersionHoweverManyAsk", func(t *testing.T) {
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
		})
		t.Run("KeyThatStandsForSomethingElseIsAConflict", func(t *testing.T) {
			s := open(t)
			first := builddata.Allocation{Service: "web", Scheme: builddata.Sequence, Key: "k", SourceRevision: "abc"}
			allocate(t, s, first)
			for name, change := range map[string]func(*builddata.Allocation){
				"service":         func(a *builddata.Allocation) { a.Service = "api" },
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
		})
		t.Run("BadAllocationsChangeNothing", func(t *testing.T) {
			s := open(t)
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
		})
		t.Run("UnknownIsErrNotFound", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			for _, id := range [][2]string{{"web", "2"}, {"api", "1"}} {
				if _, err := s.Version(t.Context(), id[0], id[1]); !errors.Is(err, builddata.ErrNotFound) {
					t.Errorf("%v: got %v, want ErrNotFound", id, err)
				}
			}
			if _, err := s.Revoke(t.Context(), "web", "2", "bad"); !errors.Is(err, builddata.ErrNotFound) {
				t.Errorf("revoke: got %v, want ErrNotFound", err)
			}
		})
		t.Run("RevokedStaysAndKeepsItsFirstReason", func(t *testing.T) {
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
		})
		t.Run("ListsAreNewestFirstAndPaged", func(t *testing.T) {
			s := open(t)
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
		})
	})

	t.Run("Events", func(t *testing.T) {
		t.Run("EveryFactComesBackInOrder", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			var want []builddata.Event
			for i := range 5 {
				want = append(want, builddata.Event{
					ID: fmt.Sprint("id-", 9-i), Service: "web", Number: 1, Run: fmt.Sprint("run-", i%2),
					What: "test", Where: "laptop", Status: builddata.Succeeded, Message: "42 passed", Report: "https://example.com/r",
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
		})
		t.Run("SentAgainIsStoredOnce", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			e := builddata.Event{ID: "e-1", Service: "web", Number: 1, What: "bake", Status: builddata.Started}
			ok(t, s.Append(t.Context(), e))
			ok(t, s.Append(t.Context(), e, builddata.Event{Service: "web", Number: 1, What: "bake", Status: builddata.Succeeded}))
			got, err := s.Events(t.Context(), builddata.EventQuery{Service: "web", Number: 1})
			ok(t, err)
			equal(t, len(got), 2)
			if got[1].ID == "" || !got[1].At.Equal(noon) {
				t.Errorf("got id %q at %s, want both set by the store", got[1].ID, got[1].At)
			}
		})
		t.Run("AllOrNone", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			good := builddata.Event{Service: "web", Number: 1, What: "bake", Status: builddata.Started}
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
		})
	})

	t.Run("Images", func(t *testing.T) {
		image := func(region, id, architecture string) builddata.Image {
			return builddata.Image{
				Service: "web", Number: 1, Region: region, ID: id, Architecture: architecture,
				Digest: "sha256:1", Run: "run-1", RegisteredAt: noon,
			}
		}
		t.Run("EveryFactComesBackFiltered", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			east, north, arm := image("us-east-1", "ami-1", "x86_64"), image("eu-north-1", "ami-2", "x86_64"), image("eu-north-1", "ami-3", "arm64")
			ok(t, s.Register(t.Context(), east, north, arm))
			for _, tt := range []struct {
				q    builddata.ImageQuery
				want []builddata.Image
			}{
				{builddata.ImageQuery{}, []builddata.Image{arm, north, east}},
				{builddata.ImageQuery{Region: "eu-north-1"}, []builddata.Image{arm, north}},
				{builddata.ImageQuery{Architecture: "x86_64"}, []builddata.Image{north, east}},
				{builddata.ImageQuery{Region: "eu-west-1"}, nil},
			} {
				tt.q.Service, tt.q.Number = "web", 1
				got, err := s.Images(t.Context(), tt.q)
				ok(t, err)
				equal(t, got, tt.want)
			}
		})
		t.Run("RegisteredAgainUpdates", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			i := image("eu-north-1", "ami-1", "x86_64")
			ok(t, s.Register(t.Context(), i))
			i.Digest = "sha256:2"
			ok(t, s.Register(t.Context(), i))
			got, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
			ok(t, err)
			equal(t, got, []builddata.Image{i})
		})
		t.Run("OneImageHoldsOneVersion", func(t *testing.T) {
			s := open(t)
			allocate(t, s, sequence("web"))
			allocate(t, s, sequence("web"))
			ok(t, s.Register(t.Context(), image("eu-north-1", "ami-1", "x86_64")))
			other := image("eu-north-1", "ami-1", "x86_64")
			other.Number = 2
			if err := s.Register(t.Context(), image("eu-west-1", "ami-9", "x86_64"), other); !errors.Is(err, builddata.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
			got, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1, Region: "eu-west-1"})
			ok(t, err)
			equal(t, len(got), 0)
		})
		t.Run("OfAnUnknownVersionIsErrNotFound", func(t *testing.T) {
			if err := open(t).Register(t.Context(), image("eu-north-1", "ami-1", "x86_64")); !errors.Is(err, builddata.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
	})

	t.Run("Leases", func(t *testing.T) { leases(t, fresh) })
	t.Run("Rollouts", func(t *testing.T) { rollouts(t, fresh) })
	t.Run("Runs", func(t *testing.T) { runs(t, fresh) })
	t.Run("Promotions", func(t *testing.T) { promotions(t, fresh) })
}

func sequence(service string) builddata.Allocation {
	return builddata.Allocation{Service: service, Scheme: builddata.Sequence}
}

func allocate(t *testing.T, s builddata.Store, a builddata.Allocation) builddata.Version {
	t.Helper()
	if a.Labels != nil {
		a.Labels = maps.Clone(a.Labels)
	}
	v, err := s.Allocate(t.Context(), a)
	ok(t, err)
	return v
}

// concurrently runs f n times at once and collects what they return.
func concurrently(t *testing.T, n int, f func(i int) []string) []string {
	t.Helper()
	var (
		mu  sync.Mutex
		all []string
		wg  sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			got := f(i)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
		})
	}
	wg.Wait()
	return all
}

func ok(t *testing.T, err error) {
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
