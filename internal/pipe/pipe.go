// Package pipe defines pipes, validates them, and runs them. It depends neither on YAML nor
// on the tasks: package pipefile reads pipes, and package task implements the built-in
// tasks.
package pipe

import (
	"fmt"
	"iter"
	"time"
)

// Pipe is a delivery process: steps in three sections.
type Pipe struct {
	Name string   `json:"name"`
	At   Position `json:"at"`
	// Timeout bounds First and Main together; 0 means no bound. StepTimeout bounds an attempt
	// of a step without a Timeout; 0 means DefaultStepTimeout.
	Timeout     time.Duration `json:"timeout_ns,omitempty"`
	StepTimeout time.Duration `json:"step_timeout_ns,omitempty"`
	// All steps of First run, even after one fails. The steps of Main run until one fails.
	// The steps of Last always run.
	First []Step `json:"first,omitempty"`
	Main  []Step `json:"main,omitempty"`
	Last  []Step `json:"last,omitempty"`
}

// Step is one entry of a pipe: a task, or branches that run in parallel.
type Step struct {
	// Name identifies the step in its pipe; see Pipe.NameSteps. It is empty for parallel
	// steps.
	Name string   `json:"name,omitempty"`
	At   Position `json:"at"`
	// Via are the refs through which the step was included, the outermost first.
	Via []string `json:"via,omitempty"`

	// Task is the type of the task: "test.command". It is empty for parallel steps.
	Task string `json:"task,omitempty"`
	// Args are the task's arguments as they were written.
	Args map[string]Value `json:"args,omitempty"`
	// Outputs are the names of the values that the step adds to the context.
	Outputs []string `json:"outputs,omitempty"`
	// Secrets are the names of the outputs that are never shown or stored.
	Secrets []string `json:"secrets,omitempty"`
	// When is an expression; the step is skipped if its value is false, see True.
	When Value `json:"when,omitzero"`
	// Timeout bounds one attempt; 0 means the pipe's StepTimeout.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// Retries is the maximum number of further attempts after a failure, and RetryAfter the
	// delay before each.
	Retries    int           `json:"retries,omitempty"`
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`
	// AllowFailure says that the run goes on, and can succeed, if the step fails.
	AllowFailure bool `json:"allow_failure,omitempty"`

	// Parallel holds branches that run at the same time, each with its own copy of the
	// context; at most MaxParallel of them, if it is not 0. It is empty for tasks.
	Parallel    [][]Step `json:"parallel,omitempty"`
	MaxParallel int      `json:"max_parallel,omitempty"`
}

// Value is an argument as it was written, with its expressions not evaluated.
type Value struct {
	At Position `json:"at"`
	// Data is nil, a string, bool, int64, float64, []Value or map[string]Value.
	Data any `json:"value"`
}

// IsZero reports whether nothing was written.
func (v Value) IsZero() bool { return v.Data == nil && v.At == Position{} }

// Section is a part of a pipe.
type Section string

// The sections.
const (
	First Section = "first"
	Main  Section = "main"
	Last  Section = "last"
)

// Sections lists the sections in the order in which they run.
var Sections = []Section{First, Main, Last}

// Section returns the steps of a section.
func (p *Pipe) Section(s Section) []Step {
	switch s {
	case First:
		return p.First
	case Main:
		return p.Main
	}
	return p.Last
}

// Tasks iterates over all steps that have a task, in the order in which they
// are written.
func (p *Pipe) Tasks() iter.Seq2[Section, *Step] {
	return func(yield func(Section, *Step) bool) {
		var visit func(section Section, steps []Step) bool
		visit = func(section Section, steps []Step) bool {
			for i := range steps {
				if steps[i].Task != "" && !yield(section, &steps[i]) {
					return false
				}
				for _, branch := range steps[i].Parallel {
					if !visit(section, branch) {
						return false
					}
				}
			}
			return true
		}
		for _, section := range Sections {
			if !visit(section, p.Section(section)) {
				return
			}
		}
	}
}

// NameSteps gives the steps without a name the name of their task, with a number if another
// step has that name.
func (p *Pipe) NameSteps() {
	taken := map[string]bool{}
	for _, step := range p.Tasks() {
		taken[step.Name] = true
	}
	for _, step := range p.Tasks() {
		if step.Name != "" {
			continue
		}
		name := step.Task
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s (%d)", step.Task, n)
		}
		step.Name, taken[name] = name, true
	}
}
