package pipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// TimeoutError says that a step took longer than its timeout.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.After) }

// Skipped is the status of a step that was left out: its When is false, or it
// needs a value whose step did not run.
const Skipped builddata.Status = "skipped"

// tailLines is how much of a failed step's output its summary shows.
const tailLines = 20

// step runs one step with its retries, and reports whether it failed.
func (r *run) step(ctx context.Context, section Section, step *Step, values Values) (failed bool) {
	start := r.Clock.Now()
	s := StepSummary{Name: step.Name, Task: step.Task, Section: section, Status: builddata.Started, StartedAt: start.UTC().Truncate(time.Microsecond)}
	leftOut, err := r.leftOut(section, step, values)
	index := r.add(s)
	if leftOut == "" {
		// On record before anybody hears of it, or a runner that dies now would
		// be found to have been elsewhere.
		r.event(step, s, builddata.Started)
		if r.Observer != nil {
			r.Observer.StepBegan(s)
		}
	}
	var result Result
	var out *output
	if err == nil && leftOut == "" {
		out = r.output(step)
		masked := r.Mask.Writer(out)
		for {
			s.Attempts++
			result, err = r.attempt(ctx, step, values, masked)
			if err == nil || s.Attempts > step.Retries || ctx.Err() != nil {
				break
			}
			_, _ = fmt.Fprintf(masked, "attempt %d of %d failed: %s\n", s.Attempts, step.Retries+1, err) // out never fails
			if r.Clock.Sleep(ctx, step.RetryAfter) != nil {
				break // interrupted: the attempt's error is what counts
			}
		}
		_ = masked.Close() // out never fails
		if warning := out.close(err == nil); warning != "" {
			result.Warnings = append(result.Warnings, warning)
		}
	}

	if err != nil && ctx.Err() == nil && r.courtesy(step, values) {
		result.Message, result.Warnings, err = "not delivered", append(result.Warnings, err.Error()), nil
	}

	s.Elapsed = r.elapsed(start)
	for _, name := range slices.Concat(result.Secrets, r.Request.Secrets) {
		r.Mask.Add(result.Outputs[name])
	}
	switch {
	case leftOut != "":
		s.Status, s.Message = Skipped, leftOut
	case err == nil:
		s.Status, s.Message = builddata.Succeeded, result.Message
		r.give(result, values)
	case ctx.Err() != nil:
		s.Status, s.Message = builddata.Interrupted, fmt.Sprintf("interrupted: %v", context.Cause(ctx))
		if !errors.Is(err, context.Cause(ctx)) {
			s.Message += ": " + err.Error()
		}
	default:
		s.Status, s.Message = builddata.Failed, err.Error()
	}
	r.describe(&s, result, out)
	r.ended(index, step, s)
	return s.Status == builddata.Failed || s.Status == builddata.Interrupted
}

// leftOut says why a step is not run; empty if it is.
func (r *run) leftOut(section Section, step *Step, values Values) (why string, err error) {
	scope := r.scope(values)
	if !step.When.IsZero() {
		text, err := scope.text(step.When)
		if err != nil {
			return r.missing(section, fmt.Errorf("%s: when: %w", step.When.At, err))
		}
		if text == "" || text == "false" {
			return "left out by its when", nil
		}
	}
	d, ok := r.Library.Task(step.Task)
	if !ok {
		return "", fmt.Errorf("there is no task %s", step.Task)
	}
	if _, err := scope.args(step, d); err != nil {
		return r.missing(section, err)
	}
	return "", nil
}

// scope is what the expressions of a step are evaluated in.
func (r *run) scope(values Values) scope {
	return scope{Values: values, environ: r.Environ, mock: r.Mock}
}

// courtesy reports whether a step's failure is only a warning.
func (r *run) courtesy(step *Step, values Values) bool {
	d, _ := r.Library.Task(step.Task)
	if !d.Courtesy {
		return false
	}
	value, ok := step.Args[ArgRequired]
	if !ok {
		return true
	}
	required, err := r.scope(values).argument(Switch, value)
	return err == nil && required == false
}

// missing turns a value that is not set, because the step that sets it did not
// run, into a reason to leave a step of Last out: what was not made need not
// be removed.
func (r *run) missing(section Section, err error) (string, error) {
	var notSet *NotSetError
	if section == Last && errors.As(err, &notSet) && !strings.HasPrefix(notSet.Name, environmentPrefix) {
		return notSet.Error() + ", because the step that sets it did not succeed", nil
	}
	return "", err
}

// attempt runs the step's task once.
func (r *run) attempt(ctx context.Context, step *Step, values Values, out io.Writer) (result Result, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			_, _ = fmt.Fprintf(out, "%s\n", debug.Stack()) // out never fails
			err = fmt.Errorf("the task %s broke down: %v; please report this, with its output", step.Task, problem)
		}
	}()
	d, _ := r.Library.Task(step.Task)
	args, err := r.scope(values).args(step, d)
	if err != nil {
		return Result{}, err
	}
	if step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Timeout, &TimeoutError{After: step.Timeout})
		defer cancel()
	}
	call := &Call{
		Step: step.Name, Task: step.Task, Args: args, Declared: step.Outputs, Values: values.Clone(), Run: r.snapshot(), Mask: r.Mask.Text,
		Output: out, Folder: r.Folder, Scratch: r.Scratch, Environ: r.environ(values), Flush: r.flush,
	}
	do := d.Run
	if r.Mock {
		do = d.Mock
	}
	result, err = do(ctx, call)
	if r.Mock && r.fails[step.Name] && err == nil {
		err = errors.New("made to fail")
	}
	var timeout *TimeoutError
	if err != nil && errors.As(context.Cause(ctx), &timeout) && !errors.As(err, &timeout) {
		err = errors.Join(timeout, err)
	}
	if err != nil {
		return result, err
	}
	for _, name := range step.Outputs {
		if _, ok := result.Outputs[name]; !ok {
			return result, fmt.Errorf("it did not set %s, which it lists in its outputs", name)
		}
	}
	return result, nil
}

// environ is the environment of programs that a step starts.
func (r *run) environ(values Values) []string {
	own := []string{
		"DELIVERY_SERVICE=" + values[ValueService],
		"DELIVERY_RUN=" + values[ValueRun],
		"DELIVERY_VERSION=" + values[ValueVersion],
	}
	return append(slices.Clone(r.Environ), own...)
}

// give puts what a task returned on the context.
func (r *run) give(result Result, values Values) {
	r.mu.Lock()
	for _, name := range result.Secrets {
		r.secret[name] = true
	}
	if v := result.Version; v != nil {
		r.summary.Version, r.summary.Number = v.Name, v.Number
		r.Request.Run.Number = v.Number
		values[ValueVersion], values[ValueNumber] = v.Name, fmt.Sprint(v.Number)
	}
	r.mu.Unlock()
	maps.Copy(values, result.Outputs)
	if result.Version != nil {
		r.record()
	}
}

// describe fills in what became of a step, without secrets.
func (r *run) describe(s *StepSummary, result Result, out *output) {
	s.Message = r.Mask.Text(text.Clean(s.Message))
	if s.Report = result.Report; json.Valid([]byte(s.Report)) {
		s.Report = string(r.Mask.JSON([]byte(s.Report)))
	} else {
		s.Report = r.Mask.Text(s.Report)
	}
	for _, warning := range result.Warnings {
		s.Warnings = append(s.Warnings, r.Mask.Text(text.Clean(warning)))
	}
	if s.Status == builddata.Succeeded {
		r.mu.Lock()
		for name, value := range result.Outputs {
			if !r.secret[name] {
				if s.Outputs == nil {
					s.Outputs = map[string]string{}
				}
				s.Outputs[name] = r.Mask.Text(value)
			}
		}
		r.mu.Unlock()
	}
	if out != nil {
		s.Log = out.name
		if s.Status != builddata.Succeeded {
			s.Tail = out.end(tailLines)
		}
	}
}

func (r *run) output(step *Step) *output {
	out := &output{step: step.Name}
	if r.Log != nil {
		out.open = func() (io.WriteCloser, string, error) { return r.Log(step.Name) }
	}
	if r.Observer != nil {
		out.observe = r.Observer.StepPrinted
	}
	return out
}

// add adds a step to the summary.
func (r *run) add(s StepSummary) (index int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
	return len(r.steps) - 1
}

func (r *run) ended(index int, step *Step, s StepSummary) {
	r.mu.Lock()
	r.steps[index] = s
	r.summary.Steps = append(r.summary.Steps, s)
	r.mu.Unlock()
	if s.Status != Skipped {
		r.event(step, s, s.Status)
	}
	if r.Observer != nil {
		r.Observer.StepEnded(s)
	}
}

// event records what happened to a step.
func (r *run) event(step *Step, s StepSummary, status builddata.Status) {
	if r.Recorder == nil {
		return
	}
	r.mu.Lock()
	number := r.Request.Run.Number
	r.mu.Unlock()
	message := s.Message
	if len(s.Warnings) > 0 {
		message = strings.Join(append([]string{message}, s.Warnings...), "; warning: ")
	}
	r.Recorder.Event(builddata.Event{
		ID: r.NewID(), Service: r.Request.Run.Service, Number: number, Run: r.Request.Run.ID, Step: step.Name,
		Type: strings.ToLower(step.Task), Location: r.Request.Run.Holder, Status: status, Message: clip(message, maxMessage), Report: s.Report, Outputs: s.Outputs,
		At: r.Clock.Now().UTC().Truncate(time.Microsecond),
	})
}

// maxMessage bounds the message of an event.
const maxMessage = 1000

// snapshot is the run so far.
func (r *run) snapshot() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summary
	s.Steps = s.Steps[:len(s.Steps):len(s.Steps)]
	s.Elapsed = r.elapsed(r.start)
	return s
}

func (r *run) flush(ctx context.Context) error {
	if r.Recorder == nil {
		return nil
	}
	return r.Recorder.Flush(ctx)
}
