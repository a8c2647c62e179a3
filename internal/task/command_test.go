package task_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

func TestCommand_Outputs(t *testing.T) {
	for _, tt := range []struct {
		name, written string
		want          map[string]string
		says          string
	}{
		{name: "None", written: "\n \n", want: map[string]string{}},
		{name: "Lines", written: "a=1\nb=x=y z\r\n\nc=\na.b=2", want: map[string]string{"a": "1", "b": "x=y z", "c": "", "a.b": "2"}},
		{name: "TheLastCounts", written: "a=1\na=2", want: map[string]string{"a": "2"}},
		{name: "SeveralLines", written: "a<<EOF\none=1\n\n two\nEOF\nb=3", want: map[string]string{"a": "one=1\n\n two", "b": "3"}},
		{name: "AnEmptyOne", written: "a<<EOF\nEOF\n", want: map[string]string{"a": ""}},
		{name: "AngleBracketsInAValue", written: "a=b<<c", want: map[string]string{"a": "b<<c"}},
		{name: "NoEnd", written: "a=1\nb<<EOF\nx", says: `invalid line 2 in the file $DELIVERY_OUTPUT, "b<<EOF": the line EOF`},
		{name: "NoWord", written: "b<<\nx", says: "the word that ends the value"},
		{name: "NoValue", written: "a=1\nhello", says: `invalid line 2 in the file $DELIVERY_OUTPUT, "hello": expected name=value`},
		{name: "NoName", written: "a b=1", says: `"a b" cannot be set: a name has letters`},
		{name: "SpaceAround", written: "a = 1", says: `"a " cannot be set`},
		{name: "OfTheRun", written: "version=3", says: `"version" cannot be set: only the run itself sets it`},
		{name: "OfTheEnvironment", written: "env.HOME=/", says: "names that begin with env. stand for environment variables"},
		{name: "TooMuch", written: strings.Repeat("a=1234567\n", 110_000), says: "more than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			b.write(t, "written", tt.written)
			got, _, err := b.try(t, "build.command", pipe.Args{"command": sh(`cat written > "$DELIVERY_OUTPUT"`)})
			if tt.says != "" {
				wantError(t, err, tt.says)
			} else if diff := cmp.Diff(got.Outputs, tt.want); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	b := newFixture(t)
	t.Run("Environment", func(t *testing.T) {
		b.environ = append(b.environ, "A=run", "B=run", "DELIVERY_OUTPUT=elsewhere")
		s := sh(`echo "$A $B ${DELIVERY_VALUE_X} $(pwd)"; echo oops >&2`)
		s.Environ = []string{"DELIVERY_VALUE_X=$(rm -rf /)"}
		if err := os.Mkdir(filepath.Join(b.folder, "sub"), 0o750); err != nil {
			t.Fatal(err)
		}
		_, out, err := b.try(t, "build.command", pipe.Args{"command": s, "folder": "sub", "env": map[string]string{"B": "step"}})
		want := "run step $(rm -rf /) " + filepath.Join(b.folder, "sub") + "\noops\n"
		if err != nil || !strings.HasPrefix(out, "sh -e $ echo") || !strings.HasSuffix(out, want) {
			t.Errorf("printed %q (%v), want %q at the end", out, err, want)
		}
	})
	t.Run("Fails", func(t *testing.T) {
		_, _, err := b.try(t, "build.command", pipe.Args{"command": sh("exit 3")})
		var exit *process.ExitError
		if !errors.As(err, &exit) || exit.Code != 3 || err.Error() != "exit code 3" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("NotThere", func(t *testing.T) {
		_, _, err := b.try(t, "build.command", pipe.Args{"command": pipe.Script{Args: []string{"no-such-program"}}})
		wantError(t, err, "no-such-program", "not found")
		_, _, err = b.try(t, "build.command", pipe.Args{"command": sh("true"), "folder": "nowhere"})
		wantError(t, err, "the folder nowhere does not exist")
	})
	t.Run("MissingOutput", func(t *testing.T) {
		_, _, err := b.try(t, "build.command", pipe.Args{"command": sh(`echo other=1 >> "$DELIVERY_OUTPUT"`)}, "url")
		wantError(t, err, "declared output url was not set", "url=VALUE")
	})
	t.Run("LeavesBehind", func(t *testing.T) {
		got, _, err := b.try(t, "build.command", pipe.Args{"command": sh("sleep 100 & true")})
		if err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "left processes running") {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	for name, grace := range map[string]time.Duration{"Interrupted": time.Minute, "InterruptedWithoutGrace": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			script := "trap 'sleep 0.5; echo tidied; exit 1' INT; mkfifo " + name + "; echo > " + name + "; while :; do sleep 0.1; done"
			c := b.call(pipe.Args{"command": sh(script), "grace": grace})
			go func() {
				for { // until the command is running
					if _, err := os.ReadFile(filepath.Join(b.folder, name)); err == nil {
						break
					}
				}
				stop(errors.New("Ctrl-C"))
			}()
			_, err := b.do(t, ctx, "build.command", c)
			wantError(t, err, "Ctrl-C")
			if tidied := strings.HasSuffix(c.out.String(), "tidied\n"); tidied != (grace == time.Minute) {
				t.Errorf("printed %q", c.out)
			}
		})
	}
}

func TestBuild_Presets(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"gradle", "mvn", "go"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho \"$(basename \"$0\") $*\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		task string
		args pipe.Args
		want string
	}{
		{"build.gradle", nil, "gradle build\n"},
		{"build.gradle", pipe.Args{"loglevel": "info"}, "gradle build --info\n"},
		{"build.gradle", pipe.Args{"loglevel": "lifecycle"}, "gradle build\n"},
		{"build.gradle", pipe.Args{"loglevel": "debug", "command": sh("gradle clean\ngradle test\n")}, "gradle clean\ngradle test --debug\n"},
		{"build.gradle", pipe.Args{"loglevel": "warn", "command": pipe.Script{Args: []string{"gradle", "a b"}}}, "gradle a b --warn\n"},
		{"build.maven", nil, "mvn -B package\n"},
		{"build.go", nil, "go build ./...\n"},
	} {
		t.Run(fmt.Sprint(tt.task, tt.args), func(t *testing.T) {
			b := newFixture(t)
			b.environ = append(b.environ, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			_, out, err := b.try(t, tt.task, tt.args)
			if err != nil || !strings.HasSuffix(out, "\n"+tt.want) && out != tt.want {
				t.Errorf("printed %q (%v), want %q", out, err, tt.want)
			}
		})
	}
}

func TestClean(t *testing.T) {
	b := newFixture(t)
	got, _, err := b.try(t, "setup.clean", nil)
	if err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "outside of a git repository") {
		t.Errorf("got %q and %v, want a warning", got.Warnings, err)
	}

	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		".gitignore":        "dist\nbuild/*\n*.log\ntarget\nodd*\n",
		"build/tracked.txt": "x", "build/made/deep.o": "x", "build/new\nline.o": "x",
		"dist/a.jar": "x", "keep.log": "x", "src/main.go": "x", "reports/untracked.xml": "x", "reports/a.log": "x",
	} {
		b.write(t, name, content)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(b.folder, "target")); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.try(t, "build.command", pipe.Args{"command": sh("git init -q . && git add -f build/tracked.txt .gitignore src")})
	if err != nil {
		t.Fatal(err)
	}
	// A hook of another git repository may have started the run.
	b.environ = append(b.environ, "GIT_DIR="+filepath.Join(t.TempDir(), "elsewhere"))
	got, _, err = b.try(t, "setup.clean", nil)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	err = filepath.WalkDir(b.folder, func(path string, entry os.DirEntry, err error) error {
		if entry.Name() == ".git" {
			return filepath.SkipDir
		}
		if !entry.IsDir() {
			left = append(left, strings.TrimPrefix(path, b.folder+"/"))
		}
		return err
	})
	want := []string{".gitignore", "build/tracked.txt", "keep.log", "reports/untracked.xml", "src/main.go"}
	if diff := cmp.Diff(left, want); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(got.Message, "removed ") {
		t.Errorf("got %+v", got)
	}
	if got, _, err := b.try(t, "setup.clean", nil); err != nil || got.Message != "nothing to clean" {
		t.Errorf("again: got %+v (%v)", got, err)
	}
	for _, path := range []string{"..", "/tmp", "a/../../b", ""} {
		_, _, err = b.try(t, "setup.clean", pipe.Args{"paths": []string{path}})
		wantError(t, err, "is not inside of the checkout")
	}
	// A path that is a pattern to git is taken literally.
	b.write(t, "odd.txt", "x")
	got, _, err = b.try(t, "setup.clean", pipe.Args{"paths": []string{":(glob)**", "*"}})
	if err != nil || got.Message != "nothing to clean" {
		t.Errorf("got %+v (%v)", got, err)
	}
}
