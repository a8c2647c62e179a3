package builddata_test

import (
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

func TestScheme_Render(t *testing.T) {
	november := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name     string
		scheme   builddata.Scheme
		previous string
		bump     builddata.Bump
		now      time.Time
		want     string
	}{
		{"Sequence", builddata.Sequence, "", "", november, "17"},
		{"SemverFirstPatch", builddata.Semver, "", builddata.Patch, november, "0.0.1"},
		{"SemverFirstMajor", builddata.Semver, "", builddata.Major, november, "1.0.0"},
		{"SemverPatch", builddata.Semver, "1.9.9", builddata.Patch, november, "1.9.10"},
		{"SemverMinorResetsPatch", builddata.Semver, "1.9.9", builddata.Minor, november, "1.10.0"},
		{"SemverMajorResetsTheRest", builddata.Semver, "1.9.9", builddata.Major, november, "2.0.0"},
		{"CalverFirst", builddata.Calver, "", "", november, "2026.11.1"},
		{"CalverSameMonth", builddata.Calver, "2026.11.9", "", november, "2026.11.10"},
		{"CalverNextMonth", builddata.Calver, "2026.10.9", "", november, "2026.11.1"},
		{"CalverNextYear", builddata.Calver, "2025.12.9", "", november, "2026.11.1"},
		{"CalverClockWentBack", builddata.Calver, "2026.12.2", "", november, "2026.12.3"},
		{"CalverIsUTC", builddata.Calver, "", "", time.Date(2026, 12, 1, 1, 0, 0, 0, time.FixedZone("", 2*60*60)), "2026.11.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.scheme.Render(17, tt.previous, tt.bump, tt.now)
			if err != nil || got != tt.want {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestScheme_RenderRefusesForeignNames(t *testing.T) {
	for _, previous := range []string{"1.2", "1.2.x", "v1.2.3", "17"} {
		if got, err := builddata.Semver.Render(2, previous, builddata.Patch, time.Time{}); err == nil {
			t.Errorf("after %q: got %q, want an error", previous, got)
		}
	}
}

func TestValidateService(t *testing.T) {
	for _, good := range []string{"a", "strawberry", "Shop.api_v2-x", "7up"} {
		if err := builddata.ValidateService(good); err != nil {
			t.Errorf("%q: got %v, want none", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "a/b", "a b", "ä", string(make([]byte, 65))} {
		if err := builddata.ValidateService(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
