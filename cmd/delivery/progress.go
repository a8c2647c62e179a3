package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// progress prints what a run does. On a terminal, it also shows the running steps at the
// bottom, with the time that each has taken; elsewhere it prints every line once.
type progress struct {
	out   io.Writer
	clock clock.Clock
	// lines says whether all output of the steps is printed.
	lines bool
	// size returns the size of the terminal, which may change; nil without a terminal.
	size func() (width, height int)

	mu      sync.Mutex
	running []*runningStep
	section pipe.Section
	// drawn is how many lines of the terminal show running steps.
	drawn   int
	stop    context.CancelFunc
	stopped chan struct{}
}

// runningStep is a step that is running, with the latest line of its output.
type runningStep struct {
	name  string
	start time.Time
	line  string
}

// drawInterval is how often the running steps are drawn.
const drawInterval = 200 * time.Millisecond

func newProgress(c *common, verbose bool) *progress {
	p := &progress{out: c.err, clock: c.clock, size: terminal(c.err), stopped: make(chan struct{})}
	p.lines = verbose || p.size == nil
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.stopped)
		for p.size != nil && p.clock.Sleep(ctx, drawInterval) == nil {
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}()
	return p
}

// terminal returns a function that returns the size of the terminal out; nil if out is not
// a terminal, or one that cannot move its cursor.
func terminal(out io.Writer) func() (width, height int) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (int, int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
}

// close stops drawing and removes the running steps from the terminal.
func (p *progress) close() {
	p.stop()
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = nil
	p.erase()
}

// warn prints a warning.
func (p *progress) warn(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("Warning: %s", fmt.Sprintf(format, args...))
}

// announce prints a line about the run.
func (p *progress) announce(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("%s  %s", p.now(), text)
	p.draw()
}

// currentSection returns the section that is running; empty before the first step.
func (p *progress) currentSection() pipe.Section {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.section
}

// StepBegan implements pipe.Observer.
func (p *progress) StepBegan(s pipe.StepSummary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.section = s.Section
	p.running = append(p.running, &runningStep{name: s.Name, start: p.clock.Now()})
	if p.size == nil {
		p.print("%s  %s …", p.now(), s.Name)
	}
	p.draw()
}

// StepPrinted implements pipe.Observer.
func (p *progress) StepPrinted(step, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines {
		p.print("%s  %s | %s", p.now(), step, line)
		return
	}
	for _, r := range p.running {
		if r.name == step && strings.TrimSpace(line) != "" {
			r.line = strings.TrimSpace(line)
		}
	}
}

// StepEnded implements pipe.Observer.
func (p *progress) StepEnded(s pipe.StepSummary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.section = s.Section
	p.running = slices.DeleteFunc(p.running, func(r *runningStep) bool { return r.name == s.Name })
	line := fmt.Sprintf("%s  %s %s", p.now(), s.Name, s.Status)
	if s.Status != pipe.Skipped {
		line += " in " + text.Duration(s.Elapsed)
	}
	if s.AllowedFailure {
		line += " (allow_failure)"
	}
	if s.Attempts > 1 {
		line += fmt.Sprintf(", on attempt %d", s.Attempts)
	}
	if s.Message != "" {
		line += ": " + text.Line(s.Message)
	}
	p.print("%s%s", p.symbol(s), line)
	for _, warning := range s.Warnings {
		p.print("%s  %s: warning: %s", p.now(), s.Name, warning)
	}
	p.draw()
}

// symbol returns what the line of a finished step begins with on a terminal.
func (p *progress) symbol(s pipe.StepSummary) string {
	switch {
	case p.size == nil:
		return ""
	case s.Status == pipe.Skipped:
		return "- "
	case s.Status == builddata.Succeeded:
		return p.color(32, "✓ ")
	case s.AllowedFailure:
		return p.color(33, "! ")
	}
	return p.color(31, "✗ ")
}

// color colors a text, unless the user has set NO_COLOR; see https://no-color.org.
func (p *progress) color(code int, text string) string {
	if os.Getenv("NO_COLOR") != "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// now returns the time for the beginning of a line.
func (p *progress) now() string { return p.clock.Now().UTC().Format("15:04:05") }

// print prints a line above the running steps.
func (p *progress) print(format string, args ...any) {
	p.erase()
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// erase removes the running steps from the terminal, and the ^C that the terminal prints
// below them.
func (p *progress) erase() {
	if p.drawn > 0 {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw shows as many of the running steps as fit on the screen: a line that has left the
// screen cannot be erased.
func (p *progress) draw() {
	if p.size == nil {
		return
	}
	p.erase()
	width, height := p.size()
	shown := p.running
	if room := max(1, height-2); len(shown) > room {
		shown = shown[:room]
	}
	for _, step := range shown {
		line := fmt.Sprintf("  %s %s", step.name, text.Duration(max(0, p.clock.Now().Sub(step.start))))
		if step.line != "" {
			line += "  " + step.line
		}
		p.drawLine(width, line)
	}
	if more := len(p.running) - len(shown); more > 0 {
		p.drawLine(width, fmt.Sprintf("  … and %d more running", more))
	}
}

// drawLine draws a line, shortened to the width of the terminal.
func (p *progress) drawLine(width int, line string) {
	_, _ = fmt.Fprintln(p.out, truncate(text.NoControl(line), width))
	p.drawn++
}
