// Package pipe is delivery processes: what a pipe consists of, how it is
// validated before anything runs, and the engine that runs it. It knows neither
// YAML nor what its tasks do; package pipefile reads pipes, and package task
// holds the built-in tasks.
package pipe

import (
	"fmt"
	"iter"
	"time"
)

// Pipe is a process: sections of steps.
type Pipe struct {
	Name string   `json:"name"`
	At   Position `json:"at"`
	// All of First runs, whatever fails in it. Each step of Main runs only
	// while all has gone well. Last runs always, however the rest went.
	First []Step `json:"first,omitempty"`
	Main  []Step `json:"main,omitempty"`
	Last  []Step `json:"last,omitempty"`
}

// Step is one entry of a pipe: a task, or branches that run in parallel.
type Step struct {
	// Name identifies the step in its pipe; see Pipe.NameSteps. Parallel steps
	// have none.
	Name string   `json:"name,omitempty"`
	At   Position `json:"at"`
	// Via are the refs that led here, the outermost first.
	Via []string `json:"via,omitempty"`

	// Task is the type of the task: "test.command". Empty for parallel steps.
	Task string `json:"task,omitempty"`
	// Args are the task's arguments as they were written.
	Args map[string]Value `json:"args,omitempty"`
	// Outputs are the values that the step promises to put on the context.
	Outputs []string `json:"outputs,omitempty"`
	// When is an expression; the step is skipped if its value is empty or "false".
	When Value `json:"when,omitzero"`
	// Timeout bounds one attempt; 0 means no bound.
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// Retries is how often a failed step is tried again, RetryAfter how long
	// after the failure.
	Retries    int           `json:"retries,omitempty"`
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`

	// Parallel are branches that run at the same time, each on its own copy of
	// the context. Empty for tasks.
	Parallel [][]Step `json:"parallel,omitempty"`
}

// Value is an argument as it was written: expressions are not evaluated.
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

// NameSteps names the steps that have no name after their tasks, each with a
// name that no other step has.
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
