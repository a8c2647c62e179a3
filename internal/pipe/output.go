package pipe

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// How much of a step's output is kept for its summary and its event, and how long a line
// that is shown may be. The whole is in the step's log.
const (
	tailSize = 4 << 10
	maxLine  = 4 << 10
)

// output takes what a step prints, already cleaned and masked: all of it to the log, its
// end to the tail, and its lines to the observer.
type output struct {
	step    string
	observe func(step, line string)
	// open makes the log once there is more for it than fits into held.
	open   func() (io.WriteCloser, string, error)
	held   []byte
	log    io.WriteCloser
	name   string
	logErr error

	// tail is the end of the output, and cut says that there was more.
	tail []byte
	cut  bool
	line []byte
	// skipping says that the rest of an overlong line is left out.
	skipping bool
}

func (o *output) Write(p []byte) (int, error) {
	o.toLog(p)
	o.cut = o.cut || len(o.tail)+len(p) > tailSize
	o.tail = append(o.tail, p[max(0, len(p)-tailSize):]...)
	o.tail = o.tail[max(0, len(o.tail)-tailSize):]
	if o.observe == nil {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		room := maxLine - len(o.line)
		if !o.skipping {
			o.line = append(o.line, line[:min(room, len(line))]...)
		}
		if whole || len(line) > room && !o.skipping {
			if !o.skipping {
				o.observe(o.step, string(o.line))
			}
			o.line, o.skipping = o.line[:0], !whole
		}
		rest = after
	}
	return len(p), nil
}

// holdBack is how much is printed before there is a log.
const holdBack = 1 << 10

// toLog writes to the log until that fails. A log that cannot be written is no
// reason for the step to fail.
func (o *output) toLog(p []byte) {
	if o.logErr != nil || o.open == nil {
		return
	}
	if o.log == nil && len(o.held)+len(p) <= holdBack {
		o.held = append(o.held, p...)
		return
	}
	o.begin()
	if o.logErr == nil {
		_, o.logErr = o.log.Write(p)
	}
}

// begin makes the log and writes to it what was held back.
func (o *output) begin() {
	if o.log != nil {
		return
	}
	if o.log, o.name, o.logErr = o.open(); o.logErr == nil {
		_, o.logErr = o.log.Write(o.held)
	}
}

// close ends the output, and returns a warning if the log is not whole. A step
// that went well and printed no more than its command needs no file.
func (o *output) close(well bool) (warning string) {
	if len(o.line) > 0 && !o.skipping {
		o.observe(o.step, string(o.line))
	}
	if len(o.held) > 0 && (!well || bytes.Count(o.held, []byte("\n")) > 1) {
		o.begin()
	}
	if o.log != nil {
		if err := o.log.Close(); o.logErr == nil {
			o.logErr = err
		}
	}
	if o.logErr != nil {
		return fmt.Sprintf("not all of the output is in the log: %v", o.logErr)
	}
	return ""
}

// end returns the end of the output, from the beginning of a line unless that line is longer.
func (o *output) end() string {
	tail := strings.TrimRight(string(o.tail), "\n")
	if _, whole, ok := strings.Cut(tail, "\n"); o.cut && ok {
		tail = whole
	}
	return strings.ToValidUTF8(tail, "")
}
