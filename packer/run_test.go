package packer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/packer"
)

// In a run of the service, the version is that of the run, and no other.
func TestVersionRef_InARun(t *testing.T) {
	for _, tt := range []struct {
		name, run, service, version string
		given                       string
		want, says                  string
	}{
		{"OutsideOfARun", "", "", "", "", "", ""},
		{"TheRuns", "r-1", "strawberry", "12", "", "12", ""},
		{"TheSame", "r-1", "strawberry", "12", "12", "12", ""},
		{"Another", "r-1", "strawberry", "12", "11", "11", "the template names version 11, and the run of the pipe is for version 12"},
		{"NotKnownYet", "r-1", "strawberry", "12", "<unknown>", "<unknown>", ""},
		{"NoVersionYet", "r-1", "strawberry", "", "", "", "has no version yet"},
		{"NoVersionYetButGiven", "r-1", "strawberry", "", "11", "11", "has no version yet"},
		{"OfAnotherService", "r-1", "raspberry", "12", "", "", ""},
		{"OfAnotherServiceAndGiven", "r-1", "raspberry", "12", "11", "11", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(packer.RunVariable, tt.run)
			t.Setenv(packer.ServiceVariable, tt.service)
			t.Setenv(packer.VersionVariable, tt.version)
			r := packer.VersionRef{Service: "strawberry", Version: tt.given}
			r.Complete()
			if r.Version != tt.want {
				t.Errorf("got version %q, want %q", r.Version, tt.want)
			}
			err := errors.Join(r.Check()...)
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}
