package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// The golden files show the output for a terminal of 40 columns and 5 lines, and without a
// terminal.
func TestProgress(t *testing.T) {
	for name, size := range map[string]func() (int, int){"Terminal": func() (int, int) { return 40, 5 }, "Lines": nil} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", "1")
			var out strings.Builder
			fake := clock.NewFake(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))
			p := &progress{out: &out, clock: fake, size: size, lines: size == nil}
			advance := func(d time.Duration) {
				fake.Set(fake.Now().Add(d))
				p.draw()
			}
			begin := func(step string) { p.StepBegan(pipe.StepSummary{Name: step}) }
			end := func(s pipe.StepSummary) { p.StepEnded(s) }

			begin("build")
			p.StepPrinted("build", "compiling")
			p.StepPrinted("build", "  ")
			advance(2 * time.Second)
			end(pipe.StepSummary{Name: "build", Status: builddata.Succeeded, Elapsed: 2 * time.Second, Message: "two\nlines"})
			for _, step := range []string{"a", "b", "c", "d"} {
				begin(step)
			}
			p.StepPrinted("b", strings.Repeat("wide ", 20))
			p.StepPrinted("c", "a\ttab\tand "+strings.Repeat("広い", 20))
			advance(time.Minute)
			p.warn("the disk is full")
			end(pipe.StepSummary{Name: "a", Status: builddata.Failed, Attempts: 2, Elapsed: time.Minute, Message: "exit code 1",
				Warnings: []string{"it left children behind"}})
			end(pipe.StepSummary{Name: "tidy", Status: pipe.Skipped, Message: "left out by its when"})
			golden(t, strings.NewReplacer("\x1b", "␛", "\r", "␍").Replace(out.String()))
		})
	}
}
