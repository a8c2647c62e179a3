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
)

// progress tells what a run does while it does it. On a terminal, the steps at
// work are shown below with the time they take; elsewhere every line is printed
// once.
type progress struct {
	out   io.Writer
	clock clock.Clock
	// lines says that the steps' output is printed, width is the terminal's or
	// 0 where there is none.
	lines bool
	width int

	mu      sync.Mutex
	atWork  []*work
	drawn   int
	stop    context.CancelFunc
	stopped chan struct{}
}

// work is a step that is at work.
type work struct {
	name  string
	start time.Time
	line  string
}

// frame is how often the terminal is drawn.
const frame = 200 * time.Millisecond

func newProgress(c *common, verbose bool) *progress {
	p := &progress{out: c.err, clock: c.clock, stopped: make(chan struct{})}
	if file, ok := c.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		p.width = 80
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			p.width = width
		}
	}
	p.lines = verbose || p.width == 0
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.stopped)
		for p.width > 0 && p.clock.Sleep(ctx, frame) == nil {
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}()
	return p
}

// close ends the drawing.
func (p *progress) close() {
	p.stop()
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork = nil
	p.erase()
}

func (p *progress) warn(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("Warning: %s", fmt.Sprintf(format, args...))
}

// StepBegan implements pipe.Observer.
func (p *progress) StepBegan(s pipe.StepSummary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork = append(p.atWork, &work{name: s.Name, start: p.clock.Now()})
	if p.width == 0 {
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
	for _, w := range p.atWork {
		if w.name == step && strings.TrimSpace(line) != "" {
			w.line = strings.TrimSpace(line)
		}
	}
}

// StepEnded implements pipe.Observer.
func (p *progress) StepEnded(s pipe.StepSummary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork = slices.DeleteFunc(p.atWork, func(w *work) bool { return w.name == s.Name })
	text := fmt.Sprintf("%s  %s %s", p.now(), s.Name, s.Status)
	if s.Status != pipe.Skipped {
		text += " in " + inWords(s.Elapsed)
	}
	if s.Attempts > 1 {
		text += fmt.Sprintf(", at attempt %d", s.Attempts)
	}
	if s.Message != "" {
		text += ": " + strings.ReplaceAll(s.Message, "\n", " ")
	}
	p.print("%s%s", p.mark(s.Status), text)
	for _, warning := range s.Warnings {
		p.print("%s  %s: warning: %s", p.now(), s.Name, warning)
	}
	p.draw()
}

// mark is what a finished step begins with on a terminal.
func (p *progress) mark(status builddata.Status) string {
	switch {
	case p.width == 0:
		return ""
	case status == pipe.Skipped:
		return "- "
	case status == builddata.Succeeded:
		return p.coloured(32, "✓ ")
	}
	return p.coloured(31, "✗ ")
}

// coloured colours a text, unless nobody wants that; see https://no-color.org.
func (p *progress) coloured(colour int, text string) string {
	if os.Getenv("NO_COLOR") != "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

func (p *progress) now() string { return p.clock.Now().UTC().Format("15:04:05") }

// print prints a line above the steps at work.
func (p *progress) print(format string, args ...any) {
	p.erase()
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// erase removes the steps at work from the terminal.
func (p *progress) erase() {
	if p.drawn > 0 {
		_, _ = fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw shows the steps at work.
func (p *progress) draw() {
	if p.width == 0 {
		return
	}
	p.erase()
	for _, w := range p.atWork {
		text := fmt.Sprintf("  %s %s", w.name, inWords(max(0, p.clock.Now().Sub(w.start))))
		if w.line != "" {
			text += "  " + w.line
		}
		if runes := []rune(text); len(runes) >= p.width {
			text = string(runes[:p.width-2]) + "…"
		}
		_, _ = fmt.Fprintln(p.out, text)
		p.drawn++
	}
}
