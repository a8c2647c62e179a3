package catalog_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// history writes what runs and rollouts would: everything takes a minute.
type history struct {
	*catalog.Catalog
	t     *testing.T
	clock *clock.Fake
	n     int
}

// newHistory begins with versions 1 and 2 of web, from revision abc.
func newHistory(t *testing.T) *history {
	c := clock.NewFake(noon)
	h := &history{Catalog: &catalog.Catalog{Store: memstore.New().Open(c), Clock: c}, t: t, clock: c}
	for range 2 {
		h.tick()
		_, err := h.Store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence, SourceRevision: "abc"})
		fatal(t, err)
	}
	return h
}

func (h *history) tick() string {
	h.t.Helper()
	fatal(h.t, h.clock.Sleep(h.t.Context(), time.Minute))
	h.n++
	return fmt.Sprintf("%04d", h.n)
}

// servers are those of version 1 in an environment.
func servers(environment, instanceType string) cluster.Spec {
	return cluster.Spec{
		ID: cluster.ID{Service: "web", Environment: environment}, Version: "1", ImageID: "ami-1",
		Servers: cluster.Servers{InstanceType: instanceType, UserData: "ENV=" + environment},
	}
}

// rollOut records a rollout after which s serves; nil for a removal.
func (h *history) rollOut(environment, region string, s *cluster.Spec, status builddata.Status) {
	h.t.Helper()
	ctx := h.t.Context()
	id := h.tick()
	lease, err := h.Store.Acquire(ctx, builddata.LeaseRequest{Service: "web", Name: environment + region, Holder: "test", TTL: time.Hour})
	fatal(h.t, err)
	var serving *rollout.GenerationRecord
	version := ""
	if s != nil {
		serving, version = &rollout.GenerationRecord{Name: "g-" + id, Spec: *s}, s.Version
	}
	result, err := json.Marshal(struct {
		Format int `json:"format"`
		rollout.Inventory
	}{2, rollout.Inventory{Serving: serving}})
	fatal(h.t, err)
	fatal(h.t, h.Store.Begin(ctx, lease, builddata.Rollout{ID: id, Service: "web", Environment: environment, Region: region,
		ToVersion: version, Plan: []byte(`{"format":2,"account":"1","settings":{},"steps":[]}`)}))
	if status != builddata.Started {
		fatal(h.t, h.Store.End(ctx, lease, id, builddata.Ending{Status: status, Result: result, Gone: s == nil}))
	}
	fatal(h.t, h.Store.Release(ctx, lease))
}

// test records a run of version 1 at a revision, that applies an environment and tests it.
func (h *history) test(run, revision, environment string, status builddata.Status) {
	h.t.Helper()
	at := h.clock.Now()
	fatal(h.t, h.Store.SaveRun(h.t.Context(), builddata.Run{ID: run, Service: "web", Number: 1, Pipe: "cd", Definition: []byte("{}"),
		Revision: revision, Status: builddata.Started, StartedAt: at, SeenAt: at}))
	for _, e := range []builddata.Event{
		{Step: "create test environment", Type: "provision.apply", Location: environment, Status: builddata.Succeeded},
		{Step: "functional tests", Type: "test.command", Location: "a machine", Status: status},
	} {
		h.tick()
		e.Service, e.Number, e.Run = "web", 1, run
		fatal(h.t, h.Store.Append(h.t.Context(), e))
	}
}

func TestCompareWithTested(t *testing.T) {
	const north, east = "eu-north-1", "us-east-1"
	const ok, failed = builddata.Succeeded, builddata.Failed
	small, large, prod := servers("run-1", "t3.small"), servers("run-1", "m5.large"), servers("prod", "m5.large")
	otherImage, other := prod, small
	otherImage.ImageID, other.Version = "ami-2", "2"
	const differs = "run r-1, in environment run-1 in eu-north-1: [instance_type: t3.small when tested, m5.large now]"
	for _, tt := range []struct {
		name   string
		record func(h *history)
		now    cluster.Spec
		region string
		want   string
	}{
		{"NothingOnRecord", func(*history) {}, prod, north, ""},
		{"Differs", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
			h.rollOut("run-1", north, nil, ok)
		}, prod, north, differs},
		{"Same", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
			h.rollOut("run-1", north, nil, ok)
		}, prod, north, ""},
		{"UnknownVersion", func(h *history) {}, cluster.Spec{ID: prod.ID, Version: "7"}, north, ""},
		{"TestFailed", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", failed)
		}, prod, north, ""},
		{"ForeignRevision", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "def", "run-1", ok)
		}, prod, north, ""},
		{"NoCluster", func(h *history) { h.test("r-1", "abc", "run-1", ok) }, prod, north, ""},
		{"OtherVersionServed", func(h *history) {
			h.rollOut("run-1", north, &other, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, ""},
		{"RemovedBeforeTheTests", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.rollOut("run-1", north, nil, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, ""},
		{"RolledBackBeforeTheTests", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.rollOut("run-1", north, &small, failed)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, differs},
		{"RolledOutAfterTheTests", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
			h.rollOut("run-1", north, &large, ok)
			h.rollOut("run-1", north, nil, builddata.Started)
		}, prod, north, differs},
		{"RolledOutAgainBeforeTheTests", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, differs},
		{"TheSameEnvironment", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, large, north, ""},
		{"OneOfTwoIsTheSame", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
			again := servers("run-2", "t3.small")
			h.rollOut("run-2", north, &again, ok)
			h.test("r-2", "abc", "run-2", ok)
		}, prod, north, ""},
		{"TheLeastDifferent", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
			again := servers("run-2", "t3.small")
			again.Servers.RootVolumeSize = 9
			h.rollOut("run-2", north, &again, ok)
			h.test("r-2", "abc", "run-2", ok)
		}, prod, north, differs},
		{"TheLatest", func(h *history) {
			again := servers("run-0", "t3.medium")
			h.rollOut("run-0", north, &again, ok)
			h.test("r-0", "abc", "run-0", ok)
			h.rollOut("run-1", north, &small, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, differs},
		{"OtherImage", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, otherImage, north, "run r-1, in environment run-1 in eu-north-1: [image_id: ami-1 when tested, ami-2 now]"},
		{"SameImageInAnotherRegion", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
			for region, id := range map[string]string{north: "ami-1", east: "ami-2"} {
				fatal(h.t, h.Store.Register(h.t.Context(), builddata.Image{Service: "web", Number: 1, Region: region, ID: id, Bake: "b-1"}))
			}
		}, otherImage, east, ""},
		{"OtherImageInAnotherRegion", func(h *history) {
			h.rollOut("run-1", north, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
			for region, id := range map[string]string{north: "ami-1", east: "ami-2"} {
				fatal(h.t, h.Store.Register(h.t.Context(), builddata.Image{Service: "web", Number: 1, Region: region, ID: id, Bake: "b-" + id}))
			}
		}, otherImage, east, "run r-1, in environment run-1 in eu-north-1: [image_id: ami-1 when tested, ami-2 now]"},
		{"TwoRegions", func(h *history) {
			h.rollOut("run-1", north, &small, ok)
			h.rollOut("run-1", east, &large, ok)
			h.test("r-1", "abc", "run-1", ok)
		}, prod, north, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory(t)
			tt.record(h)
			found, err := h.CompareWithTested(t.Context(), tt.now, tt.region)
			fatal(t, err)
			got := ""
			if found != nil {
				got = fmt.Sprint(found, ": ", found.Differences)
			}
			equal(t, got, tt.want)
		})
	}
}

// What serves is shown with its differences.
func TestCluster_DiffersFromTested(t *testing.T) {
	h := newHistory(t)
	tested, prod := servers("run-1", "t3.small"), servers("prod", "m5.large")
	h.rollOut("run-1", "eu-north-1", &tested, builddata.Succeeded)
	h.test("r-1", "abc", "run-1", builddata.Succeeded)
	h.rollOut("prod", "eu-north-1", &prod, builddata.Succeeded)
	for environment, want := range map[string]*catalog.Comparison{
		"run-1": nil,
		"prod": {Run: "r-1", Environment: "run-1", Region: "eu-north-1",
			Differences: []cluster.Difference{{Attribute: "instance_type", Detail: "t3.small when tested, m5.large now"}}},
	} {
		found, err := h.Cluster(t.Context(), cluster.ID{Service: "web", Environment: environment}, "eu-north-1")
		fatal(t, err)
		equal(t, found.Serving.DiffersFromTested, want)
	}
}
