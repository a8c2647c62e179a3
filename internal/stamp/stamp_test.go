package stamp_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

var (
	north = stamp.Image{Region: "eu-north-1", ID: "ami-1"}
	east  = stamp.Image{Region: "us-east-1", ID: "ami-2"}
)

// fakeCloud has images, each with one snapshot, and keeps their tags.
type fakeCloud struct {
	mu   sync.Mutex
	tags map[string]tagging.Set // by "region:id", of images and snapshots
	// fails makes a call for an image fail: "Tag eu-north-1:ami-1".
	fails map[string]error
	// architecture is that of all images.
	architecture string
}

func newFakeCloud() *fakeCloud {
	return &fakeCloud{tags: map[string]tagging.Set{}, fails: map[string]error{}, architecture: "arm64"}
}

func (c *fakeCloud) DescribeImage(ctx context.Context, image stamp.Image) (stamp.Description, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.fails["Describe "+image.String()]); err != nil {
		return stamp.Description{}, err
	}
	return stamp.Description{Architecture: c.architecture, Snapshots: []string{"snap-" + image.ID}, Tags: c.tags[image.String()]}, nil
}

func (c *fakeCloud) TagImage(ctx context.Context, image stamp.Image, snapshots []string, tags tagging.Set) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.fails["Tag "+image.String()]); err != nil {
		return err
	}
	for _, id := range append([]string{image.ID}, snapshots...) {
		key := image.Region + ":" + id
		c.tags[key] = tagging.Merge(c.tags[key], tags)
	}
	return nil
}

// brokenStore fails where it is told to.
type brokenStore struct {
	builddata.Store
	register error
	// appendOf fails for events of that status.
	appendOf builddata.Status
}

func (s brokenStore) Register(ctx context.Context, images ...builddata.Image) error {
	if s.register != nil {
		return s.register
	}
	return s.Store.Register(ctx, images...)
}

func (s brokenStore) Append(ctx context.Context, events ...builddata.Event) error {
	for _, e := range events {
		if e.Status == s.appendOf {
			return builddata.ErrUnavailable
		}
	}
	return s.Store.Append(ctx, events...)
}

// bench is a repository with version 1 of strawberry, a cloud, and a request
// that fits both.
type bench struct {
	store   builddata.Store
	cloud   *fakeCloud
	request stamp.Request
}

func newBench(t *testing.T) bench {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"),
		clock.NewFake(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	version, err := store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence,
		SourceRevision: "abc123"})
	if err != nil {
		t.Fatal(err)
	}
	return bench{store: store, cloud: newFakeCloud(), request: stamp.Request{
		Images: []stamp.Image{north, east}, Service: version.Service, Version: version.Name,
		OwnerTeam: "fruit", Solution: "shop", Run: "run-1", Tags: tagging.Set{"colour": "red"},
		SourceImage: "ami-base", Inputs: []string{folder(t, "setup.sh", "#!/bin/sh")}, Bake: "bake-1",
	}}
}

func (b bench) stamp(ctx context.Context) error {
	return stamp.New(b.cloud, b.store, func(string, ...any) {}).Stamp(ctx, b.request)
}

func (b bench) images(t *testing.T) []builddata.Image {
	t.Helper()
	images, err := b.store.Images(t.Context(), builddata.ImageQuery{Service: "strawberry", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// history renders the events as "what where status".
func (b bench) history(t *testing.T) []string {
	t.Helper()
	events, err := b.store.Events(t.Context(), builddata.EventQuery{Service: "strawberry", Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range events {
		words = append(words, fmt.Sprintf("%s %s %s", e.Type, e.Location, e.Status))
	}
	return words
}

func TestStamper_Stamp(t *testing.T) {
	b := newBench(t)
	for range 2 { // repeating it changes nothing but the history
		if err := b.stamp(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := tagging.Set{
			"service": "strawberry", "version": "1", "revision": "abc123", "owner_team": "fruit",
			"solution": "shop", "run": "run-1", "colour": "red",
		}
		diff := cmp.Diff(b.cloud.tags, map[string]tagging.Set{
			"eu-north-1:ami-1": want, "eu-north-1:snap-ami-1": want,
			"us-east-1:ami-2": want, "us-east-1:snap-ami-2": want,
		})
		if diff != "" {
			t.Error(diff)
		}
		image := builddata.Image{
			Service: "strawberry", Number: 1, Architecture: "arm64", Run: "run-1", Bake: "bake-1", Status: builddata.ImageAvailable,
			Digest: digest(t, "ami-base", b.request.Inputs...),
		}
		inNorth, inEast := image, image
		inNorth.Region, inNorth.ID = north.Region, north.ID
		inEast.Region, inEast.ID = east.Region, east.ID
		if diff := cmp.Diff(b.images(t), []builddata.Image{inNorth, inEast},
			cmpopts.IgnoreFields(builddata.Image{}, "RegisteredAt")); diff != "" {
			t.Error(diff)
		}
	}
	const done = "bake eu-north-1,us-east-1 succeeded"
	if diff := cmp.Diff(b.history(t), []string{done, done}); diff != "" {
		t.Error(diff)
	}
}

// The images of a bake are available once all of it is there, and replace those of the bake
// before; a step that runs Packer decides that itself.
func TestStamper_WholeBake(t *testing.T) {
	b := newBench(t)
	statuses := func(want string) {
		t.Helper()
		if got := builddata.DescribeImages(b.images(t)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	stampOf := func(bake, id, architecture string, hold bool) {
		t.Helper()
		b.request.Bake, b.request.Hold = bake, hold
		b.request.Images = []stamp.Image{{Region: "eu-north-1", ID: id}}
		b.cloud.architecture = architecture
		if err := b.stamp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.request.Architectures = []string{"arm64", "x86_64"}
	stampOf("bake-1", "ami-1", "arm64", false)
	statuses("ami-1 in eu-north-1 (arm64, pending)")
	if got := b.history(t); len(got) != 0 {
		t.Errorf("half of a bake is on record: %v", got)
	}
	stampOf("bake-1", "ami-2", "x86_64", false)
	statuses("ami-1 in eu-north-1 (arm64), ami-2 in eu-north-1 (x86_64)")
	if diff := cmp.Diff(b.history(t), []string{"bake eu-north-1 succeeded"}); diff != "" {
		t.Error(diff)
	}

	b.request.Architectures = nil
	stampOf("bake-2", "ami-3", "arm64", true)
	statuses("ami-1 in eu-north-1 (arm64), ami-3 in eu-north-1 (arm64, pending), ami-2 in eu-north-1 (x86_64)")
	stampOf("bake-3", "ami-4", "arm64", false)
	statuses("ami-1 in eu-north-1 (arm64, replaced), ami-3 in eu-north-1 (arm64, pending), ami-4 in eu-north-1 (arm64), ami-2 in eu-north-1 (x86_64)")
}

func TestStamper_HalfStamped(t *testing.T) {
	b := newBench(t)
	refused := errors.New("UnauthorizedOperation")
	b.cloud.fails["Tag us-east-1:ami-2"] = refused
	err := b.stamp(t.Context())

	var half *stamp.HalfStampedError
	if !errors.As(err, &half) || !errors.Is(err, refused) {
		t.Fatalf("got %v, want a HalfStampedError because of %v", err, refused)
	}
	if diff := cmp.Diff(half.Stamped, []stamp.Image{north}); diff != "" {
		t.Error(diff)
	}
	for _, says := range []string{
		"us-east-1:ami-2 could not be tagged: UnauthorizedOperation",
		"tagged: eu-north-1:ami-1; not or only partly tagged: us-east-1:ami-2; available: none",
		"stamp all of them again (eu-north-1:ami-1, us-east-1:ami-2)",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
	if got := b.cloud.tags["eu-north-1:ami-1"]; got["version"] != "1" {
		t.Errorf("the failing region stopped the other: tags are %v", got)
	}
	if got := b.images(t); len(got) > 0 {
		t.Errorf("registered %v", got)
	}

	// Running again completes it.
	delete(b.cloud.fails, "Tag us-east-1:ami-2")
	if err := b.stamp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.images(t); len(got) != 2 {
		t.Errorf("registered %v, want both images", got)
	}
	if diff := cmp.Diff(b.history(t), []string{"bake eu-north-1,us-east-1 failed", "bake eu-north-1,us-east-1 succeeded"}); diff != "" {
		t.Error(diff)
	}
}

func TestStamper_TouchesNothingWhenRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, b *bench)
		says   string
		// history is empty where there is no version to have one.
		history []string
	}{
		"UnknownVersion": {func(_ *testing.T, b *bench) { b.request.Version = "2" }, builddata.ErrNotFound.Error(), nil},
		"RevokedVersion": {func(t *testing.T, b *bench) {
			if _, err := b.store.Revoke(t.Context(), "strawberry", "1", "it is sour"); err != nil {
				t.Fatal(err)
			}
		}, "it is sour", []string{"bake eu-north-1,us-east-1 failed"}},
		"NoImage": {func(_ *testing.T, b *bench) { b.request.Images = nil }, "no image", []string{"bake  failed"}},
		"MissingInput": {func(_ *testing.T, b *bench) { b.request.Inputs = []string{"nowhere"} }, "nowhere does not exist",
			[]string{"bake eu-north-1,us-east-1 failed"}},
		"MissingOwner": {func(_ *testing.T, b *bench) { b.request.OwnerTeam = "" }, "required tags are missing: owner_team",
			[]string{"bake eu-north-1,us-east-1 failed"}},
		"OwnTagTaken": {func(_ *testing.T, b *bench) { b.request.Tags["version"] = "2" }, `tag "version" is set by the stamp`,
			[]string{"bake eu-north-1,us-east-1 failed"}},
		"OwnTagReserved": {func(_ *testing.T, b *bench) { b.request.Tags[tagging.Cluster] = "x" }, "cannot be chosen",
			[]string{"bake eu-north-1,us-east-1 failed"}},
		"BadSolution": {func(_ *testing.T, b *bench) { b.request.Solution = "a;b" }, "letters, digits",
			[]string{"bake eu-north-1,us-east-1 failed"}},
		"ImageNotThere": {func(_ *testing.T, b *bench) {
			b.cloud.fails["Describe us-east-1:ami-2"] = errors.New("it does not exist")
		}, "image us-east-1:ami-2: it does not exist", []string{"bake eu-north-1,us-east-1 failed"}},
		"ImageOfAnotherVersion": {func(_ *testing.T, b *bench) {
			b.cloud.tags["us-east-1:ami-2"] = tagging.Set{"service": "strawberry", "version": "7"}
		}, `already has the tag version = "7"`, []string{"bake eu-north-1,us-east-1 failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tt.change(t, &b)
			before := maps.Clone(b.cloud.tags)
			err := b.stamp(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "nothing was tagged or registered") {
				t.Errorf("got %v, want an error that says %q and that nothing was done", err, tt.says)
			}
			if diff := cmp.Diff(b.cloud.tags, before); diff != "" {
				t.Errorf("it tagged:\n%s", diff)
			}
			if got := b.images(t); len(got) > 0 {
				t.Errorf("it registered %v", got)
			}
			if diff := cmp.Diff(b.history(t), tt.history); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStamper_RepositoryFails(t *testing.T) {
	t.Run("Registering", func(t *testing.T) {
		b := newBench(t)
		b.store = brokenStore{Store: b.store, register: builddata.ErrUnavailable}
		err := b.stamp(t.Context())
		var half *stamp.HalfStampedError
		if !errors.As(err, &half) || !errors.Is(err, builddata.ErrUnavailable) {
			t.Fatalf("got %v, want a HalfStampedError because of %v", err, builddata.ErrUnavailable)
		}
		if got, want := half.Images(), []stamp.Image{north, east}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("RecordingSuccess", func(t *testing.T) {
		b := newBench(t)
		b.store = brokenStore{Store: b.store, appendOf: builddata.Succeeded}
		err := b.stamp(t.Context())
		if !errors.As(err, new(*stamp.UnrecordedError)) {
			t.Fatalf("got %v, want an UnrecordedError", err)
		}
		if len(b.images(t)) != 2 || len(b.history(t)) != 0 {
			t.Errorf("got images %v and history %v, want both images and no history", b.images(t), b.history(t))
		}
	})
	t.Run("RecordingFailure", func(t *testing.T) {
		b := newBench(t)
		b.store = brokenStore{Store: b.store, appendOf: builddata.Failed}
		refused := errors.New("UnauthorizedOperation")
		b.cloud.fails["Tag us-east-1:ami-2"] = refused
		if err := b.stamp(t.Context()); !errors.Is(err, refused) || !errors.Is(err, builddata.ErrUnavailable) {
			t.Errorf("got %v, want both %v and %v", err, refused, builddata.ErrUnavailable)
		}
	})
	t.Run("Interrupted", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.store = cancelling{Store: b.store, cancel: cancel}
		if err := b.stamp(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if diff := cmp.Diff(b.history(t), []string{"bake eu-north-1,us-east-1 interrupted"}); diff != "" {
			t.Error(diff)
		}
	})
}

// cancelling ends its context once the version was found.
type cancelling struct {
	builddata.Store
	cancel context.CancelFunc
}

func (s cancelling) Version(ctx context.Context, service, name string) (builddata.Version, error) {
	defer s.cancel()
	return s.Store.Version(ctx, service, name)
}
