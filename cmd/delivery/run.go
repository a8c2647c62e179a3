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
	"github.com/pipes-as-code/terraform-provider-delivery/internal/spool"
)

// failedError says that a run did not succeed. Its summary has been printed.
type failedError struct{ summary pipe.Summary }

func (e *failedError) Error() string {
	if step := e.summary.Failed(); step != nil {
		return fmt.Sprintf("the pipe %s %s at %q", e.summary.Pipe, ended(e.summary.Status), step.Name)
	}
	return fmt.Sprintf("the pipe %s %s", e.summary.Pipe, ended(e.summary.Status))
}

// projectFlags are the flags of commands about a checkout and its pipes.
type projectFlags struct {
	*common
	folder string
}

func newProjectFlags(c *common) *projectFlags { return &projectFlags{common: c} }

func (w *projectFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&w.folder, "chdir", "C", ".", "folder in the checkout")
	completeFolder(cmd, "chdir")
}

// project opens the checkout, and the runner of its pipes.
func (w *projectFlags) project() (*runner.Runner, *runner.Project, error) {
	config, err := w.app()
	if err != nil {
		return nil, nil, err
	}
	project, err := runner.OpenProject(w.folder)
	return config.Runner(), project, err
}

// warn prints a warning beside the result.
func (c *common) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "Warning: %s\n", fmt.Sprintf(format, args...))
}

func newRun(c *common) *cobra.Command {
	w := newProjectFlags(c)
	var req runner.Request
	var values []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipe of this checkout",
		Long: `Run the pipe that the checkout's .delivery.yml names: the same on a laptop and on
any CI node.

All steps of the pipe's section first are run, then those of main while all goes
well, and at the end always those of last. Every step is recorded in the build data
repository. Ctrl-C ends the running step and continues with last; a second Ctrl-C
ends that, too. While last is running, the first one changes nothing.

A run is tied to a revision that the remote has, so that its version can be traced
to what everybody can see.

Exit codes: 0 all went well, 1 a step failed, 2 the command line or the pipe is
invalid, 3 another process is changing the same thing, 4 the build data repository
cannot be reached, 5 the checkout is not pushed, 130 interrupted.`,
		Example: `  delivery run
  delivery run --run-to bake
  delivery run --run-task "functional tests" --version 17
  delivery run --pipe cd --mock`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := notEmpty(cmd, "pipe", "version", "run-to", "run-task", "of")
			if err != nil {
				return err
			}
			if req.Values, err = assignments(values); err != nil {
				return err
			}
			if err := w.validate(req); err != nil {
				return err
			}
			return w.run(cmd.Context(), req, verbose)
		},
	}
	w.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&req.Pipe, "pipe", "", "pipe to run instead of the one that .delivery.yml names")
	flags.StringVar(&req.Version, "version", "", "run for an existing version, instead of allocating one")
	flags.StringVar(&req.To, "run-to", "", "run up to this step, and then the section last")
	flags.StringVar(&req.Only, "run-task", "", "run this step alone, with the version and the context of an earlier run")
	flags.StringVar(&req.Of, "of", "", "id of the earlier run, for --run-task (default: the latest, of --version if given)")
	flags.BoolVar(&req.Mock, "mock", false, "run the mock of every task: nothing is changed or recorded")
	flags.BoolVar(&req.AllowUnpushed, "allow-unpushed", false, "run from a checkout that is not pushed, marked as untraceable")
	flags.StringArrayVar(&values, "set", nil, "name=value to put on the context, over .delivery.yml; may be repeated")
	flags.BoolVarP(&verbose, "verbose", "v", false, "print all output of the steps, also on a terminal")
	for _, flag := range []string{"run-to", "run-task"} {
		complete(cmd, flag, func(ctx context.Context, _ []string) []string { return w.stepNames(ctx, req.Pipe) })
	}
	complete(cmd, "pipe", w.pipeNames)
	complete(cmd, "of", c.runIDs)
	cmd.AddCommand(newRunList(c), newRunShow(c))
	complete(cmd, "version", func(ctx context.Context, args []string) []string {
		return (&serviceFlags{projectFlags: *w}).versionNames(ctx, args)
	})
	return cmd
}

// validate refuses options that contradict each other.
func (w *projectFlags) validate(req runner.Request) error {
	switch {
	case req.To != "" && req.Only != "":
		return &usageError{errors.New("--run-to and --run-task: choose one")}
	case req.Of != "" && req.Only == "":
		return &usageError{errors.New("--of says whose context --run-task takes: add --run-task STEP")}
	}
	return nil
}

// assignments parses name=value.
func assignments(texts []string) (pipe.Values, error) {
	values := pipe.Values{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || !pipe.ValueName.MatchString(name) {
			return nil, &usageError{fmt.Errorf("--set %q: write name=value, the name of letters, digits, underscores and dots", text)}
		}
		values[name] = value
	}
	return values, nil
}

func (w *projectFlags) run(ctx context.Context, req runner.Request, verbose bool) error {
	runs, project, err := w.project()
	if err != nil {
		return err
	}
	// The reader of the output may close it first, as head does: the run goes on,
	// and its section last comes. If the signal were ignored, the steps would
	// inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	progress := newProgress(w.common, verbose)
	hard, soft, release := stoppable(ctx, progress, req.Only != "")
	defer release()
	req.Folder, req.Observer, req.Warn, req.Interrupt = w.folder, progress, progress.warn, soft
	summary, err := runs.Run(hard, project, req)
	progress.close()
	var unsent *spool.UnsentError
	var skipped *runner.SkippedError
	if err != nil && !errors.As(err, &unsent) && !errors.As(err, &skipped) {
		return err
	}
	if w.output == asJSON {
		if err := w.printJSON(summary); err != nil {
			return err
		}
	} else if skipped == nil {
		w.printSummary(project, summary, req)
	}
	switch {
	case skipped != nil:
		return err
	case summary.Status != builddata.Succeeded:
		if err != nil {
			w.warn("%v", err)
		}
		return &failedError{summary: summary}
	case err != nil:
		w.warn("%v", err) // the pipe did what it should; the repository will know
	}
	return nil
}
