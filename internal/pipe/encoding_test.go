package pipe_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// sampled returns the pipe in the sample of format 2, without what format 1 does not have.
func sampled() *pipe.Pipe {
	at := func(line int) pipe.Position {
		return pipe.Position{Origin: pipe.OriginLibrary, Library: "shared", Path: "pipes/app.yml", Line: line, Column: 5}
	}
	return &pipe.Pipe{
		Name: "app", At: pipe.Position{Origin: pipe.OriginCheckout, Path: "pipes/app.yml", Line: 1, Column: 1},
		First: []pipe.Step{{Name: "version", At: at(2), Via: []string{"version"}, Task: "init.version"}},
		Main: []pipe.Step{{At: at(3), Parallel: [][]pipe.Step{{{
			Name: "bake", At: at(4), Task: "bake.packer", Outputs: []string{"images"}, When: pipe.Value{At: at(5), Data: "${{ bake ?? 'true' }}"},
			Timeout: 10 * time.Minute, Retries: 2, RetryAfter: time.Second,
			Args: map[string]pipe.Value{
				"folder": {At: at(6), Data: "packer"}, "count": {At: at(7), Data: int64(3)}, "ratio": {At: at(8), Data: 0.5},
				"force": {At: at(9), Data: true},
				"only":  {At: at(10), Data: []pipe.Value{{At: at(11), Data: "a"}}},
				"vars":  {At: at(12), Data: map[string]pipe.Value{"x": {At: at(13), Data: "y"}}},
			},
		}}}}},
		Last: []pipe.Step{{Name: "tidy", At: pipe.Position{Origin: pipe.OriginBuiltIn, Path: "cd.yml", Line: 9}, Task: "provision.destroy"}},
	}
}

// decoded reads a stored sample.
func decoded(t *testing.T, file string, want *pipe.Pipe) (sample []byte) {
	t.Helper()
	sample, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pipe.Decode(sample)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	return sample
}

func TestDecode_Format1(t *testing.T) { decoded(t, "testdata/pipe-1.json", sampled()) }

// TestDecode_Format2 reads a stored sample, and encodes what it read to the same text.
func TestDecode_Format2(t *testing.T) {
	want := sampled()
	want.Timeout, want.StepTimeout = time.Hour, 30*time.Minute
	want.Main[0].MaxParallel, want.Main[0].Parallel[0][0].AllowFailure = 2, true
	want.Main[0].Parallel[0][0].Secrets = []string{"images"}
	sample := decoded(t, "testdata/pipe-2.json", want)
	encoded, err := pipe.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, sample); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(encoded), compact.String()); diff != "" {
		t.Errorf("got (-) differs from the sample (+): a change of the format needs a new number\n%s", diff)
	}
}

func TestDecode_RefusesOtherFormats(t *testing.T) {
	for _, definition := range []string{`{"name":"app"}`, `{"format":3,"name":"app"}`} {
		if _, err := pipe.Decode([]byte(definition)); err == nil || !strings.Contains(err.Error(), "reads formats 1 to 2") {
			t.Errorf("%s: got %v, want an error that names the formats", definition, err)
		}
	}
}
