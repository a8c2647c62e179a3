package pipe

import (
	"context"
	"io"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Registry holds the types of tasks.
type Registry interface {
	// Task returns the definition of a type, in any letter case.
	Task(name string) (Definition, bool)
	// Types lists the names of the types, for suggestions.
	Types() []string
}

// Definition describes a type of task.
type Definition struct {
	// Type is the name of the type in a pipe: "test.command".
	Type string
	// Summary says in one sentence what the task does.
	Summary   string
	Arguments []Argument
	// AnyArgument says that the task also takes arguments that are not listed.
	AnyArgument bool
	// Outputs are the names of the values that the task always adds to the context.
	Outputs []string
	// BestEffort says that the task only reports on the run. Its failure is a warning,
	// unless its argument ArgRequired is true.
	BestEffort bool
	// NeedsVersion says that the task needs the run to have a version.
	NeedsVersion bool
	// AllocatesVersion says that the task allocates the version of the run.
	AllocatesVersion bool
	// BuildsCheckout says that the task makes a part of the version out of the checkout, which
	// therefore has to be at the revision of the version.
	BuildsCheckout bool
	// Undoes says that the task removes what a run has created. It can be run alone to
	// clean up after a lost run.
	Undoes bool
	// AnyRevision says that what the task did counts for a promotion even if the checkout was
	// not at the revision of the version: it acts on what exists already.
	AnyRevision bool
	// Environment returns the environment on which a step with these arguments acts; nil says
	// that the task acts on none.
	Environment func(args Args) string
	// Lacking returns what a step needs of the machine and does not find, before the run. The
	// call has the arguments that are known by then; known reports whether an argument is
	// known or not written. Nil says that nothing can be looked for.
	Lacking func(c *Call, known func(name string) bool) Lacking
	// RequiredAlone holds the arguments that a step must have to be run alone, with the
	// reasons.
	RequiredAlone map[string]string

	// Run runs the task. Mock changes nothing, and returns a similar result.
	Run, Mock func(ctx context.Context, c *Call) (Result, error)
}

// ArgRequired is the argument of a best-effort task that makes its failure a failure of the
// step.
const ArgRequired = "required"

// Argument is one argument of a task.
type Argument struct {
	Name     string
	Kind     Kind
	Required bool
	// OneOf are the allowed texts; if it is empty, all are.
	OneOf []string
	// From are the names of values that replace an omitted argument. The first that is set
	// is used: "slack_url", "env.SLACK_WEBHOOK_URL".
	From []string
	// Escape escapes a value that an expression puts into the argument after the text
	// before; nil does not.
	Escape func(before, value string) string
	// Summary says in one sentence what the argument is for, and its default.
	Summary string
}

// Kind is the kind of an argument's value.
type Kind string

// The kinds, with the Go types in which a task gets the value.
const (
	Text      Kind = "text"               // string
	Number    Kind = "number"             // int64
	Switch    Kind = "true or false"      // bool
	Duration  Kind = "duration"           // time.Duration, written as 90s or 10m
	List      Kind = "list of texts"      // []string; a single text is a list of one
	Table     Kind = "table of texts"     // map[string]string
	Variables Kind = "table of variables" // map[string]string: environment variables of a program
	Command   Kind = "command"            // Script: a text for the shell, or a list of a program and its arguments
	Shell     Kind = "shell"              // []string: the program and its options before the text of a command
)

// Call is one execution of a task.
type Call struct {
	// Step is the step's name, Task its type.
	Step, Task string
	// Args are the evaluated arguments, each in the Go type of its kind, without those that
	// were omitted.
	Args Args
	// Declared are the outputs that the step declares.
	Declared []string
	// Values is a copy of the context.
	Values Values
	// Run is the summary of the run so far.
	Run Summary
	// Mask hides the secrets in a text. Use it for texts that the task sends to other
	// systems.
	Mask func(text string) string
	// MaskJSON is Mask for a document that stays valid if it is JSON.
	MaskJSON func(document string) string
	// AddSecret has a secret masked from now on. The name is for a warning if it cannot be.
	AddSecret func(name, secret string)
	// Output takes the output of the task. Secrets in it are masked.
	Output io.Writer
	// Folder is the folder in which the pipe runs: that of .delivery.yml. Scratch is a
	// folder that other users cannot read, and that is removed after the run; if it is
	// empty, use the system's folder for temporary files.
	Folder, Scratch string
	// Environ is the environment of the programs that the task starts. It includes the
	// variables DELIVERY_*.
	Environ []string
	// Flush returns nil when the repository has all earlier records of the run.
	Flush func(ctx context.Context) error
}

// Result is the result of a Call. A task may return one together with an error.
type Result struct {
	// Outputs are added to the context.
	Outputs map[string]string
	// Secrets are the names of the Outputs that are never shown or stored.
	Secrets []string
	// Version is set by a task that allocates the version of the run.
	Version *builddata.Version
	// Message is one line for people: "14 tests passed".
	Message string
	// Report is stored with the event of the step: JSON, a link, or the name of a file.
	Report string
	// Warnings are problems that did not make the task fail.
	Warnings []string
}

// Args are the evaluated arguments of a task. The methods return the zero value for an
// omitted argument.
type Args map[string]any

// Has reports whether the step has the argument.
func (a Args) Has(name string) bool { _, ok := a[name]; return ok }

// Text returns an argument of kind Text.
func (a Args) Text(name string) string { s, _ := a[name].(string); return s }

// Number returns an argument of kind Number.
func (a Args) Number(name string) int64 { n, _ := a[name].(int64); return n }

// Switch returns an argument of kind Switch.
func (a Args) Switch(name string) bool { b, _ := a[name].(bool); return b }

// Duration returns an argument of kind Duration.
func (a Args) Duration(name string) time.Duration { d, _ := a[name].(time.Duration); return d }

// List returns an argument of kind List or Shell.
func (a Args) List(name string) []string { l, _ := a[name].([]string); return l }

// Table returns an argument of kind Table or Variables.
func (a Args) Table(name string) map[string]string { t, _ := a[name].(map[string]string); return t }

// Script returns an argument of kind Command.
func (a Args) Script(name string) Script { s, _ := a[name].(Script); return s }
