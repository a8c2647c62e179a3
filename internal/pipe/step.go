package pipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Skipped is the status of a step that did not run. Its Reason says why.
const Skipped builddata.Status = "skipped"

// runStep runs one step with its retries, and reports whether it failed and is not allowed to.
func (r *run) runStep(ctx context.Context, section Section, step *Step, values Values) (failed bool) {
	start := r.engine.Clock.Now()
	s := StepSummary{Name: step.Name, Task: step.Task, Section: section, Status: builddata.Started, StartedAt: builddata.Timestamp(start)}
	resolved, err := r.resolve(section, step, values)
	if resolved.task.Environment != nil {
		s.Environment = resolved.task.Environment(resolved.args)
	}
	index := r.addStep(s)
	if resolved.skip == "" {
		// The event is recorded before the observer is called, so that a runner that dies
		// now is recorded as lost in the step that was shown last.
		r.event(step, s, builddata.Started)
		if r.engine.Observer != nil {
			r.engine.Observer.StepBegan(s)
		}
	}
	var result Result
	var out *output
	if err == nil && resolved.skip == "" {
		out = r.output(step)
		masked := r.engine.Mask.Writer(out)
		for {
			s.Attempts++
			result, err = r.attempt(ctx, step, resolved, values, masked)
			if err == nil || s.Attempts > step.Retries || ctx.Err() != nil {
				break
			}
			_, _ = fmt.Fprintf(masked, "attempt %d of %d failed: %s\n", s.Attempts, step.Retries+1, err) // out never fails
			if r.engine.Clock.Sleep(ctx, step.RetryAfter) != nil {
				err = withCause(ctx, err) // interrupted: the attempt's error is the one to report
				break
			}
		}
		_ = masked.Close() // out never fails
		if warning := out.close(err == nil); warning != "" {
			result.Warnings = append(result.Warnings, warning)
		}
	}

	if err != nil && ctx.Err() == nil && resolved.bestEffort {
		result.Message, result.Warnings, err = "not delivered", append(result.Warnings, err.Error()), nil
	}

	s.Elapsed = r.elapsed(start)
	if !r.request.Mock {
		result.Secrets = slices.Concat(result.Secrets, step.Secrets)
	}
	for name, value := range result.Outputs {
		if slices.Contains(result.Secrets, name) || slices.Contains(r.request.Secrets, name) {
			r.engine.Mask.Add(name, value)
		}
		if !r.request.Mock {
			r.engine.Mask.AddValue(name, value)
		}
	}
	result.Warnings = append(result.Warnings, r.engine.Mask.Warnings()...)
	switch {
	case resolved.skip != "":
		s.Status, s.Reason, s.Message = Skipped, resolved.skip, resolved.why
	case err == nil:
		s.Status, s.Message = builddata.Succeeded, result.Message
		r.setOutputs(result, values)
	case ctx.Err() != nil && pipeTimeout(ctx) == nil:
		s.Status, s.Message = builddata.Interrupted, context.Cause(ctx).Error()
		if !errors.Is(err, context.Cause(ctx)) {
			s.Message += ": " + err.Error()
		}
	default:
		s.Status, s.Message, s.Reason, s.Hints = builddata.Failed, err.Error(), reason(err), Hints(err)
		s.AllowedFailure = step.AllowFailure && r.request.Only == "" && pipeTimeout(ctx) == nil
	}
	if s.Status != builddata.Succeeded {
		s.NotStored = r.notStored(step, resolved.task, values)
	}
	r.completeSummary(&s, result, out)
	r.sendLog(ctx, &s)
	r.endStep(index, step, s)
	return s.Status == builddata.Failed && !s.AllowedFailure || s.Status == builddata.Interrupted
}

// reason returns the code of the error with which a step failed; empty if there is none.
func reason(err error) Reason {
	switch {
	case errors.As(err, new(*TimeoutError)):
		return ReasonTimedOut
	case errors.As(err, new(*builddata.HeldError)):
		return ReasonBusy
	case errors.As(err, new(*builddata.OlderError)):
		return ReasonOlder
	case errors.As(err, new(*builddata.RequirementError)):
		return ReasonUnmet
	}
	return ""
}

// resolved is a step whose expressions are evaluated, once for all attempts.
type resolved struct {
	task Definition
	args Args
	// skip is the reason to skip the step, and why the same for people. Both are empty if
	// the step runs.
	skip Reason
	why  string
	// bestEffort makes a failure of the step a warning.
	bestEffort bool
}

// resolve evaluates the expressions of a step.
func (r *run) resolve(section Section, step *Step, values Values) (resolved, error) {
	scope := scope{Values: values, language: r.engine.Language, environ: r.engine.Environ, mask: r.engine.Mask.Text,
		withheld: r.request.Withheld, mock: r.request.Mock}
	if !step.When.IsZero() {
		text, err := scope.text(step.When)
		if err != nil {
			return skipMissing(section, fmt.Errorf("%s: when: %w", step.When.At, err))
		}
		if !True(text) {
			return resolved{skip: ReasonWhenFalse, why: "its when is false"}, nil
		}
	}
	d, ok := r.engine.Registry.Task(step.Task)
	if !ok {
		return resolved{}, fmt.Errorf("there is no task %s", step.Task)
	}
	bestEffort := d.BestEffort
	if required, ok := step.Args[ArgRequired]; ok && bestEffort {
		value, err := scope.evaluate(Switch, required)
		bestEffort = err == nil && value == false
	}
	args, err := scope.args(step, d)
	if err != nil {
		skipped, err := skipMissing(section, err)
		skipped.bestEffort = bestEffort
		return skipped, err
	}
	return resolved{task: d, args: args, bestEffort: bestEffort}, nil
}

// skipMissing skips a step of Last if a value that it needs is not set, because the step
// that sets it did not succeed: what was not created need not be removed. It returns any
// other error.
func skipMissing(section Section, err error) (resolved, error) {
	var notSet *NotSetError
	if section == Last && errors.As(err, &notSet) && notSet.Withheld.Step == "" && !strings.HasPrefix(notSet.Name, environmentPrefix) {
		return resolved{skip: ReasonMissingValue, why: notSet.Error() + ", because the step that sets it did not succeed"}, nil
	}
	return resolved{}, err
}

// attempt runs the task of a step once.
func (r *run) attempt(ctx context.Context, step *Step, resolved resolved, values Values, out io.Writer) (result Result, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			_, _ = fmt.Fprintf(out, "%s\n", debug.Stack()) // out never fails
			err = fmt.Errorf("the task %s panicked: %v; please report this, with its output", step.Task, problem)
		}
	}()
	ctx, cancel := withTimeout(ctx, r.request.Pipe.timeoutOf(step))
	defer cancel()
	call := &Call{
		Step: step.Name, Task: step.Task, Args: resolved.args, Declared: step.Outputs, Values: values.Clone(), Run: r.snapshot(),
		Mask: r.engine.Mask.Text, MaskJSON: r.engine.Mask.JSON, AddSecret: r.engine.Mask.Add, Output: out,
		Folder: r.engine.Folder, Scratch: r.engine.Scratch, Environ: r.environ(values), Flush: r.flush,
	}
	do := resolved.task.Run
	if r.request.Mock {
		do = resolved.task.Mock
	}
	result, err = do(ctx, call)
	if r.request.Mock && r.fails[step.Name] && err == nil {
		err = errors.New("failed by --fail")
	}
	if err != nil {
		return result, withCause(ctx, err)
	}
	for _, name := range step.Outputs {
		if _, ok := result.Outputs[name]; !ok {
			return result, fmt.Errorf("it did not set %s, which it lists in its outputs", name)
		}
	}
	return result, nil
}

// environ returns the environment of the programs that a step starts.
func (r *run) environ(values Values) []string {
	own := []string{
		"DELIVERY_SERVICE=" + values[ValueService],
		"DELIVERY_RUN=" + values[ValueRun],
		"DELIVERY_VERSION=" + values[ValueVersion],
	}
	return append(slices.Clone(r.engine.Environ), own...)
}

// setOutputs adds the outputs of a task to the context.
func (r *run) setOutputs(result Result, values Values) {
	r.mu.Lock()
	for _, name := range result.Secrets {
		r.secret[name] = true
	}
	if v := result.Version; v != nil {
		r.summary.Version, r.summary.Number = v.Name, v.Number
		r.request.Run.Number = v.Number
		values[ValueVersion], values[ValueNumber] = v.Name, fmt.Sprint(v.Number)
	}
	r.mu.Unlock()
	maps.Copy(values, result.Outputs)
	if result.Version != nil {
		r.record()
	}
}

// isSecret reports whether the value of a name is a secret. What a mock sets is not.
func (r *run) isSecret(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.secret[name] || SecretName(name) && !r.request.Mock
}

// withheld reports whether a value is neither shown nor stored, since it is a secret or
// contains one. It is never altered: what reads it later would not notice.
func (r *run) withheld(name, value string) bool {
	return r.isSecret(name) || r.engine.Mask.Holds(value)
}

// notStored returns the names of the values that a step uses and that are not stored with the
// step that has set them, in this run or the earlier one.
func (r *run) notStored(step *Step, d Definition, values Values) []string {
	var used []string
	for _, v := range append(slices.Collect(maps.Values(step.Args)), step.When) {
		all, _ := v.expressions(r.engine.Language) // they have been checked
		for _, p := range all {
			for _, n := range p.expr.Names() {
				used = append(used, n.Name)
			}
		}
	}
	for _, a := range d.Arguments {
		if _, written := step.Args[a.Name]; !written {
			used = append(used, a.From...)
		}
	}
	slices.Sort(used)
	return slices.DeleteFunc(slices.Compact(used), func(name string) bool {
		value, ok := values[name]
		if !ok {
			return r.request.Withheld[name].Step == ""
		}
		return value == r.request.Values[name] || !r.withheld(name, value)
	})
}

// completeSummary sets the result of a step in its summary, without secrets.
func (r *run) completeSummary(s *StepSummary, result Result, out *output) {
	if s.Status == builddata.Succeeded {
		for _, name := range slices.Sorted(maps.Keys(result.Outputs)) {
			if r.withheld(name, result.Outputs[name]) {
				if s.Withheld = append(s.Withheld, name); !r.isSecret(name) {
					result.Warnings = append(result.Warnings, "the output "+name+" holds a secret, so it is neither shown nor stored")
				}
				continue
			}
			if s.Outputs == nil {
				s.Outputs = map[string]string{}
			}
			s.Outputs[name] = result.Outputs[name]
		}
	}
	s.Message = r.engine.Mask.Text(s.Message)
	s.Report = r.engine.Mask.JSON(result.Report)
	for _, warning := range result.Warnings {
		s.Warnings = append(s.Warnings, r.engine.Mask.Text(warning))
	}
	if out != nil {
		s.Log = out.name
		if s.Status != builddata.Succeeded {
			s.Tail = r.engine.Mask.Text(out.end())
		}
	}
}

// output returns what collects the output of a step.
func (r *run) output(step *Step) *output {
	out := &output{step: step.Name}
	if r.engine.Log != nil {
		out.open = func() (io.WriteCloser, string, error) { return r.engine.Log(step.Name) }
	}
	if r.engine.Observer != nil {
		out.observe = r.engine.Observer.StepPrinted
	}
	return out
}

// addStep adds a step that begins to the list of steps, and returns its index.
func (r *run) addStep(s StepSummary) (index int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, s)
	return len(r.steps) - 1
}

// endStep stores the final summary of a step, records its event, and calls the observer.
func (r *run) endStep(index int, step *Step, s StepSummary) {
	r.mu.Lock()
	r.steps[index] = s
	r.summary.Steps = append(r.summary.Steps, s)
	r.mu.Unlock()
	if s.Status != Skipped {
		r.event(step, s, s.Status)
	}
	if r.engine.Observer != nil {
		r.engine.Observer.StepEnded(s)
	}
}

// event records an event of a step.
func (r *run) event(step *Step, s StepSummary, status builddata.Status) {
	if r.engine.Recorder == nil {
		return
	}
	r.mu.Lock()
	number := r.request.Run.Number
	r.mu.Unlock()
	var parts []string
	if s.Message != "" {
		parts = append(parts, s.Message)
	}
	for _, warning := range s.Warnings {
		parts = append(parts, "warning: "+warning)
	}
	r.engine.Recorder.Event(builddata.Event{
		ID: r.engine.NewID(), Service: r.request.Run.Service, Number: number, Run: r.request.Run.ID, Step: step.Name,
		Type: strings.ToLower(step.Task), Location: cmp.Or(s.Environment, r.request.Run.Holder), Status: status, Reason: string(s.Reason),
		Message: text.Clip(strings.Join(parts, "; "), maxMessage), Report: s.Report, Outputs: s.Outputs,
		LogAddress: s.LogAddress, OutputTail: s.Tail,
		At: builddata.Timestamp(r.engine.Clock.Now()),
	})
}

// maxMessage is the maximum length of an event's message, in bytes.
const maxMessage = 1000

// snapshot returns the summary of the run so far.
func (r *run) snapshot() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summary
	s.Steps = s.Steps[:len(s.Steps):len(s.Steps)]
	s.Elapsed = r.elapsed(r.start)
	return s
}

// flush waits until the repository has all records.
func (r *run) flush(ctx context.Context) error {
	if r.engine.Recorder == nil {
		return nil
	}
	return r.engine.Recorder.Flush(ctx)
}
