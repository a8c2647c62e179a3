package pipe_test

import (
	"encoding/json"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestPosition(t *testing.T) {
	for _, tt := range []struct {
		at               pipe.Position
		text, name, code string
	}{
		{
			pipe.Position{Origin: pipe.OriginCheckout, Path: "pipes/ci.yml", Line: 3, Column: 5},
			"pipes/ci.yml:3:5", "pipes/ci.yml", `{"origin":"checkout","path":"pipes/ci.yml","line":3,"column":5}`,
		},
		{
			pipe.Position{Origin: pipe.OriginLibrary, Library: "shared", Path: "pipes/build/nightly.yaml", Line: 3},
			"library shared: pipes/build/nightly.yaml:3", "build.nightly",
			`{"origin":"library","library":"shared","path":"pipes/build/nightly.yaml","line":3}`,
		},
		{
			pipe.Position{Origin: pipe.OriginLibrary, Library: "flat", Path: "build/nightly.yml"},
			"library flat: build/nightly.yml", "build.nightly", `{"origin":"library","library":"flat","path":"build/nightly.yml"}`,
		},
		{
			pipe.Position{Origin: pipe.OriginBuiltIn, Path: "cd.yml"},
			"built-in pipe cd", "cd", `{"origin":"built_in","path":"cd.yml"}`,
		},
	} {
		if got := tt.at.String(); got != tt.text {
			t.Errorf("got the text %q, want %q", got, tt.text)
		}
		if got := tt.at.PipeName(); got != tt.name {
			t.Errorf("got the name %q, want %q", got, tt.name)
		}
		code, err := json.Marshal(tt.at)
		if err != nil || string(code) != tt.code {
			t.Errorf("got %s (%v), want %s", code, err, tt.code)
		}
	}
}
