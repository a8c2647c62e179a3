package task_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A text for the shell ends at the first command that fails, and what is printed before its
// output is what the shell got.
func TestCommand_Shell(t *testing.T) {
	bash := []string{"bash", "-e", "-o", "pipefail", "-c"}
	for name, tt := range map[string]struct {
		shell []string
		text  string
		fails bool
		want  string
	}{
		"Lines":     {nil, "false\necho built", true, "sh -e $ false\nsh -e $ echo built\n"},
		"Line":      {nil, "false; echo built", true, "sh -e $ false; echo built\n"},
		"Or":        {nil, "false || echo other\necho built", false, "sh -e $ false || echo other\nsh -e $ echo built\nother\nbuilt\n"},
		"And":       {nil, "false && echo other\necho built", false, "sh -e $ false && echo other\nsh -e $ echo built\nbuilt\n"},
		"If":        {nil, "if false; then echo other; fi; echo built", false, "sh -e $ if false; then echo other; fi; echo built\nbuilt\n"},
		"Bash":      {bash, "[[ ab == a* ]]; echo yes", false, "bash -e -o pipefail $ [[ ab == a* ]]; echo yes\nyes\n"},
		"BashPipe":  {bash, "false | true", true, "bash -e -o pipefail $ false | true\n"},
		"BashPlain": {bash, "true", false, "bash -e -o pipefail $ true\n"},
		"List":      {[]string{"sh", "-uc"}, "false; echo built", false, "sh -uc $ false; echo built\nbuilt\n"},
		"Plain":     {nil, "echo built", false, "$ echo built\nbuilt\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			withoutPipefail(t, b)
			args := pipe.Args{"command": sh(tt.text)}
			if tt.shell != nil {
				args["shell"] = tt.shell
			}
			_, out, err := b.try(t, "test.command", args)
			if out != tt.want || (err != nil) != tt.fails {
				t.Errorf("printed %q (%v), want %q", out, err, tt.want)
			}
		})
	}
}

// withoutPipefail makes sh one that has no option pipefail, whatever it is on this machine.
func withoutPipefail(t *testing.T, b *fixture) {
	t.Helper()
	original, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	b.environ = append(b.environ, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	script := "#!" + original + "\ncase \"$*\" in *pipefail*) exit 2;; esac\nexec " + original + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "sh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// If sh has the option pipefail, a pipeline fails with any of its commands.
func TestCommand_ShellWithPipefail(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	b := newFixture(t)
	bin := t.TempDir()
	b.environ = append(b.environ, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := os.Symlink(bash, filepath.Join(bin, "sh")); err != nil {
		t.Fatal(err)
	}
	_, out, err := b.try(t, "build.command", pipe.Args{"command": sh("false | true\necho built")})
	if err == nil || !strings.HasPrefix(out, "sh -e -o pipefail $ false | true\n") || strings.HasSuffix(out, "\nbuilt\n") {
		t.Errorf("printed %q (%v)", out, err)
	}
}

// The message names the value that is too long for the system, and what to do.
func TestCommand_TooLong(t *testing.T) {
	const size = 3 << 20
	for name, args := range map[string]pipe.Args{
		"Text": {"command": pipe.Script{
			Text: `echo "${DELIVERY_VALUE_BIG}" | wc -c`, Environ: []string{"DELIVERY_VALUE_BIG=" + strings.Repeat("x", size)},
		}},
		"List":     {"command": pipe.Script{Args: []string{"echo", "a", strings.Repeat("x", size)}}},
		"Variable": {"command": sh("true"), "env": map[string]string{"BIG": strings.Repeat("x", size)}},
		"Other":    {"command": sh("true"), "env": map[string]string{"BIG": strings.Repeat("y", size)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			c := b.call(args)
			c.Values = pipe.Values{"big": strings.Repeat("x", size), "small": "x"}
			_, err := b.do(t, t.Context(), "build.command", c)
			what := "the value big"
			if name == "Other" {
				what = "BIG"
			}
			wantError(t, err, "the longest is "+what+", with 3145", "write it to a file")
		})
	}
}
