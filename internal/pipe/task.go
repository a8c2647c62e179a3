package pipe

import (
	"context"
	"io"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Library knows the tasks.
type Library interface {
	// Task returns what is known of a type. Letter case makes no difference.
	Task(name string) (Definition, bool)
	// Types lists the types by name, for suggestions.
	Types() []string
}

// Definition is what is known of a type of task.
type Definition struct {
	// Type is the name in a pipe: "test.command".
	Type string
	// Summary says in one sentence what the task does.
	Summary   string
	Arguments []Argument
	// AnyArgument says that the task takes arguments that are not listed.
	AnyArgument bool
	// Outputs are the values that the task always puts on the context.
	Outputs []string
	// BestEffort says that the task only reports on the run: its failure is a
	// warning, unless its argument ArgRequired is true.
	BestEffort bool
	// NeedsVersion says that the task needs the run to have a version.
	NeedsVersion bool
	// AllocatesVersion says that the task gets the run's version from the build
	// data repository.
	AllocatesVersion bool
	// Undoes says that the task removes what a run has created, so that it can
	// be run alone for a run that was lost.
	Undoes bool
	// RequiredAlone names arguments that a step must have to be run alone, with
	// the reason; empty if there is none.
	RequiredAlone map[string]string

	// Run does it, Mock only says what would be done, and returns the like.
	Run, Mock func(ctx context.Context, c *Call) (Result, error)
}

// ArgRequired is the argument of best-effort tasks that makes them fail.
const ArgRequired = "required"

// Argument is one argument of a task.
type Argument struct {
	Name     string
	Kind     Kind
	Required bool
	// OneOf are the texts that it may be; none means any.
	OneOf []string
	// From are the values that stand in where the argument is not written, the
	// first that is set: "slack_url", "env.SLACK_WEBHOOK_URL".
	From []string
	// Summary says in one sentence what it is for, and its default.
	Summary string
}

// Kind is the kind of an argument's value.
type Kind string

// The kinds, by the Go type in which the task gets the value.
const (
	Text     Kind = "text"           // string
	Number   Kind = "number"         // int64
	Switch   Kind = "true or false"  // bool
	Duration Kind = "duration"       // time.Duration, written as 90s or 10m
	List     Kind = "list of texts"  // []string; a single text is a list of one
	Table    Kind = "table of texts" // map[string]string
	Command  Kind = "command"        // Script: a text for the shell, or a list of a program and its arguments
)

// Script is a command to run. Expressions in a text for the shell have become
// references to variables in Environ, so that no value can be taken for a
// part of the command; in a list they have become the values themselves.
type Script struct {
	// Args are the program and its arguments: the shell's, for a text.
	Args []string
	// Environ is what the command needs in its environment beside that of the Call.
	Environ []string
	// Text is the command as people read it.
	Text string
}

// Call is one execution of a task.
type Call struct {
	// Step is the step's name, Task its type.
	Step, Task string
	// Args are the arguments with all expressions evaluated, each in the type
	// of its kind. What was not written is not there.
	Args Args
	// Declared are the outputs that the step promises.
	Declared []string
	// Values is a copy of the context.
	Values Values
	// Run is the run so far.
	Run Summary
	// Mask hides the secrets in a text that the task sends elsewhere.
	Mask func(text string) string
	// Output takes what the task prints. What goes there is captured, and
	// secrets in it are masked.
	Output io.Writer
	// Folder is where the pipe runs: the root of the checkout. Scratch is for
	// files that nobody else may read, and that may go with the run; empty is
	// the machine's folder for such.
	Folder, Scratch string
	// Environ is the environment of programs that the task starts. DELIVERY_*
	// is in it.
	Environ []string
	// Flush returns once all that happened before is in the repository, or the
	// error that it cannot be.
	Flush func(ctx context.Context) error
}

// Result is what became of a Call. A task may return one along with an error.
type Result struct {
	// Outputs are put on the context.
	Outputs map[string]string
	// Secrets are the names of those Outputs that are never shown or stored.
	Secrets []string
	// Version is set by the task that gives the run its version.
	Version *builddata.Version
	// Message is one line for people: "14 tests passed".
	Message string
	// Report is kept with the step's event: JSON, a link, or the name of a file.
	Report string
	// Warnings are what went wrong without the task having failed.
	Warnings []string
}

// Args are the evaluated arguments of a task. The methods return the zero
// value for what was not written.
type Args map[string]any

// Has reports whether the argument was written.
func (a Args) Has(name string) bool { _, ok := a[name]; return ok }

// Text returns an argument of kind Text.
func (a Args) Text(name string) string { s, _ := a[name].(string); return s }

// Number returns an argument of kind Number.
func (a Args) Number(name string) int64 { n, _ := a[name].(int64); return n }

// Switch returns an argument of kind Switch.
func (a Args) Switch(name string) bool { b, _ := a[name].(bool); return b }

// Duration returns an argument of kind Duration.
func (a Args) Duration(name string) time.Duration { d, _ := a[name].(time.Duration); return d }

// List returns an argument of kind List.
func (a Args) List(name string) []string { l, _ := a[name].([]string); return l }

// Table returns an argument of kind Table.
func (a Args) Table(name string) map[string]string { t, _ := a[name].(map[string]string); return t }

// Script returns an argument of kind Command.
func (a Args) Script(name string) Script { s, _ := a[name].(Script); return s }
