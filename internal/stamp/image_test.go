package stamp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
)

func TestParseImages(t *testing.T) {
	for id, want := range map[string][]stamp.Image{
		"eu-north-1:ami-0123":                            {{Region: "eu-north-1", ID: "ami-0123"}},
		"eu-north-1:ami-0123,us-gov-west-1:ami-4f67":     {{Region: "eu-north-1", ID: "ami-0123"}, {Region: "us-gov-west-1", ID: "ami-4f67"}},
		"eusc-de-east-1:ami-0123, eu-north-1:ami-456789": {{Region: "eusc-de-east-1", ID: "ami-0123"}, {Region: "eu-north-1", ID: "ami-456789"}},
	} {
		got, err := stamp.ParseImages(id)
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", id, err, diff)
		}
	}
	for id, says := range map[string]string{
		"":                                  "not an AMI",
		"Null":                              "not an AMI",
		"ami-0123":                          "not an AMI",
		"eu-north-1:ami-0123,":              "not an AMI",
		"eu-north-1:vol-0123":               "not an AMI",
		"sha256:0123":                       "not an AMI",
		"eu-north-1:ami-0123:extra":         "not an AMI",
		"eu-north-1:ami-0,eu-north-1:ami-0": "listed twice",
	} {
		got, err := stamp.ParseImages(id)
		if err == nil || !strings.Contains(err.Error(), says) || id != "" && !strings.Contains(err.Error(), id) {
			t.Errorf("%q: got %v and %v, want an error that says %q and repeats it", id, got, err, says)
		}
	}
}
