package task_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// printed is the output of a step.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(data)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// fixture is a checkout and a repository to run tasks in.
type fixture struct {
	task.Dependencies
	folder  string
	store   builddata.Store
	run     pipe.Summary
	environ []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	b := &fixture{folder: t.TempDir(), environ: os.Environ()}
	var err error
	if b.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"), clock.NewFake(noon)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	b.Dependencies = task.Dependencies{
		Clock: clock.NewFake(noon),
		Store: func(context.Context) (task.Repository, error) { return b.store, nil },
	}
	b.run = pipe.Summary{
		Run: "01RUN", Pipe: "application", Service: "strawberry", Revision: "abc123",
		Status: builddata.Started, StartedAt: noon.Add(-200 * time.Second),
	}
	return b
}

// call is a call of a task.
type call struct {
	pipe.Call
	out *printed
}

func (b *fixture) call(args pipe.Args, declared ...string) *call {
	c := &call{out: &printed{}}
	mask := pipe.NewMask([]string{"X_PASSWORD=hunter22"}, nil)
	c.Call = pipe.Call{
		Step: "try", Args: args, Declared: declared, Run: b.run, Output: c.out, Folder: b.folder, Environ: b.environ,
		Values: pipe.Values{"service": b.run.Service, "run": b.run.Run},
		Flush:  func(context.Context) error { return nil },
		Mask:   mask.Text, MaskJSON: mask.JSON, AddSecret: mask.Add,
	}
	return c
}

// try runs a task.
func (b *fixture) try(t *testing.T, name string, args pipe.Args, declared ...string) (pipe.Result, string, error) {
	t.Helper()
	c := b.call(args, declared...)
	result, err := b.do(t, t.Context(), name, c)
	return result, c.out.String(), err
}

func (b *fixture) do(t *testing.T, ctx context.Context, name string, c *call) (pipe.Result, error) {
	t.Helper()
	c.Task = name
	result, err := b.definition(t, name).Run(ctx, &c.Call)
	t.Logf("%s: %+v, %v\n%s", name, result, err, c.out)
	return result, err
}

func (b *fixture) definition(t *testing.T, name string) pipe.Definition {
	t.Helper()
	d, ok := task.New(b.Dependencies).Task(name)
	if !ok {
		t.Fatalf("there is no task %s", name)
	}
	return d
}

// write writes a file of the checkout.
func (b *fixture) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(b.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o600)
	if strings.HasPrefix(content, "#!") {
		mode = 0o700
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// sh is a command as it was written in a pipe.
func sh(text string) pipe.Script { return pipe.Script{Text: text} }

// wantError checks that an error says all of it.
func wantError(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded, want an error that says %q", says)
	}
	for _, words := range says {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("got the error %q, which does not say %q", err, words)
		}
	}
}

func TestRegistry_Definitions(t *testing.T) {
	l := task.New(task.Dependencies{})
	for _, name := range l.Types() {
		d, ok := l.Task(strings.ToUpper(name))
		if !ok || d.Type != name || d.Run == nil || d.Mock == nil || !strings.HasSuffix(d.Summary, ".") {
			t.Errorf("%s is %+v", name, d)
		}
		if reports := strings.HasPrefix(name, "notify.") || strings.HasPrefix(name, "report."); d.BestEffort != reports {
			t.Errorf("%s is best effort: %t", name, d.BestEffort)
		}
		for _, a := range d.Arguments {
			if a.Name == "" || a.Kind == "" || !strings.HasSuffix(a.Summary, ".") {
				t.Errorf("%s has the argument %+v", name, a)
			}
		}
	}
	if d, ok := l.Task("init.Cerebro"); !ok || d.Type != task.InitVersion {
		t.Errorf("init.Cerebro is %+v", d)
	}
	if _, ok := l.Task("build.cobol"); ok {
		t.Error("there is a task build.cobol")
	}
}

// A mock needs nothing and changes nothing: there is no folder, program or
// repository here.
func TestRegistry_MocksTouchNothing(t *testing.T) {
	l := task.New(task.Dependencies{})
	arguments := map[pipe.Kind]any{
		pipe.Text: "text", pipe.Switch: false, pipe.Duration: time.Hour, pipe.List: []string{"a", "b"},
		pipe.Table: map[string]string{"a": "b"}, pipe.Command: sh("exit 1"),
	}
	for _, name := range l.Types() {
		d, _ := l.Task(name)
		args := pipe.Args{}
		for _, a := range d.Arguments {
			args[a.Name] = arguments[a.Kind]
		}
		var out printed
		got, err := d.Mock(t.Context(), &pipe.Call{
			Args: args, Declared: []string{"url"}, Output: &out, Folder: "/nowhere", Mask: strings.ToLower,
		})
		if err != nil || got.Outputs["url"] != "mock-url" || strings.Count(out.String(), "\n") != 1 || got.Version != nil {
			t.Errorf("%s: got %+v (%v), and it printed %q", name, got, err, &out)
		}
		for _, output := range d.Outputs {
			if got.Outputs[output] == "" {
				t.Errorf("%s has no output %s", name, output)
			}
		}
	}
}

func TestDummy(t *testing.T) {
	b := newFixture(t)
	began := b.Clock.Now()
	got, _, err := b.try(t, "mock.dummy", pipe.Args{"message": "hello", "sleep": time.Hour, "set": map[string]string{"url": "x"}}, "url")
	if err != nil || got.Outputs["url"] != "x" || got.Message != "hello" || b.Clock.Now().Sub(began) != time.Hour {
		t.Errorf("got %+v (%v)", got, err)
	}
	_, _, err = b.try(t, "mock.dummy", pipe.Args{"fail": true})
	wantError(t, err, "failed because of fail: true")
	_, _, err = b.try(t, "mock.dummy", pipe.Args{"set": map[string]string{"version": "1"}})
	wantError(t, err, `"version" cannot be set`)
	d, _ := task.New(b.Dependencies).Task("mock.dummy")
	_, err = d.Mock(t.Context(), &b.call(pipe.Args{"fail": true}).Call)
	wantError(t, err, "failed because of fail: true")
}

func TestExternalTask(t *testing.T) {
	b := newFixture(t)
	bin := t.TempDir()
	program := filepath.Join(bin, "delivery-task-deploy.lambda")
	script := "#!/bin/sh\ncat > call.json\necho \"url=https://example.com/?a=b\" >> \"$DELIVERY_OUTPUT\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	b.environ = append(b.environ, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	b.LookPath = func(name string) (string, error) {
		if name == filepath.Base(program) {
			return program, nil
		}
		return "", exec.ErrNotFound
	}
	l := task.New(b.Dependencies)
	for _, name := range []string{"deploy.lambda", "Deploy.Lambda"} {
		if d, ok := l.Task(name); !ok || d.Type != "deploy.lambda" || !d.AnyArgument {
			t.Errorf("%s is %+v", name, d)
		}
	}
	for _, name := range []string{"", "../deploy.lambda", "deploy lambda", "-x", "deploy.other"} {
		if d, ok := l.Task(name); ok {
			t.Errorf("%q is %+v", name, d)
		}
	}
	b.run.Version = "17"
	got, _, err := b.try(t, "deploy.lambda", pipe.Args{"memory": int64(128), "tags": []any{"a"}}, "url")
	if err != nil || got.Outputs["url"] != "https://example.com/?a=b" {
		t.Errorf("got %+v (%v)", got, err)
	}
	read, err := os.ReadFile(filepath.Join(b.folder, "call.json"))
	want := `{"task":"deploy.lambda","step":"try","args":{"memory":128,"tags":["a"]},` +
		`"values":{"run":"01RUN","service":"strawberry"},"run":"01RUN","service":"strawberry","version":"17"}` + "\n"
	if diff := cmp.Diff(string(read), want); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	_, _, err = b.try(t, "deploy.lambda", nil, "other")
	wantError(t, err, "declared output other was not set")
}

func TestVersion(t *testing.T) {
	b := newFixture(t)
	first, _, err := b.try(t, "init.version", pipe.Args{"scheme": "semver", "bump": "minor", "labels": map[string]string{"colour": "red"}})
	if err != nil {
		t.Fatal(err)
	}
	want := builddata.Version{
		Service: "strawberry", Number: 1, Name: "0.1.0", Scheme: builddata.Semver, Key: "run 01RUN", SourceRevision: "abc123",
		Labels: map[string]string{"colour": "red"}, CreatedAt: noon,
	}
	if diff := cmp.Diff(*first.Version, want); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.Outputs, map[string]string{"version": "0.1.0", "number": "1"}); diff != "" {
		t.Error(diff)
	}
	again, _, err := b.try(t, "init.version", pipe.Args{"scheme": "semver", "bump": "minor", "labels": map[string]string{"colour": "red"}})
	if err != nil || again.Version.Number != 1 {
		t.Errorf("trying again in the same run gave %+v (%v), want the same version", again.Version, err)
	}
	b.run.Run = "02RUN"
	other, _, err := b.try(t, "init.version", pipe.Args{"scheme": "semver"})
	if err != nil || other.Version.Name != "0.1.1" {
		t.Errorf("another run got %+v (%v)", other.Version, err)
	}
	_, _, err = b.try(t, "init.version", pipe.Args{"scheme": "roman"})
	wantError(t, err, "sequence, semver, calver")

	b.run.Version = "0.1.0"
	kept, _, err := b.try(t, "init.version", pipe.Args{"scheme": "semver"})
	if err != nil || kept.Version.Number != 1 || kept.Outputs["number"] != "1" {
		t.Errorf("a run that has a version got %+v (%v)", kept, err)
	}
	b.run.Version = "9.9.9"
	_, _, err = b.try(t, "init.version", nil)
	wantError(t, err, "9.9.9", "not found")
	if _, err := b.store.Revoke(t.Context(), "strawberry", "0.1.0", "it is sour"); err != nil {
		t.Fatal(err)
	}
	b.run.Version = "0.1.0"
	_, _, err = b.try(t, "init.version", nil)
	wantError(t, err, "it is sour")

	b.Store = func(context.Context) (task.Repository, error) {
		return nil, errors.Join(errors.New("no network"), builddata.ErrUnavailable)
	}
	offline, _, err := b.try(t, "init.version", nil)
	if err != nil || offline.Version != nil || offline.Outputs["version"] != "0.1.0" || len(offline.Warnings) != 1 {
		t.Errorf("without the repository: got %+v (%v)", offline, err)
	}
	b.run.Number = 1
	offline, _, err = b.try(t, "init.version", nil)
	if err != nil || offline.Version.Number != 1 || offline.Outputs["number"] != "1" || len(offline.Warnings) != 1 {
		t.Errorf("without the repository: got %+v (%v)", offline, err)
	}
	b.run.Version = ""
	_, _, err = b.try(t, "init.version", nil)
	wantError(t, err, "no version of strawberry was allocated", "no network", "or run the pipe for an existing version")
}

func TestPromote(t *testing.T) {
	b := newFixture(t)
	v, err := b.store.Allocate(t.Context(), builddata.Allocation{
		Service: "strawberry", Scheme: builddata.Sequence, SourceRevision: b.run.Revision,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.saveRun(t, "01RUN", v.Number, b.run.Revision, nil)
	args := pipe.Args{"stage": "passed_test", "requires": []string{"test.command"}}
	_, _, err = b.try(t, "release.promote", args)
	wantError(t, err, "has no version")
	b.run.Version = v.Name
	_, _, err = b.try(t, "release.promote", args)
	wantError(t, err, "test.command has not happened to it")

	// The repository knows the events once they are flushed.
	c := b.call(args)
	c.Flush = func(ctx context.Context) error {
		return b.store.Append(ctx, builddata.Event{
			ID: "1", Service: "strawberry", Number: v.Number, Run: "01RUN", Step: "t", Type: "test.command", Status: builddata.Succeeded,
		})
	}
	if got, err := b.do(t, t.Context(), "release.promote", c); err != nil || got.Message != "version 1 is at passed_test" {
		t.Errorf("got %+v (%v)", got, err)
	}
	b.run.Run = "02RUN"
	if got, _, err := b.try(t, "release.promote", args); err != nil || !strings.Contains(got.Message, "already") {
		t.Errorf("got %+v (%v)", got, err)
	}
	c = b.call(args)
	c.Flush = func(context.Context) error { return builddata.ErrUnavailable }
	_, err = b.do(t, t.Context(), "release.promote", c)
	wantError(t, err, "was not promoted", "cannot be reached")
	b.run.Untraceable = "it differs from its revision"
	_, _, err = b.try(t, "release.promote", args)
	wantError(t, err, "cannot be promoted to passed_test", "it differs")
}

// saveRun records a run of strawberry with a pipe of these steps.
func (b *fixture) saveRun(t *testing.T, id string, number int64, revision string, steps []pipe.Step) {
	t.Helper()
	definition, err := pipe.Encode(&pipe.Pipe{Name: "application", Main: steps})
	if err != nil {
		t.Fatal(err)
	}
	err = b.store.SaveRun(t.Context(), builddata.Run{
		ID: id, Service: "strawberry", Number: number, Pipe: "application", Definition: definition, Revision: revision,
		Context: map[string]string{"target": "passed_test"}, Status: builddata.Started, StartedAt: noon, SeenAt: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What the version's own pipe requires for a stage cannot be lowered by another pipe.
func TestPromote_OwnRequirements(t *testing.T) {
	text := func(s string) pipe.Value { return pipe.Value{Data: s} }
	for _, tt := range []struct {
		name  string
		stage string
		// own is the stage and the requirements in the version's own pipe.
		own      string
		requires pipe.Value
		want     string
	}{
		{"Lowered", "passed_test", "passed_test", pipe.Value{Data: []pipe.Value{text("unit tests")}}, "unit tests has not happened to it"},
		{"OneText", "passed_test", "passed_test", text("unit tests"), "unit tests has not happened to it"},
		{"Expressions", "passed_test", "${{ target }}", text("${{ tests ?? 'unit tests' }}"), "unit tests has not happened to it"},
		{"UnknownStage", "passed_test", "${{ later }}", text("unit tests"), "unit tests has not happened to it"},
		{"UnknownRequirement", "passed_test", "passed_test", text("${{ later }}"), "${{ later }} has not happened to it"},
		{"OtherStage", "seen", "passed_test", text("unit tests"), ""},
		{"Nothing", "passed_test", "passed_test", pipe.Value{Data: []pipe.Value{}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			v, err := b.store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence, SourceRevision: "own"})
			if err != nil {
				t.Fatal(err)
			}
			b.saveRun(t, "01RUN", v.Number, "own", []pipe.Step{
				{Name: "promote", Task: "Release.Promote", Args: map[string]pipe.Value{"stage": text(tt.own), "requires": tt.requires}},
			})
			b.saveRun(t, "02RUN", v.Number, "branch", nil)
			b.run.Run, b.run.Revision, b.run.Version = "02RUN", "branch", v.Name
			_, _, err = b.try(t, "release.promote", pipe.Args{"stage": tt.stage, "requires": []string{}})
			if tt.want != "" {
				wantError(t, err, "cannot be promoted", tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
