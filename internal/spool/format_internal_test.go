package spool

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// The stored samples are read, and the records of the latest are encoded to the same text.
func TestRead_Formats(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	began := builddata.Run{
		ID: "r-1", Service: "web", Pipe: "ci", Definition: []byte(`{"format":1}`), Context: map[string]string{"owner_team": "fruit"}, To: "bake",
		Revision: "abc", Untraceable: "it has no remote", Holder: "ada@ci-7", Status: builddata.Started, StartedAt: start, SeenAt: start,
	}
	ended := began
	ended.Number, ended.Status, ended.Message = 1, builddata.Failed, "failed at build"
	ended.SeenAt, ended.EndedAt = start.Add(7*time.Second), start.Add(7*time.Second)
	step := builddata.Event{
		ID: "e-1", Service: "web", Number: 1, Run: "r-1", Step: "build", Type: "build.command", Location: "ada@ci-7",
		Status: builddata.Started, At: start.Add(5 * time.Second),
	}
	failed := step
	failed.ID, failed.Status, failed.Reason, failed.Message = "e-2", builddata.Failed, "timeout", "exit status 1"
	failed.Report, failed.Outputs, failed.At = "{}", map[string]string{"image": "ami-1"}, start.Add(6*time.Second+time.Microsecond)
	want := []record{
		{Version: "0.1.0", Run: &began}, {Version: "0.1.0", Event: &step}, {Version: "0.1.0", Event: &failed}, {Version: "0.1.0", Run: &ended},
	}
	samples := map[string]string{
		"testdata/format-1.spool": "", "testdata/format-2.spool": "0123456789abcdef", "testdata/format-3.spool": "0123456789abcdef",
	}
	for sample, repository := range samples {
		got, err := read(sample)
		if err != nil {
			t.Fatal(err)
		}
		failed.LogAddress, failed.OutputTail = "", ""
		if sample == "testdata/format-3.spool" { // earlier events had neither
			failed.LogAddress, failed.OutputTail = "s3://logs/web/r-1/build.log", "no such file\n"
		}
		if diff := cmp.Diff(got.records, want); diff != "" || got.repository != repository {
			t.Errorf("%s: got the repository %q, want %q; got (-) differs from want (+):\n%s", sample, got.repository, repository, diff)
		}
	}
	failed.LogAddress, failed.OutputTail = "s3://logs/web/r-1/build.log", "no such file\n"
	text, err := os.ReadFile("testdata/format-3.spool")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(string(text), "\n")
	var encoded strings.Builder
	for _, r := range slices.Insert(want, 1, record{Repository: "0123456789abcdef"}) {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		encoded.Write(append(line, '\n'))
	}
	if diff := cmp.Diff(encoded.String(), lines); diff != "" {
		t.Errorf("got (-) differs from the sample (+): a change of the format needs a new number\n%s", diff)
	}
}

func TestRead_RefusesOtherFormats(t *testing.T) {
	for name, text := range map[string]string{
		"Newer": `{"format":4}` + "\n", "None": `{"run":{"ID":"r-1"}}` + "\n", "Damaged": "junk\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r-1.spool")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := read(path); err == nil || !strings.Contains(err.Error(), "reads format 1 to 3") {
				t.Errorf("got %v, want an error that names the formats", err)
			}
		})
	}
}
