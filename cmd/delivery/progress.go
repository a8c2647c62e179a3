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

// progress tells what a run does while it does it. On a terminal, the steps at
// work are shown below with the time they take; elsewhere every line is printed
// once.
type progress struct {
	out   io.Writer
	clock clock.Clock
	// lines says that the steps' output is printed.
	lines bool
	// size is that of the terminal, which may change; nil is none.
	size func() (width, height int)

	mu      sync.Mutex
	atWork  []*work
	section pipe.Section
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
	p := &progress{out: c.err, clock: c.clock, size: terminal(c.err), stopped: make(chan struct{})}
	p.lines = verbose || p.size == nil
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.stopped)
		for p.size != nil && p.clock.Sleep(ctx, frame) == nil {
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}()
	return p
}

// terminal returns what tells the size of the terminal that out is; nil if it
// is none, or one that knows nothing but lines.
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

// announce prints a line about the run.
func (p *progress) announce(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("%s  %s", p.now(), text)
	p.draw()
}

// reached is the section in which the run is, empty if none has begun.
func (p *progress) reached() pipe.Section {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.section
}

// StepBegan implements pipe.Observer.
func (p *progress) StepBegan(s pipe.StepSummary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.section = s.Section
	p.atWork = append(p.atWork, &work{name: s.Name, start: p.clock.Now()})
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
	p.section = s.Section
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
	case p.size == nil:
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

// erase removes the steps at work from the terminal, with what it has shown of
// a Ctrl-C in the line below.
func (p *progress) erase() {
	if p.drawn > 0 {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw shows the steps at work, as many as there is room for: what has left the
// screen cannot be erased.
func (p *progress) draw() {
	if p.size == nil {
		return
	}
	p.erase()
	width, height := p.size()
	shown := p.atWork
	if room := max(1, height-2); len(shown) > room {
		shown = shown[:room]
	}
	for _, w := range shown {
		text := fmt.Sprintf("  %s %s", w.name, inWords(max(0, p.clock.Now().Sub(w.start))))
		if w.line != "" {
			text += "  " + w.line
		}
		p.row(width, text)
	}
	if more := len(p.atWork) - len(shown); more > 0 {
		p.row(width, fmt.Sprintf("  … and %d more at work", more))
	}
}

// row draws a line that fits.
func (p *progress) row(width int, line string) {
	_, _ = fmt.Fprintln(p.out, truncate(text.NoControl(line), width))
	p.drawn++
}
