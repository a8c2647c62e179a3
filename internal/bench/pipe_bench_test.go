package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// manySteps is how many steps the pipe of BenchmarkPipe has.
const manySteps = 1000

// BenchmarkPipe compares a pipe of 1,000 steps "true" with GNU make and go-task,
// which run the same commands. The metric "x-make" is our time divided by that
// of make in the same run, "x-go-task" divided by that of go-task. Recorded is
// the whole program, with every step on record in SQLite at its end; unrecorded
// is the engine alone.
func BenchmarkPipe(b *testing.B) {
	delivery := build(b, "delivery", "./cmd/delivery")
	gotask := goTask(b)
	for _, jobs := range []int{1, 8} {
		folder := manyTrue(b, jobs)
		b.Setenv("XDG_STATE_HOME", b.TempDir())
		b.Setenv(repository.Variable, repository.File(filepath.Join(b.TempDir(), "delivery.db")).String())
		for _, recorded := range []bool{true, false} {
			b.Run(fmt.Sprintf("jobs=%d/recorded=%v", jobs, recorded), func(b *testing.B) {
				var ours, makes, tasks time.Duration
				for b.Loop() {
					makes += took(b, folder, "make", "--silent", "-j", fmt.Sprint(jobs))
					if gotask != "" {
						tasks += took(b, folder, gotask, "--silent")
					}
					if recorded {
						ours += took(b, folder, delivery, "run", "--allow-unpushed")
					} else {
						ours += unrecorded(b, folder)
					}
				}
				b.ReportMetric(float64(ours.Microseconds())/float64(b.N)/manySteps, "us/step")
				b.ReportMetric(ours.Seconds()/makes.Seconds(), "x-make")
				if gotask != "" {
					b.ReportMetric(ours.Seconds()/tasks.Seconds(), "x-go-task")
				}
			})
		}
	}
}

// goTask builds go-task from its module; where that cannot be had it is left out.
func goTask(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "go-task")
	cmd := exec.Command("go", "-C", filepath.Join(rig.Root(), "tools", "go-task"), "build", "-mod=readonly",
		"-o", path, "github.com/go-task/task/v3/cmd/task")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Logf("go-task is left out, it could not be built: %v\n%s", err, out)
		return ""
	}
	return path
}

// manyTrue makes a folder in which make, go-task and a pipe do the same: so many
// jobs at a time, all of them "true".
func manyTrue(b *testing.B, jobs int) string {
	b.Helper()
	folder := b.TempDir()
	var steps, targets, rules, tasks, groups strings.Builder
	indent := "  "
	if jobs > 1 {
		steps.WriteString("  - parallel:\n")
		indent = "        "
	}
	for job := range jobs {
		if jobs > 1 {
			steps.WriteString("      -\n")
		}
		fmt.Fprintf(&groups, "      - task: job%d\n", job)
		fmt.Fprintf(&tasks, "  job%d:\n    cmds:\n", job)
		for i := range manySteps / jobs {
			name := fmt.Sprintf("s%d-%d", job, i)
			fmt.Fprintf(&steps, "%s- {name: %s, do: build.command, command: 'true'}\n", indent, name)
			fmt.Fprintf(&targets, " %s", name)
			fmt.Fprintf(&rules, "%s:\n\ttrue\n", name)
			tasks.WriteString("      - 'true'\n")
		}
	}
	kind := "cmds"
	if jobs > 1 {
		kind = "deps" // which run at the same time
	}
	for name, text := range map[string]string{
		".delivery.yml":  "pipe: many\nservice: web\n",
		"pipes/many.yml": "main:\n" + steps.String(),
		"Makefile":       "all:" + targets.String() + "\n" + rules.String(),
		"Taskfile.yml":   "version: '3'\ntasks:\n  default:\n    " + kind + ":\n" + groups.String() + tasks.String(),
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		write(b, path, text)
	}
	return folder
}

// took runs a program and returns how long that took.
func took(b *testing.B, folder, program string, args ...string) time.Duration {
	b.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return time.Since(start)
}

// unrecorded runs the pipe by the engine alone.
func unrecorded(b *testing.B, folder string) time.Duration {
	b.Helper()
	start := time.Now()
	loader := &pipefile.Loader{Root: folder}
	p, err := loader.Pipe(b.Context(), "many")
	if err != nil {
		b.Fatal(err)
	}
	library := task.New(task.Dependencies{})
	if err := pipe.Check(p, library, expression.Language{}, nil); err != nil {
		b.Fatal(err)
	}
	engine := &pipe.Engine{
		Registry: library, Language: expression.Language{}, Clock: clock.System{}, Mask: pipe.NewMask(os.Environ(), nil),
		Folder: folder, Scratch: b.TempDir(), Environ: os.Environ(),
		NewID: func() string { return id.New(time.Now()) },
	}
	s := engine.Run(b.Context(), pipe.Request{Pipe: p, Run: builddata.Run{ID: "r", Service: "web"}})
	if s.Status != builddata.Succeeded || len(s.Steps) != manySteps {
		b.Fatalf("got %s after %d steps", s.Status, len(s.Steps))
	}
	return time.Since(start)
}
