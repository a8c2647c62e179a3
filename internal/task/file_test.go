package task_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// within fails a test that hangs.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("it hangs")
	}
}

// replacements are commands that put something else in the place of the file $F.
var replacements = map[string]string{
	"a named pipe":    `rm -rf "$F"; mkfifo "$F"`,
	"a folder":        `rm -rf "$F"; mkdir "$F"; touch "$F/x"`,
	"a symbolic link": `ln -sf "$PWD/victim" "$F"`,
	"a socket":        `rm -rf "$F"; python3 -c 'import socket, os; os.chdir(os.path.dirname(os.environ["F"])); socket.socket(socket.AF_UNIX).bind(os.path.basename(os.environ["F"]))'`,
}

// A command that puts something else in the place of its file for outputs fails,
// and what a link leads to is not touched.
func TestCommand_OutputIsNotAFile(t *testing.T) {
	for kind, command := range replacements {
		t.Run(kind, func(t *testing.T) {
			within(t, func() {
				b := newFixture(t)
				victim := b.write(t, "victim", "url=https://example.com/\n")
				c := b.call(pipe.Args{"command": sh(`F="$DELIVERY_OUTPUT"; export F; ` + command)})
				c.Scratch = t.TempDir()
				registry := task.New(b.Dependencies)
				d, _ := registry.Task("build.command")
				_, err := d.Run(t.Context(), &c.Call)
				wantError(t, err, "read the file $DELIVERY_OUTPUT: it is "+kind+", not a regular file")
				if content, err := os.ReadFile(victim); err != nil || string(content) != "url=https://example.com/\n" {
					t.Errorf("got %q (%v)", content, err)
				}
				// The next step gets a file of its own.
				next := b.call(pipe.Args{"command": sh(`echo a=1 >> "$DELIVERY_OUTPUT"`)})
				next.Scratch = c.Scratch
				if result, err := d.Run(t.Context(), &next.Call); err != nil || result.Outputs["a"] != "1" {
					t.Errorf("got %+v (%v)", result, err)
				}
			})
		})
	}
	t.Run("AnotherFile", func(t *testing.T) {
		b := newFixture(t)
		victim := b.write(t, "victim", "a=1\n")
		c := b.call(pipe.Args{"command": sh(`ln -f victim "$DELIVERY_OUTPUT"`)})
		c.Scratch = filepath.Join(b.folder, "scratch")
		if err := os.Mkdir(c.Scratch, 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := b.do(t, t.Context(), "build.command", c); err != nil || got.Outputs["a"] != "1" {
			t.Errorf("got %+v (%v)", got, err)
		}
		if content, err := os.ReadFile(victim); err != nil || string(content) != "a=1\n" {
			t.Errorf("got %q (%v)", content, err)
		}
	})
	t.Run("Device", func(t *testing.T) {
		within(t, func() {
			b := newFixture(t)
			_, _, err := b.try(t, "build.command", pipe.Args{"command": sh(`ln -sf /dev/zero "$DELIVERY_OUTPUT"`)})
			wantError(t, err, "it is a symbolic link")
		})
	})
}

// uploads are files that were uploaded.
type uploads map[string]string

func (u uploads) Upload(_ context.Context, _, key, _ string, content io.ReadSeeker) error {
	text, err := io.ReadAll(content)
	u[key] = string(text)
	return err
}

// What is not a regular file is neither read as a report nor uploaded, which is
// said; it is not followed out of the checkout, and does not hang the step.
func TestFiles_NotRegular(t *testing.T) {
	for kind, command := range replacements {
		t.Run(kind, func(t *testing.T) {
			within(t, func() {
				b := newFixture(t)
				b.write(t, "victim", passing)
				one := pipe.Args{"command": sh(`F="$PWD/one.xml"; export F; ` + command), "reports": []string{"*.xml"}}
				_, _, err := b.try(t, "test.command", one)
				says := "no report was found: no file matches *.xml in " + b.folder
				if kind != "a folder" {
					says += ", except for what is not a regular file: one.xml (" + kind + ")"
				}
				wantError(t, err, says)
				var warnings []string
				if kind != "a folder" {
					warnings = []string{"left out, since only regular files are read: one.xml (" + kind + ")"}
				}
				one["command"] = sh("cp victim two.xml")
				got, _, err := b.try(t, "test.command", one)
				if err != nil || got.Message != "1 test passed, 1 skipped" || !cmp.Equal(got.Warnings, warnings) {
					t.Errorf("got %+v (%v)", got, err)
				}
				stored := uploads{}
				b.Files = func(context.Context, string) (task.Files, error) { return stored, nil }
				got, _, err = b.try(t, "report.files", pipe.Args{"files": []string{"*.xml"}, "bucket": "b"})
				if err != nil || !cmp.Equal(got.Warnings, warnings) || !cmp.Equal(stored, uploads{"two.xml": passing}) {
					t.Errorf("got %+v (%v), and uploaded %q", got, err, stored)
				}
				s := serve(t, nil)
				got, _, err = b.try(t, "release.publish", pipe.Args{"files": []string{"*.xml"}, "url": s.URL})
				if err != nil || !cmp.Equal(got.Warnings, warnings) || len(s.taken()) != 1 {
					t.Errorf("got %+v (%v)", got, err)
				}
			})
		})
	}
}

// A store that hangs while it reads a file does not keep a step that is interrupted.
func TestFiles_Interrupted(t *testing.T) {
	within(t, func() {
		b := newFixture(t)
		b.write(t, "a.txt", "x")
		b.Files = func(context.Context, string) (task.Files, error) { return hanging{}, nil }
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("Ctrl-C"))
		defer cancel()
		_, err := b.do(t, ctx, "report.files", b.call(pipe.Args{"files": []string{"*.txt"}, "bucket": "b"}))
		wantError(t, err, "Ctrl-C")
	})
}

type hanging struct{}

func (hanging) Upload(context.Context, string, string, string, io.ReadSeeker) error { select {} }

// An error that quotes an output quotes no part of a secret.
func TestCommand_BadOutputHoldsSecret(t *testing.T) {
	b := newFixture(t)
	for _, written := range []string{strings.Repeat("x", 55) + "hunter22", strings.Repeat("x", 35) + " hunter22=1"} {
		_, _, err := b.try(t, "build.command", pipe.Args{"command": sh(`echo "` + written + `" > "$DELIVERY_OUTPUT"`)})
		if err == nil || strings.Contains(err.Error(), "hun") {
			t.Errorf("got %v", err)
		}
	}
}
