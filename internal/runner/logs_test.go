package runner_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
)

func openState(t *testing.T) runner.State {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s, err := runner.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The beginning and the end of a long log are kept, and its middle says what is missing.
func TestState_LogsAreLimitedInSize(t *testing.T) {
	s := openState(t)
	const limit = 10_000
	for _, size := range []int{0, 1, limit, limit + 1, limit + limit/2, 2 * limit, 20*limit + 7} {
		for _, piece := range []int{1, 999, 1 << 20} {
			log, name, err := s.Logs("run", runner.LogLimits{Step: limit})(fmt.Sprintf("%d-%d", size, piece))
			if err != nil {
				t.Fatal(err)
			}
			var all []byte
			for i := 0; len(all) < size; i++ {
				all = fmt.Appendf(all, "%07d\n", i)
			}
			all = all[:size]
			for part := range slices.Chunk(all, piece) {
				if n, err := log.Write(part); err != nil || n != len(part) {
					t.Fatalf("wrote %d of %d bytes: %v", n, len(part), err)
				}
				if info, err := os.Stat(name); err != nil || info.Size() > limit+limit/2+int64(len(part)) {
					t.Fatalf("the log has %d bytes: %v", info.Size(), err)
				}
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if size <= limit {
				if !bytes.Equal(got, all) {
					t.Errorf("%d bytes in pieces of %d: got %d bytes", size, piece, len(got))
				}
				continue
			}
			before, rest, _ := strings.Cut(string(got), "\n[… ")
			notice, after, _ := strings.Cut(rest, " …]\n")
			want := fmt.Sprintf("%d bytes of the output are left out here: the log of a step has at most %d bytes", size-len(before)-len(after), limit)
			if len(got) > limit || notice != want || !bytes.HasPrefix(all, []byte(before)) || !bytes.HasSuffix(all, []byte(after)) ||
				len(before) != limit/2 || len(after) < limit/2-200 {
				t.Errorf("%d bytes in pieces of %d: kept %d bytes, and %d at the end; %q", size, piece, len(before), len(after), notice)
			}
		}
	}
}

// The logs of the oldest runs are removed, by number and by size, but not those of a run
// that is running.
func TestState_OldLogsAreRemoved(t *testing.T) {
	for name, tt := range map[string]struct {
		limits runner.LogLimits
		want   []string
	}{
		"ByNumber": {runner.LogLimits{Runs: 4, Total: 1 << 20}, []string{"r1", "r3", "r4", "r5"}},
		"BySize":   {runner.LogLimits{Runs: 50, Total: 250}, []string{"r1", "r4", "r5"}},
		"OneLarge": {runner.LogLimits{Runs: 50, Total: 50}, []string{"r1"}},
		"None":     {runner.LogLimits{Runs: 6, Total: 500}, []string{"r1", "r2", "r3", "r4", "r5"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openState(t)
			var folder string
			for _, run := range []string{"r1", "r2", "r3", "r4", "r5"} {
				log, file, err := s.Logs(run, runner.LogLimits{Step: 1000, Runs: 50, Total: 1 << 20})("build")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := log.Write(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
				folder = filepath.Dir(filepath.Dir(file))
			}
			if _, err := s.Scratch("r1"); err != nil { // it is running
				t.Fatal(err)
			}
			s.Logs("r6", tt.limits)
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, entry := range entries {
				got = append(got, entry.Name())
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}
