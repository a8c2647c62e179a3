package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// fakeCloud keeps what there is in memory. It is no AWS: it knows only what a
// Manager asks for.
type fakeCloud struct {
	there   map[string]bool // "template", "targets", "servers"
	place   map[string]int  // weights by generation
	size    cluster.Size
	tags    tagging.Set
	healthy int // of all servers
	desired int
	// fail makes a method fail, once it has done what it does.
	fail map[string]error
	// before runs before a method does anything.
	before func(method string)
}

func newFakeCloud() *fakeCloud {
	return &fakeCloud{there: map[string]bool{}, place: map[string]int{}, fail: map[string]error{}, before: func(string) {}, healthy: 99}
}

func (f *fakeCloud) do(ctx context.Context, method string, what func()) error {
	f.before(method)
	if err := ctx.Err(); err != nil {
		return err
	}
	what()
	return f.fail[method]
}

func (f *fakeCloud) Check(ctx context.Context, _ cluster.Spec) error {
	return f.do(ctx, "Check", func() {})
}

func (f *fakeCloud) MakeTemplate(ctx context.Context, _ cluster.Generation, _ cluster.Spec) error {
	return f.do(ctx, "MakeTemplate", func() { f.there["template"] = true })
}

func (f *fakeCloud) MakeTargets(ctx context.Context, _ cluster.Generation, _ cluster.Spec) error {
	return f.do(ctx, "MakeTargets", func() { f.there["targets"] = true })
}

func (f *fakeCloud) MakeServers(ctx context.Context, g cluster.Generation, s cluster.Spec, size int32) error {
	return f.do(ctx, "MakeServers", func() {
		f.there["servers"], f.size, f.desired, f.tags = true, s.Size, int(size), g.Tags(s.Tags)
	})
}

func (f *fakeCloud) Connect(ctx context.Context, g cluster.Generation, _ cluster.Spec) error {
	return f.do(ctx, "Connect", func() {
		f.place[g.Name] = 0
		if len(f.place) == 1 {
			f.place[g.Name] = 1
		}
	})
}

func (f *fakeCloud) Serve(ctx context.Context, g cluster.Generation, _ cluster.Spec) error {
	return f.do(ctx, "Serve", func() { f.place = map[string]int{g.Name: 1} })
}

func (f *fakeCloud) Disconnect(ctx context.Context, g cluster.Generation, _ cluster.Listener) error {
	return f.do(ctx, "Disconnect", func() { delete(f.place, g.Name) })
}

func (f *fakeCloud) Health(ctx context.Context, _ cluster.Generation) (h cluster.Health, err error) {
	err = f.do(ctx, "Health", func() {
		h = cluster.Health{Desired: f.desired, Healthy: min(f.healthy, f.desired)}
		for i := range h.Desired - h.Healthy {
			h.Problems = append(h.Problems, fmt.Sprintf("i-%d is unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [500])", i))
		}
	})
	return h, err
}

func (f *fakeCloud) remove(ctx context.Context, method, part string) error {
	return f.do(ctx, method, func() {
		if f.fail[method] == nil {
			delete(f.there, part)
		}
	})
}

func (f *fakeCloud) RemoveServers(ctx context.Context, _ cluster.Generation) error {
	return f.remove(ctx, "RemoveServers", "servers")
}

func (f *fakeCloud) RemoveTargets(ctx context.Context, _ cluster.Generation) error {
	return f.remove(ctx, "RemoveTargets", "targets")
}

func (f *fakeCloud) RemoveTemplate(ctx context.Context, _ cluster.Generation) error {
	return f.remove(ctx, "RemoveTemplate", "template")
}

func (f *fakeCloud) Resize(ctx context.Context, _ cluster.Generation, size cluster.Size) error {
	return f.do(ctx, "Resize", func() { f.size, f.desired = size, max(f.desired, int(size.Min)) })
}

func (f *fakeCloud) Retag(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	return f.do(ctx, "Retag", func() { f.tags = g.Tags(s.Tags) })
}

func (f *fakeCloud) Observe(ctx context.Context, _ cluster.Generation, _ string) (o cluster.Observed, err error) {
	err = f.do(ctx, "Observe", func() { o.Size, o.Tags = f.size, f.tags })
	return o, err
}

func (f *fakeCloud) Generations(context.Context, cluster.ID) ([]cluster.Generation, error) {
	return nil, nil
}

var (
	start      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	generation = cluster.Generation{Cluster: cluster.ID{Service: "web", Environment: "test"}, Name: "web-test-x"}
	spec       = cluster.Spec{
		ID: generation.Cluster, Size: cluster.Size{Min: 3, Max: 5}, Tags: tagging.Set{"a": "b"},
		Listener: &cluster.Listener{ARN: "arn"}, Target: &cluster.Target{},
	}
)

func manage(f *fakeCloud) (*cluster.Manager, *clock.Fake) {
	hands := clock.NewFake(start)
	return &cluster.Manager{Cloud: f, Clock: hands, Progress: func(context.Context, string, ...any) {}}, hands
}

func TestManager_Create(t *testing.T) {
	t.Run("ServesOnceHealthy", func(t *testing.T) {
		f := newFakeCloud()
		f.place["older"] = 1
		f.healthy = 0
		looks := 0
		f.before = func(method string) {
			if method == "Health" {
				if looks++; looks == 4 {
					f.healthy = 3
				}
				if f.place["older"] != 1 || f.place[generation.Name] != 0 {
					t.Errorf("while it is not healthy the requests go %v", f.place)
				}
			}
		}
		m, hands := manage(f)
		if err := m.Create(t.Context(), generation, spec, time.Hour); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f.place, map[string]int{generation.Name: 1}); diff != "" {
			t.Error(diff)
		}
		if waited := hands.Now().Sub(start); waited != 15*time.Second {
			t.Errorf("waited %s, want three times 5s", waited)
		}
	})
	t.Run("NeverHealthyIsRemoved", func(t *testing.T) {
		f := newFakeCloud()
		f.place["older"] = 1
		f.healthy = 1
		m, _ := manage(f)
		err := m.Create(t.Context(), generation, spec, 10*time.Minute)
		var failure *cluster.CreateError
		if !errors.As(err, &failure) || failure.Left {
			t.Fatalf("got %v, want a CreateError with nothing left", err)
		}
		for _, says := range []string{"after 10m0s: 1 of 3 servers healthy", "i-0 is unhealthy (Target.ResponseCodeMismatch", "nothing of it is left"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("the error does not say %q:\n%v", says, err)
			}
		}
		if diff := cmp.Diff([]any{f.there, f.place}, []any{map[string]bool{}, map[string]int{"older": 1}}); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("AWorkerHasNoTargets", func(t *testing.T) {
		f := newFakeCloud()
		m, _ := manage(f)
		worker := spec
		worker.Listener, worker.Target = nil, nil
		if err := m.Create(t.Context(), generation, worker, time.Hour); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f.there, map[string]bool{"template": true, "servers": true}); diff != "" {
			t.Error(diff)
		}
	})
}

// Wherever the creation fails or is interrupted, either nothing is left or the
// error says that something is.
func TestManager_CreateStopsAnywhere(t *testing.T) {
	methods := []string{"Check", "MakeTemplate", "MakeTargets", "Connect", "MakeServers", "Health", "Serve"}
	for _, method := range methods {
		t.Run("Fails"+method, func(t *testing.T) {
			f := newFakeCloud()
			f.fail[method] = errors.New("no")
			m, _ := manage(f)
			var failure *cluster.CreateError
			if err := m.Create(t.Context(), generation, spec, time.Hour); !errors.As(err, &failure) || failure.Left || len(f.there)+len(f.place) > 0 {
				t.Errorf("got %v with %v and %v left, want nothing left", err, f.there, f.place)
			}
		})
		t.Run("Interrupted"+method, func(t *testing.T) {
			f := newFakeCloud()
			ctx, cancel := context.WithCancel(t.Context())
			removing := false
			f.before = func(called string) {
				if called == method {
					cancel()
				}
				removing = removing || strings.HasPrefix(called, "Remove")
			}
			m, _ := manage(f)
			var failure *cluster.CreateError
			if err := m.Create(ctx, generation, spec, time.Hour); !errors.As(err, &failure) || !failure.Left || !failure.Interrupted || removing {
				t.Errorf("got %v, removal tried: %t; want to end at once and say that something may be left", err, removing)
			}
			if err := m.Delete(t.Context(), generation, spec.Listener); err != nil || len(f.there)+len(f.place) > 0 {
				t.Errorf("afterwards: got %v with %v and %v left, want nothing left", err, f.there, f.place)
			}
		})
	}
	for _, method := range []string{"Disconnect", "RemoveServers", "RemoveTargets", "RemoveTemplate"} {
		t.Run("RemovalFails"+method, func(t *testing.T) {
			f := newFakeCloud()
			f.fail["Serve"], f.fail[method] = errors.New("no"), errors.New("not now")
			m, _ := manage(f)
			var failure *cluster.CreateError
			if err := m.Create(t.Context(), generation, spec, time.Hour); !errors.As(err, &failure) || !failure.Left || !strings.Contains(err.Error(), "not now") {
				t.Errorf("got %v, want a CreateError that says what is left and why", err)
			}
		})
	}
}

func TestManager_Update(t *testing.T) {
	made := func(t *testing.T) (*fakeCloud, *cluster.Manager, *[]string) {
		f := newFakeCloud()
		m, _ := manage(f)
		if err := m.Create(t.Context(), generation, spec, time.Hour); err != nil {
			t.Fatal(err)
		}
		var calls []string
		f.before = func(method string) { calls = append(calls, method) }
		return f, m, &calls
	}
	t.Run("NothingToDo", func(t *testing.T) {
		_, m, calls := made(t)
		if err := m.Update(t.Context(), generation, spec, time.Hour); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*calls, []string{"Observe"}); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("LargerWaitsUntilHealthy", func(t *testing.T) {
		f, m, _ := made(t)
		f.healthy = 3
		larger := spec
		larger.Size = cluster.Size{Min: 4, Max: 8}
		if err := m.Update(t.Context(), generation, larger, time.Minute); err == nil || !strings.Contains(err.Error(), "after 1m0s: 3 of 4 servers healthy") {
			t.Errorf("got %v, want it to wait for the fourth server", err)
		}
	})
	t.Run("TagsOnly", func(t *testing.T) {
		f, m, calls := made(t)
		other := spec
		other.Tags = tagging.Set{"a": "c"}
		if err := m.Update(t.Context(), generation, other, time.Hour); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*calls, []string{"Observe", "Retag"}); diff != "" || f.tags["a"] != "c" {
			t.Errorf("tags %v, calls:\n%s", f.tags, diff)
		}
	})
}

func TestNewGeneration(t *testing.T) {
	for _, id := range []cluster.ID{
		{Service: "strawberry", Environment: "test"},
		{Service: "a.very_long-service.name", Environment: "and_a-very-long.environment"},
		{Service: "0", Environment: "0"},
		{Service: strings.Repeat("x", 64), Environment: strings.Repeat("y", 64)},
	} {
		one, other := cluster.NewGeneration(id, [8]byte{1, 2, 3}), cluster.NewGeneration(id, [8]byte{1, 2, 4})
		if one.Name == other.Name {
			t.Errorf("%s: two generations are named %s", id, one.Name)
		}
		valid := len(one.Name) <= 32 && !strings.HasPrefix(one.Name, "-") && !strings.HasSuffix(one.Name, "-") &&
			!slices.ContainsFunc([]rune(one.Name), func(r rune) bool {
				return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", r)
			})
		if !valid {
			t.Errorf("%s: AWS refuses the name %q for a target group", id, one.Name)
		}
	}
}

func TestSpec_Validate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cluster.Spec)
		says   string
	}{
		"ListenerAlone": {func(s *cluster.Spec) { s.Target = nil }, "belong together"},
		"TooManyTags": {func(s *cluster.Spec) {
			s.Tags = tagging.Set{}
			for i := range 48 {
				s.Tags[fmt.Sprint(i)] = "x"
			}
		}, "at most 50"},
		"NoServers": {func(s *cluster.Spec) { s.Size = cluster.Size{} }, "max_size ≥ 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec
			s.Target = &cluster.Target{Health: cluster.HealthCheck{Interval: 2, Timeout: 1}}
			tt.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}
