package storetest

import (
	"errors"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Images tests what every builddata.Images guarantees.
func Images(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryFactComesBackFiltered", imageEveryFactComesBackFiltered},
		{"ImageRegisteredAgainIsUpdated", imageRegisteredAgainIsUpdated},
		{"ImageHoldsOneVersion", imageHoldsOneVersion},
		{"ImageOfAnUnknownVersionIsErrNotFound", imageOfAnUnknownVersionIsErrNotFound},
	})
}

func imageEveryFactComesBackFiltered(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
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
}

func imageRegisteredAgainIsUpdated(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	i := image("eu-north-1", "ami-1", "x86_64")
	ok(t, s.Register(t.Context(), i))
	i.Digest = "sha256:2"
	ok(t, s.Register(t.Context(), i))
	got, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, got, []builddata.Image{i})
}

func imageHoldsOneVersion(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
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
}

func imageOfAnUnknownVersionIsErrNotFound(t *testing.T, fresh Fresh) {
	if err := one(t, fresh).Register(t.Context(), image("eu-north-1", "ami-1", "x86_64")); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// image returns an image of version 1 of web.
func image(region, id, architecture string) builddata.Image {
	return builddata.Image{
		Service: "web", Number: 1, Region: region, ID: id, Architecture: architecture,
		Digest: "sha256:1", Run: "run-1", RegisteredAt: noon,
	}
}
