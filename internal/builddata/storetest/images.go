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
		{"ImagesOfABakeAreOfferedTogether", imagesOfABakeAreOfferedTogether},
		{"ImagesOfAPromotedVersionAreFinal", imagesOfAPromotedVersionAreFinal},
		{"ForgottenImageIsOnRecord", forgottenImageIsOnRecord},
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

func imagesOfABakeAreOfferedTogether(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	first, arm := image("eu-north-1", "ami-1", "x86_64"), image("eu-north-1", "ami-2", "arm64")
	again := image("eu-north-1", "ami-3", "x86_64")
	again.Bake = "bake-2"
	ok(t, s.Register(t.Context(), first, arm))
	statuses := func() map[string]builddata.ImageStatus {
		got, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
		ok(t, err)
		by := map[string]builddata.ImageStatus{}
		for _, i := range got {
			by[i.ID] = i.Status
		}
		return by
	}
	offer := func(bake string, want int) {
		changed, err := s.OfferImages(t.Context(), "web", 1, bake)
		ok(t, err)
		equal(t, len(changed), want)
	}
	offer("bake-1", 2)
	offer("bake-1", 0)
	ok(t, s.Register(t.Context(), again))
	equal(t, statuses(), map[string]builddata.ImageStatus{
		"ami-1": builddata.ImageAvailable, "ami-2": builddata.ImageAvailable, "ami-3": builddata.ImagePending,
	})
	offer("bake-2", 2)
	equal(t, statuses(), map[string]builddata.ImageStatus{
		"ami-1": builddata.ImageReplaced, "ami-2": builddata.ImageAvailable, "ami-3": builddata.ImageAvailable,
	})
	if _, err := s.OfferImages(t.Context(), "web", 1, "bake-3"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("a bake without images: got %v, want ErrNotFound", err)
	}
}

func imagesOfAPromotedVersionAreFinal(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	ok(t, s.Register(t.Context(), image("eu-north-1", "ami-1", "x86_64")))
	_, err := s.OfferImages(t.Context(), "web", 1, "bake-1")
	ok(t, err)
	_, err = s.Promote(t.Context(), builddata.Promotion{Service: "web", Number: 1, Stage: "passed_test"})
	ok(t, err)
	again := image("eu-north-1", "ami-2", "x86_64")
	again.Bake = "bake-2"
	ok(t, s.Register(t.Context(), again))
	if _, err := s.OfferImages(t.Context(), "web", 1, "bake-2"); !errors.Is(err, builddata.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	got, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, []builddata.ImageStatus{got[0].Status, got[1].Status}, []builddata.ImageStatus{builddata.ImageAvailable, builddata.ImagePending})
}

func forgottenImageIsOnRecord(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	i := image("eu-north-1", "ami-1", "x86_64")
	ok(t, s.Register(t.Context(), i))
	got, err := s.ForgetImage(t.Context(), "web", i.Region, i.ID)
	ok(t, err)
	i.Status = builddata.ImageForgotten
	equal(t, got, i)
	stored, err := s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, stored, []builddata.Image{i})
	for _, unknown := range []string{"ami-1", "ami-9"} {
		if _, err := s.ForgetImage(t.Context(), "api", i.Region, unknown); !errors.Is(err, builddata.ErrNotFound) {
			t.Errorf("forget %s of another service: got %v, want ErrNotFound", unknown, err)
		}
	}
	// The same id registered again is a pending image again.
	ok(t, s.Register(t.Context(), image("eu-north-1", "ami-1", "x86_64")))
	stored, err = s.Images(t.Context(), builddata.ImageQuery{Service: "web", Number: 1})
	ok(t, err)
	equal(t, stored[0].Status, builddata.ImagePending)
}

// image returns an image of version 1 of web.
func image(region, id, architecture string) builddata.Image {
	return builddata.Image{
		Service: "web", Number: 1, Region: region, ID: id, Architecture: architecture,
		Digest: "sha256:1", Run: "run-1", Bake: "bake-1", Status: builddata.ImagePending, RegisteredAt: noon,
	}
}
