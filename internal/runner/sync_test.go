package runner_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

// The report of a lost run has a command that finds the run's pipe again.
func TestReport(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // of a test
	v, err := store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name              string
		at                pipe.Position
		untraceable, want string
	}{
		{"BuiltIn", pipe.Position{Origin: pipe.OriginBuiltIn, Path: "cd.yml"}, "", " --pipe cd"},
		{"Repository", pipe.Position{Origin: pipe.OriginCheckout, Path: "pipes/nightly.yml"}, "", " --pipe pipes/nightly.yml"},
		{"Unusual", pipe.Position{Origin: pipe.OriginCheckout, Path: "pipes/a: $b.yml"}, "", " --pipe 'pipes/a: $b.yml'"},
		{"Library", pipe.Position{Origin: pipe.OriginLibrary, Library: "shared", Path: "pipes/nightly.yml"}, "", " --pipe nightly"},
		{
			"LibraryFolder", pipe.Position{Origin: pipe.OriginLibrary, Library: "shared", Path: "pipes/build/deployable.yaml"}, "",
			" --pipe build.deployable",
		},
		{
			"LibraryTop", pipe.Position{Origin: pipe.OriginLibrary, Library: "shared", Path: "build/deployable.yml"}, "", " --pipe build.deployable",
		},
		{"Untraceable", pipe.Position{Origin: pipe.OriginBuiltIn, Path: "cd.yml"}, "it differs", " --pipe cd --allow-unpushed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			definition, err := pipe.Encode(&pipe.Pipe{
				Name: "Nightly", At: tt.at,
				Last: []pipe.Step{{Name: "tear $HOME down", Task: "Provision.Destroy"}, {Name: "tell", Task: "notify.slack"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			report := runner.Report(t.Context(), store, spool.Synced{Run: builddata.Run{
				ID: "R", Service: "strawberry", Number: v.Number, Pipe: "Nightly", Definition: definition, Status: builddata.Lost,
				Message:     "the runner died at build",
				Untraceable: tt.untraceable, Context: map[string]string{pipe.ValueEnvironment: "run-bcdfghjk"}, StartedAt: time.Unix(0, 0).UTC(),
				Holder: "ada@ci-7",
			}})
			want := `strawberry 1, run R (Nightly, begun at 1970-01-01T00:00:00Z by ada@ci-7) is lost: the runner died at build; ` +
				`to remove what it may have created in the environment run-bcdfghjk, run
  delivery run --of R --run-task 'tear $HOME down'` + tt.want
			if report != want {
				t.Errorf("got\n%s\nwant\n%s", report, strings.TrimSpace(want))
			}
		})
	}
}
