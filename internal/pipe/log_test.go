package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// logStore is a log store for tests. It keeps what it is sent, and returns the errors of fail.
type logStore struct {
	fail func(ctx context.Context, l pipe.Log) (address string, err error)

	mu   sync.Mutex
	sent map[string]string
	logs []pipe.Log
}

func (s *logStore) Send(ctx context.Context, l pipe.Log) (string, error) {
	content, err := io.ReadAll(l.Content)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == nil {
		s.sent = map[string]string{}
	}
	l.Content, l.Mask = nil, nil
	s.sent[l.Step], s.logs = string(content), append(s.logs, l)
	if s.fail != nil {
		return s.fail(ctx, l)
	}
	return "store://" + l.Name, nil
}

// withLogs gives a harness log files and a log store.
func withLogs(t *testing.T, s *harness) *logStore {
	t.Helper()
	folder, store := t.TempDir(), &logStore{}
	s.Log = func(step string) (io.WriteCloser, string, error) {
		file, err := os.Create(filepath.Join(folder, step+".log"))
		if err != nil {
			return nil, "", err
		}
		return file, file.Name(), nil
	}
	s.LogStore = store
	return store
}

// printing returns what a step does that prints a text, and returns err.
func printing(text string, err error) func(context.Context, *pipe.Call) (pipe.Result, error) {
	return func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		if _, err := io.WriteString(c.Output, text); err != nil {
			return pipe.Result{}, err
		}
		return pipe.Result{}, err
	}
}

// final returns the last event of a step.
func (s *harness) final(t *testing.T, step string) builddata.Event {
	t.Helper()
	for i := len(s.events) - 1; i >= 0; i-- {
		if s.events[i].Step == step && s.events[i].Status != builddata.Started {
			return s.events[i]
		}
	}
	t.Fatalf("the step %s has no final event", step)
	return builddata.Event{}
}

// The masked log of a step is in the log store before the step's final event, which has the
// log's address. The event of a failed step has the end of its output.
func TestEngine_SendsLogs(t *testing.T) {
	s := newHarness()
	s.Mask = pipe.NewMask([]string{"NEXUS_PASSWORD=hunter22"}, nil)
	store := withLogs(t, s)
	s.act["build"] = printing("with hunter22\nbuilt\n", nil)
	s.act["short"] = printing("$ true\n", nil)
	s.act["test"] = printing("with hunter22\ncase 1 failed\n", errors.New("exit code 1"))
	store.fail = func(_ context.Context, l pipe.Log) (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.events {
			if e.Step == l.Step && e.Status != builddata.Started {
				t.Errorf("the final event of %s was recorded before its log was sent", l.Step)
			}
		}
		return "store://" + l.Name, nil
	}
	summary := s.run(t, pipe.Request{
		Pipe: &pipe.Pipe{Name: "p", Main: steps("build", "short", "test")}, Version: "1.4.0",
	})
	if diff := cmp.Diff(store.sent, map[string]string{"build": "with ***\nbuilt\n", "test": "with ***\ncase 1 failed\n"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	want := pipe.Log{Service: "strawberry", Run: "run-1", Step: "build", Version: "1.4.0", Name: "strawberry/run-1/build.log", At: noon}
	if diff := cmp.Diff(store.logs[0], want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	for step, want := range map[string][2]string{
		"build": {"store://strawberry/run-1/build.log", ""},
		"short": {},
		"test":  {"store://strawberry/run-1/test.log", "with ***\ncase 1 failed"},
	} {
		if e := s.final(t, step); e.LogAddress != want[0] || e.OutputTail != want[1] {
			t.Errorf("%s: got the address %q and the output %q, want %q", step, e.LogAddress, e.OutputTail, want)
		}
	}
	if got := summary.Steps[2]; got.LogAddress != "store://strawberry/run-1/test.log" || got.Tail != "with ***\ncase 1 failed" {
		t.Errorf("got %+v", got)
	}
}

// A secret that a step sets after it has printed it is masked in the log that is sent, and in
// the end of the output.
func TestEngine_LogOfLateSecret(t *testing.T) {
	s := newHarness()
	s.Scratch = t.TempDir()
	store := withLogs(t, s)
	late := pipe.Result{Outputs: map[string]string{"db_password": "made-by-the-step"}}
	for step, err := range map[string]error{"make": nil, "break": errors.New("no")} {
		s.act[step] = func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			_, _ = printing("made made-by-the-step\nend\n", nil)(ctx, c)
			return late, err
		}
	}
	s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", First: steps("break", "make")}})
	if diff := cmp.Diff(store.sent, map[string]string{"break": "made ***\nend\n", "make": "made ***\nend\n"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if e := s.final(t, "break"); e.OutputTail != "made ***\nend" {
		t.Errorf("got %q", e.OutputTail)
	}
	if left, err := os.ReadDir(s.Scratch); err != nil || len(left) > 0 {
		t.Errorf("left %v and %v", left, err)
	}
}

// A log that cannot be sent, or only in part, is a warning in the step's final event. It is
// masked, and the step succeeds.
func TestEngine_LogNotSent(t *testing.T) {
	for name, tt := range map[string]struct{ address, want string }{
		"Nothing": {"", "the log could not be sent: 403 for ***"},
		"Part":    {"store://hunter22/build", "only a part of the log was sent: 403 for ***"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			s.Mask = pipe.NewMask([]string{"NEXUS_PASSWORD=hunter22"}, nil)
			store := withLogs(t, s)
			store.fail = func(context.Context, pipe.Log) (string, error) { return tt.address, errors.New("403 for hunter22") }
			s.act["build"] = printing("1\n2\n", nil)
			summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("build")}})
			e, address := s.final(t, "build"), strings.ReplaceAll(tt.address, "hunter22", "***")
			if summary.Status != builddata.Succeeded || !strings.Contains(e.Message, "warning: "+tt.want) || e.LogAddress != address {
				t.Errorf("got %s and %+v, want the warning %q", summary.Status, e, tt.want)
			}
		})
	}
}

// A log store that does not answer delays the end of a step by ten seconds, also if the run
// is interrupted meanwhile. The log of an interrupted step is sent as well.
func TestEngine_LogStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHarness()
		s.Clock = clock.System{} // which the test moves
		store := withLogs(t, s)
		interrupt, stop := context.WithCancelCause(t.Context())
		start := s.Clock.Now()
		store.fail = func(ctx context.Context, _ pipe.Log) (string, error) {
			stop(errors.New("the run was interrupted"))
			<-ctx.Done()
			return "", ctx.Err()
		}
		s.act["build"] = printing("1\n2\n", nil)
		s.act["tidy"] = printing("3\n4\n", nil)
		p := &pipe.Pipe{Name: "p", Main: steps("build", "test"), Last: steps("tidy")}
		summary := s.run(t, pipe.Request{Pipe: p, Interrupt: interrupt})
		if took := s.Clock.Now().Sub(start); took.Seconds() != 20 {
			t.Errorf("the run took %s, want 10s for each of the two logs", took)
		}
		if e := s.final(t, "build"); summary.Status != builddata.Interrupted || !strings.Contains(e.Message, "it took longer than 10s") {
			t.Errorf("got %s and %+v", summary.Status, e)
		}
	})
}

// The end of the output has at most 4 KB, and begins with a line or at least with a character.
func TestEngine_OutputTail(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	for name, tt := range map[string]struct{ printed, want string }{
		"Short":    {"a\nb\n", "a\nb"},
		"Exactly":  {strings.Repeat("y", 4<<10), strings.Repeat("y", 4<<10)},
		"Lines":    {strings.Repeat(line, 100), strings.TrimRight(strings.Repeat(line, 40), "\n")},
		"OneLine":  {strings.Repeat("é", 4<<10) + "z\n", strings.Repeat("é", 2<<10-1) + "z"},
		"LongLast": {"a\n" + strings.Repeat("b", 5<<10), strings.Repeat("b", 4<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			s.act["work"] = printing(tt.printed, errors.New("no"))
			s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("work")}})
			if diff := cmp.Diff(s.final(t, "work").OutputTail, tt.want); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}

func TestLog_Batches(t *testing.T) {
	numbers := func(from, to int) (lines []string) {
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Sprint("line ", i))
		}
		return lines
	}
	half := strings.Repeat("h", 200<<10)
	for name, tt := range map[string]struct {
		content string
		want    [][]string
	}{
		"Empty":      {"", nil},
		"EmptyLines": {"\n\na\n", [][]string{{"", "", "a"}}},
		"CutOff":     {"a\nb", [][]string{{"a", "b"}}},
		"ManyLines": {
			strings.Join(numbers(0, 25_000), "\n"), [][]string{numbers(0, 10_000), numbers(10_000, 20_000), numbers(20_000, 25_000)},
		},
		"ManyBytes": {strings.Repeat(half+"\n", 6), [][]string{{half, half, half, half, half}, {half}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for batch, err := range (pipe.Log{Content: strings.NewReader(tt.content)}).Batches() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, batch)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}

// A line that is too long for the stores is divided between two characters.
func TestLog_DividesLongLines(t *testing.T) {
	content := "a" + strings.Repeat("ü", 300<<10)
	var got strings.Builder
	for batch, err := range (pipe.Log{Content: strings.NewReader(content + "\n")}).Batches() {
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range batch {
			if len(line) > 255<<10 || !utf8.ValidString(line) {
				t.Errorf("got a line of %d bytes, which ends with %q", len(line), line[len(line)-4:])
			}
			got.WriteString(line)
		}
	}
	if got.String() != content {
		t.Error("the parts of the line are not the line")
	}
}

// An error ends the batches.
func TestLog_ReadError(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var errs int
	for batch, err := range (pipe.Log{Content: file}).Batches() {
		if err == nil {
			t.Errorf("got %q", batch)
		}
		errs++
	}
	if errs != 1 {
		t.Errorf("got %d errors, want one", errs)
	}
}
