// Package storetest tests what every builddata.Store guarantees. It has a test suite for
// each concept, with one function for each guarantee. Every implementation runs it.
package storetest

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Opener opens one repository. Each call returns a separate client, like that of another
// process, which is closed at the end of the test.
type Opener func(t *testing.T, c clock.Clock) builddata.Store

// Fresh creates an empty repository for one test.
type Fresh func(t *testing.T) Opener

// promise is a guarantee of every store.
type promise struct {
	name string
	test func(t *testing.T, fresh Fresh)
}

// Run runs the suites of all concepts. A store that implements only a part runs
// the suites of that part.
func Run(t *testing.T, fresh Fresh) {
	for _, suite := range []promise{
		{"Identity", Identity}, {"Services", Services}, {"Versions", Versions}, {"Events", Events}, {"Images", Images}, {"Leases", Leases},
		{"Rollouts", Rollouts}, {"Runs", Runs}, {"Promotions", Promotions}, {"Deploys", Deploys},
	} {
		t.Run(suite.name, func(t *testing.T) { suite.test(t, fresh) })
	}
}

func runAll(t *testing.T, fresh Fresh, promises []promise) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, fresh) })
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// one opens an empty repository at noon, for tests with one client that do not set the
// clock.
func one(t *testing.T, fresh Fresh) builddata.Store { return fresh(t)(t, clock.NewFake(noon)) }

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

// concurrently runs f n times at once and returns the results.
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

// isA reports whether err matches the type.
func isA[T error](err error) bool {
	var as T
	return errors.As(err, &as)
}
