package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

const applicationPipe = `
first:
  - {name: version, do: init.version, scheme: semver, bump: minor}
main:
  - name: build
    do: build.command
    command: echo "file=strawberry-$DELIVERY_VERSION.jar" >> $DELIVERY_OUTPUT
    outputs: [file]
  - parallel:
      - {name: functional tests, do: test.command, command: "./functional.sh ${{ file }}"}
      - {name: load tests, do: test.command, command: echo loading}
  - {name: promote, do: release.promote, stage: passed_test, requires: [test]}
last:
  - {name: tidy, do: build.command, command: "echo tidying after ${{ status }} in ${{ environment }}"}
`

func newApplication(t *testing.T) *checkout {
	t.Helper()
	c := newCheckout(t, applicationPipe)
	c.write(t, "functional.sh", "#!/bin/sh\necho testing $1 of $DELIVERY_SERVICE in $DELIVERY_RUN\n")
	c.push(t)
	return c
}

func TestRun(t *testing.T) {
	c := newApplication(t)
	s := c.run(t, 0)
	if s.Version != "0.1.0" || s.Number != 1 || s.Status != builddata.Succeeded || s.Revision != c.git(t, c.folder, "rev-parse", "HEAD") {
		t.Errorf("got %+v", s)
	}
	_, out, _ := c.delivery(t, "version", "show", "0.1.0")
	contains(t, out, "strawberry 0.1.0, number 1", "Promoted to passed_test", "for revision "+s.Revision)
	_, out, _ = c.delivery(t, "run", "show", s.Run, "-o", "json")
	var r catalog.Run
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Status != builddata.Succeeded || r.Context["service"] != "strawberry" || len(r.Events) != 12 ||
		!strings.Contains(string(r.Definition), "./functional.sh") {
		t.Errorf("got %+v", r)
	}
	log, err := os.ReadFile(filepath.Join(c.state, "delivery", "logs", s.Run, "tidy.log"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(log), "tidying after succeeded in "+r.Context["environment"])
}

// The summary of a failed run shows the end of the failed step's output, and a command that
// runs just that step again, with the same version and values.
func TestRun_FailsAndReruns(t *testing.T) {
	c := newApplication(t)
	c.write(t, "functional.sh", "#!/bin/sh\necho looking at $1\necho 'expected 2, got 3' >&2\nexit 7\n")
	c.push(t)
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, `functional tests | looking at strawberry-0.1.0.jar`, `functional tests failed`, `tidy | tidying after failed in run-`,
		`Error: the pipe app failed at "functional tests"`)
	contains(t, out, `app of strawberry 0.1.0 failed at "functional tests" after`, "exit code 7", "The end of its output:",
		"  expected 2, got 3\n", "functional-tests")
	rerun := regexp.MustCompile(`Run just that step again:\n  delivery (.*)\n`).FindStringSubmatch(out)
	if rerun == nil || rerun[1] != "run --run-task 'functional tests' --version 0.1.0" {
		t.Fatalf("got %q in\n%s", rerun, out)
	}
	c.write(t, "functional.sh", "#!/bin/sh\necho looking at $1\n")
	c.push(t)
	s := c.run(t, 0, "--run-task", "functional tests", "--version", "0.1.0")
	if len(s.Steps) != 1 || s.Version != "0.1.0" {
		t.Errorf("got %+v", s)
	}
	log, err := os.ReadFile(s.Steps[0].Log)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(log), "looking at strawberry-0.1.0.jar")
	_, listed, _ := c.delivery(t, "run", "list")
	contains(t, listed, "app, run-task functional tests", "failed at functional tests: exit code 7")
}

func TestRun_Parts(t *testing.T) {
	c := newApplication(t)
	s := c.run(t, 0, "--run-to", "build")
	if diff := cmp.Diff(c.events(t, s.Run), []string{"version started", "version succeeded", "build started", "build succeeded",
		"tidy started", "tidy succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	// A run of the whole pipe for an existing version allocates no other one.
	if s := c.run(t, 0, "--version", "0.1.0"); s.Version != "0.1.0" || s.Number != 1 {
		t.Errorf("got %+v", s)
	}
	if s := c.run(t, 0, "--mock"); s.Run != "mock" {
		t.Errorf("got %+v", s)
	}
	all, err := c.store(t).Versions(t.Context(), builddata.VersionQuery{Service: "strawberry"})
	if err != nil || len(all) != 1 {
		t.Errorf("got %v and %v, want one version", all, err)
	}
}

// A run that cannot begin says why, and at which position of which file. No step runs, and
// the repository is not opened.
func TestRun_BadInput(t *testing.T) {
	for name, tt := range map[string]struct {
		pipe string
		args []string
		code int
		want []string
	}{
		"UnknownTask": {
			"- {name: a, do: build.comand, command: x}", nil, exitcode.Usage, []string{"pipes/app.yml:1:3: ", `there is no task "build.comand"`,
				"did you mean build.command?"},
		},
		"NoArgument": {
			"- {name: a, do: release.promote}", nil, exitcode.Usage, []string{"pipes/app.yml:1:3: ", "needs the argument stage"},
		},
		"WrongArgument": {
			"- {name: a, do: build.command, comand: x, command: x}", nil, exitcode.Usage,
			[]string{"pipes/app.yml:1:", "takes no argument comand; did you mean command?"},
		},
		"WrongKind": {
			"- {name: a, do: mock.dummy, sleep: soon}", nil, exitcode.Usage, []string{"pipes/app.yml:1:", "expected a duration such as 90s"},
		},
		"UnknownValue": {
			"- {name: a, do: build.command, command: \"echo ${{ fiel }}\"}", nil, exitcode.Usage,
			[]string{"pipes/app.yml:1:", "nothing sets ${{ fiel }}"},
		},
		"LaterValue": {
			"- {name: a, do: build.command, command: \"echo ${{ b }}\"}\n- {name: b, do: build.command, command: x, outputs: [b]}", nil,
			exitcode.Usage, []string{"pipes/app.yml:1:", `is set by the step "b", which comes later`},
		},
		"NoVersion": {"- {name: a, do: build.command, command: \"echo ${{ version }}\"}", nil, exitcode.Usage, []string{"init.version"}},
		"SameName": {
			"- {name: a, do: mock.dummy}\n- {name: a, do: mock.dummy}", nil, exitcode.Usage,
			[]string{"pipes/app.yml:2:3: ", `the step at pipes/app.yml:1:3 has the name "a" already`},
		},
		"Cycle":      {"- ref: app", nil, exitcode.Usage, []string{"pipes/app.yml:1:"}},
		"NoSuchRef":  {"- ref: biuld", nil, exitcode.Usage, []string{"pipes/app.yml:1:", "did you mean build?"}},
		"UnknownKey": {"mian:\n  - {do: mock.dummy}", nil, exitcode.Usage, []string{"pipes/app.yml:1:1: ", "main"}},
		"NotYAML":    {"main: [", nil, exitcode.Usage, []string{"pipes/app.yml:1:"}},
		"NoSteps":    {"main: []", nil, exitcode.Usage, []string{"pipes/app.yml:1:"}},
		"NoSuchPipe": {"- {do: mock.dummy}", []string{"--pipe", "cdd"}, exitcode.Usage, []string{"cdd", "cd"}},
		"NoSuchStep": {
			"- {name: build, do: mock.dummy}", []string{"--run-to", "biuld"}, exitcode.Usage, []string{`has no step "biuld"; did you mean build?`},
		},
		"ToLast": {
			"main: [{do: mock.dummy}]\nlast: [{name: tidy, do: mock.dummy}]", []string{"--run-to", "tidy"}, exitcode.Usage,
			[]string{"which always runs"},
		},
		"ToAndTask": {
			"- {name: a, do: mock.dummy}", []string{"--run-to", "a", "--run-task", "a"}, exitcode.Usage, []string{"cannot be used together"},
		},
		"OfWithoutTask": {"- {name: a, do: mock.dummy}", []string{"--of", "x"}, exitcode.Usage, []string{"--run-task"}},
		"SetEnvironment": {
			"- {name: a, do: mock.dummy, text: '${{ env.HOME }}'}", []string{"--set", "env.HOME=/elsewhere"}, exitcode.Usage,
			[]string{"the value env.HOME cannot be set: names that begin with env. stand for environment variables"},
		},
		"BadSet": {"- {name: a, do: mock.dummy}", []string{"--set", "a b"}, exitcode.Usage, []string{"write name=value"}},
		"OwnValue": {
			"- {name: a, do: mock.dummy}", []string{"--set", "version=9"}, exitcode.Usage,
			[]string{"the value version cannot be set: only the run itself sets it"},
		},
		"NoSuchVersion": {
			"- {name: a, do: mock.dummy}", []string{"--version", "9"}, exitcode.Failed, []string{"not found", "delivery version list"},
		},
		"NoEarlierRun": {
			"- {name: a, do: mock.dummy}", []string{"--run-task", "a"}, exitcode.Failed,
			[]string{"there is no earlier run of the pipe app for strawberry"},
		},
		"NoSuchRun": {
			"- {name: a, do: mock.dummy}", []string{"--run-task", "a", "--of", "none"}, exitcode.Failed,
			[]string{"read run none of strawberry: not found"},
		},
		"TooManyArguments": {
			"- {name: a, do: mock.dummy}", []string{"again"}, exitcode.Usage, []string{`"delivery run" takes no arguments, and got "again"`},
		},
		"EmptyVersion": {
			"- {name: a, do: mock.dummy}", []string{"--version", ""}, exitcode.Usage, []string{"--version is empty: give it a value, or omit it"},
		},
		"EmptyTask": {"- {name: a, do: mock.dummy}", []string{"--run-task= "}, exitcode.Usage, []string{"--run-task is empty"}},
		"EmptyTo":   {"- {name: a, do: mock.dummy}", []string{"--run-to", ""}, exitcode.Usage, []string{"--run-to is empty"}},
		"EmptyOf":   {"- {name: a, do: mock.dummy}", []string{"--run-task", "a", "--of", ""}, exitcode.Usage, []string{"--of is empty"}},
		"EmptyPipe": {"- {name: a, do: mock.dummy}", []string{"--pipe", ""}, exitcode.Usage, []string{"--pipe is empty"}},
		"CommandMissing": {
			"- {name: a, do: build.command, command: frobnicate --all}", nil, exitcode.Failed, []string{"frobnicate: command not found: install it"},
		},
		"ShellMissing": {
			"- {name: a, do: build.command, command: frobnicate && true}", nil, exitcode.Failed, []string{"exit code 127: command not found"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t, tt.pipe)
			code, _, stderr := c.delivery(t, append([]string{"run"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			contains(t, stderr, tt.want...)
			if _, err := os.Stat(filepath.Join(c.data, "delivery.db")); err == nil && code == exitcode.Usage {
				t.Error("the repository was opened")
			}
		})
	}
}

func TestRun_NoProject(t *testing.T) {
	c := newCheckout(t, "- {do: mock.dummy}")
	if err := os.Remove(filepath.Join(c.folder, ".delivery.yml")); err != nil {
		t.Fatal(err)
	}
	refused, _, why := c.delivery(t, "run")
	if refused != exitcode.Usage {
		t.Errorf("got exit code %d", refused)
	}
	contains(t, why, "there is no .delivery.yml", "delivery init")
	if code, out, stderr := c.delivery(t, "init", "--service", "strawberry"); code != 0 {
		t.Fatalf("got %d: %s%s", code, out, stderr)
	}
	if err := os.Remove(filepath.Join(c.folder, ".delivery.yml")); err != nil {
		t.Fatal(err)
	}
	_, printed, _ := c.delivery(t, "init", "--service", "strawberry")
	contains(t, printed, "There is no Makefile here, so set the values build and test", "git add .delivery.yml && git commit", "&& git push")
	code, out, stderr := c.delivery(t, "pipe", "test")
	if code != 0 {
		t.Fatal(stderr)
	}
	contains(t, out, "first  version\n", "main   build\nmain   unit tests\n")
	if code, _, stderr := c.delivery(t, "init"); code != exitcode.Failed {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
}

// Without a home directory, everything that is missing is said at once, and what is not
// needed is not asked for.
func TestRun_NoHome(t *testing.T) {
	c := newCheckout(t, "- {do: mock.dummy}")
	for _, name := range []string{"HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "DELIVERY_REPOSITORY"} {
		t.Setenv(name, "")
	}
	_, _, stderr := c.delivery(t, "run")
	contains(t, stderr, "set DELIVERY_REPOSITORY", "set XDG_STATE_HOME to an absolute path")
	t.Setenv("XDG_STATE_HOME", c.state)
	if code, _, stderr := c.delivery(t, "pipe", "show"); code != 0 {
		t.Errorf("a pipe cannot be shown without a repository: %s", stderr)
	}
}

// A run from a checkout that is not pushed is refused. With --allow-unpushed it runs, but
// its version cannot be promoted.
func TestRun_Unpushed(t *testing.T) {
	c := newApplication(t)
	c.write(t, "notes.txt", "unfinished")
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Untraceable {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "it differs from its revision", "notes.txt", "list them in .gitignore", "--allow-unpushed")
	s := c.run(t, exitcode.Failed, "--allow-unpushed")
	failed := s.Failed()
	if s.Untraceable == "" || failed == nil || failed.Name != "promote" || !strings.Contains(failed.Message, "notes.txt") {
		t.Errorf("got %+v", s)
	}
	_, out, _ := c.delivery(t, "run", "show", s.Run)
	contains(t, out, "Untraceable  it differs from its revision")
}

// Secrets are neither in the output, nor in the logs, nor in the repository.
func TestRun_Secrets(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- name: leak
  do: build.command
  command: |
    echo the password is $NEXUS, the token $API_TOKEN, the code ${{ code }}
    echo "note=holds $NEXUS" >> $DELIVERY_OUTPUT
    echo "code=nuclear-launch" >> $DELIVERY_OUTPUT
    printf 'in two '; printf 'hunter'; sleep 0.1; echo 2-hunter2
  outputs: [note]
- name: fail with it
  do: build.command
  command: echo ${{ note }} and ${{ code }}; echo "bad password $NEXUS" >&2; exit 1
`)
	secrets := map[string]string{"NEXUS": "hunter2-hunter2", "API_TOKEN": "tok-0123456789"}
	for name, value := range secrets {
		t.Setenv(name, value)
	}
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	_, shown, _ := c.delivery(t, "run", "show", regexp.MustCompile(`logs/(\w+)/`).FindStringSubmatch(out)[1], "-o", "json")
	contains(t, stderr, "the password is ***, the token ***, the code ***", "in two ***")
	texts := map[string]string{"stdout": out, "stderr": stderr, "runs": shown}
	for _, folder := range []string{c.data, c.state} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			texts[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for where, text := range texts {
		for _, secret := range []string{"hunter2-hunter2", "tok-0123456789", "nuclear-launch"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s holds %s: …%q…", where, secret, text[max(0, i-80):min(len(text), i+40)])
			}
		}
	}
	if len(texts) < 6 {
		t.Errorf("checked only %d texts", len(texts))
	}
}

// Steps may print a lot, very long lines, or binary data.
func TestRun_Output(t *testing.T) {
	c := newCheckout(t, `
- {name: much, do: build.command, command: "yes 0123456789012345678901234567890123456789 | head -c 100000000 >&2; echo; echo done"}
- {name: one line, do: build.command, command: "head -c 10000000 /dev/zero | tr '\\0' x"}
- name: junk
  do: build.command
  command: "head -c 1000000 /dev/urandom; printf '\\033[31mred\\033[0m \\033]0;title\\007 \\r\\nafter'; exit 1"
`)
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d", code)
	}
	contains(t, stderr, "much | done", "much succeeded", "one line succeeded", "junk | after")
	contains(t, out, "  after\n")
	for what, text := range map[string]string{"stdout": out, "stderr": stderr} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }); i >= 0 {
			t.Errorf("%s contains the control character %q", what, text[i])
		}
	}
	logs, err := filepath.Glob(filepath.Join(c.state, "delivery", "logs", "*", "much.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	log, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(log) > 64<<20 || len(log) < 60<<20 || !bytes.HasSuffix(log, []byte("\ndone\n")) {
		t.Errorf("the log has %d bytes, want the beginning and the end of the output", len(log))
	}
	contains(t, string(log[:1000]), "$ yes 0123456789", "\n0123456789012345678901234567890123456789\n")
	if !bytes.Contains(log, []byte(" bytes of the output are left out here: ")) {
		t.Error("the log does not say that its middle is missing")
	}
}

// A step does not fail because the disk has no space for its log.
func TestRun_DiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	c := newCheckout(t, "- {name: build, do: build.command, command: echo hello}")
	if err := os.MkdirAll(filepath.Join(c.state, "delivery"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(c.state, "delivery", "logs")); err != nil {
		t.Fatal(err)
	}
	s := c.run(t, 0)
	if w := s.Steps[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "not all of the output is in the log") {
		t.Errorf("got %q", w)
	}
}

// While the repository cannot be reached, a run for an existing version continues, and its
// records are sent later, once.
func TestRun_Outage(t *testing.T) {
	c := newCheckout(t, "- {name: version, do: init.version}\n- {name: build, do: build.command, command: echo $DELIVERY_VERSION}")
	if s := c.run(t, 0); s.Version != "1" {
		t.Fatalf("got %+v", s)
	}
	away := c.data + "-away"
	if err := os.Rename(c.data, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Unavailable {
		t.Errorf("got exit code %d, want %d", code, exitcode.Unavailable)
	}
	contains(t, stderr, "Nothing has run.", "--version")
	code, out, stderr := c.delivery(t, "run", "--version", "1")
	if code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	contains(t, stderr, "the records of this run are kept on this machine and sent later", "build | 1",
		"records of the run are not in the build data repository yet")
	run := regexp.MustCompile(`\(run (\w+)\)`).FindStringSubmatch(out)[1]
	if code, _, stderr := c.delivery(t, "sync"); code != exitcode.Unavailable {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	if err := os.Remove(c.data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, c.data); err != nil {
		t.Fatal(err)
	}
	_, out, _ = c.delivery(t, "sync")
	contains(t, out, "strawberry 1, run "+run+" (app, succeeded): sent ", "records that this machine had kept")
	_, out, _ = c.delivery(t, "sync")
	contains(t, out, "Nothing to send.")
	if diff := cmp.Diff(c.events(t, run), []string{"version started", "version succeeded", "build started", "build succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	v, err := c.store(t).Run(t.Context(), "strawberry", run)
	if err != nil || v.Number != 1 {
		t.Errorf("got %+v and %v, want the version's number", v, err)
	}
}

func TestPipe(t *testing.T) {
	c := newApplication(t)
	_, out, _ := c.delivery(t, "pipe", "show")
	contains(t, out, "app, from pipes/app.yml", "first\n  version  (init.version)", "in parallel", "pipes/app.yml:3:5")
	_, out, _ = c.delivery(t, "pipe", "list")
	contains(t, out, "app *", "cd-parallel")
	want := "first  version\nmain   build\nmain   functional tests: failed\nmain   load tests\nlast   tidy\nfailed\n"
	if _, out, _ := c.delivery(t, "pipe", "test", "--fail", "functional tests"); out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	expected := filepath.Join(t.TempDir(), "app.expected")
	if code, _, stderr := c.delivery(t, "pipe", "test", "--expect", expected, "--update"); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := c.delivery(t, "pipe", "test", "--expect", expected); code != 0 {
		t.Error(stderr)
	}
	code, _, stderr := c.delivery(t, "pipe", "test", "--expect", expected, "--fail", "build")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, `line 2 is "main   build: failed", expected "main   build"`)
}

func TestVersion(t *testing.T) {
	c := newCheckout(t, "- {do: mock.dummy}")
	for _, want := range []string{"1\n", "1\n"} {
		if _, out, stderr := c.delivery(t, "version", "next", "--key", "job-1"); out != want {
			t.Errorf("got %q, want %q: %s", out, want, stderr)
		}
	}
	_, out, _ := c.delivery(t, "version", "next", "--service", "raspberry", "--scheme", "semver", "--bump", "major", "-o", "json")
	contains(t, out, `"version": "1.0.0"`, `"service": "raspberry"`)
	code, _, stderr := c.delivery(t, "version", "next", "--scheme", "roman")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	code, _, stderr = c.delivery(t, "version", "next", "--bump", "minor")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "--bump applies to the scheme semver, not sequence", "add --scheme semver")
	if code, _, stderr := c.delivery(t, "version", "revoke", "1"); code != exitcode.Usage {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	_, out, _ = c.delivery(t, "version", "revoke", "1", "--reason", "loses orders")
	contains(t, out, "Revoked at", "loses orders")
	_, out, _ = c.delivery(t, "version", "list")
	contains(t, out, "The repository knows no versions of strawberry")
	_, out, _ = c.delivery(t, "version", "list", "--revoked")
	contains(t, out, "revoked: loses orders")
	if _, out, stderr := c.delivery(t, "version", "next", "--revision", "abc"); out != "2\n" {
		t.Errorf("got %q: %s", out, stderr)
	}
	for _, test := range []struct{ args, want string }{
		{"--revision abc", "2\n"}, {"--revision def", ""}, {"--before 2", "1\n"}, {"--limit 1", "2\n"},
	} {
		_, out, _ := c.delivery(t, append(strings.Fields("version list --revoked -o json"), strings.Fields(test.args)...)...)
		var all []struct{ Version string }
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := ""
		for _, v := range all {
			got += v.Version + "\n"
		}
		if got != test.want {
			t.Errorf("version list %s: got %q, want %q", test.args, got, test.want)
		}
	}
	_, out, _ = c.delivery(t, "version", "list", "--revision", "ab")
	contains(t, out, "no versions of strawberry at revision ab; use the full revision")
	code, _, stderr = c.delivery(t, "run", "--version", "1")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "was revoked")
	_, out, _ = c.delivery(t, "event", "list", "--version", "1")
	contains(t, out, "No events.")
	if code, _, _ := c.delivery(t, "event", "list"); code != exitcode.Usage {
		t.Errorf("got exit code %d", code)
	}
}

// Steps that build a version refuse a checkout at another revision, unless told to; the
// section last cleans up in any case.
func TestRun_OtherRevision(t *testing.T) {
	c := newCheckout(t, `main:
  - {name: version, do: init.version}
  - {name: test, do: test.command, command: "true"}
  - {name: fix, do: build.command, command: echo fixing, when: "${{ fix ?? '' }}"}
  - {name: compile, do: build.command, command: echo compiling}
last:
  - {name: tidy, do: build.command, command: echo tidying}
`)
	c.push(t)
	c.run(t, 0)
	c.write(t, "new.txt", "new")
	c.push(t)
	code, _, stderr := c.delivery(t, "run", "--version", "1")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, `step "compile" cannot build: version 1 is of revision`, "--allow-other-revision")
	if strings.Contains(stderr, "test | ") {
		t.Errorf("a step has run: %s", stderr)
	}
	c.run(t, 0, "--version", "1", "--run-to", "test")
	c.run(t, 0, "--version", "1", "--run-task", "tidy")
	s := c.run(t, exitcode.Failed, "--version", "1", "--run-task", "fix", "--set", "fix=true")
	contains(t, s.Steps[0].Message, "it did not build: version 1 is of revision")
	c.run(t, 0, "--version", "1", "--allow-other-revision")
}

// What can be known is checked before the first step: folders that cannot be made by an
// earlier step, since git does not ignore them, and programs.
func TestRun_LacksFoldersAndPrograms(t *testing.T) {
	c := newCheckout(t, `main:
  - {name: version, do: init.version}
  - {name: build, do: build.command, command: mkdir -p generated}
  - {name: test, do: test.command, command: echo tested, folder: generated}
  - {name: never, do: build.command, command: echo no, folder: nowhere, when: "${{ branch == 'other' }}"}
  - {name: bake, do: bake.packer, folder: "${{ packer_folder ?? 'packer' }}", packer: packer-of-another-planet}
last:
  - {name: destroy, do: provision.destroy, folder: environment, environment: qa}
`)
	c.write(t, ".gitignore", "generated/\n")
	c.push(t)
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	contains(t, stderr, `pipes/app.yml:6:43: the step "bake" needs the folder packer, which does not exist in `+c.folder,
		`the step "bake" needs packer-of-another-planet, which is not on PATH`)
	for _, wrong := range []string{"generated", "nowhere", "version succeeded"} {
		if strings.Contains(stderr, wrong) {
			t.Errorf("%q is in %s", wrong, stderr)
		}
	}
	if _, out, _ := c.delivery(t, "version", "list"); !strings.Contains(out, "knows no versions") {
		t.Errorf("a version was allocated: %s", out)
	}
	// Up to the tests, the folder of the bake is not needed; nor is that of the environment,
	// of which nothing was made.
	s := c.run(t, 0, "--run-to", "test")
	contains(t, s.Steps[len(s.Steps)-1].Message, "nothing to destroy: the folder environment does not exist, and this run has applied nothing")
	c.run(t, exitcode.Failed, "--run-task", "destroy")
}
