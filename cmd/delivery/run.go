package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
)

// failedError says that a run did not succeed. Its summary has already been printed.
type failedError struct{ summary pipe.Summary }

func (e *failedError) Error() string {
	if step := e.summary.Failed(); step != nil {
		return fmt.Sprintf("the pipe %s %s at %q", e.summary.Pipe, outcome(e.summary.Status), step.Name)
	}
	return fmt.Sprintf("the pipe %s %s", e.summary.Pipe, outcome(e.summary.Status))
}

// busy reports whether the run failed because another process is changing the same thing.
func (e *failedError) busy() bool {
	step := e.summary.Failed()
	return step != nil && step.Reason == pipe.ReasonBusy
}

// projectFlags are the flags of commands about a checkout and its pipes.
type projectFlags struct {
	*common
	folder string
}

func newProjectFlags(c *common) *projectFlags { return &projectFlags{common: c} }

func (f *projectFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.folder, "chdir", "C", ".", "folder in the checkout")
	completeFolder(cmd, "chdir")
}

// project opens the checkout.
func (f *projectFlags) project() (*runner.Project, error) {
	return runner.OpenProject(f.folder, scm.Network{Clock: f.clock, Waiting: func(server string) {
		_, _ = fmt.Fprintf(f.err, "Waiting for %s …\n", server)
	}})
}

// runner opens the checkout. It returns the project and a runner for its pipes, or all that
// is missing for that.
func (f *projectFlags) runner() (*runner.Runner, *runner.Project, error) {
	config, configErr := f.app()
	project, err := f.project()
	if err := errors.Join(configErr, err); err != nil {
		return nil, nil, err
	}
	return config.Runner(), project, nil
}

// warn prints a warning to stderr.
func (c *common) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "Warning: %s\n", fmt.Sprintf(format, args...))
}

func newRun(c *common) *cobra.Command {
	f := newProjectFlags(c)
	var req runner.Request
	var values []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipe of this checkout",
		Long: `Run the pipe that .delivery.yml names. A run works the same on a laptop and on any CI
node.

All steps of the section "first" run. The steps of "main" run until one fails that does not
have allow_failure, or until the timeout of the pipe. The steps of "last" always run. Every
step is recorded in the build data repository, and has a timeout, by default of two hours.

Ctrl-C stops the running step and continues with "last". A second Ctrl-C stops "last" as
well. While "last" is running, the first Ctrl-C has no effect.

The checkout must be at a revision that the remote has, so that the version can be traced
to its source.

Exit codes:
  0    success
  1    a step failed
  2    the command line or the pipe is invalid
  3    another process is changing the same thing
  4    the build data repository cannot be reached
  5    the checkout has not been pushed
  130  interrupted`,
		Example: `  delivery run
  delivery run --run-to bake
  delivery run --run-task "functional tests" --version 17
  delivery run --pipe release --version 17
  delivery run --pipe release --version 16 --allow-older
  delivery run --pipe cd --mock`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := rejectEmpty(cmd, "pipe", "version", "run-to", "run-task", "of")
			if err != nil {
				return err
			}
			if req.Values, err = assignments(values); err != nil {
				return err
			}
			if err := f.validate(req); err != nil {
				return err
			}
			return f.run(cmd.Context(), req, verbose)
		},
	}
	f.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&req.Pipe, "pipe", "", "pipe to run (default: the one that .delivery.yml names)")
	flags.StringVar(&req.Version, "version", "", "run for an existing version instead of allocating one")
	flags.StringVar(&req.To, "run-to", "", "run up to this step, then run the section last")
	flags.StringVar(&req.Only, "run-task", "", "run only this step, with the version and the context of an earlier run")
	flags.StringVar(&req.Of, "of", "", "id of the earlier run for --run-task (default: the latest run, or the latest of --version)")
	flags.BoolVar(&req.Mock, "mock", false, "run the mock of every task; changes and records nothing")
	flags.BoolVar(&req.AllowUnpushed, "allow-unpushed", false, "run from a checkout that has not been pushed; marks the run as untraceable")
	flags.BoolVar(&req.AllowOtherRevision, "allow-other-revision", false,
		"build although the checkout is not at the revision of --version")
	flags.BoolVar(&req.AllowOlder, "allow-older", false, "deploy although a newer version was deployed last")
	flags.StringArrayVar(&values, "set", nil, "name=value to add to the context, overriding .delivery.yml; can be repeated")
	flags.BoolVarP(&verbose, "verbose", "v", false, "print all output of the steps, even on a terminal")
	for _, flag := range []string{"run-to", "run-task"} {
		complete(cmd, flag, func(ctx context.Context, _ []string) []string { return f.stepNames(ctx, req.Pipe) })
	}
	complete(cmd, "pipe", f.pipeNames)
	complete(cmd, "of", c.runIDs)
	cmd.AddCommand(newRunList(c), newRunShow(c))
	complete(cmd, "version", func(ctx context.Context, args []string) []string {
		return (&serviceFlags{projectFlags: *f}).versionNames(ctx, args)
	})
	return cmd
}

// validate returns an error for flags that contradict each other.
func (f *projectFlags) validate(req runner.Request) error {
	switch {
	case req.To != "" && req.Only != "":
		return &usageError{errors.New("--run-to and --run-task cannot be used together")}
	case req.Of != "" && req.Only == "":
		return &usageError{errors.New("--of names the run whose context --run-task takes: add --run-task STEP")}
	}
	return nil
}

// assignments parses name=value.
func assignments(texts []string) (pipe.Values, error) {
	values := pipe.Values{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || !pipe.ValueName.MatchString(name) {
			return nil, &usageError{fmt.Errorf("invalid --set %q: write name=value; a name consists of letters, digits, underscores and dots", text)}
		}
		if value == placeholder {
			return nil, &usageError{fmt.Errorf("invalid --set %s: write the value in the place of %s", text, placeholder)}
		}
		values[name] = value
	}
	return values, nil
}

// run runs a pipe and prints its summary.
func (f *projectFlags) run(ctx context.Context, req runner.Request, verbose bool) error {
	runs, project, err := f.runner()
	if err != nil {
		return err
	}
	// The reader of the output may close it early, as head does. The run continues all the
	// same, to the end of its section last. The signal is caught, not ignored: the steps
	// would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	progress := newProgress(f.common, verbose)
	hard, soft, release := interruptible(ctx, progress, req.Only != "")
	defer release()
	req.Folder, req.Observer, req.Warn, req.Interrupt = f.folder, progress, progress.warn, soft
	summary, err := runs.Run(hard, project, req)
	progress.close()
	var unsent *spool.UnsentError
	var skipped *runner.SkippedError
	if err != nil && !errors.As(err, &unsent) && !errors.As(err, &skipped) {
		return err
	}
	if f.output == asJSON {
		if err := f.printJSON(summary); err != nil {
			return err
		}
	} else if skipped == nil {
		f.printSummary(project, summary, req)
	}
	switch {
	case skipped != nil:
		return err
	case summary.Status != builddata.Succeeded:
		if err != nil {
			f.warn("%v", err)
		}
		return &failedError{summary: summary}
	case unsent != nil && unsent.Replaced():
		return err // the pipe succeeded, and nothing will know of it unless a person acts
	case err != nil:
		f.warn("%v", err) // the pipe succeeded; the records are sent later
	}
	return nil
}
