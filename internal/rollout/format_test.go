package rollout_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// sample is a whole rollout as a repository stores it.
type sample struct {
	ID      string           `json:"id"`
	Status  builddata.Status `json:"status"`
	Plan    json.RawMessage  `json:"plan"`
	Result  json.RawMessage  `json:"result"`
	Entries []sampleEntry    `json:"entries"`
}

type sampleEntry struct {
	Step  string          `json:"step"`
	Undo  bool            `json:"undo,omitempty"`
	Phase builddata.Phase `json:"phase"`
	Note  string          `json:"note,omitempty"`
	At    time.Time       `json:"at"`
}

// TestFormat_Journal plays stories, and compares what they store with samples.
// If other steps are planned, or take another time, -update rewrites them. If
// the encoding changes, that is another format, and gets samples of its own. Those
// of earlier formats are of the same stories.
func TestFormat_Journal(t *testing.T) {
	for file, of := range map[string]struct {
		story string
		since int // the first format that has it
	}{
		"rolled-back.json":  {"AlarmFires", 1},
		"servers-left.json": {"ProtectedIgnore", 1},
		"checked.json":      {"CheckedUnreachable", 4},
		"untried.json":      {"ScaledToZero", 4},
	} {
		name := of.story
		t.Run(name, func(t *testing.T) {
			all := stories()
			y := all[slices.IndexFunc(all, func(y story) bool { return y.name == name })]
			s := newHarness(1)
			if err := y.begin(s); err != nil {
				t.Fatal(err)
			}
			m, _ := s.process(nil)
			if err := y.play(s, m); (err != nil) != y.bad {
				t.Fatal(err)
			}
			last := s.store.rollouts()[0]
			played := sample{ID: last.ID, Status: last.Status, Plan: last.Plan, Result: last.Result}
			for _, e := range last.Entries {
				played.Entries = append(played.Entries, sampleEntry{Step: e.Step, Undo: e.Undo, Phase: e.Phase, Note: e.Note, At: e.At})
			}
			got, err := json.MarshalIndent(played, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			goldenFile(t, "journal-4-"+file, string(got))
			for format := of.since; format <= 4; format++ {
				readSample(t, fmt.Sprintf("journal-%d-%s", format, file), s.status().Inventory)
			}
		})
	}
}

// readSample checks that a stored rollout can be read and described.
func readSample(t *testing.T, file string, want rollout.Inventory) {
	t.Helper()
	stored, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var read sample
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	r := builddata.Rollout{ID: read.ID, Status: read.Status, Plan: read.Plan, Result: read.Result}
	for _, e := range read.Entries {
		r.Entries = append(r.Entries, builddata.Entry{Step: e.Step, Undo: e.Undo, Phase: e.Phase, Note: e.Note, At: e.At})
	}
	steps, err := rollout.Steps(r)
	if err != nil || len(steps) == 0 {
		t.Fatalf("got %d steps (%v)", len(steps), err)
	}
	for _, step := range steps {
		if step.Phase != builddata.Done && step.Phase != builddata.Erred && step.Step != "begin_rollback" || step.Title == "" {
			t.Errorf("got %+v, want a step that has ended", step)
		}
		if (step.Note == "") != (step.Detail == "") || strings.Contains(step.Detail, "_") {
			t.Errorf("got %+v, want its note for people", step)
		}
	}
	s := newHarness(1)
	s.store.replay(t, r)
	if diff := cmp.Diff(s.status().Inventory, want); diff != "" {
		t.Errorf("read (-), want (+):\n%s", diff)
	}
}
